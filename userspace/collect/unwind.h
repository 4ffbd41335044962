/*
 * Native stacks: takes copies of user stacks from the kernel side, unwinds them in a thread of its
 * own, and makes stack records of them. The copies are kept in memory only, and wiped as soon as
 * they are unwound. What is known of a native site is told to the kernel side.
 *
 * The thread has a bounded queue and a bounded share of a core; beyond them copies are lost
 * (`unwind`). Records: stack, function, module (through modules.h).
 */
#ifndef DAYLIGHT_COLLECT_UNWIND_H
#define DAYLIGHT_COLLECT_UNWIND_H

#include "collect/session.h"
#include "wire.h"

struct process;

struct unwind *unwind_new(struct session *s);
void unwind_free(struct unwind *u);

/* A copy; process NULL: unknown. */
void unwind_snapshot(struct unwind *u, const struct process *process, const struct wire_snapshot *e,
		     size_t size);
/* True when the sighting is of a stack that came as a copy: it is counted once that is unwound. */
bool unwind_sighting(struct unwind *u, const struct wire_sighting *e);
/* Makes records of what was unwound since the last time. */
void unwind_tick(struct unwind *u);
/* Waits for what is still queued; the rest is lost. */
void unwind_finish(struct unwind *u, uint64_t timeout_ns);

/* Ledger of stage `native-stacks-resolved`: attempted is the sum. */
struct unwind_stats {
	uint64_t delivered;
	uint64_t unmatched; /* skipped: native and Python frames do not agree */
	uint64_t no_rows; /* skipped: nothing is known of the innermost code */
	uint64_t lost; /* the queue was full, the process gone, or memory short */
};
void unwind_stats(const struct unwind *u, struct unwind_stats *out);

#endif
