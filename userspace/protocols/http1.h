/*
 * HTTP/1.0 and 1.1 on one server-side connection: bytes of both directions in, calls out.
 *
 * The decoder owns the framing. Bytes inside a known body are never a call. A candidate that cannot
 * be decided (head after a gap, contradictory lengths, obsolete folding, more than the limits) is
 * counted `suspect`; from there on the connection is not decoded any more until it is certain
 * again, which for HTTP/1 means never, but for a connection that was joined in the middle (see
 * http1_new). No BPF, no I/O, no clock of its own; every byte is hostile.
 *
 * RFC 9112 (message framing) and RFC 9110 (methods, status) are the source of the rules.
 */
#ifndef DAYLIGHT_PROTOCOLS_HTTP1_H
#define DAYLIGHT_PROTOCOLS_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP1_HEAD_MAX 65536 /* a longer head is suspect */
#define HTTP1_PENDING_MAX 64 /* pipelined requests waiting for an answer; more is suspect */

enum http1_direction { HTTP1_REQUEST, HTTP1_RESPONSE }; /* received, sent by the server */

/* One chunk of a connection as the kernel saw it. */
struct http1_chunk {
	enum http1_direction direction;
	uint64_t offset; /* in the stream; less than expected: repeated bytes, more: gap */
	uint64_t length; /* bytes the socket moved */
	const uint8_t *data; /* its first `captured` bytes */
	size_t captured; /* <= length; the rest is a gap */
	uint64_t time; /* ns */
};

enum http1_end { HTTP1_COMPLETE, HTTP1_CLIENT_GONE, HTTP1_SERVER_GONE, HTTP1_WINDOW_STOP };

/* One header value that is kept: visible ASCII, at most 256 bytes, else it is left out. */
struct http1_id {
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
struct http1_call {
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
	const struct http1_id *ids; /* of the answer first */
	size_t ids_count;
	size_t ids_answered; /* how many of them the answer carried */
	enum http1_end end_reason;
	const char *protocol; /* "http/1.0", "http/1.1" */
	/*
	 * Holes that fell into it: chunks that never came (offset), or any hole that made the rest
	 * undecidable. Bytes of a known body that were not captured are none.
	 */
	uint64_t lost;
};

struct http1_callbacks {
	/* A call has ended (in any way). The struct lives during the callback only. */
	void (*call)(void *ctx, const struct http1_call *call);
	void *ctx;
};

struct http1;

/*
 * joined: the connection was open before it was first seen. Nothing is a call until one complete
 * response (status line at the start of a send, length known, its end reached with nothing
 * received in between) has been followed by a receive that starts with a request line; what
 * looked like a head before that is counted suspect.
 */
struct http1 *http1_new(bool joined, const struct http1_callbacks *callbacks);
/* The server closed its side in order: an answer that lasts until then is complete. */
void http1_server_closed(struct http1 *h);
/*
 * Ends calls in flight with `end` at `time`. An answer delimited by closing is COMPLETE when the
 * server has closed. Later chunks are ignored.
 */
void http1_finish(struct http1 *h, enum http1_end end, uint64_t time);
void http1_free(struct http1 *h);

/* Feeds a chunk; calls back for each call it ended. Never fails: what is odd is counted. */
void http1_feed(struct http1 *h, const struct http1_chunk *chunk);

/*
 * The exchange that the server is working on now: the seq of the oldest request of which at least
 * one byte has arrived and whose response is not complete; 0 when there is none. (Meaning of the
 * binding: who works for this connection now works for this call.)
 */
uint64_t http1_current(const struct http1 *h);

struct http1_stats {
	uint64_t calls; /* ended, of any end */
	uint64_t suspect; /* candidates that could not be decided */
	uint64_t gaps; /* holes met where framing needed the bytes */
	bool decoding; /* false: given up; `why` says so */
	const char *why; /* "", "not-http", "suspect", "upgraded", "gap", "joined" */
};
void http1_stats(const struct http1 *h, struct http1_stats *out);

#endif
