/*
 * What a Python source defines, of any text: reading ends, what it says points to itself, and the
 * same text gives the same names. A comment at the end changes nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The fuzzer links the offline parts only. */
#include "collect/pydefs.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_one(const struct pydefs *d)
{
	CHECK(d->scopes_count && !*d->scopes[0].name && !*d->scopes[0].qualname);
	for (size_t i = 1; i < d->scopes_count; i++)
		CHECK(d->scopes[i].parent < i && *d->scopes[i].name && *d->scopes[i].qualname);
	for (size_t i = 0; i < d->names_count; i++) {
		const struct pydefs_name *n = &d->names[i];
		const char *dotted = n->decorators;

		CHECK(*n->name && n->line && n->scope < d->scopes_count);
		CHECK(n->own_scope < d->scopes_count);
		CHECK(!n->own_scope || (d->scopes[n->own_scope].parent == n->scope &&
					!strcmp(d->scopes[n->own_scope].name, n->name)));
		while (*dotted)
			dotted += strlen(dotted) + 1;
		CHECK(n->decorator == PYDEFS_PLAIN || n->decorators);
	}
}

static void check_same(const struct pydefs *d, const struct pydefs *e)
{
	CHECK(d->names_count == e->names_count && d->scopes_count == e->scopes_count);
	CHECK(d->dynamic == e->dynamic && d->generates == e->generates);
	for (size_t i = 0; i < d->names_count; i++) {
		const struct pydefs_name *n = &d->names[i], *m = &e->names[i];

		CHECK(!strcmp(n->name, m->name) && n->line == m->line && n->scope == m->scope);
		CHECK(n->own_scope == m->own_scope && n->again == m->again);
		CHECK(n->decorator == m->decorator);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char tail[] = "\n# end\n";
	struct pydefs *d = pydefs_read(data, size), *e;
	uint8_t *longer;

	if (!d)
		return 0;
	check_one(d);
	longer = malloc(size + sizeof(tail));
	CHECK(longer);
	memcpy(longer, data, size);
	memcpy(longer + size, tail, sizeof(tail) - 1);
	e = pydefs_read(longer, size + sizeof(tail) - 1);
	CHECK(e);
	check_same(d, e);
	pydefs_free(e);
	pydefs_free(d);
	free(longer);
	return 0;
}
