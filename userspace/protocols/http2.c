/* HTTP/2 on one server-side connection: frames, and the streams that they belong to. */
#include "protocols/http2.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/http2_block.h"

#define HTTP2_HEADER 9

/* RFC 9113 section 6. */
enum http2_type {
	HTTP2_DATA,
	HTTP2_HEADERS,
	HTTP2_PRIORITY,
	HTTP2_RST_STREAM,
	HTTP2_SETTINGS,
	HTTP2_PUSH_PROMISE,
	HTTP2_PING,
	HTTP2_GOAWAY,
	HTTP2_WINDOW_UPDATE,
	HTTP2_CONTINUATION,
};

enum http2_flag {
	HTTP2_END_STREAM = 1,
	HTTP2_END_HEADERS = 4,
	HTTP2_PADDED = 8,
	HTTP2_HAS_PRIORITY = 32,
};

static const char http2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define HTTP2_PREFACE (sizeof(http2_preface) - 1)

struct http2_stream {
	struct http2_stream *next; /* in order of arrival */
	uint32_t id;
	struct exchange *e;
	/* Of the answer: all of its content may have come when its end has not. */
	uint64_t content, content_sent; /* UINT64_MAX: not known */
	uint64_t content_time;
};

/* One direction: the frame that is passing. */
struct http2_side {
	uint8_t header[HTTP2_HEADER];
	size_t header_len;
	size_t left; /* of the payload */
	uint8_t small[6]; /* in front of a fragment: padding's length, priority */
	size_t small_len, small_want;
	size_t padding; /* behind a fragment */
	uint32_t block_stream; /* a block is open: CONTINUATION must follow. 0: none */
	bool block_ends_stream, block_promised;
	uint64_t block_start, block_bytes;
	struct http2_block block;
	bool over;
};

struct http2 {
	struct decoder_callbacks callbacks;
	size_t preface; /* bytes of it that are still to come */
	struct http2_side sides[2];
	struct http2_stream *streams;
	unsigned int count;
	uint32_t last; /* highest stream that the client opened */
	uint64_t seq, calls, suspect, gaps;
	const char *why;
};

static void http2_free(void *state)
{
	struct http2 *h = state;

	while (h->streams) {
		struct http2_stream *s = h->streams;

		h->streams = s->next;
		exchange_free(s->e);
		free(s);
	}
	http2_block_release(&h->sides[0].block);
	http2_block_release(&h->sides[1].block);
	free(h);
}

static void *http2_new(bool joined, const struct decoder_callbacks *callbacks)
{
	struct http2 *h = calloc(1, sizeof(*h));

	(void)joined;
	if (!h)
		return NULL;
	h->callbacks = *callbacks;
	h->preface = HTTP2_PREFACE;
	h->why = "";
	if (http2_block_init(&h->sides[0].block) || http2_block_init(&h->sides[1].block)) {
		http2_free(h);
		return NULL;
	}
	return h;
}

static enum http1_verdict http2_open(struct http2 *h, uint32_t id, struct exchange *e)
{
	struct http2_stream **link = &h->streams, *s;

	if (h->count == HTTP2_STREAMS_MAX)
		return HTTP1_SUSPECT;
	s = calloc(1, sizeof(*s));
	if (!s)
		return HTTP1_GAP;
	while (*link)
		link = &(*link)->next;
	*link = s;
	s->id = id;
	s->content = UINT64_MAX;
	s->e = e;
	h->last = id;
	h->count++;
	return HTTP1_OK;
}

void *http2_new_upgraded(const struct decoder_callbacks *callbacks, struct exchange *e)
{
	struct http2 *h = http2_new(false, callbacks);

	if (!h)
		return NULL;
	if (http2_open(h, 1, e)) {
		http2_free(h);
		return NULL;
	}
	h->seq = e->seq;
	e->protocol = "http/2";
	return h;
}

static struct http2_stream *http2_find(const struct http2 *h, uint32_t id)
{
	struct http2_stream *s = h->streams;

	while (s && s->id != id)
		s = s->next;
	return s;
}

