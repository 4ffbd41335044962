/* Which context worked for which call. */
#include "collect/bindings.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define OPEN_MAX_CALLS 8 /* unfinished calls of one flow that are told apart */
#define ANSWERED_MAX \
	256 /* bindings of a call, the newest, among which one that answers is looked for */
#define COROUTINES_MAX 65536 /* contexts of coroutines that are remembered; the oldest goes */

struct flow_key {
	uint64_t flow;
	uint32_t process, thread;
};

struct binding {
	uint64_t context, from, until;
	struct flow_key flow;
	enum link link;
	bool answers; /* a part of the answer was sent in the context */
};

/* A call that somebody works for; its record is written when it ends. */
struct slot {
	uint64_t seq, call;
	struct binding *bindings;
	size_t count, cap;
	struct slot *next;
};

/* A context whose binding is still open. */
struct open_context {
	uint64_t context;
	struct bound *at;
	uint64_t seq;
	UT_hash_handle hh;
};

/* The unfinished calls of a flow. */
struct flow {
	struct flow_key key;
	struct {
		struct bound *at;
		uint64_t seq;
	} open[OPEN_MAX_CALLS];
	size_t count;
	bool overflow;
	UT_hash_handle hh;
};

/* The newest context of a coroutine. */
struct coroutine {
	uint64_t context, start;
	struct flow_key flow;
	UT_hash_handle hh;
};

struct bindings {
	struct session *s;
	struct coroutine *coroutines; /* the oldest first */
	struct open_context *contexts;
	struct flow *flows;
	uint64_t written, lost;
};

struct bindings *bindings_new(struct session *s)
{
	struct bindings *b = calloc(1, sizeof(*b));

	if (b)
		b->s = s;
	return b;
}

void bindings_free(struct bindings *b)
{
	struct open_context *open, *next_open;
	struct coroutine *coroutine, *next_coroutine;
	struct flow *flow, *next_flow;

	if (!b)
		return;
	HASH_ITER(hh, b->coroutines, coroutine, next_coroutine) {
		HASH_DEL(b->coroutines, coroutine);
		free(coroutine);
	}
	HASH_ITER(hh, b->contexts, open, next_open) {
		HASH_DEL(b->contexts, open);
		free(open);
	}
	HASH_ITER(hh, b->flows, flow, next_flow) {
		HASH_DEL(b->flows, flow);
		free(flow);
	}
	free(b);
}

static struct slot *slot_of(struct bindings *b, struct bound *at, uint64_t seq, bool create)
{
	struct slot *slot;

	for (slot = at->slots; slot; slot = slot->next)
		if (slot->seq == seq)
			return slot;
	if (!create || !(slot = calloc(1, sizeof(*slot))))
		return NULL;
	slot->seq = seq;
	slot->call = bundle_writer_id(b->s->writer, REC_CALL_KIND);
	slot->next = at->slots;
	at->slots = slot;
	return slot;
}

static void flow_forget(struct bindings *b, const struct flow_key *key, struct bound *at,
			uint64_t seq)
{
	struct flow *flow;
	size_t kept = 0;

	HASH_FIND(hh, b->flows, key, sizeof(*key), flow);
	if (!flow)
		return;
	for (size_t i = 0; i < flow->count; i++)
		if (flow->open[i].at != at || flow->open[i].seq != seq)
			flow->open[kept++] = flow->open[i];
	flow->count = kept;
	if (!kept) {
		HASH_DEL(b->flows, flow);
		free(flow);
	}
}

static bool flow_is(const struct binding *binding, const struct flow_key *key)
{
	return !memcmp(&binding->flow, key, sizeof(*key));
}

/*
 * Others sent the answer, and this flow none of it: it handed the call on, and what it did from
 * then on, which shows nowhere, may have been for another call.
 */
static bool handed_on(const struct slot *slot, const struct flow_key *key)
{
	bool answered = false;

	for (size_t i = 0; i < slot->count; i++) {
		if (slot->bindings[i].answers && flow_is(&slot->bindings[i], key))
			return false;
		answered |= slot->bindings[i].answers;
	}
	return answered;
}

