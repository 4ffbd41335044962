/*
 * Which connection a TLS session belongs to. Learned from a receive on the connection inside a
 * function of the TLS library, on the same thread, and kept until the session ends or is given
 * another connection. Where the library has no socket of its own (memory buffers), by the one
 * connection with TLS on which the thread received since it last was in the library; of several
 * none is taken. Sockets and sessions both look here; tls.bpf.c has the programs.
 */
#ifndef DAYLIGHT_BPF_TLS_H
#define DAYLIGHT_BPF_TLS_H

#include "shared.h"

#define TLS_CALLS 4 /* functions of the library that a thread is in at once; a power of two */

enum tls_seen {
	TLS_LOOKED = 1, /* its first bytes were looked at */
	TLS_LOOKS = 2, /* and are a TLS record's */
	TLS_TIED = 4, /* plaintext comes from a library: the socket's bytes are ciphertext */
	TLS_JOINED = 8, /* some of it may have been missed before */
	TLS_ADJACENT = 16, /* not by a receive inside the library */
	TLS_BROKEN = 32, /* more than one session had it */
};

struct tls_session_key {
	wire_64 session;
	wire_32 pid;
	wire_32 pad;
};

struct tls_session {
	wire_64 sock, connection; /* 0: not known */
	wire_32 fresh; /* seen from its beginning, and nothing was missed since */
	wire_32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct tls_session_key);
	__type(value, struct tls_session);
} tls_sessions SEC(".maps");

/* A function of the library that the thread is in. sp: at its entry, where the caller's address is.
 */
struct tls_call {
	wire_64 sp; /* 0: free */
	wire_64 caller;
	wire_64 session, buffer, count;
	wire_32 role;
	wire_32 received; /* on a socket, inside */
};

struct tls_thread {
	wire_32 process; /* serial */
	wire_32 near_count; /* 0, 1, or 2: several */
	wire_64 near_sock, near; /* connection received on since the last call ended */
	struct tls_call calls[TLS_CALLS];
	struct tls_call call; /* that ended now */
	struct transfer transfer; /* what it moved */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tls_thread);
} tls_threads SEC(".maps");

static __always_inline struct tls_session_key tls_key(wire_64 session)
{
	struct tls_session_key key = { .session = session,
				       .pid = bpf_get_current_pid_tgid() >> 32 };

	return key;
}

/* The session's state, made when there is none. */
static __always_inline struct tls_session *tls_session_of(const struct tls_session_key *key)
{
	struct tls_session *s = bpf_map_lookup_elem(&tls_sessions, key), none = {};

	if (s)
		return s;
	bpf_map_update_elem(&tls_sessions, key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tls_sessions, key);
}

static __always_inline void tls_tie(wire_64 session, wire_64 sock, struct connection_state *c,
				    wire_32 how)
{
	struct tls_session_key key = tls_key(session);
	struct tls_session *s = tls_session_of(&key);

	if (!s || (s->sock == sock && s->connection == c->id))
		return;
	/* Another one without a word of the library: what was read before is not this one's. */
	if (s->connection)
		s->fresh = 0;
	s->sock = sock;
	s->connection = c->id;
	if (c->tls & TLS_TIED && c->tls_session != session)
		c->tls |= TLS_BROKEN;
	c->tls_session = session;
	c->tls |= TLS_TIED | how | (s->fresh ? 0 : TLS_JOINED);
}

/* By a number below TLS_CALLS: the verifier follows no choice between pointers. */
static __always_inline struct tls_call *tls_call_at(struct tls_thread *th, wire_32 number)
{
	asm volatile("" : "+r"(number));
	return &th->calls[number & (TLS_CALLS - 1)];
}

/* The innermost function of the library that a call with this stack pointer is in. */
static __always_inline struct tls_call *tls_inside(struct tls_thread *th, wire_64 sp)
{
	wire_64 caller = 0, inner_sp = ~0ULL;
	wire_32 inner = 0;
	struct tls_call *call;

	for (int i = 0; i < TLS_CALLS; i++) {
		wire_64 at = th->calls[i].sp;

		if (at > sp && at < inner_sp) {
			inner_sp = at;
			inner = i;
		}
	}
	if (inner_sp == ~0ULL)
		return NULL;
	call = tls_call_at(th, inner);
	/* Its return address still stands there. */
	if (bpf_probe_read_user(&caller, sizeof(caller), (void *)inner_sp) ||
	    caller != call->caller)
		return NULL;
	return call;
}

/* Where the first of the user's bytes is, or 0. */
static __always_inline wire_64 tls_first_byte(const struct transfer *parts)
{
	struct kernel_iovec iov = {};

	if (!parts->known)
		return 0;
	if (parts->iov)
		bpf_probe_read_user(&iov, sizeof(iov), (void *)parts->iov);
	return parts->iov ? iov.base : parts->base;
}

/* RFC 8446, 5.1: type 20 to 23, then version 3.x. The connection may have been open before. */
static __always_inline bool tls_record(wire_64 base, wire_64 length)
{
	wire_8 first[2] = { 0, 3 };

	if (!base || bpf_probe_read_user(first, length > 1 ? 2 : 1, (void *)base))
		return false;
	return first[1] == 3 && first[0] >= 20 && first[0] <= 23;
}

/*
 * Bytes were received on a connection of a target. 1: they are ciphertext, whose plaintext comes
 * from a library. Global, so that it is verified once.
 */
__noinline int tls_ciphertext(struct connection_state *c, wire_64 sock,
			      const struct transfer *parts)
{
	struct tls_thread *th;
	struct tls_call *call = NULL;

	if (!c || !parts)
		return 0;
	if (!(c->tls & TLS_LOOKED)) {
		c->tls |= TLS_LOOKED;
		if (tls_record(tls_first_byte(parts), parts->length))
			c->tls |= TLS_LOOKS;
	}
	th = bpf_task_storage_get(&tls_threads, bpf_get_current_task_btf(), NULL,
				  c->tls & TLS_LOOKS ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (th)
		call = tls_inside(th, parts->sp);
	if (call) {
		call->received = 1;
		tls_tie(call->session, sock, c, 0);
	} else if (th && c->tls & TLS_LOOKS) {
		if (!th->near_count)
			th->near_count = 1;
		else if (th->near != c->id)
			th->near_count = 2;
		th->near = c->id;
		th->near_sock = sock;
	}
	return c->tls & TLS_TIED ? 1 : 0;
}

#endif
