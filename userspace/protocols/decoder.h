/*
 * A server-side connection: bytes of both directions in, calls out, whatever protocol it speaks.
 *
 * The chooser looks at the first bytes that the server received and takes the one decoder whose
 * protocol begins so; it never guesses. Until then nothing is a call. What begins like none, or is
 * cut before it can be told, is not decoded, with the reason (decoder_stats).
 *
 * Each decoder owns its framing. Bytes inside a known body are never a call. A candidate that
 * cannot be decided is counted `suspect`, and from there on the connection is not decoded, unless
 * it is certain where the next one begins (HTTP/2). No BPF, no I/O, no clock of its own; every byte
 * is hostile.
 *
 * Plaintext of a TLS connection is fed in the same way: chunks with offsets of their own.
 */
#ifndef DAYLIGHT_PROTOCOLS_DECODER_H
#define DAYLIGHT_PROTOCOLS_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECODER_CURRENT_MAX 8 /* calls in work on one connection that are told apart */

enum decoder_direction { DECODER_REQUEST, DECODER_RESPONSE }; /* received, sent by the server */

/* One chunk of a connection as the kernel saw it. */
struct decoder_chunk {
	enum decoder_direction direction;
	uint64_t offset; /* in the stream; less than expected: repeated bytes, more: gap */
	uint64_t length; /* bytes the socket moved */
	const uint8_t *data; /* its first `captured` bytes */
	size_t captured; /* <= length; the rest is a gap */
	uint64_t time; /* ns */
};

/* How a call, or what was left of the connection's calls, ended. */
enum decoder_end {
	DECODER_COMPLETE,
	DECODER_CLIENT_GONE,
	DECODER_SERVER_GONE,
	DECODER_WINDOW_STOP,
	DECODER_TIMEOUT /* said so by the protocol itself, or the network gave it up */
};

/* One header value that is kept: visible ASCII, at most 256 bytes, else it is left out. */
struct decoder_id {
	const char *name; /* canonical, e.g. "X-Openstack-Request-Id"; static */
	const char *value; /* NUL-terminated */
	size_t len;
};

/*
 * A call. Only what may be kept: the request target without query, fragment and userinfo (an
 * absolute-form target is reduced to its path, its authority becomes host); the method; Host; the
 * request-id headers (X-Openstack-Request-Id, X-Compute-Request-Id, X-Trans-Id, traceparent), the
 * answer's before the request's. Bodies, other headers and query values never leave the decoder.
 */
struct decoder_call {
	uint64_t seq; /* 1, 2, ... on the connection, in order of arrival */
	const char *method; /* a token of at most 32 characters */
	/*
	 * Decoded no further than cut; at most 4,096 bytes; "*" for OPTIONS *, "" for CONNECT.
	 * Visible ASCII: bytes above 126 are percent-encoded.
	 */
	const char *path;
	const char *host; /* "" when absent, or not of the form of a host and a port */
	unsigned int status; /* final status; 0 while there is none */
	uint64_t start; /* first byte of the request */
	uint64_t first_byte; /* first byte of the final response; UINT64_MAX: none */
	uint64_t end; /* last byte of the response */
	/*
	 * Head and body, as on the wire, interim responses with the response. Of a request that
	 * was answered early: the bytes that had arrived by then.
	 */
	uint64_t request_bytes, response_bytes;
	const struct decoder_id *ids; /* of the answer first */
	size_t ids_count;
	size_t ids_answered; /* how many of them the answer carried */
	enum decoder_end end_reason;
	const char *protocol; /* "http/1.0", "http/1.1", "http/2", "uwsgi", "fastcgi", "mod_wsgi" */
	/*
	 * Holes that fell into it: chunks that never came (offset), or any hole that made the rest
	 * undecidable. Bytes of a known body that were not captured are none.
	 */
	uint64_t lost;
};

struct decoder_callbacks {
	/* A call has ended (in any way). The struct lives during the callback only. */
	void (*call)(void *ctx, const struct decoder_call *call);
	void *ctx;
};

struct decoder_stats {
	uint64_t calls; /* ended, of any end */
	uint64_t suspect; /* candidates that could not be decided */
	uint64_t gaps; /* holes met where framing needed the bytes */
	bool decoding; /* false: given up; `why` says so */
	/*
	 * Why it is not, or no more, decoded: "", "not-http", "unknown-protocol", "tls-unseen",
	 * "suspect", "upgraded", "gap", "joined".
	 */
	const char *why;
};

struct decoder;

/*
 * joined: the connection was open before it was first seen. Only HTTP/1 is found again in the
 * middle (http1.h says how); anything else stays "joined". NULL when memory is short.
 */
struct decoder *decoder_new(bool joined, const struct decoder_callbacks *callbacks);
/* The server closed its side in order: an answer that lasts until then is complete. */
void decoder_server_closed(struct decoder *d);
/*
 * Ends calls in flight with `end` at `time`. An answer delimited by closing is COMPLETE when the
 * server has closed. Later chunks are ignored.
 */
void decoder_finish(struct decoder *d, enum decoder_end end, uint64_t time);
void decoder_free(struct decoder *d);

/* Feeds a chunk; calls back for each call it ended. Never fails: what is odd is counted. */
void decoder_feed(struct decoder *d, const struct decoder_chunk *chunk);

/*
 * The calls that the server may be working on now, the oldest first: of which at least one byte has
 * arrived and whose answer is not complete. Returns how many, at most `max`; 0: none. A protocol
 * without multiplexing has one: that of the oldest. (Meaning of the binding: who works for this
 * connection now works for this call; with more than one, for any of them.)
 */
size_t decoder_current(const struct decoder *d, uint64_t *seqs, size_t max);

/*
 * When the head of the request was complete, of a call that decoder_current() names: nobody can
 * have worked for it before. UINT64_MAX: it is not yet, or the protocol does not tell.
 */
uint64_t decoder_headed(const struct decoder *d, uint64_t seq);

void decoder_stats(const struct decoder *d, struct decoder_stats *out);

#endif
