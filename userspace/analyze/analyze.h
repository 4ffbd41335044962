/*
 * From bundles to a report: which code of a guideline's sections handled the calls, compared with
 * what, and what is not known. The result is one JSON document (docs/evidence.md); every rendering
 * reads only that.
 */
#ifndef DAYLIGHT_ANALYZE_ANALYZE_H
#define DAYLIGHT_ANALYZE_ANALYZE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "catalog/catalog.h"

#define ANALYZE_SCHEMA "daylight.report/0"

struct analyze_definition {
	const struct service_definition *definition;
	const struct catalog_file *file; /* where it came from */
};

struct analyze_options {
	const char **bundles;
	size_t bundles_count;
	const char *guideline;
	const char **references;
	size_t references_count;
	const struct analyze_definition *definitions;
	size_t definitions_count;
};

struct analyze_result {
	json_t *report; /* the caller owns it */
	bool altered; /* a bundle was altered */
	bool incomplete; /* a bundle ends early */
};

/* Errors: ERR_USAGE (an input cannot be used), ERR_INCOMPLETE (memory). */
int analyze_run(const struct analyze_options *options, struct analyze_result *out, struct err *err);

#endif
