/*
 * The body of an HTTP/1 message: counts its bytes up to its end and keeps none. Part of the HTTP/1
 * decoder; nothing else includes it.
 */
#ifndef DAYLIGHT_PROTOCOLS_HTTP1_BODY_H
#define DAYLIGHT_PROTOCOLS_HTTP1_BODY_H

#include "protocols/http1_head.h"

enum http1_chunk_state {
	CHUNK_SIZE, /* hexadecimal digits */
	CHUNK_SPACE, /* white space before an extension */
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER, /* start of a line */
	CHUNK_TRAILER_NAME,
	CHUNK_TRAILER_VALUE,
	CHUNK_TRAILER_LF,
	CHUNK_LAST_LF,
};

struct http1_body {
	enum http1_framing framing;
	uint64_t left; /* of the body by length, or of the chunk */
	enum http1_chunk_state state;
	bool digits; /* at least one digit of the chunk size was read */
	size_t line; /* bytes of the chunk header, or of all trailers, so far; bounded */
};

/* length: of a body framed by HTTP1_LENGTH, more than 0. */
void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length);

/*
 * Takes bytes; data NULL: they are missing. *used says how many belong to the body. HTTP1_OK: the
 * body has ended with the last of them; HTTP1_MORE; HTTP1_SUSPECT; HTTP1_GAP: a chunk header or a
 * trailer is missing. The CRLF behind the data of a chunk may be missing: only it can stand there.
 */
enum http1_verdict http1_body_take(struct http1_body *b, const uint8_t *data, uint64_t len,
				   uint64_t *used);

#endif