/* Ends a call's bindings at its end; writes them when the call has a record. */
static void slot_end(struct bindings *b, struct bound *at, struct slot *slot, uint64_t end,
		     bool write)
{
	struct slot **link = &at->slots;
	const struct flow_key *judged = NULL;
	bool handed = false;

	for (size_t i = 0; i < slot->count; i++) {
		struct binding *binding = &slot->bindings[i];

		/* Bindings of one flow follow each other. */
		if (!judged || !flow_is(binding, judged)) {
			judged = &binding->flow;
			handed = handed_on(slot, judged);
		}
		struct rec_binding rec = {
			.context = binding->context,
			.call = slot->call,
			.from = binding->from,
			.until = binding->until < end ? binding->until : end,
			.link = handed ? LINK_AMBIGUOUS : binding->link,
		};
		struct open_context *open;

		if (write) {
			rec.id = bundle_writer_id(b->s->writer, REC_BINDING_KIND);
			bundle_writer_put(b->s->writer, REC_BINDING_KIND, &rec);
			b->written++;
		}
		HASH_FIND(hh, b->contexts, &binding->context, sizeof(binding->context), open);
		if (open && open->at == at && open->seq == slot->seq) {
			HASH_DEL(b->contexts, open);
			free(open);
		}
		flow_forget(b, &binding->flow, at, slot->seq);
	}
	while (*link != slot)
		link = &(*link)->next;
	*link = slot->next;
	free(slot->bindings);
	free(slot);
}

static void call_bind(struct bindings *b, struct bound *at, uint64_t seq, uint64_t context,
		      uint64_t from, const struct flow_key *flow, enum link link)
{
	struct slot *slot = slot_of(b, at, seq, true);
	struct open_context *open;

	if (!slot)
		goto lost;
	if (at->adjacent && link != LINK_AMBIGUOUS)
		link = LINK_TLS_ADJACENT;
	if (slot->count == slot->cap) {
		size_t cap = slot->cap ? 2 * slot->cap : 4;
		struct binding *grown = realloc(slot->bindings, cap * sizeof(*grown));

		if (!grown)
			goto lost;
		slot->bindings = grown;
		slot->cap = cap;
	}
	slot->bindings[slot->count++] = (struct binding){
		.context = context,
		.from = from,
		.until = UINT64_MAX,
		.flow = *flow,
		.link = link,
	};
	HASH_FIND(hh, b->contexts, &context, sizeof(context), open);
	if (!open) {
		open = calloc(1, sizeof(*open));
		if (!open)
			goto lost;
		open->context = context;
		HASH_ADD(hh, b->contexts, context, sizeof(open->context), open);
	}
	open->at = at;
	open->seq = seq;
	return;
lost:
	b->lost++;
}

/* shared: it turned out to be an event loop's own, so it was so from the beginning. */
static void context_ends(struct bindings *b, uint64_t context, uint64_t time, bool shared)
{
	struct open_context *open;
	struct slot *slot;

	HASH_FIND(hh, b->contexts, &context, sizeof(context), open);
	if (!open)
		return;
	/* The newest binding first: it is the one, but for flows with several calls. */
	for (slot = open->at->slots; slot; slot = slot->next)
		if (slot->seq == open->seq)
			break;
	for (size_t i = slot ? slot->count : 0; i-- > 0;) {
		if (slot->bindings[i].context == context) {
			slot->bindings[i].until = time;
			if (shared)
				slot->bindings[i].link = LINK_AMBIGUOUS;
			break;
		}
	}
	HASH_DEL(b->contexts, open);
	free(open);
}

