/*
 * Hops: which outbound connections a call used, and which call of another process came of it.
 *
 * What a call of the accepting side was asked by is told by order, not by nearness. All uses of the
 * outbound end are in the bundle. Who sends a request has received all that earlier uses received;
 * the server reads the request later; and what it answers is received later still. So the request
 * was sent by the first use that ends after the server began with it. That holds however late the
 * processes run, as long as one use follows another. Where that does not tell, an answer's request
 * id may.
 */
#include "bundle/trace_private.h"

#include <stdlib.h>
#include <string.h>

#define CANDIDATES_MAX 64 /* records that share a key; more are no honest bundle's */
#define LATE_NS 10000000ULL /* a sender may note its sending that much later than it was */

/* ---- whose uses they are ---- */

/* The only call that the context worked for then, surely; REC_NULL: none, or it cannot be told. */
static uint64_t use_call(const struct trace *t, const struct rec_hop *h)
{
	size_t first, n = trace_related(t, TRACE_BINDING_CONTEXT, h->context, &first);
	uint64_t call = h->call;

	if (n > CANDIDATES_MAX)
		return REC_NULL;
	for (size_t i = 0; i < n; i++) {
		const struct rec_binding *b = trace_related_at(t, TRACE_BINDING_CONTEXT, first + i);

		if (b->from == REC_NULL || b->from > h->last || b->until < h->time)
			continue;
		if (!trace_link_sure(b->link) || (call != REC_NULL && call != b->call))
			return REC_NULL;
		call = b->call;
	}
	return call;
}

static int compare_uses(const void *x, const void *y)
{
	const struct trace_use *p = x, *q = y;

	if (p->connection != q->connection)
		return p->connection < q->connection ? -1 : 1;
	if (p->last != q->last)
		return p->last < q->last ? -1 : 1;
	return p->first < q->first ? -1 : p->first > q->first;
}

/* Which uses meet one of another call. Those before one end before it, those after it end later. */
static void uses_compare(struct trace *t)
{
	uint64_t last = 0, first = UINT64_MAX, run = UINT64_MAX;
	bool any = false;

	for (size_t i = 0; i < t->uses_count; i++) {
		struct trace_use *use = &t->uses[i];

		if (!i || use[-1].connection != use->connection)
			any = false;
		else if (use[-1].call != use->call) {
			any = true;
			last = use[-1].last;
		}
		use->shared = any && last >= use->first;
		use->began = use->first;
		if (i && use[-1].connection == use->connection && use[-1].call == use->call &&
		    use[-1].began < use->began)
			use->began = use[-1].began;
	}
	/* first: when the earliest use behind this run of one call's uses began; run: within it. */
	for (size_t i = t->uses_count; i-- > 0;) {
		struct trace_use *use = &t->uses[i];

		if (i + 1 == t->uses_count || use[1].connection != use->connection) {
			first = run = UINT64_MAX;
		} else if (use[1].call != use->call) {
			first = first < run ? first : run;
			run = UINT64_MAX;
		}
		use->shared |= first <= use->last;
		run = use->first < run ? use->first : run;
	}
}

static int uses_build(struct trace *t, struct err *err)
{
	size_t total = trace_count(t, REC_HOP_KIND);

	if (trace_take(t, total, sizeof(*t->uses), &t->uses, err))
		return -1;
	for (size_t row = 0; row < total; row++) {
		const struct rec_hop *h = trace_at(t, REC_HOP_KIND, row);

		if (h->time == REC_NULL || h->last == REC_NULL)
			continue;
		t->uses[t->uses_count++] = (struct trace_use){
			.connection = h->connection,
			.first = h->time,
			.last = h->last,
			.call = use_call(t, h),
		};
	}
	if (t->uses_count)
		qsort(t->uses, t->uses_count, sizeof(*t->uses), compare_uses);
	uses_compare(t);
	return 0;
}

/* The first use of the connection that ends at or after the time; uses_count: none. */
static size_t use_search(const struct trace *t, uint64_t connection, uint64_t time)
{
	size_t lo = 0, hi = t->uses_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct trace_use *use = &t->uses[mid];

		if (use->connection < connection ||
		    (use->connection == connection && use->last < time))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->uses_count && t->uses[lo].connection == connection ? lo : t->uses_count;
}

