/*
 * Code that stands in between: in the place of other code, or put in the way of a process. Rows of
 * the report, and what weakens every claim.
 */
#ifndef DAYLIGHT_ANALYZE_INTERPOSE_H
#define DAYLIGHT_ANALYZE_INTERPOSE_H

#include <jansson.h>

#include "analyze/evidence.h"

struct claim;
struct survey;

/* Does it stand in the place of code of its module, and not in the way of a whole process? */
bool interpose_replaces(const struct evidence *e, const struct rec_interposition *in);

/* "rebound: demo.api.get is code of /srv/x.py, in process 1 (pid 11)"; NULL: no memory. */
json_t *interpose_text(const struct evidence *e, const struct rec_interposition *in);

/* Adds what was put in the way of whole processes to what weakens every claim. -1: no memory. */
int interpose_weaken(const struct evidence *e, json_t *weakened);

/* The report's lists of interpositions, and of modules outside any package. NULL: no memory. */
json_t *interpose_rows(const struct survey *s);
json_t *interpose_outside_rows(struct survey *s);

#endif
