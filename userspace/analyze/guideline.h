/*
 * A guideline as its foundation publishes it: the lists of designated sections. Known schemas are
 * 1.6 (sections by list, then component) and 2.0 (by component, then list); the lists are required,
 * advisory, deprecated, removed and informational. Any other schema is refused, not guessed.
 */
#ifndef DAYLIGHT_ANALYZE_GUIDELINE_H
#define DAYLIGHT_ANALYZE_GUIDELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define GUIDELINE_SECTIONS_MAX 4096

struct guideline_section {
	char *component; /* "keystone" */
	char *section; /* "auth (v3) API" */
	const char *list; /* "required", ...; static */
	bool designated;
};

struct guideline {
	char *id; /* "2020.06" */
	char *schema; /* "2.0" */
	char sha256[65]; /* of the file; "" when parsed from memory */
	struct guideline_section *sections; /* in the file's order */
	size_t sections_count;
	char **bare; /* components without any section: named in the report as not comparable */
	size_t bare_count;
};

/* ERR_USAGE names the file, the place and what is wrong. Release `out` only after success. */
int guideline_load(const char *path, struct guideline *out, struct err *err);
int guideline_parse(const void *data, size_t len, const char *name, struct guideline *out,
		    struct err *err);
void guideline_release(struct guideline *g);

#endif
