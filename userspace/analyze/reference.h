/*
 * A reference: the digests of a component's upstream files for a release, as JSON (described in
 * docs/evidence.md). Its kind says who vouches for it. This version checks no signatures, so a file
 * that calls itself "signed" is used as "none" and the report says so.
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
};

int reference_load(const char *path, struct reference *out, struct err *err);
void reference_release(struct reference *r);
/* The digest of a file behind a root, or NULL. */
const char *reference_file(const struct reference *r, const char *relative);

#endif
