/*
 * One direction of an HTTP/1 connection: collects the bytes of a head that comes in pieces, and
 * holds the framing of the body that is passing. Part of the HTTP/1 decoder.
 */
#ifndef DAYLIGHT_PROTOCOLS_HTTP1_STREAM_H
#define DAYLIGHT_PROTOCOLS_HTTP1_STREAM_H

#include "protocols/http1_body.h"

enum http1_stream_state {
	STREAM_HEAD, /* a head is expected, or has begun (len > 0) */
	STREAM_BODY,
	STREAM_CUT, /* requests only: answered in the middle of a head; what follows is ignored */
	STREAM_OVER, /* given up; what follows is ignored */
};

/* Zero-initialised is ready. Release with http1_stream_release. */
struct http1_stream {
	enum http1_stream_state state;
	uint8_t *buf; /* an incomplete head; wiped when released */
	size_t len, cap;
	bool skipped_cr; /* of an empty line before a request */
	uint64_t start; /* time of the first byte of the head */
	struct http1_body body;
};

/* Wipes and frees the buffer. */
void http1_stream_release(struct http1_stream *s);

/* Adds bytes to the buffer. 0, or -1 when memory is short. */
int http1_stream_keep(struct http1_stream *s, const uint8_t *data, size_t len);

/*
 * Takes bytes of a head; *used of them. HTTP1_OK: *head is whole (in data or in the buffer, until
 * the stream is released); HTTP1_MORE: all bytes were kept; HTTP1_SUSPECT: too long;
 * HTTP1_GAP: no memory to keep them.
 */
enum http1_verdict http1_stream_head(struct http1_stream *s, const uint8_t *data, uint64_t len,
				     const uint8_t **head, size_t *head_len, uint64_t *used);

#endif
