/*
 * One bundle as evidence: verified, loaded, and indexed so that the sightings of a call can be
 * walked. What a bundle says about its own weakness (alteration, early end, loss) is kept beside
 * it.
 */
#ifndef DAYLIGHT_ANALYZE_EVIDENCE_H
#define DAYLIGHT_ANALYZE_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bundle/trace.h"
#include "bundle/verify.h"

#define EVIDENCE_NONE UINT32_MAX

/* From the id of a record to its row in the file. */
struct evidence_id {
	uint64_t id;
	uint32_t row;
};

struct evidence_ids {
	struct evidence_id *items; /* by id */
	size_t count;
};

struct evidence_function {
	const struct rec_function *rec;
	uint32_t module; /* row, or EVIDENCE_NONE */
	const void *counted_in, *counted_out; /* survey_other.c, survey_outside.c: where last */
};

struct evidence_module {
	const struct rec_module *rec;
	const char *path; /* NULL: unknown or hidden */
	bool serving; /* present in a process that serves calls */
	bool seen; /* a function of it stands in a stack that was sighted in such a process */
	/* survey_other.c: the owner it was counted under last, and for which component. */
	void *other;
	const void *other_for;
	/* survey_outside.c: the same. */
	void *outside;
	const void *outside_for;
};

/* A sighting on its context's time line. */
struct evidence_time {
	uint64_t context, time;
	const struct rec_sighting *rec;
};

struct evidence {
	const char *path; /* as given */
	struct trace *trace;
	struct verify_result verify;
	struct bundle_end end;
	bool altered; /* a finding other than a cut */
	bool complete; /* sealed, with its last record, and no finding */
	/* At the end files are looked at again, but for those of before an interruption. */
	uint64_t
		looked_from; /* monotonic: of the last segment's start; REC_NULL: there is no end */
	uint64_t lost; /* sum of class lost */
	uint64_t hidden; /* modules without a readable path */
	bool synced; /* the clock was synchronised in the window record and the last one */

	struct evidence_ids function_ids, module_ids, stack_ids;
	struct evidence_function *functions;
	size_t functions_count;
	struct evidence_module *modules;
	size_t modules_count;
	struct evidence_time *by_first, *by_last; /* by (context, time) */
	size_t sightings_count;
	uint64_t *serving; /* process ids, rising */
	size_t serving_count;
	/* For the walk: which call last met a stack, surely and otherwise. */
	uint64_t *stack_stamp[2];
	uint64_t stamp;
};

/* Errors: ERR_USAGE (not a bundle), ERR_INCOMPLETE (memory). Release in any case. */
int evidence_load(struct evidence *e, const char *path, struct err *err);
void evidence_release(struct evidence *e);

bool evidence_serves(const struct evidence *e, uint64_t process);
/*
 * Has one of them been forked from the other, or both from a third one, as far as the bundle knows?
 * They share what was done to their memory before. True when one of them is not known.
 */
bool evidence_family(const struct evidence *e, uint64_t a, uint64_t b);

/* A function that worked for a call, and what shows it. sure: the binding is not ambiguous. */
struct evidence_seen {
	bool sure;
	bool deep; /* the call is */
	uint32_t function; /* row */
	const struct rec_binding *binding;
	const struct rec_sighting *sighting;
	const struct rec_stack *stack;
	const struct rec_context *context;
};

/*
 * Calls `seen` for every function of every stack that worked for the call; each stack once for sure
 * bindings and once for others. A sighting is a span of time with only its two ends known for
 * certain; it works for a binding when one of the ends lies in the binding's span. A span that
 * merely covers the binding shows nothing. `out` tells what kinds of sightings there were.
 */
struct evidence_sources {
	uint32_t sure; /* 1 << enum source, by bindings that are not ambiguous */
	bool ambiguous; /* there was another one */
	bool deep; /* trace_call_deep */
};
void evidence_walk(struct evidence *e, const struct rec_call *call,
		   void (*seen)(void *ctx, const struct evidence_seen *seen), void *ctx,
		   struct evidence_sources *out);

#endif
