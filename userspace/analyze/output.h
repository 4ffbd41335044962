/* The report: from a survey to the JSON document that docs/evidence.md describes. */
#ifndef DAYLIGHT_ANALYZE_OUTPUT_H
#define DAYLIGHT_ANALYZE_OUTPUT_H

#include <jansson.h>

#include "analyze/claim.h"
#include "analyze/survey.h"

/* The whole document, or NULL when memory is short. */
json_t *output_report(struct survey *s);

/* output_inputs.c: the parts that say what went in and what could be seen. NULL: no memory. */
json_t *output_inputs(const struct survey *s);
json_t *output_loss(const struct survey *s);
json_t *output_visibility(const struct survey *s);

/* output_sections.c, output_routes.c: rows, and their claims appended to `claims`. */
json_t *output_sections(struct survey *s, const json_t *weakened, json_t *claims);
json_t *output_routes(struct survey *s, const json_t *weakened, json_t *claims);

/* status.c: what the judged code adds up to. */
struct status {
	const char *name; /* "observed-unmodified", ... */
	char reason[256]; /* "" when the name says all */
};
void status_of_section(const struct survey *s, const struct survey_section *section,
		       const struct group_result *r, struct status *out);
void status_of_route(const struct survey_route *route, const struct group_result *r,
		     struct status *out);
/* The `reference` and `compared` members of a row. */
json_t *status_reference(const struct group_result *r);
json_t *status_compared(const struct group_result *r);
/* "equal to ...", for the text of a claim; NULL: no memory. The caller frees it. */
char *status_comparison(const struct group_result *r);
/* Names the records behind the judged code. */
int status_records(struct claim *c, const struct survey *s, const struct group *g,
		   const struct group_result *r);
/* Adds what weakens this claim alone. */
int status_weaken(struct claim *c, const struct group_result *r);

#endif
