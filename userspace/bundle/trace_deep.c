/*
 * Which calls are deep: each function that the interpreter started for them was seen.
 *
 * The ledger is a list of running totals, read about once a second; a total is put again only when
 * it changed. A loss that a reading shows happened after the reading before it. So it counts for
 * the time since the last record that is clearly of an earlier reading, and for calls that had
 * ended a little before: their sightings may still have been on their way.
 */
#include "bundle/trace_private.h"

#include <stdlib.h>
#include <string.h>

/* Records of one reading of the ledger, and of what a call leaves behind, come within that. */
#define TRACE_LATE 2000000000ULL

/* Stages whose loss hides no Python function that was entered: files, samples, native frames. */
static const char *const trace_harmless[] = { "modules", "samples", "native-stacks",
					      "native-stacks-resolved" };

struct hole_row {
	uint64_t stage, cause;
	uint32_t row;
};

static int compare_hole_rows(const void *a, const void *b)
{
	const struct hole_row *x = a, *y = b;

	if (x->stage != y->stage)
		return x->stage < y->stage ? -1 : 1;
	if (x->cause != y->cause)
		return x->cause < y->cause ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static int compare_reaches(const void *a, const void *b)
{
	const struct trace_reach *x = a, *y = b;

	if (x->process != y->process)
		return x->process < y->process ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool harmless(const struct trace *t, uint64_t stage)
{
	const char *name = trace_text(t, stage);

	for (size_t i = 0; name && i < sizeof(trace_harmless) / sizeof(trace_harmless[0]); i++)
		if (!strcmp(name, trace_harmless[i]))
			return true;
	return false;
}

/* What the ledger says was lost, by (stage, cause, row). Returns how many. */
static size_t hole_rows(const struct trace *t, struct hole_row *out)
{
	size_t total = trace_count(t, REC_LOSS_KIND), count = 0;

	for (size_t row = 0; row < total; row++) {
		const struct rec_loss *l = trace_at(t, REC_LOSS_KIND, row);

		if (l->class == LOSS_LOST && !harmless(t, l->stage))
			out[count++] = (struct hole_row){ l->stage, l->cause, (uint32_t)row };
	}
	if (count)
		qsort(out, count, sizeof(*out), compare_hole_rows);
	return count;
}

/* The last of the sorted times that is at least TRACE_LATE before `time`; 0 without one. */
static uint64_t reading_before(const uint64_t *times, size_t count, uint64_t time)
{
	size_t lo = 0, hi = count;

	if (time < TRACE_LATE)
		return 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (times[mid] <= time - TRACE_LATE)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? times[lo - 1] : 0;
}

/* Each rise of a total is a hole. rows are sorted. */
static void holes_of_loss(struct trace *t, const struct hole_row *rows, size_t count,
			  const uint64_t *times, size_t times_count)
{
	uint64_t before = 0;

	for (size_t i = 0; i < count; i++) {
		const struct rec_loss *l = trace_at(t, REC_LOSS_KIND, rows[i].row);
		struct trace_reach hole = { REC_NULL, 0, UINT64_MAX };

		if (!i || rows[i].stage != rows[i - 1].stage || rows[i].cause != rows[i - 1].cause)
			before = 0;
		if (l->count == before)
			continue;
		before = l->count;
		if (l->time != REC_NULL) {
			hole.from = reading_before(times, times_count, l->time);
			hole.from -= hole.from < TRACE_LATE ? hole.from : TRACE_LATE;
			hole.until = l->time;
		}
		t->holes.items[t->holes.count++] = hole;
	}
}

/* Does the gap hide no function that was entered? */
static bool harmless_gap(const struct trace *t, const struct rec_gap *g)
{
	const char *what = trace_text(t, g->what);

	return what && (!strncmp(what, GAP_MEMORY, strlen(GAP_MEMORY)) ||
			!strncmp(what, GAP_REPLACED, strlen(GAP_REPLACED)));
}

static void holes_of_gaps(struct trace *t)
{
	for (size_t i = 0; i < trace_count(t, REC_GAP_KIND); i++) {
		const struct rec_gap *g = trace_at(t, REC_GAP_KIND, i);

		if (harmless_gap(t, g))
			continue;
		t->holes.items[t->holes.count++] =
			(struct trace_reach){ g->process, g->from == REC_NULL ? 0 : g->from,
					      g->until };
	}
}

/* Spans whose ends are not known show nothing. */
static void deep_spans(struct trace *t)
{
	for (size_t i = 0; i < trace_count(t, REC_DEEP_KIND); i++) {
		const struct rec_deep *d = trace_at(t, REC_DEEP_KIND, i);

		if (d->process != REC_NULL && d->from != REC_NULL && d->until != REC_NULL)
			t->deep.items[t->deep.count++] =
				(struct trace_reach){ d->process, d->from, d->until };
	}
}

static void reaches_sort(struct trace_reaches *r)
{
	if (r->count)
		qsort(r->items, r->count, sizeof(*r->items), compare_reaches);
	for (size_t i = 1; i < r->count; i++)
		if (r->items[i].process == r->items[i - 1].process &&
		    r->items[i].until < r->items[i - 1].until)
			r->items[i].until = r->items[i - 1].until;
}

/* How far the spans of the process reach that begin at or before `from`; 0: there is none. */
static uint64_t reach(const struct trace_reaches *r, uint64_t process, uint64_t from)
{
	size_t lo = 0, hi = r->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct trace_reach *at = &r->items[mid];

		if (at->process < process || (at->process == process && at->from <= from))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && r->items[lo - 1].process == process ? r->items[lo - 1].until : 0;
}

/* A bundle without its last record may lack what a call left behind. */
static uint64_t seen_until(const struct trace *t)
{
	uint64_t last = 0;

	if (trace_window_end(t))
		return REC_NULL;
	for (size_t i = 0; i < trace_count(t, REC_CLOCK_KIND); i++) {
		const struct rec_clock *c = trace_at(t, REC_CLOCK_KIND, i);

		if (c->monotonic != REC_NULL && c->monotonic > last)
			last = c->monotonic;
	}
	return last;
}

int trace_deep_build(struct trace *t, struct err *err)
{
	size_t losses = trace_count(t, REC_LOSS_KIND), times_count = 0;
	struct hole_row *rows = calloc(losses + 1, sizeof(*rows));
	uint64_t *times = calloc(losses + 1, sizeof(*times));
	size_t count = rows ? hole_rows(t, rows) : 0;
	int rc = -1;

	if (!rows || !times) {
		err_set(err, ERR_INCOMPLETE, "not enough memory for the bundle: free some");
	} else if (!trace_take(t, count + trace_count(t, REC_GAP_KIND), sizeof(*t->holes.items),
			       &t->holes.items, err) &&
		   !trace_take(t, trace_count(t, REC_DEEP_KIND), sizeof(*t->deep.items),
			       &t->deep.items, err)) {
		for (size_t i = 0; count && i < losses; i++) {
			const struct rec_loss *l = trace_at(t, REC_LOSS_KIND, i);

			times[times_count++] = l->time;
		}
		qsort(times, times_count, sizeof(*times), compare_times);
		holes_of_loss(t, rows, count, times, times_count);
		holes_of_gaps(t);
		reaches_sort(&t->holes);
		deep_spans(t);
		reaches_sort(&t->deep);
		t->seen_until = seen_until(t);
		rc = 0;
	}
	free(rows);
	free(times);
	return rc;
}

/* Is the call inside a deep span of the process, and outside its gaps? */
static bool process_deep(const struct trace *t, uint64_t process, const struct rec_call *call)
{
	return reach(&t->deep, process, call->start) >= call->end &&
	       reach(&t->holes, process, call->end) < call->start;
}

bool trace_hole(const struct trace *t, uint64_t from, uint64_t until)
{
	return reach(&t->holes, REC_NULL, until) >= from;
}

bool trace_call_deep(const struct trace *t, const struct rec_call *call, uint32_t sure_sources)
{
	size_t first, n;

	if (!(sure_sources & 1U << SOURCE_DEEP) || call->end_reason != CALL_END_COMPLETE ||
	    call->start == REC_NULL || call->end == REC_NULL || call->start > call->end ||
	    call->lost || !process_deep(t, call->process, call) ||
	    reach(&t->holes, REC_NULL, call->end) >= call->start)
		return false;
	if (t->seen_until < call->end || t->seen_until - call->end < TRACE_LATE)
		return false;
	n = trace_related(t, TRACE_BINDING_CALL, call->id, &first);
	for (size_t i = 0; i < n; i++) {
		const struct rec_binding *b = trace_related_at(t, TRACE_BINDING_CALL, first + i);
		const struct rec_context *c = trace_find(t, REC_CONTEXT_KIND, b->context);

		if (!trace_link_sure(b->link) || !c ||
		    (c->process != call->process && !process_deep(t, c->process, call)))
			return false;
	}
	return true;
}
