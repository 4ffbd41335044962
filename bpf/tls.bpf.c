/*
 * Plaintext of TLS libraries: uprobes at the entry of a few functions and at each place where they
 * return (probes/tls/, userspace/collect/tls.h), attached to one process at a time. What a read
 * gave or a write took goes the way of data of a socket, as data of the connection that the session
 * belongs to (tls.h). An entry is told from others of its thread by the stack pointer, which is the
 * same at the return. A function that is left by a jump is the one that it jumps to.
 */

/* 1 to 6, as the System V ABI passes them, 0 for none; one load for each (see tap_register). */
static __always_inline wire_64 tls_argument(const struct pt_regs *regs, wire_32 number)
{
	wire_64 value = 0;

#define TLS_ARGUMENT(nth, name)                 \
	case nth:                               \
		value = regs->name;             \
		asm volatile("" : "+r"(value)); \
		break;
	switch (number) {
		TLS_ARGUMENT(1, di)
		TLS_ARGUMENT(2, si)
		TLS_ARGUMENT(3, dx)
		TLS_ARGUMENT(4, cx)
		TLS_ARGUMENT(5, r8)
		TLS_ARGUMENT(6, r9)
	}
#undef TLS_ARGUMENT
	return value;
}

static __always_inline struct tls_thread *tls_thread_of(const struct wire_target *t)
{
	struct tls_thread *th = bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL,
						     BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!th || th->process == t->process)
		return th;
	/* New, or the thread was another program. */
	for (int i = 0; i < TLS_CALLS; i++)
		th->calls[i].sp = 0;
	th->near_count = 0;
	th->process = t->process;
	return th;
}

static __always_inline bool tls_moves_data(const struct tls_call *call)
{
	return call->role == WIRE_TLS_READ || call->role == WIRE_TLS_WRITE;
}

/* It returned long ago, and that was not seen: what it moved is lost. */
static __always_inline void tls_forget(struct tls_call *call)
{
	call->sp = 0;
	if (!tls_moves_data(call))
		return;
	COUNT(TLS, ATTEMPTED);
	COUNT(TLS, LOST_RETURN);
}

static __always_inline void tls_call_begins(const struct pt_regs *regs, struct tls_thread *th,
					    wire_64 cookie)
{
	wire_32 free = TLS_CALLS;
	struct tls_call *call;
	wire_64 sp = regs->sp;

	for (int i = 0; i < TLS_CALLS; i++) {
		struct tls_call *at = &th->calls[i];

		if (at->sp == sp)
			at->sp = 0; /* left by a jump: this one goes on for it */
		else if (at->sp && at->sp < sp)
			tls_forget(at);
		if (!at->sp)
			free = i;
	}
	call = tls_call_at(th, free);
	if (free == TLS_CALLS ||
	    bpf_probe_read_user(&call->caller, sizeof(call->caller), (void *)sp)) {
		COUNT(TLS, ATTEMPTED);
		COUNT(TLS, LOST_READ);
		return;
	}
	call->sp = sp;
	call->role = WIRE_TLS_ROLE(cookie);
	call->session = tls_argument(regs, WIRE_TLS_SESSION(cookie));
	call->buffer = tls_argument(regs, WIRE_TLS_BUFFER(cookie));
	call->count = tls_argument(regs, WIRE_TLS_COUNT(cookie));
	call->received = 0;
}

SEC("uprobe")
int tls_entered(struct pt_regs *regs)
{
	wire_64 cookie = bpf_get_attach_cookie(regs);
	struct wire_target *t = current_target();
	struct tls_session fresh = { .fresh = 1 }, *s;
	struct tls_session_key key;
	struct tls_thread *th;

	if (!t)
		return 0;
	key = tls_key(tls_argument(regs, WIRE_TLS_SESSION(cookie)));
	switch (WIRE_TLS_ROLE(cookie)) {
	case WIRE_TLS_FREE:
		bpf_map_delete_elem(&tls_sessions, &key);
		return 0;
	case WIRE_TLS_CLEAR:
		bpf_map_update_elem(&tls_sessions, &key, &fresh, 0);
		return 0;
	case WIRE_TLS_REBIND:
		s = bpf_map_lookup_elem(&tls_sessions, &key);
		if (s)
			s->sock = s->connection = 0;
		return 0;
	}
	th = tls_thread_of(t);
	if (th) {
		tls_call_begins(regs, th, cookie);
	} else {
		COUNT(TLS, ATTEMPTED);
		COUNT(TLS, LOST_MAP);
	}
	return 0;
}

/* Bytes that a read gave or a write took; 0: none. */
static __always_inline wire_64 tls_moved(const struct tls_call *call, wire_64 result)
{
	wire_64 count = 0;

	if ((wire_s32)result <= 0)
		return 0;
	if (!call->count)
		return (wire_32)result;
	if (bpf_probe_read_user(&count, sizeof(count), (void *)call->count) || count > 0x7fffffff) {
		COUNT(TLS, ATTEMPTED);
		COUNT(TLS, LOST_READ);
		return 0;
	}
	return count;
}

/*
 * What was received before the session read it, outside the library: of the call that ended now.
 * Not static: as connection_join().
 */
