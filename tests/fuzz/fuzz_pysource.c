/*
 * Fuzzes the reader of Python source. What it finds is checked: functions in order, each found
 * again by its name; carriage returns, a comment at the end and white space there change nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/pysource.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_same(const struct pysource *p, const struct pysource *q)
{
	CHECK(pysource_count(p) == pysource_count(q));
	for (size_t i = 0; i < pysource_count(p); i++) {
		const struct pysource_function *f = pysource_at(p, i), *g = pysource_at(q, i);

		CHECK(!strcmp(f->qualname, g->qualname) && f->is_class == g->is_class);
		CHECK(f->line == g->line && f->line_last == g->line_last);
		CHECK(f->has_docstring == g->has_docstring);
		CHECK(!memcmp(f->tokens, g->tokens, DIGEST_SIZE));
		CHECK(!memcmp(f->docstring, g->docstring, DIGEST_SIZE));
	}
}

static void check_list(const struct pysource *p)
{
	uint32_t line = 0;

	for (size_t i = 0; i < pysource_count(p); i++) {
		const struct pysource_function *f = pysource_at(p, i);

		CHECK(*f->name && f->line > line && f->line_last >= f->line);
		line = f->line_last;
		CHECK(!*f->qualname || pysource_find(p, f->name, f->qualname, f->line) == f);
		CHECK(!pysource_find(p, "", "", f->line));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char tail[] = "\n# end\n\t ";
	uint8_t *changed;
	const char *how, *again;
	struct pysource *p = pysource_read(data, size, &how), *q;
	size_t len = 0;

	CHECK(!p == !!strcmp(how, PYSOURCE_OK));
	if (!p)
		return 0;
	check_list(p);
	changed = malloc(2 * size + sizeof(tail));
	CHECK(changed);
	for (size_t i = 0; i < size; i++) {
		/* Not between a carriage return and its line feed: that is one end of a line. */
		if (data[i] == '\n' && !(i && data[i - 1] == '\r'))
			changed[len++] = '\r';
		changed[len++] = data[i];
	}
	memcpy(changed + len, tail, sizeof(tail) - 1);
	q = pysource_read(changed, len + sizeof(tail) - 1, &again);
	CHECK(q);
	check_same(p, q);
	pysource_free(q);
	pysource_free(p);
	free(changed);
	return 0;
}