/* Adds the call to the flow's unfinished ones; NULL when memory is short. */
static struct flow *flow_takes(struct bindings *b, const struct flow_key *key, struct bound *at,
			       uint64_t seq)
{
	struct flow *flow;

	HASH_FIND(hh, b->flows, key, sizeof(*key), flow);
	if (!flow) {
		flow = calloc(1, sizeof(*flow));
		if (!flow)
			return NULL;
		flow->key = *key;
		HASH_ADD(hh, b->flows, key, sizeof(flow->key), flow);
	}
	for (size_t i = 0; i < flow->count; i++)
		if (flow->open[i].at == at && flow->open[i].seq == seq)
			return flow;
	if (flow->count == OPEN_MAX_CALLS) {
		flow->overflow = true;
		return flow;
	}
	flow->open[flow->count].at = at;
	flow->open[flow->count++].seq = seq;
	return flow;
}

/* The work of a context: an unfinished call of the flow, or (seq 0) one that cannot be known. */
static struct flow *context_takes(struct bindings *b, const struct flow_key *key, struct bound *at,
				  uint64_t seq)
{
	struct flow *flow = flow_takes(b, key, at, seq);

	if (!flow)
		b->lost++;
	else if (seq)
		flow_forget(b, key, at, 0);
	else
		at->undecoded = true;
	return flow;
}

static void coroutine_forget(struct bindings *b, struct coroutine *coroutine)
{
	HASH_DEL(b->coroutines, coroutine);
	free(coroutine);
}

/* A coroutine's context begins; the one before it, if any, is over. */
static void coroutine_begins(struct bindings *b, const struct wire_context *e,
			     const struct flow_key *key)
{
	struct coroutine *coroutine;

	HASH_FIND(hh, b->coroutines, &e->previous, sizeof(e->previous), coroutine);
	if (coroutine)
		coroutine_forget(b, coroutine);
	if (!e->coroutine || !(coroutine = calloc(1, sizeof(*coroutine))))
		return;
	coroutine->context = e->context;
	coroutine->start = e->head.time;
	coroutine->flow = *key;
	HASH_ADD(hh, b->coroutines, context, sizeof(coroutine->context), coroutine);
	if (HASH_COUNT(b->coroutines) > COROUTINES_MAX)
		coroutine_forget(b, b->coroutines);
}

/* A coroutine that answers: what it did since the request's head was complete may be for the call.
 */
static void coroutine_answers(struct bindings *b, struct bound *at, uint64_t seq, uint64_t headed,
			      uint64_t context, uint64_t time)
{
	struct coroutine *coroutine;
	struct open_context *open;
	struct flow *flow;
	uint64_t from;

	HASH_FIND(hh, b->coroutines, &context, sizeof(context), coroutine);
	HASH_FIND(hh, b->contexts, &context, sizeof(context), open);
	if (!coroutine || open || headed == UINT64_MAX)
		return;
	flow = context_takes(b, &coroutine->flow, at, seq);
	if (!flow || flow->count > 1 || flow->overflow)
		return; /* the context that begins now says so */
	from = coroutine->start > headed ? coroutine->start : headed;
	if (from < at->ended)
		from = at->ended;
	if (from <= time)
		call_bind(b, at, seq, context, from, &coroutine->flow, LINK_FLOW);
}

void bindings_answered(struct bindings *b, struct bound *at, uint64_t seq, uint64_t headed,
		       uint64_t context, uint64_t time)
{
	struct slot *slot;

	coroutine_answers(b, at, seq, headed, context, time);
	slot = slot_of(b, at, seq, false);
	/* An answer of many parts has as many contexts, each the newest when its part is sent. */
	for (size_t n = 1; slot && n <= slot->count && n <= ANSWERED_MAX; n++) {
		struct binding *binding = &slot->bindings[slot->count - n];

		if (binding->context != context)
			continue;
		binding->answers = true;
		break;
	}
}

/* Did another flow work for the call before? */
static bool is_others(struct bindings *b, struct bound *at, uint64_t seq,
		      const struct flow_key *key)
{
	const struct slot *slot = slot_of(b, at, seq, false);

	for (size_t i = 0; slot && i < slot->count; i++)
		if (!flow_is(&slot->bindings[i], key))
			return true;
	return false;
}

/*
 * The flow is about to move data of a call that others received. So what it did before may have
 * been for that one, and not for the calls that it has open.
 */