static void http2_end(struct http2 *h, struct http2_stream *s, enum decoder_end end, uint64_t time)
{
	struct http2_stream **link = &h->streams;

	/* A client that has all content may leave before the empty frame that ends it. */
	if (end == DECODER_CLIENT_GONE && s->content_sent == s->content) {
		end = DECODER_COMPLETE;
		time = s->content_time;
	}
	h->calls++;
	exchange_report(s->e, end, time, &h->callbacks);
	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	h->count--;
	exchange_free(s->e);
	free(s);
}

static void http2_give_up(struct http2 *h, enum http1_verdict v)
{
	h->suspect++;
	h->gaps += v == HTTP1_GAP;
	h->why = v == HTTP1_GAP ? "gap" : "suspect";
	for (size_t i = 0; i < 2; i++) {
		h->sides[i].over = true;
		http2_block_release(&h->sides[i].block);
	}
	for (struct http2_stream *s = h->streams; s; s = s->next)
		if (v == HTTP1_GAP && !s->e->lost)
			s->e->lost = 1;
}

static uint32_t http2_number(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The stream that a frame is of. */
static uint32_t http2_id(const struct http2_side *side)
{
	return http2_number(side->header + 5) & 0x7fffffff;
}

/* A request's head. Another one on the same stream is its trailer. */
static enum http1_verdict http2_request(struct http2 *h, const struct http2_side *side,
					const struct http1_head *head)
{
	uint32_t id = side->block_stream;
	struct http2_stream *s = http2_find(h, id);
	struct exchange *e;
	enum http1_verdict v;

	if (!side->block.pseudo && id <= h->last) {
		if (s)
			s->e->request_bytes += side->block_bytes;
		return HTTP1_OK;
	}
	/* The client's streams are odd and rise. */
	if (!(id & 1) || id <= h->last)
		return HTTP1_SUSPECT;
	if (side->block.malformed || !head->method.len) {
		/* No call. What the server sends on the stream is ignored; others are not touched.
		 */
		h->last = id;
		h->seq++;
		h->suspect++;
		return HTTP1_OK;
	}
	e = exchange_new(head, "http/2");
	if (!e)
		return HTTP1_GAP;
	e->seq = h->seq + 1;
	e->start = side->block_start;
	e->request_bytes = side->block_bytes;
	v = http2_open(h, id, e);
	if (v)
		exchange_free(e);
	else
		h->seq++;
	return v;
}

static enum http1_verdict http2_answer(struct http2 *h, const struct http2_side *side,
				       const struct http1_head *head, uint64_t time)
{
	struct http2_stream *s = http2_find(h, side->block_stream);

	if (side->block.malformed)
		return HTTP1_SUSPECT;
	/* One that was promised, or that its client has reset. */
	if (!s || side->block_promised)
		return side->block_stream & 1 && side->block_stream > h->last ? HTTP1_SUSPECT
									      : HTTP1_OK;
	s->e->response_bytes += side->block_bytes;
	if (side->block.pseudo && head->status >= 200) {
		if (s->e->status)
			return HTTP1_SUSPECT;
		s->e->first_byte = side->block_start;
		if (exchange_answer(s->e, head))
			return HTTP1_GAP;
		if (head->length_seen && !head->length_bad && strcmp(s->e->method, "HEAD"))
			s->content = head->length;
		s->content_time = time;
	} else if (!side->block.pseudo && !s->e->status) {
		return HTTP1_SUSPECT;
	}
	if (side->block_ends_stream && !s->e->status)
		return HTTP1_SUSPECT;
	if (side->block_ends_stream)
		http2_end(h, s, DECODER_COMPLETE, time);
	return HTTP1_OK;
}

static enum http1_verdict http2_end_block(struct http2 *h, enum decoder_direction direction,
					  uint64_t time)
{
	struct http2_side *side = &h->sides[direction];
	struct http1_head head;
	enum http1_verdict v = http2_block_read(&side->block, &head);

	if (!v)
		v = direction == DECODER_REQUEST ? http2_request(h, side, &head)
						 : http2_answer(h, side, &head, time);
	http2_block_done(&side->block);
	side->block_stream = 0;
	return v;
}

/* DATA of an answer. How much of it is padding is not looked at. */
static void http2_content(struct http2_stream *s, size_t len, unsigned int flags)
{
	s->e->response_bytes += HTTP2_HEADER + len;
	s->content_sent += len;
	if (flags & HTTP2_PADDED)
		s->content = UINT64_MAX;
}

/* A frame's header is whole. */
static enum http1_verdict http2_begin_frame(struct http2 *h, enum decoder_direction direction,
					    uint64_t time)
{
	struct http2_side *side = &h->sides[direction];
	unsigned int type = side->header[3], flags = side->header[4];
	uint32_t id = http2_id(side);
	struct http2_stream *s;

	side->left = (size_t)side->header[0] << 16 | (size_t)side->header[1] << 8 | side->header[2];
	side->small_len = side->small_want = side->padding = 0;
	if ((type == HTTP2_CONTINUATION) != (side->block_stream != 0) ||
	    (side->block_stream && side->block_stream != id))
		return HTTP1_SUSPECT;
	switch (type) {
	case HTTP2_HEADERS:
	case HTTP2_PUSH_PROMISE:
		if (!id || (type == HTTP2_PUSH_PROMISE && direction == DECODER_REQUEST))
			return HTTP1_SUSPECT;
		side->small_want =
			(flags & HTTP2_PADDED ? 1 : 0) + (type == HTTP2_PUSH_PROMISE	 ? 4
							  : (flags & HTTP2_HAS_PRIORITY) ? 5
											 : 0);
		side->block_stream = id;
		side->block_promised = type == HTTP2_PUSH_PROMISE;
		side->block_ends_stream = type == HTTP2_HEADERS && flags & HTTP2_END_STREAM;
		side->block_start = time;
		side->block_bytes = HTTP2_HEADER + side->left;
		break;
	case HTTP2_CONTINUATION:
		side->block_bytes += HTTP2_HEADER + side->left;
		break;
	case HTTP2_DATA:
		if (!id || ((id & 1) && id > h->last))
			return HTTP1_SUSPECT;
		s = http2_find(h, id);
		if (s && direction == DECODER_REQUEST)
			s->e->request_bytes += HTTP2_HEADER + side->left;
		else if (s)
			http2_content(s, side->left, flags);
		break;
	case HTTP2_RST_STREAM:
		if (side->left != 4)
			return HTTP1_SUSPECT;
		break;
	}
	return side->small_want > side->left ? HTTP1_SUSPECT : HTTP1_OK;
}

/* A frame is whole. */
static enum http1_verdict http2_end_frame(struct http2 *h, enum decoder_direction direction,
					  uint64_t time)
{
	struct http2_side *side = &h->sides[direction];
	unsigned int type = side->header[3], flags = side->header[4];
	struct http2_stream *s = http2_find(h, http2_id(side));
	enum decoder_end end =
		direction == DECODER_REQUEST ? DECODER_CLIENT_GONE : DECODER_SERVER_GONE;

	side->header_len = 0;
	if (side->block_stream)
		return flags & HTTP2_END_HEADERS ? http2_end_block(h, direction, time) : HTTP1_OK;
	if (type == HTTP2_DATA && direction == DECODER_RESPONSE && s)
		s->content_time = time;
	if (type == HTTP2_RST_STREAM && s)
		http2_end(h, s, end, time);
	if (type == HTTP2_DATA && flags & HTTP2_END_STREAM && direction == DECODER_RESPONSE && s) {
		if (!s->e->status)
			return HTTP1_SUSPECT;
		http2_end(h, s, DECODER_COMPLETE, time);
	}
	return HTTP1_OK;
}

/* Part of the payload: of a block's fragment, or of what only counts. */
static enum http1_verdict http2_payload(struct http2 *h, enum decoder_direction direction,
					const uint8_t *data, size_t len, size_t *used)
{
	struct http2_side *side = &h->sides[direction];
	size_t want;

	if (!side->block_stream) {
		/* Of frames of a connection nothing is needed; but a hole may hide another length.
		 */
		*used = len < side->left ? len : side->left;
		side->left -= *used;
		return HTTP1_OK;
	}
	if (!data)
		return HTTP1_GAP;
	if (side->small_len < side->small_want) {
		want = side->small_want - side->small_len;
		*used = len < want ? len : want;
		memcpy(side->small + side->small_len, data, *used);
		side->small_len += *used;
		side->left -= *used;
		if (side->small_len == side->small_want && side->header[4] & HTTP2_PADDED) {
			side->padding = side->small[0];
			if (side->padding > side->left)
				return HTTP1_SUSPECT;
		}
		return HTTP1_OK;
	}
	want = side->left > side->padding ? side->left - side->padding : side->left;
	*used = len < want ? len : want;
	if (side->left > side->padding) {
		enum http1_verdict v = http2_block_add(&side->block, data, *used);

		if (v)
			return v;
	}
	side->left -= *used;
	return HTTP1_OK;
}

static enum http1_verdict http2_step(struct http2 *h, const struct decoder_piece *p,
				     const uint8_t *data, size_t len, size_t *used)
{
	struct http2_side *side = &h->sides[p->direction];
	enum http1_verdict v;

	if (p->direction == DECODER_REQUEST && h->preface) {
		if (!data)
			return HTTP1_GAP;
		*used = len < h->preface ? len : h->preface;
		if (memcmp(data, http2_preface + HTTP2_PREFACE - h->preface, *used))
			return HTTP1_SUSPECT;
		h->preface -= *used;
		return HTTP1_OK;
	}
	if (side->header_len < HTTP2_HEADER) {
		size_t want = HTTP2_HEADER - side->header_len;

		if (!data)
			return HTTP1_GAP;
		*used = len < want ? len : want;
		memcpy(side->header + side->header_len, data, *used);
		side->header_len += *used;
		if (side->header_len < HTTP2_HEADER)
			return HTTP1_OK;
		v = http2_begin_frame(h, p->direction, p->time);
	} else {
		v = http2_payload(h, p->direction, data, len, used);
	}
	if (!v && !side->left)
		v = http2_end_frame(h, p->direction, p->time);
	return v;
}

static void http2_take(void *state, const struct decoder_piece *p)
{
	struct http2 *h = state;
	const uint8_t *data = p->data;
	uint64_t len = p->len;

	for (struct http2_stream *s = h->streams; p->lost && s; s = s->next)
		s->e->lost++;
	while (len && !h->sides[p->direction].over) {
		size_t used = 0;
		enum http1_verdict v = http2_step(h, p, data, len, &used);

		if (v) {
			http2_give_up(h, v);
			return;
		}
		len -= used;
		data = data ? data + used : NULL;
	}
}

/* Only the end of its stream ends an answer. */
static void http2_server_closed(void *state)
{
	(void)state;
}

static void http2_finish(void *state, enum decoder_end end, uint64_t time)
{
	struct http2 *h = state;

	while (h->streams)
		http2_end(h, h->streams, end, time);
}

static size_t http2_current(const void *state, uint64_t *seqs, size_t max)
{
	const struct http2 *h = state;
	size_t count = 0;

	if (!max || h->sides[DECODER_RESPONSE].over)
		return 0;
	for (struct http2_stream *s = h->streams; s && count < max; s = s->next)
		seqs[count++] = s->e->seq;
	/* A request is about to come. */
	if (!count && (!h->seq || h->sides[DECODER_REQUEST].block_stream))
		seqs[count++] = h->seq + 1;
	return count;
}

static void http2_stats(const void *state, struct decoder_stats *out)
{
	const struct http2 *h = state;

	out->calls = h->calls;
	out->suspect = h->suspect;
	out->gaps = h->gaps;
	out->why = h->why;
	out->decoding = !*h->why;
}

static enum decoder_begins http2_begins(const uint8_t *data, size_t len, size_t *need)
{
	*need = len + 1;
	if (memcmp(data, http2_preface, len < HTTP2_PREFACE ? len : HTTP2_PREFACE))
		return DECODER_NO;
	return len < HTTP2_PREFACE ? DECODER_MORE : DECODER_YES;
}

enum decoder_begins http2_server_begins(const uint8_t *data, size_t len)
{
	/* A small SETTINGS frame, without flags, of the connection. */
	static const uint8_t want[HTTP2_HEADER] = { 0, 0, 0, HTTP2_SETTINGS };

	for (size_t i = 0; i < len && i < HTTP2_HEADER; i++)
		if (data[i] != want[i] && (i != 2 || data[i] % 6))
			return DECODER_NO;
	return len < HTTP2_HEADER ? DECODER_MORE : DECODER_YES;
}

const struct decoder_kind http2_kind = {
	.begins = http2_begins,
	.new = http2_new,
	.take = http2_take,
	.server_closed = http2_server_closed,
	.finish = http2_finish,
	.free = http2_free,
	.current = http2_current,
	.stats = http2_stats,
};
