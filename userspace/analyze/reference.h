/*
 * A reference: the digests of a component's upstream files, and of their functions, for a release,
 * as JSON (described in docs/evidence.md). Its kind says who vouches for it. This version checks no
 * signatures, so a file that calls itself "signed" is used as "none" and the report says so.
 */
#ifndef DAYLIGHT_ANALYZE_REFERENCE_H
#define DAYLIGHT_ANALYZE_REFERENCE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct reference {
	char *component, *package, *version;
	bool says_signed;
	char sha256[65]; /* of the file */
	json_t *files; /* relative path -> SHA-256, 64 lower-case digits */
	json_t *functions; /* [{path, qualname, tokens, docstring}]; NULL: it lists none */
	json_t *function_index; /* path -> qualname -> array of those */
};

int reference_load(const char *path, struct reference *out, struct err *err);
void reference_release(struct reference *r);
/* The digest of a file behind a root, or NULL. */
const char *reference_file(const struct reference *r, const char *relative);
/* Does it list functions of the file? */
bool reference_lists(const struct reference *r, const char *relative);
/* The entries of a name in a file (several functions may have one), or NULL. */
const json_t *reference_functions(const struct reference *r, const char *relative,
				  const char *qualname);

#endif