static void flow_was_handed(struct bindings *b, const struct flow_key *key, struct bound *at,
			    const uint64_t *seqs, size_t count)
{
	struct flow *flow;
	bool handed = false;

	HASH_FIND(hh, b->flows, key, sizeof(*key), flow);
	for (size_t i = 0; flow && i < count; i++) {
		bool open = false;

		for (size_t k = 0; k < flow->count; k++)
			open |= flow->open[k].at == at && flow->open[k].seq == seqs[i];
		handed |= !open && is_others(b, at, seqs[i], key);
	}
	for (size_t i = 0; handed && i < flow->count; i++) {
		struct slot *slot = slot_of(b, flow->open[i].at, flow->open[i].seq, false);

		for (size_t k = 0; slot && k < slot->count; k++)
			if (flow_is(&slot->bindings[k], key))
				slot->bindings[k].link = LINK_AMBIGUOUS;
	}
}

void bindings_context(struct bindings *b, struct bound *at, const uint64_t *seqs, size_t count,
		      bool decoding, const struct wire_context *e)
{
	static const uint64_t unknown = 0;
	struct flow_key key = { e->flow, e->head.process, e->thread };
	struct rec_context rec = {
		.id = e->context,
		.process = e->head.process,
		.thread = e->thread,
		.flow = e->flow,
		.generation = e->generation,
		.start = e->head.time,
	};
	struct flow *flow = NULL;

	bundle_writer_put(b->s->writer, REC_CONTEXT_KIND, &rec);
	if (e->previous)
		context_ends(b, e->previous, e->head.time, e->shared);
	coroutine_begins(b, e, &key);
	if (!at || (!count && decoding))
		return;
	/* What cannot be decoded may be work for a call nobody knows (seq 0). */
	if (!count) {
		seqs = &unknown;
		count = 1;
	}
	flow_was_handed(b, &key, at, seqs, count);
	for (size_t i = 0; i < count; i++) {
		flow = context_takes(b, &key, at, seqs[i]);
		if (!flow)
			return;
	}
	if (flow->count == 1 && !flow->overflow && !e->shared) {
		if (seqs[0])
			call_bind(b, at, seqs[0], e->context, e->head.time, &key,
				  e->flow ? LINK_FLOW : LINK_THREAD);
		return;
	}
	/* Whose work it does now cannot be told. */
	for (size_t i = 0; i < flow->count; i++)
		if (flow->open[i].seq)
			call_bind(b, flow->open[i].at, flow->open[i].seq, e->context, e->head.time,
				  &key, LINK_AMBIGUOUS);
	for (size_t at_seq = 0; at_seq < count; at_seq++) {
		bool listed = !seqs[at_seq];

		for (size_t i = 0; i < flow->count; i++)
			listed |= flow->open[i].at == at && flow->open[i].seq == seqs[at_seq];
		if (!listed)
			call_bind(b, at, seqs[at_seq], e->context, e->head.time, &key,
				  LINK_AMBIGUOUS);
	}
}

uint64_t bindings_call(struct bindings *b, struct bound *at, uint64_t seq)
{
	struct slot *slot = slot_of(b, at, seq, true);

	return slot ? slot->call : 0;
}

void bindings_call_ended(struct bindings *b, struct bound *at, uint64_t seq, uint64_t end)
{
	struct slot *slot = slot_of(b, at, seq, false);

	if (at->ended < end)
		at->ended = end;
	if (slot)
		slot_end(b, at, slot, end, true);
}

void bindings_decoded(struct bindings *b, struct bound *at)
{
	struct flow *flow, *next;

	if (!at->undecoded)
		return;
	HASH_ITER(hh, b->flows, flow, next)
		flow_forget(b, &flow->key, at, 0);
	at->undecoded = false;
}

void bindings_connection_ended(struct bindings *b, struct bound *at)
{
	while (at->slots)
		slot_end(b, at, at->slots, 0, false);
	bindings_decoded(b, at);
}

uint64_t bindings_written(const struct bindings *b)
{
	return b->written;
}

uint64_t bindings_lost(const struct bindings *b)
{
	return b->lost;
}
