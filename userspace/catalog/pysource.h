/*
 * The functions of a Python source file and the digests of their tokens, as docs/evidence.md
 * ("Source digests") defines them. No I/O: bytes in, functions out. The file is hostile: memory and
 * nesting are bounded, time is linear; nothing is guessed of a file that cannot be read.
 */
#ifndef DAYLIGHT_CATALOG_PYSOURCE_H
#define DAYLIGHT_CATALOG_PYSOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

#define PYSOURCE_FILE_MAX (16u * 1024 * 1024)

/* The values of function_source.how that come from here. */
#define PYSOURCE_OK "source"
#define PYSOURCE_TOO_LARGE "too-large"
#define PYSOURCE_ENCODING "encoding" /* not UTF-8, Latin-1 or ASCII, or not what it says */
#define PYSOURCE_NOT_TOKENIZED "not-tokenized"
#define PYSOURCE_FAILED "failed" /* memory is short */

struct pysource_function {
	const char *name;
	const char *qualname; /* as nested in the text: "Class.method", "outer.<locals>.inner" */
	/*
	 * An interpreter's first line of it: the line of its first decorator's '@', or, from 3.8
	 * on, of the decorator's expression, up to line_last; of `def`, `async` or `class` without
	 * one.
	 */
	uint32_t line, line_last;
	bool is_class; /* listed so that its body can be told; has no digests */
	bool has_docstring;
	uint8_t tokens[DIGEST_SIZE], docstring[DIGEST_SIZE];
};

struct pysource;

/* Never NULL in *how. NULL: how says why; else how is PYSOURCE_OK. */
struct pysource *pysource_read(const uint8_t *data, size_t len, const char **how);
void pysource_free(struct pysource *p);

/* In the order of their first lines. */
size_t pysource_count(const struct pysource *p);
const struct pysource_function *pysource_at(const struct pysource *p, size_t i);

/*
 * The function, or the class whose body it is, that an interpreter shows as (name, qualname, first
 * line), or NULL. qualname: as the interpreter gives it, or the name alone where it gives none (up
 * to 3.10). It may lack leading parts: they go when a `global` statement names a nested function.
 */
const struct pysource_function *pysource_find(const struct pysource *p, const char *name,
					      const char *qualname, uint64_t line);

#endif
