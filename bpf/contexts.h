/*
 * Flows and their contexts: which connection a flow works for, when that begins and ends; and the
 * sightings in a context. Needs what stacks.bpf.c declares.
 */
#ifndef DAYLIGHT_BPF_CONTEXTS_H
#define DAYLIGHT_BPF_CONTEXTS_H

static __always_inline void context_fill(struct wire_context *e, wire_32 process,
					 const struct flow_key *key, const struct flow_state *f,
					 wire_64 previous)
{
	e->head.type = WIRE_CONTEXT;
	e->head.process = process;
	e->head.time = bpf_ktime_get_ns();
	e->context = f->context;
	e->previous = previous;
	e->flow = key->flow;
	e->connection = f->connection;
	e->thread = key->thread;
	e->generation = f->generation;
	e->shared = f->shared;
	e->coroutine = f->coroutine;
}

static __always_inline void context_send(wire_32 process, const struct flow_key *key,
					 struct flow_state *f, wire_64 previous)
{
	/* In the ring itself: a chain of calls has but 512 bytes of stack. */
	struct wire_context *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	COUNT(CONTEXT, ATTEMPTED);
	if (!e) {
		COUNT(CONTEXT, LOST_RING);
		return;
	}
	context_fill(e, process, key, f, previous);
	bpf_ringbuf_submit(e, wakeup_flag());
	COUNT(CONTEXT, DELIVERED);
}

/* The thread's state, made when there is none; NULL when there is no room. */
static __always_inline struct thread_state *thread_find(wire_32 tid)
{
	struct thread_state *t = bpf_map_lookup_elem(&threads, &tid);
	wire_32 zero = 0;
	struct scratch *s;

	if (t)
		return t;
	s = bpf_map_lookup_elem(&scratches, &zero);
	if (s)
		bpf_map_update_elem(&threads, &tid, &s->new_thread, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t) {
		COUNT(CONTEXT, ATTEMPTED);
		COUNT(CONTEXT, LOST_MAP);
	}
	return t;
}

/* A flow of the thread was bound anew (0), came to be bound (1) or is no more (-1). */
static __always_inline void thread_bound(wire_32 tid, int change)
{
	struct thread_state *t =
		change > 0 ? thread_find(tid) : bpf_map_lookup_elem(&threads, &tid);

	deep_flows_changed();
	if (!t)
		return;
	t->epoch++;
	t->fresh = WALKS_AT_ONCE;
	/* Other CPUs retire flows of this thread; whatever they saw, a bound flow is at least one.
	 */
	if (change > 0 || (change < 0 && t->bound))
		__sync_fetch_and_add(&t->bound, change);
	else if (!change && !t->bound)
		t->bound = 1;
}

static __always_inline void flow_retire(const struct flow_key *key)
{
	if (!bpf_map_delete_elem(&flows, key))
		thread_bound(key->thread, -1);
}

/* The flow's state while it works for an open connection; NULL: it does not (and is retired). */
static __always_inline struct flow_state *flow_find(const struct flow_key *key)
{
	struct flow_state *f = bpf_map_lookup_elem(&flows, key);
	struct connection_state *c;
	wire_64 sock;

	if (!f)
		return NULL;
	sock = f->sock;
	c = bpf_map_lookup_elem(&connections, &sock);
	if (c && c->id == f->connection && !c->closing)
		return f;
	flow_retire(key);
	return NULL;
}

/* The same, for a thread that is at a connection now: mostly the one that the flow works for. */
static __always_inline struct flow_state *flow_find_near(const struct flow_key *key, wire_64 sock,
							 const struct connection_state *c)
{
	struct flow_state *f = bpf_map_lookup_elem(&flows, key);

	if (f && f->sock == sock && f->connection == c->id && !c->closing)
		return f;
	return f ? flow_find(key) : NULL;
}

/*
 * The context of a coroutine that no connection is known of; one may still come. 0: no room. Not
 * static: the verifier looks at it once, not at each call.
 */
__noinline wire_64 coroutine_context(const struct flow_key *at, wire_32 process)
{
	struct coroutine_state *c, fresh = {};
	struct flow_state f = { .coroutine = 1 };
	struct flow_key key; /* Linux 6.1 looks up with what is on this stack only */

	if (!at)
		return 0;
	key = *at;
	c = bpf_map_lookup_elem(&coroutines, &key);
	if (c && c->process == process)
		return c->context;
	fresh.context = f.context = __sync_fetch_and_add(&next_context, 1);
	fresh.process = process;
	if (bpf_map_update_elem(&coroutines, &key, &fresh, 0)) {
		COUNT(CONTEXT, ATTEMPTED);
		COUNT(CONTEXT, LOST_MAP);
		return 0;
	}
	context_send(process, &key, &f, 0);
	return f.context;
}

