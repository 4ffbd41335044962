/* The body of an HTTP/1 message: by length, in chunks (RFC 9112 section 7.1), until closing. */
#include "protocols/http1_body.h"

#include <string.h>

#include "base/bytes.h"

#include "protocols/http1.h"

void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length)
{
	memset(b, 0, sizeof(*b));
	b->framing = framing;
	b->left = framing == HTTP1_LENGTH ? length : 0;
	b->state = CHUNK_SIZE;
}

static bool http1_body_is_text(uint8_t c)
{
	return (c >= ' ' || c == '\t') && c != 0x7f;
}

/* The state after the size line: data follows, or the trailers of the last chunk. */
static enum http1_verdict http1_body_size_end(struct http1_body *b, uint8_t c)
{
	if (c != '\n')
		return HTTP1_SUSPECT;
	b->state = b->left ? CHUNK_DATA : CHUNK_TRAILER;
	b->digits = false;
	b->line = 0;
	return HTTP1_MORE;
}

/* One byte of a chunk header. Its lines end with CRLF only. */
static enum http1_verdict http1_body_size_byte(struct http1_body *b, uint8_t c)
{
	int digit = bytes_hex_digit(c);

	if (b->state == CHUNK_SIZE_LF)
		return http1_body_size_end(b, c);
	if (b->state == CHUNK_SIZE && digit >= 0) {
		if (b->left > INT64_MAX >> 4)
			return HTTP1_SUSPECT;
		b->left = b->left << 4 | (uint64_t)digit;
		b->digits = true;
		return HTTP1_MORE;
	}
	if (!b->digits)
		return HTTP1_SUSPECT;
	if (b->state == CHUNK_EXTENSION && http1_body_is_text(c))
		return HTTP1_MORE;
	if (b->state != CHUNK_SPACE && c == '\r')
		b->state = CHUNK_SIZE_LF;
	else if (c == ' ' || c == '\t')
		b->state = CHUNK_SPACE;
	else if (c == ';')
		b->state = CHUNK_EXTENSION;
	else
		return HTTP1_SUSPECT;
	return HTTP1_MORE;
}

/* One byte of the trailers, which are lines of fields: a bare LF ends a line too. */
static enum http1_verdict http1_body_trailer_byte(struct http1_body *b, uint8_t c)
{
	switch (b->state) {
	case CHUNK_TRAILER:
		if (c == '\n')
			return HTTP1_OK;
		b->state = c == '\r' ? CHUNK_LAST_LF : CHUNK_TRAILER_NAME;
		return c == '\r' || http1_head_is_name(c) ? HTTP1_MORE : HTTP1_SUSPECT;
	case CHUNK_TRAILER_NAME:
		if (c == ':')
			b->state = CHUNK_TRAILER_VALUE;
		return c == ':' || http1_head_is_name(c) ? HTTP1_MORE : HTTP1_SUSPECT;
	case CHUNK_TRAILER_VALUE:
		if (c == '\r')
			b->state = CHUNK_TRAILER_LF;
		else if (c == '\n')
			b->state = CHUNK_TRAILER;
		else if (!http1_body_is_text(c))
			return HTTP1_SUSPECT;
		return HTTP1_MORE;
	case CHUNK_TRAILER_LF:
		b->state = CHUNK_TRAILER;
		return c == '\n' ? HTTP1_MORE : HTTP1_SUSPECT;
	default: /* CHUNK_LAST_LF */
		return c == '\n' ? HTTP1_OK : HTTP1_SUSPECT;
	}
}

static enum http1_verdict http1_body_chunked_byte(struct http1_body *b, uint8_t c)
{
	if (b->state == CHUNK_DATA_CR) {
		b->state = CHUNK_DATA_LF;
		return c == '\r' ? HTTP1_MORE : HTTP1_SUSPECT;
	}
	if (b->state == CHUNK_DATA_LF) {
		b->state = CHUNK_SIZE;
		return c == '\n' ? HTTP1_MORE : HTTP1_SUSPECT;
	}
	if (++b->line > HTTP1_HEAD_MAX)
		return HTTP1_SUSPECT;
	if (b->state <= CHUNK_SIZE_LF)
		return http1_body_size_byte(b, c);
	return http1_body_trailer_byte(b, c);
}

static enum http1_verdict http1_body_take_chunked(struct http1_body *b, const uint8_t *data,
						  uint64_t len, uint64_t *used)
{
	static const char crlf[] = "\r\n";
	enum http1_verdict v = HTTP1_MORE;
	uint64_t at = 0;

	while (v == HTTP1_MORE && at < len) {
		if (b->state == CHUNK_DATA) {
			uint64_t n = len - at < b->left ? len - at : b->left;

			at += n;
			b->left -= n;
			if (!b->left)
				b->state = CHUNK_DATA_CR;
		} else if (data) {
			v = http1_body_chunked_byte(b, data[at++]);
		} else if (b->state == CHUNK_DATA_CR || b->state == CHUNK_DATA_LF) {
			v = http1_body_chunked_byte(b, (uint8_t)crlf[b->state == CHUNK_DATA_LF]);
			at++;
		} else {
			v = HTTP1_GAP;
		}
	}
	*used = at;
	return v;
}

enum http1_verdict http1_body_take(struct http1_body *b, const uint8_t *data, uint64_t len,
				   uint64_t *used)
{
	if (b->framing == HTTP1_CHUNKED)
		return http1_body_take_chunked(b, data, len, used);
	*used = len;
	if (b->framing != HTTP1_LENGTH)
		return HTTP1_MORE;
	if (len > b->left)
		*used = b->left;
	b->left -= *used;
	return b->left ? HTTP1_MORE : HTTP1_OK;
}