__noinline int tls_adjacent(struct tls_thread *th)
{
	struct connection_state *c;
	struct tls_session_key key;
	struct tls_session *s;
	wire_64 sock;

	if (!th || th->call.received || th->near_count != 1)
		return 0;
	key = tls_key(th->call.session);
	s = tls_session_of(&key);
	if (!s || s->connection == th->near)
		return 0;
	sock = th->near_sock;
	c = bpf_map_lookup_elem(&connections, &sock);
	if (!c || c->id != th->near)
		return 0;
	/* A session that has a connection, or a connection that has a session: one is wrong. */
	if (s->connection || c->tls & TLS_TIED)
		c->tls |= TLS_BROKEN;
	else
		tls_tie(th->call.session, sock, c, TLS_ADJACENT);
	return 0;
}

static __always_inline void tls_data(const struct pt_regs *regs, struct tls_thread *th,
				     wire_64 length)
{
	const struct tls_call *call = &th->call;
	struct transfer *parts = &th->transfer;
	struct tls_session_key key = tls_key(call->session);
	struct tls_session *s = tls_session_of(&key);
	struct connection_state *c = NULL;
	wire_64 sock = 0;

	__builtin_memset(parts, 0, sizeof(*parts));
	if (!transfer_target(parts))
		return;
	parts->base = call->buffer;
	parts->len = parts->length = length;
	parts->known = call->buffer != 0;
	parts->send = call->role == WIRE_TLS_WRITE;
	parts->tls = WIRE_DATA_TLS;
	parts->sp = regs->sp;
	COUNT(TLS, ATTEMPTED);
	if (s) {
		sock = s->sock;
		c = bpf_map_lookup_elem(&connections, &sock);
		if (c && c->id != s->connection)
			c = NULL;
		if (!c)
			s->fresh = 0;
	}
	if (!c) {
		COUNT(TLS, SKIP_UNTIED);
		return;
	}
	if (c->direction != WIRE_IN) {
		COUNT(TLS, SKIP_OUTBOUND);
		return;
	}
	if (c->tls & TLS_BROKEN) {
		COUNT(TLS, LOST_AMBIGUOUS);
		return;
	}
	if (c->tls & TLS_JOINED)
		parts->tls |= WIRE_DATA_TLS_JOINED;
	if (c->tls & TLS_ADJACENT)
		parts->tls |= WIRE_DATA_TLS_ADJACENT;
	parts->identity = c->identity;
	COUNT(TLS, DELIVERED);
	socket_data(sock, parts);
}

/* Its caller's function on the same session moves the same bytes. */
static __always_inline bool tls_nested(const struct tls_thread *th, const struct tls_call *call)
{
	for (int i = 0; i < TLS_CALLS; i++) {
		const struct tls_call *outer = &th->calls[i];

		if (outer->sp > call->sp && outer->session == call->session &&
		    (tls_moves_data(outer) || outer->role == WIRE_TLS_INSIDE))
			return true;
	}
	return false;
}

/* A session was made: the result, or what is `at` there. Not static: as connection_join(). */
__noinline int tls_session_begins(wire_64 at, wire_64 result)
{
	struct tls_session fresh = { .fresh = 1 };
	struct tls_session_key key;
	wire_64 session = result;

	if (at && bpf_probe_read_user(&session, sizeof(session), (void *)at))
		return 0;
	key = tls_key(session);
	if (session)
		bpf_map_update_elem(&tls_sessions, &key, &fresh, 0);
	return 0;
}

/*
 * th->call becomes the call that ends at this stack pointer, with sp 0: none. Returns the bytes
 * that it moved. Not static: as connection_join().
 */
__noinline wire_64 tls_call_ends(struct tls_thread *th, wire_64 sp, wire_64 result)
{
	struct tls_call *call;

	if (!th)
		return 0;
	call = &th->call;
	call->sp = 0;
	for (int i = 0; i < TLS_CALLS; i++) {
		struct tls_call *at = &th->calls[i];

		if (at->sp == sp) {
			*call = *at;
			at->sp = 0;
		} else if (at->sp && at->sp < sp) {
			tls_forget(at);
		}
	}
	if (!call->sp || !tls_moves_data(call) || tls_nested(th, call))
		return 0;
	return tls_moved(call, result);
}

SEC("uprobe")
int tls_returned(struct pt_regs *regs)
{
	struct wire_target *t = current_target();
	wire_64 result = regs->ax, length;
	struct tls_thread *th;
	struct tls_call *call;

	if (!t)
		return 0;
	th = bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL, 0);
	if (!th || th->process != t->process)
		return 0;
	call = &th->call;
	length = tls_call_ends(th, regs->sp, result);
	if (!call->sp)
		return 0; /* the entry was before the tap, or another function shares the end */
	if (call->role == WIRE_TLS_NEW)
		return tls_session_begins(call->session, result);
	if (call->role == WIRE_TLS_READ ? length != 0
					: call->role == WIRE_TLS_HANDSHAKE && (wire_32)result <= 1)
		tls_adjacent(th);
	if (call->role != WIRE_TLS_WRITE)
		th->near_count = 0;
	if (length)
		tls_data(regs, th, length);
	return 0;
}
