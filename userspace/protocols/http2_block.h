/*
 * A header block of HTTP/2: collected from its frames, decompressed, read into the head of a
 * message. One for each direction, since each has a table of its own. Part of the HTTP/2 decoder;
 * the only user of libnghttp2.
 */
#ifndef DAYLIGHT_PROTOCOLS_HTTP2_BLOCK_H
#define DAYLIGHT_PROTOCOLS_HTTP2_BLOCK_H

#include "protocols/http1_head.h"
#include "protocols/http1_stream.h"

struct nghttp2_hd_inflater;

/* Zero-initialised, then http2_block_init. */
struct http2_block {
	struct nghttp2_hd_inflater *inflater;
	struct http1_stream bytes; /* of the block so far; wiped when released */
	uint8_t *text; /* what the head's views point into; wiped when released */
	size_t text_len, text_cap;
	bool pseudo; /* it had :method, :status or the like: it is no trailer */
	bool malformed; /* it says what no message may say (RFC 9113 section 8.1.1) */
};

/* 0, or -1 when memory is short. */
int http2_block_init(struct http2_block *b);
void http2_block_release(struct http2_block *b);

/* Adds a fragment. HTTP1_OK, HTTP1_SUSPECT (too long) or HTTP1_GAP (no memory). */
enum http1_verdict http2_block_add(struct http2_block *b, const uint8_t *data, size_t len);
/*
 * The block is whole: HTTP1_OK: head holds what it says, until the next http2_block_done, unless
 * it is malformed; HTTP1_SUSPECT: it is wrong, and so is the table from now on.
 */
enum http1_verdict http2_block_read(struct http2_block *b, struct http1_head *head);
/* Wipes what was read. */
void http2_block_done(struct http2_block *b);

#endif
