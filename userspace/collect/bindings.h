/*
 * Which context worked for which call. Records: context, binding.
 *
 * A context begins when a flow receives or sends on an inbound connection (bpf/sockets.bpf.c). It
 * is bound to the call that the server works on at that moment, until the next context of the flow
 * or the call's end. A flow with two unfinished calls binds both as ambiguous. So it is with a flow
 * that handed its call on: others sent the answer, and it none of it; and with what a flow did for
 * its own call before it moved data of one that others received.
 *
 * A coroutine is told late whose work it does: an event loop reads the request, and the coroutine
 * shows itself when it sends the answer. What it did since the request's head was complete is bound
 * then (bindings_answered). Before that it cannot have worked for the call: it did not exist, or
 * waited for it. Memory of coroutines is reused; so nothing older is taken, nor what came before
 * the end of the connection's call before.
 */
#ifndef DAYLIGHT_COLLECT_BINDINGS_H
#define DAYLIGHT_COLLECT_BINDINGS_H

#include "collect/session.h"
#include "wire.h"

struct bindings;
struct slot;

/* A connection as bindings see it; part of the connection, zero-initialised. */
struct bound {
	struct slot *slots; /* calls that somebody works for, or whose id was asked for */
	bool adjacent; /* its plaintext is tied to it by the receive before it (TLS) */
	bool undecoded; /* flows took it as work for an unknown call */
	uint64_t ended; /* when the newest of its calls to end did */
};

struct bindings *bindings_new(struct session *s);
void bindings_free(struct bindings *b);

/* Id of the record of call seq of the connection; 0 when memory is short. */
uint64_t bindings_call(struct bindings *b, struct bound *at, uint64_t seq);

/*
 * A context begins. at: its connection, or NULL: none, or an outbound one. seqs: the calls that the
 * server may be working on there; one of several is ambiguous. decoding: false when calls of the
 * connection cannot be told.
 */
void bindings_context(struct bindings *b, struct bound *at, const uint64_t *seqs, size_t count,
		      bool decoding, const struct wire_context *e);

/*
 * A part of the answer to call seq is being sent at `time` in the context. headed: when the
 * request's head was complete; UINT64_MAX: not known, then nothing is bound.
 */
void bindings_answered(struct bindings *b, struct bound *at, uint64_t seq, uint64_t headed,
		       uint64_t context, uint64_t time);

/* The call has ended: its bindings are written. */
void bindings_call_ended(struct bindings *b, struct bound *at, uint64_t seq, uint64_t end);
/* What could not be decoded of the connection was no call: it is read in another way. */
void bindings_decoded(struct bindings *b, struct bound *at);
/* The connection has ended: what is left never became a call. */
void bindings_connection_ended(struct bindings *b, struct bound *at);

/* Records written; contexts that could not be remembered. */
uint64_t bindings_written(const struct bindings *b);
uint64_t bindings_lost(const struct bindings *b);

#endif
