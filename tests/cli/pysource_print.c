/*
 * Prints the functions of Python files, tab-separated: for each FILE "file", how and path, then
 * for each function its first line, the last line that may count as that, qualified name, tokens
 * and docstring ("-": none). Paths are read from standard input, one a line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "catalog/pysource.h"

static int slurp(const char *path, struct bytes *out)
{
	cleanup_fclose FILE *f = fopen(path, "rb");
	uint8_t piece[65536];
	size_t n;

	out->len = 0;
	if (!f)
		return -1;
	while ((n = fread(piece, 1, sizeof(piece), f)))
		if (bytes_put(out, piece, n))
			return -1;
	return ferror(f) ? -1 : 0;
}

static void print_function(const struct pysource_function *f)
{
	char tokens[2 * DIGEST_SIZE + 1], docstring[2 * DIGEST_SIZE + 1] = "-";

	if (f->is_class)
		return;
	bytes_to_hex(f->tokens, DIGEST_SIZE, tokens);
	if (f->has_docstring)
		bytes_to_hex(f->docstring, DIGEST_SIZE, docstring);
	printf("%u\t%u\t%s\t%s\t%s\n", f->line, f->line_last, f->qualname, tokens, docstring);
}

int main(void)
{
	struct bytes file = BYTES_INIT;
	char path[4096];

	while (fgets(path, sizeof(path), stdin)) {
		struct pysource *p = NULL;
		const char *how = "unreadable";

		path[strcspn(path, "\n")] = 0;
		if (!slurp(path, &file))
			p = pysource_read(file.data, file.len, &how);
		printf("file\t%s\t%s\n", how, path);
		for (size_t i = 0; p && i < pysource_count(p); i++)
			print_function(pysource_at(p, i));
		pysource_free(p);
	}
	bytes_release(&file);
	return 0;
}
