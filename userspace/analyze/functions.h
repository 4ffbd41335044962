/*
 * The functions of a group that ran, counted: in deep calls, as they were in memory, and as their
 * source compares with what a reference lists.
 */
#ifndef DAYLIGHT_ANALYZE_FUNCTIONS_H
#define DAYLIGHT_ANALYZE_FUNCTIONS_H

#include <jansson.h>

#include "analyze/group.h"

#define FUNCTIONS_LISTED_MAX 64 /* rows of `differing` */

struct functions {
	size_t ran, deep; /* in any call, in a deep one */
	size_t memory_equal, memory_differ, memory_unknown;
	/* The rest only if the reference lists functions of a file of the group. */
	bool listed;
	size_t mapped; /* functions that it lists of these files */
	size_t not_entered; /* those of them that were seen in no deep call */
	size_t differ, unlisted, docstring_differ, not_compared;
	json_t *differing; /* {path, qualname, line, what, bundle, kind, id}; NULL: no memory */
};

/* After group_judge; reference: the one that was used, or NULL. Release in any case. */
void functions_count(const struct group *g, const struct reference *reference,
		     struct functions *out);
void functions_release(struct functions *f);

#endif
