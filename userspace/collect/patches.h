/*
 * Looks for replaced functions in the Python processes that answer calls: once some seconds after
 * a process's first data, and again at the end of the window. Nothing is stopped: their memory is
 * read from outside while they run, a few milliseconds at a time, at most a hundredth of a core's
 * time until the window ends. Records: interposition, gap.
 */
#ifndef DAYLIGHT_COLLECT_PATCHES_H
#define DAYLIGHT_COLLECT_PATCHES_H

#include "collect/session.h"

struct patches;
struct interpositions;

struct patches *patches_new(struct session *s, struct interpositions *found);
void patches_free(struct patches *p);
/* Goes on for a few milliseconds. Call it before processes_tick. */
void patches_tick(struct patches *p, uint64_t now);
/* The last look, to its end; short: only says what was not looked at. */
void patches_finish(struct patches *p, bool thorough);

/* Ledger: stages `patch-modules` and `patch-names`, of the newest look at each process. */
#define PATCHES_CAUSES 8
struct patches_stage {
	uint64_t attempted, delivered;
	struct {
		const char *cause;
		uint64_t count;
	} skipped[PATCHES_CAUSES];
};
struct patches_stats {
	struct patches_stage modules, names;
};
void patches_stats(const struct patches *p, struct patches_stats *out);

#endif
