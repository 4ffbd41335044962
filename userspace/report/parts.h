/* What the files that print a report as text share. */
#ifndef DAYLIGHT_REPORT_PARTS_H
#define DAYLIGHT_REPORT_PARTS_H

#include <jansson.h>
#include <stdio.h>

struct printer {
	FILE *out;
	const json_t *report;
	const json_t *bundles; /* inputs.bundles */
};

/* The name that inspect needs: the bundle's file, when only that is at hand its digest. */
const char *parts_file(const struct printer *p, const char *sha256);
/*
 * Records of one bundle that show the same thing go on one line: "a call seen: inspect FILE record
 * KIND ID, KIND ID".
 */
void parts_records(const struct printer *p, const json_t *records);

/* report_ways.c: the ways that calls came, what they used; what could not be seen. */
void parts_ways(const struct printer *p);
void parts_visibility(const struct printer *p);

#endif