/* What the coroutine did so far: the context, which is forgotten. 0: nothing was seen of it. */
static __always_inline wire_64 coroutine_take(const struct flow_key *key, wire_32 process)
{
	struct coroutine_state *c = bpf_map_lookup_elem(&coroutines, key);
	wire_64 context = c && c->process == process ? c->context : 0;

	if (c)
		bpf_map_delete_elem(&coroutines, key);
	return context;
}

#define BIND_SHARED 1 /* an event loop's own flow */
#define BIND_COROUTINE 2

/*
 * The flow's next state: a new context, in which it works for the connection. f: what it is now, or
 * NULL. Returns the context before.
 */
static __always_inline wire_64 flow_next(const struct flow_key *key, const struct flow_state *f,
					 wire_32 process, wire_32 how, struct flow_state *next)
{
	next->context = __sync_fetch_and_add(&next_context, 1);
	next->generation = f ? f->generation + 1 : 1;
	next->shared = !!(how & BIND_SHARED);
	next->coroutine = !!(how & BIND_COROUTINE);
	if (f)
		return f->context;
	return how & BIND_COROUTINE ? coroutine_take(key, process) : 0;
}

/* From now on it is so. False: there is no room. */
static __always_inline bool flow_take(const struct flow_key *key, const struct flow_state *next)
{
	bool known = bpf_map_lookup_elem(&flows, key) != NULL;

	if (bpf_map_update_elem(&flows, key, next, 0))
		return false;
	thread_bound(key->thread, known ? 0 : 1);
	return true;
}

/* From now on the flow works for the connection, in a new context. Not static: as above. */
__noinline int flow_bind(const struct flow_key *at, wire_32 process, wire_64 connection,
			 wire_64 sock, wire_32 how)
{
	struct flow_state next = { .connection = connection, .sock = sock };
	struct flow_key key;
	wire_64 previous;

	if (!at)
		return 0;
	key = *at;
	previous = flow_next(&key, bpf_map_lookup_elem(&flows, &key), process, how, &next);
	if (flow_take(&key, &next)) {
		context_send(process, &key, &next, previous);
	} else {
		COUNT(CONTEXT, ATTEMPTED);
		COUNT(CONTEXT, LOST_MAP);
	}
	return 0;
}

/*
 * The same in two steps, with data that moves in between: chunk_send() sends the context with it.
 * f: the flow so far, or NULL. Not static: as above.
 */
__noinline int flow_begins(const struct flow_key *at, const struct flow_state *f, wire_32 process,
			   wire_64 connection, wire_32 how)
{
	struct flow_state next = { .connection = connection };
	wire_32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct flow_key key;
	wire_64 previous;

	if (!at || !s)
		return 0;
	key = *at;
	previous = flow_next(&key, f, process, how, &next);
	context_fill(&s->begins, process, &key, &next, previous);
	COUNT(CONTEXT, ATTEMPTED);
	return 0;
}

__noinline int flow_began(const struct flow_key *at, wire_64 sock)
{
	struct flow_state next = { .sock = sock };
	wire_32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct flow_key key;

	if (!at || !s)
		return 0;
	key = *at;
	next.context = s->begins.context;
	next.connection = s->begins.connection;
	next.generation = s->begins.generation;
	next.shared = s->begins.shared;
	next.coroutine = s->begins.coroutine;
	if (!flow_take(&key, &next)) {
		/* It was told of, and what is seen in it will go without it. */
		COUNT(CONTEXT, ATTEMPTED);
		COUNT(CONTEXT, LOST_MAP);
	}
	s->begins.context = 0;
	return 0;
}

/* The thread runs coroutines: what its outermost frame was bound to is shared from now on. */
static __noinline void loop_found(const struct wire_target *t, wire_64 outermost)
{
	wire_64 id = bpf_get_current_pid_tgid();
	struct flow_key key = { .pid = id >> 32, .thread = id, .flow = outermost };
	struct flow_state *f = flow_find(&key);

	if (f)
		flow_bind(&key, t->process, f->connection, f->sock, BIND_SHARED);
}

/*
 * The context of what a thread does for no connection. Not static, as the next one: what it needs
 * of the stack does not add up in its callers, who have 512 bytes in all.
 */
__noinline wire_64 outside_context(struct thread_state *thread, wire_32 tid, wire_32 process)
{
	struct flow_key key = { .thread = tid };
	struct flow_state f = {};

	if (!thread)
		return 0;
	if (!thread->outside) {
		thread->outside = f.context = __sync_fetch_and_add(&next_context, 1);
		context_send(process, &key, &f, 0);
	}
	return thread->outside;
}

__noinline int sighting_send(wire_32 process, wire_64 context, wire_32 stack, wire_32 source,
			     wire_32 detail)
{
	struct wire_sighting e = {
		.head = { .type = WIRE_SIGHTING, .process = process, .time = bpf_ktime_get_ns() },
		.context = context,
		.stack = stack,
		.source = source,
		.detail = detail,
	};

	COUNT(SIGHTING, ATTEMPTED);
	return event_send(WIRE_STAGE_SIGHTING, &e, sizeof(e));
}

#endif
