/*
 * The sightings of a trace: their time lines, and how to do with some of them at a time when all of
 * them are more than memory should hold. They are then read from the file again.
 */
#include "bundle/trace_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- time lines ---- */

static int compare_spans(const void *a, const void *b, void *arg)
{
	const struct rec_sighting *rows = arg;
	uint32_t i = ((const struct trace_span *)a)->row, j = ((const struct trace_span *)b)->row;

	if (rows[i].context != rows[j].context)
		return rows[i].context < rows[j].context ? -1 : 1;
	if (rows[i].first != rows[j].first)
		return rows[i].first < rows[j].first ? -1 : 1;
	return i < j ? -1 : i > j;
}

static uint64_t span_fill(struct trace_span *spans, const struct rec_sighting *rows, size_t lo,
			  size_t hi)
{
	size_t mid = lo + (hi - lo) / 2;
	uint64_t max, side;

	if (lo >= hi)
		return 0;
	max = rows[spans[mid].row].last;
	side = span_fill(spans, rows, lo, mid);
	if (side > max)
		max = side;
	side = span_fill(spans, rows, mid + 1, hi);
	if (side > max)
		max = side;
	spans[mid].max_last = max;
	return max;
}

int trace_build_spans(struct trace *t, struct err *err)
{
	size_t count = t->tables[REC_SIGHTING_KIND].count, from = 0;
	struct rec_sighting *rows = (struct rec_sighting *)t->tables[REC_SIGHTING_KIND].rows;

	if (!count)
		return 0;
	if (trace_take(t, count, sizeof(*t->spans), &t->spans, err))
		return -1;
	for (size_t row = 0; row < count; row++)
		if (rows[row].first != REC_NULL && rows[row].last != REC_NULL)
			t->spans[t->spans_count++].row = (uint32_t)row;
	if (t->spans_count)
		qsort_r(t->spans, t->spans_count, sizeof(*t->spans), compare_spans, rows);
	for (size_t i = 1; i <= t->spans_count; i++) {
		if (i < t->spans_count &&
		    rows[t->spans[i].row].context == rows[t->spans[from].row].context)
			continue;
		span_fill(t->spans, rows, from, i);
		from = i;
	}
	return 0;
}

void trace_drop_sightings(struct trace *t)
{
	struct trace_table *table = &t->tables[REC_SIGHTING_KIND];

	t->bytes -= table->cap * sizeof(struct rec_sighting);
	if (t->spans) /* one for each row */
		t->bytes -= table->count * sizeof(*t->spans);
	free(table->rows);
	free(t->spans);
	*table = (struct trace_table){ .rising = true };
	t->spans = NULL;
	t->spans_count = 0;
}

bool trace_sightings_away(const struct trace *t)
{
	return t->sightings_away;
}

int trace_each_sighting(const struct trace *t, uint64_t from,
			int (*see)(void *ctx, const struct rec_sighting *s), void *ctx,
			struct err *err)
{
	struct bundle_record record;
	struct bundle_reader *r;
	int ret = 0;

	if (!t->sightings_away) {
		size_t count = trace_count(t, REC_SIGHTING_KIND);

		for (size_t row = 0; !ret && row < count; row++)
			ret = see(ctx, trace_at(t, REC_SIGHTING_KIND, row));
		return ret;
	}
	r = bundle_reader_open(t->path, err);
	if (!r)
		return -1;
	bundle_reader_limit(r, t->bytes_max);
	bundle_reader_want(r, 1ULL << REC_SIGHTING_KIND, from);
	while (!ret && (ret = bundle_reader_next(r, &record, err)) > 0)
		ret = see(ctx, &record.rec->sighting);
	bundle_reader_close(r);
	return ret;
}

/* ---- those of some calls ---- */

/* When the calls that are looked for had a context. Open addressing, at most half full. */
struct hold_span {
	uint64_t context, from, until;
	bool used;
};

struct hold {
	struct trace *t;
	struct hold_span *spans;
	size_t mask; /* the number of slots less one */
	bool only; /* one call: it must be held, however many sightings it has */
	struct err *err;
};

static struct hold_span *hold_slot(const struct hold *h, uint64_t context)
{
	size_t i = context * 0x9e3779b97f4a7c15ULL >> 20 & h->mask;

	while (h->spans[i].used && h->spans[i].context != context)
		i = (i + 1) & h->mask;
	return &h->spans[i];
}

/* Notes the contexts of a call, or counts its bindings. Returns their number. */
static size_t hold_call(struct hold *h, uint64_t call, uint64_t *from)
{
	size_t first, n = trace_related(h->t, TRACE_BINDING_CALL, call, &first);

	for (size_t i = 0; h->spans && i < n; i++) {
		const struct rec_binding *b = trace_related_at(h->t, TRACE_BINDING_CALL, first + i);
		struct hold_span *span;

		if (b->context == REC_NULL || b->from == REC_NULL)
			continue;
		span = hold_slot(h, b->context);
		if (!span->used)
			*span = (struct hold_span){ b->context, b->from, b->until, true };
		span->from = b->from < span->from ? b->from : span->from;
		span->until = b->until > span->until ? b->until : span->until;
		*from = b->from < *from ? b->from : *from;
	}
	return n;
}

/* 1: there are too many. */
static int hold_sighting(void *ctx, const struct rec_sighting *s)
{
	struct hold *h = ctx;
	const struct hold_span *span = hold_slot(h, s->context);

	if (!span->used || s->first == REC_NULL || s->last == REC_NULL || s->last < span->from ||
	    s->first > span->until)
		return 0;
	if (!h->only && h->t->tables[REC_SIGHTING_KIND].count == h->t->sightings_max)
		return 1;
	return trace_keep(h->t, REC_SIGHTING_KIND, (const union rec_any *)s, h->err);
}

/* As trace_hold_sightings for exactly these calls; 1: they have too many. */
static int hold_calls(struct trace *t, const uint64_t *calls, size_t count, struct err *err)
{
	struct hold h = { .t = t, .only = count == 1, .err = err };
	uint64_t from = UINT64_MAX;
	size_t n = 1, slots = 64;
	int ret;

	trace_drop_sightings(t);
	for (size_t i = 0; i < count; i++)
		n += hold_call(&h, calls[i], &from);
	while (slots < 2 * n)
		slots *= 2;
	h.spans = calloc(slots, sizeof(*h.spans));
	if (!h.spans)
		return err_set(err, ERR_INCOMPLETE, "not enough memory for the bundle: free some");
	h.mask = slots - 1;
	for (size_t i = 0; i < count; i++)
		hold_call(&h, calls[i], &from);
	ret = from == UINT64_MAX ? 0 : trace_each_sighting(t, from, hold_sighting, &h, err);
	free(h.spans);
	return ret ? ret : trace_build_spans(t, err);
}

int trace_hold_sightings(struct trace *t, const uint64_t *calls, size_t *count, struct err *err)
{
	uint64_t total = trace_total(t, REC_SIGHTING_KIND);
	uint64_t all = trace_count(t, REC_CALL_KIND);
	int ret;

	if (!t->sightings_away)
		return 0;
	/* A guess to begin with: as if all calls had the same number of them. */
	if (total && *count * (double)total > all * (double)t->sightings_max)
		*count = (size_t)(all * (double)t->sightings_max / (double)total);
	do {
		*count = *count ? *count : 1;
		ret = hold_calls(t, calls, *count, err);
		if (ret > 0)
			*count /= 2;
	} while (ret > 0);
	return ret;
}