static uint64_t find_caller(const struct trace *t, const struct rec_call *call)
{
	const struct rec_connection *accepted =
		trace_find(t, REC_CONNECTION_KIND, call->connection);
	const struct rec_connection *out = accepted ? trace_peer(t, accepted) : NULL;
	const struct trace_use *use;
	const struct rec_call *caller;
	size_t at;

	if (!out || accepted->direction != DIRECTION_IN || call->start == REC_NULL)
		return REC_NULL;
	at = use_search(t, out->id, call->start);
	if (at == t->uses_count)
		return REC_NULL;
	use = &t->uses[at];
	caller = use->call == REC_NULL ? NULL : trace_find(t, REC_CALL_KIND, use->call);
	if (!caller || caller->start == REC_NULL || caller->start >= call->start)
		return REC_NULL;
	if (call->end != REC_NULL && use->began > call->end && use->began - call->end > LATE_NS)
		return REC_NULL;
	if (use->shared)
		return REC_NULL;
	/* Where something was lost, a use in between may be. */
	if (trace_hole(t, use->first < call->start ? use->first : call->start, use->last))
		return REC_NULL;
	return caller->id;
}

/* Did the call use the connection, as far as is known? */
static bool may_have_used(const struct trace *t, const struct rec_call *call, uint64_t connection)
{
	struct trace_hop *hops;
	long count = trace_call_hops(t, call->id, &hops);
	bool found = false;

	for (long i = 0; i < count; i++)
		found |= hops[i].connection == connection;
	free(hops);
	return found;
}

/*
 * Who hands an answer on leaves its request id as it is. So where an event loop's uses cannot be
 * told apart, the only call that may have used the connection, and that was answered with the same
 * id, is the caller.
 */
static uint64_t find_caller_by_id(const struct trace *t, const struct rec_call *call)
{
	const struct rec_connection *in = trace_find(t, REC_CONNECTION_KIND, call->connection);
	const struct rec_connection *out = in ? trace_peer(t, in) : NULL;
	const char *id = trace_text(t, call->request_id);
	uint64_t found = REC_NULL;
	size_t first, n = trace_related(t, TRACE_CALL_REQUEST_ID, call->request_id, &first);

	if (!out || in->direction != DIRECTION_IN || !id || !*id || n > CANDIDATES_MAX ||
	    call->start == REC_NULL || call->first_byte == REC_NULL)
		return REC_NULL;
	for (size_t i = 0; i < n; i++) {
		const struct rec_call *c = trace_related_at(t, TRACE_CALL_REQUEST_ID, first + i);

		/* It had begun, and was answered later. */
		if (c->start == REC_NULL || c->start >= call->start || c->end == REC_NULL ||
		    c->end <= call->start || !may_have_used(t, c, out->id))
			continue;
		if (found != REC_NULL)
			return REC_NULL;
		found = c->id;
	}
	return found;
}

static int callers_build(struct trace *t, struct err *err)
{
	size_t total = trace_count(t, REC_CALL_KIND);

	if (trace_take(t, total, sizeof(*t->callers), &t->callers, err) ||
	    trace_take(t, total, sizeof(*t->callers_by), &t->callers_by, err) ||
	    trace_take(t, total, sizeof(*t->called), &t->called, err))
		return -1;
	for (size_t row = 0; row < total; row++) {
		const struct rec_call *call = trace_at(t, REC_CALL_KIND, row);

		t->callers[row] = find_caller(t, call);
		if (t->callers[row] == REC_NULL) {
			t->callers[row] = find_caller_by_id(t, call);
			t->callers_by[row] = TRACE_BY_REQUEST_ID;
		}
		if (t->callers[row] != REC_NULL)
			t->called[t->called_count++] =
				(struct trace_key){ t->callers[row], (uint32_t)row };
	}
	trace_key_sort(t->called, t->called_count);
	return 0;
}

int trace_hops_build(struct trace *t, struct err *err)
{
	return trace_peers_build(t, err) || uses_build(t, err) || callers_build(t, err) ? -1 : 0;
}

/* ---- what is asked ---- */

uint64_t trace_caller(const struct trace *t, const struct rec_call *call, enum trace_caller_by *by)
{
	size_t row = (size_t)(call - (const struct rec_call *)trace_at(t, REC_CALL_KIND, 0));

	if (by)
		*by = (enum trace_caller_by)t->callers_by[row];
	return t->callers[row];
}

size_t trace_called(const struct trace *t, uint64_t call, size_t *first)
{
	*first = trace_key_search(t->called, t->called_count, call);
	return call == REC_NULL ? 0
				: trace_key_search(t->called, t->called_count, call + 1) - *first;
}

const struct rec_call *trace_called_at(const struct trace *t, size_t at)
{
	return at < t->called_count ? trace_at(t, REC_CALL_KIND, t->called[at].row) : NULL;
}

