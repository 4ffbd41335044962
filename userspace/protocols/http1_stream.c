/* Collects heads that come in pieces. */
#include "protocols/http1_stream.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/http1.h"

void http1_stream_release(struct http1_stream *s)
{
	if (s->buf)
		explicit_bzero(s->buf, s->cap);
	free(s->buf);
	s->buf = NULL;
	s->len = s->cap = 0;
}

/* Not realloc: that could leave a copy of the old bytes behind. */
int http1_stream_keep(struct http1_stream *s, const uint8_t *data, size_t len)
{
	size_t cap = s->cap ? s->cap : 512;
	uint8_t *buf;

	while (cap < s->len + len)
		cap *= 2;
	if (cap != s->cap) {
		buf = malloc(cap);
		if (!buf)
			return -1;
		if (s->buf) {
			memcpy(buf, s->buf, s->len);
			explicit_bzero(s->buf, s->cap);
			free(s->buf);
		}
		s->buf = buf;
		s->cap = cap;
	}
	memcpy(s->buf + s->len, data, len);
	s->len += len;
	return 0;
}

enum http1_verdict http1_stream_head(struct http1_stream *s, const uint8_t *data, uint64_t len,
				     const uint8_t **head, size_t *head_len, uint64_t *used)
{
	size_t before = s->len, room = HTTP1_HEAD_MAX - before;
	size_t n = len < room ? len : room;

	*used = len;
	if (!before) {
		*head_len = http1_head_end(data, n, 0);
		if (*head_len) {
			*head = data;
			*used = *head_len;
			return HTTP1_OK;
		}
	}
	if (http1_stream_keep(s, data, n))
		return HTTP1_GAP;
	*head_len = http1_head_end(s->buf, s->len, before);
	if (*head_len) {
		*head = s->buf;
		*used = *head_len - before;
		return HTTP1_OK;
	}
	return len < room ? HTTP1_MORE : HTTP1_SUSPECT;
}