/* One hop record that belongs to the call, by which binding. */
struct hop_part {
	const struct rec_hop *hop;
	const struct rec_binding *binding; /* NULL: the record names the call */
	bool sure;
};

struct hop_parts {
	struct hop_part *items;
	size_t count, cap;
};

static int parts_add(struct hop_parts *parts, const struct rec_hop *hop,
		     const struct rec_binding *binding)
{
	if (parts->count == parts->cap) {
		size_t cap = parts->cap ? 2 * parts->cap : 16;
		struct hop_part *grown = realloc(parts->items, cap * sizeof(*grown));

		if (!grown)
			return -1;
		parts->items = grown;
		parts->cap = cap;
	}
	parts->items[parts->count++] =
		(struct hop_part){ hop, binding, !binding || trace_link_sure(binding->link) };
	return 0;
}

static int parts_of_binding(const struct trace *t, struct hop_parts *parts,
			    const struct rec_binding *b)
{
	size_t first, n = trace_related(t, TRACE_HOP_CONTEXT, b->context, &first);

	if (b->from == REC_NULL)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const struct rec_hop *h = trace_related_at(t, TRACE_HOP_CONTEXT, first + i);

		if (h->time != REC_NULL && h->last != REC_NULL && h->last >= b->from &&
		    h->time <= b->until && parts_add(parts, h, b))
			return -1;
	}
	return 0;
}

/* By connection, then record; what is sure before what is not. */
static int compare_parts(const void *x, const void *y)
{
	const struct hop_part *p = x, *q = y;

	if (p->hop->connection != q->hop->connection)
		return p->hop->connection < q->hop->connection ? -1 : 1;
	if (p->hop->id != q->hop->id)
		return p->hop->id < q->hop->id ? -1 : 1;
	return (int)q->sure - (int)p->sure;
}

static void hop_sum(uint64_t *sum, uint64_t n)
{
	if (n == REC_NULL)
		return;
	if (*sum == REC_NULL)
		*sum = n;
	else if (__builtin_add_overflow(*sum, n, sum) || *sum == REC_NULL)
		*sum = REC_NULL - 1;
}

static void hop_merge(struct trace_hop *into, const struct hop_part *part, bool again)
{
	const struct rec_hop *h = part->hop;

	if (part->binding)
		into->links |= part->binding->link < LINK_COUNT ? 1U << part->binding->link : 0;
	if (part->sure && !into->sure) {
		into->sure = true;
		into->record = h->id;
	}
	if (again)
		return;
	if (h->time != REC_NULL && h->time < into->first)
		into->first = h->time;
	if (h->last != REC_NULL && (into->last == REC_NULL || h->last > into->last))
		into->last = h->last;
	if (into->protocol == REC_NULL)
		into->protocol = h->protocol;
	hop_sum(&into->received, h->received);
	hop_sum(&into->sent, h->sent);
}

long trace_call_hops(const struct trace *t, uint64_t call, struct trace_hop **out)
{
	struct hop_parts parts = { NULL, 0, 0 };
	size_t first, n = trace_related(t, TRACE_BINDING_CALL, call, &first);
	long count = 0;
	int rc = 0;

	*out = NULL;
	for (size_t i = 0; i < n && !rc; i++)
		rc = parts_of_binding(t, &parts,
				      trace_related_at(t, TRACE_BINDING_CALL, first + i));
	n = trace_related(t, TRACE_HOP_CALL, call, &first);
	for (size_t i = 0; i < n && !rc; i++)
		rc = parts_add(&parts, trace_related_at(t, TRACE_HOP_CALL, first + i), NULL);
	if (!rc && parts.count) {
		qsort(parts.items, parts.count, sizeof(*parts.items), compare_parts);
		*out = calloc(parts.count, sizeof(**out));
		rc = *out ? 0 : -1;
	}
	for (size_t i = 0; i < parts.count && !rc; i++) {
		const struct hop_part *part = &parts.items[i];
		bool again = i && part->hop == part[-1].hop;

		if (!i || part->hop->connection != part[-1].hop->connection)
			(*out)[count++] = (struct trace_hop){
				.connection = part->hop->connection,
				.record = part->hop->id,
				.first = REC_NULL,
				.last = REC_NULL,
				.received = REC_NULL,
				.sent = REC_NULL,
				.protocol = REC_NULL,
			};
		hop_merge(&(*out)[count - 1], part, again);
	}
	free(parts.items);
	return rc ? -1 : count;
}
