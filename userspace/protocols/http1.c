/*
 * The state of an HTTP/1 connection: two streams, the requests that wait for their answers, and
 * the rules by which a connection is given up.
 */
#include "protocols/http1.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/exchange.h"
#include "protocols/http1_join.h"
#include "protocols/http1_stream.h"

struct http1 {
	struct decoder_callbacks callbacks;
	struct http1_stream streams[2]; /* by enum decoder_direction */
	struct exchange *first, *last; /* waiting for an answer, in order */
	unsigned int pending; /* how many */
	struct exchange *reading; /* whose body is being received; NULL: nobody's */
	uint64_t seq; /* of the last whole request head */
	uint64_t answer_time; /* of the last byte sent */
	struct exchange *handed; /* answered by the protocol that follows */
	uint64_t handed_left; /* bytes of the last piece that are of that protocol */
	struct http1_join *join; /* not NULL until it is certain where a request begins */
	uint64_t calls, suspect, gaps;
	const char *why; /* why it was given up, or "" */
};

static void *http1_new(bool joined, const struct decoder_callbacks *callbacks)
{
	struct http1 *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->callbacks = *callbacks;
	h->why = "";
	if (joined) {
		h->join = calloc(1, sizeof(*h->join));
		if (!h->join) {
			free(h);
			return NULL;
		}
	}
	return h;
}

static void http1_join_end(struct http1 *h)
{
	if (!h->join)
		return;
	h->suspect += h->join->suspect;
	http1_join_release(h->join);
	free(h->join);
	h->join = NULL;
}

/* Takes the oldest waiting exchange off the list. */
static void http1_drop_first(struct http1 *h)
{
	struct exchange *e = h->first;

	h->first = e->next;
	if (!h->first)
		h->last = NULL;
	h->pending--;
	if (h->reading == e)
		h->reading = NULL;
	exchange_free(e);
}

static void http1_end_first(struct http1 *h, enum decoder_end end, uint64_t time)
{
	/*
	 * Answered without 100 Continue: the client may send the body, or another request (RFC 9110
	 * section 10.1.1). Which, cannot be told.
	 */
	if (h->reading == h->first && h->first->waits)
		h->streams[DECODER_REQUEST].state = STREAM_CUT;
	h->calls++;
	exchange_report(h->first, end, time, &h->callbacks);
	http1_drop_first(h);
}

static void http1_free(void *state)
{
	struct http1 *h = state;

	while (h->first)
		http1_drop_first(h);
	exchange_free(h->handed);
	http1_join_end(h);
	http1_stream_release(&h->streams[DECODER_REQUEST]);
	http1_stream_release(&h->streams[DECODER_RESPONSE]);
	free(h);
}

static void http1_stream_stop(struct http1_stream *s)
{
	http1_stream_release(s);
	s->state = STREAM_OVER;
}

/*
 * Gives a direction up. Without the requests, those already waiting can still be answered; without
 * the responses nothing can be said any more, and what waits stays open until the end.
 */
static void http1_give_up(struct http1 *h, enum decoder_direction direction, enum http1_verdict v)
{
	const char *why = v == HTTP1_GAP ? "gap" : "suspect";

	if (v == HTTP1_NOT_HTTP && !h->seq)
		why = "not-http";
	else
		h->suspect++;
	if (v == HTTP1_GAP)
		h->gaps++;
	if (!*h->why)
		h->why = why;
	http1_stream_stop(&h->streams[DECODER_REQUEST]);
	if (direction == DECODER_REQUEST) {
		if (v == HTTP1_GAP && h->reading && !h->reading->lost)
			h->reading->lost = 1;
		return;
	}
	http1_stream_stop(&h->streams[DECODER_RESPONSE]);
	for (struct exchange *e = h->first; e; e = e->next)
		if (v == HTTP1_GAP && !e->lost)
			e->lost = 1;
}

/* A tunnel or another protocol begins: requests read ahead were none. */
static void http1_upgrade(struct http1 *h)
{
	while (h->first)
		http1_drop_first(h);
	http1_stream_stop(&h->streams[DECODER_REQUEST]);
	http1_stream_stop(&h->streams[DECODER_RESPONSE]);
	h->why = "upgraded";
}

/* The request's answer comes in HTTP/2. */
static void http1_hand_over(struct http1 *h)
{
	h->handed = h->first;
	h->first = h->handed->next;
	h->handed->next = NULL;
	if (!h->first)
		h->last = NULL;
	h->pending--;
	if (h->reading == h->handed)
		h->reading = NULL;
	http1_upgrade(h);
}

struct exchange *http1_handed(void *state, uint64_t *left)
{
	struct http1 *h = state;
	struct exchange *e = h->handed;

	h->handed = NULL;
	*left = h->handed_left;
	return e;
}

/* Makes an exchange of a request's head, which is `len` bytes on the wire. */
static enum http1_verdict http1_add_request(struct http1 *h, const struct http1_head *head,
					    size_t len)
{
	struct http1_stream *s = &h->streams[DECODER_REQUEST];
	struct exchange *e;

	if (h->pending == HTTP1_PENDING_MAX)
		return HTTP1_SUSPECT;
	e = exchange_new(head, head->minor ? "http/1.1" : "http/1.0");
	if (!e)
		return HTTP1_GAP;
	e->seq = ++h->seq;
	e->start = s->start;
	e->request_bytes = len;
	e->waits = head->expects;
	if (h->last)
		h->last->next = e;
	else
		h->first = e;
	h->last = e;
	h->pending++;
	h->reading = e;
	return HTTP1_OK;
}

/* Skips empty lines before a request; returns the number of bytes, or -1 for a bare CR. */
static int64_t http1_skip_empty_lines(struct http1_stream *s, const uint8_t *data, uint64_t len)
{
	uint64_t at = 0;

	for (; at < len; at++) {
		if (s->skipped_cr && data[at] != '\n')
			return -1;
		if (data[at] != '\r' && data[at] != '\n')
			break;
		s->skipped_cr = data[at] == '\r';
	}
	return (int64_t)at;
}

static enum http1_verdict http1_request_head(struct http1 *h, const uint8_t *data, uint64_t len,
					     uint64_t time, uint64_t *used)
{
	struct http1_stream *s = &h->streams[DECODER_REQUEST];
	enum http1_framing framing;
	enum http1_verdict v, begins;
	struct http1_head head;
	const uint8_t *at;
	size_t at_len;

	if (!s->len) {
		int64_t skipped = http1_skip_empty_lines(s, data, len);

		if (skipped) {
			*used = skipped > 0 ? (uint64_t)skipped : 0;
			return skipped > 0 ? HTTP1_OK : HTTP1_SUSPECT;
		}
		s->start = time;
	}
	v = http1_stream_head(s, data, len, &at, &at_len, used);
	if (v) {
		begins = http1_head_begins_request(s->buf, s->len);
		return begins == HTTP1_NOT_HTTP ? begins : v;
	}
	v = http1_head_read_request(at, at_len, &head);
	if (!v)
		v = http1_head_request_framing(&head, &framing);
	if (!v)
		v = http1_add_request(h, &head, at_len);
	if (v)
		return v;
	h->last->headed = time;
	http1_stream_release(s);
	if (framing == HTTP1_NO_BODY) {
		h->reading = NULL;
	} else {
		http1_body_init(&s->body, framing, head.length);
		s->state = STREAM_BODY;
	}
	return HTTP1_OK;
}

static enum http1_verdict http1_request_body(struct http1 *h, const uint8_t *data, uint64_t len,
					     uint64_t *used)
{
	struct http1_stream *s = &h->streams[DECODER_REQUEST];
	enum http1_verdict v = http1_body_take(&s->body, data, len, used);

	if (v != HTTP1_OK && v != HTTP1_MORE)
		return v;
	if (h->reading) {
		h->reading->request_bytes += *used;
		h->reading->waits = false;
	}
	if (v == HTTP1_OK) {
		s->state = STREAM_HEAD;
		h->reading = NULL;
	}
	return HTTP1_OK;
}

/*
 * The server answers while the head of the only request is still coming: it has refused it (too
 * long, too late). The lines that are whole must do; where the request ends is not known, so no
 * request is read after it.
 */
static enum http1_verdict http1_cut_request(struct http1 *h)
{
	struct http1_stream *s = &h->streams[DECODER_REQUEST];
	const uint8_t *lf = memrchr(s->buf, '\n', s->len);
	struct http1_head head;
	enum http1_verdict v;

	if (!lf)
		return http1_head_begins_request(s->buf, s->len) == HTTP1_NOT_HTTP ? HTTP1_NOT_HTTP
										   : HTTP1_SUSPECT;
	v = http1_head_read_request(s->buf, (size_t)(lf - s->buf) + 1, &head);
	if (!v)
		v = http1_add_request(h, &head, s->len);
	if (v)
		return v;
	http1_stream_release(s);
	s->state = STREAM_CUT;
	return HTTP1_OK;
}

/* Bytes are sent and no request waits. */
static enum http1_verdict http1_answer_unasked(struct http1 *h, const uint8_t *data)
{
	struct http1_stream *s = &h->streams[DECODER_REQUEST];

	if (!data)
		return HTTP1_GAP;
	if (*data != 'H')
		return HTTP1_NOT_HTTP;
	return s->len ? http1_cut_request(h) : HTTP1_SUSPECT;
}

static enum http1_verdict http1_response_head(struct http1 *h, const uint8_t *data, uint64_t len,
					      uint64_t time, uint64_t *used)
{
	struct http1_stream *s = &h->streams[DECODER_RESPONSE];
	struct exchange *e = h->first;
	enum http1_framing framing = HTTP1_NO_BODY;
	struct http1_head head;
	const uint8_t *at;
	size_t at_len;
	enum http1_verdict v;
	bool upgrade;

	if (!s->len)
		s->start = time;
	v = http1_stream_head(s, data, len, &at, &at_len, used);
	if (v)
		return http1_head_begins_response(s->buf, s->len) == HTTP1_SUSPECT ? HTTP1_SUSPECT
										   : v;
	v = http1_head_read_response(at, at_len, &head);
	upgrade = head.status == 101 || (head.status / 100 == 2 && !strcmp(e->method, "CONNECT"));
	if (!v && !upgrade)
		v = http1_head_response_framing(&head, !strcmp(e->method, "HEAD"), &framing);
	if (v)
		return v;
	e->response_bytes += at_len;
	if (head.status == 100)
		e->waits = false;
	if (head.status == 101 && head.h2c) {
		http1_hand_over(h);
		return HTTP1_OK;
	}
	if (head.status >= 200 || upgrade) {
		e->first_byte = s->start;
		if (exchange_answer(e, &head))
			return HTTP1_GAP;
	}
	http1_stream_release(s);
	if (upgrade) {
		http1_end_first(h, DECODER_COMPLETE, time);
		http1_upgrade(h);
	} else if (framing != HTTP1_NO_BODY) {
		http1_body_init(&s->body, framing, head.length);
		s->state = STREAM_BODY;
	} else if (head.status >= 200) {
		http1_end_first(h, DECODER_COMPLETE, time);
	}
	return HTTP1_OK;
}

static enum http1_verdict http1_response_body(struct http1 *h, const uint8_t *data, uint64_t len,
					      uint64_t time, uint64_t *used)
{
	struct http1_stream *s = &h->streams[DECODER_RESPONSE];
	enum http1_verdict v = http1_body_take(&s->body, data, len, used);

	if (v != HTTP1_OK && v != HTTP1_MORE)
		return v;
	h->first->response_bytes += *used;
	if (v == HTTP1_OK) {
		s->state = STREAM_HEAD;
		http1_end_first(h, DECODER_COMPLETE, time);
	}
	return HTTP1_OK;
}

static void http1_take_request(struct http1 *h, const uint8_t *data, uint64_t len, uint64_t time)
{
	struct http1_stream *s = &h->streams[DECODER_REQUEST];

	while (len) {
		enum http1_verdict v = HTTP1_GAP;
		uint64_t used = len;

		if (s->state == STREAM_OVER || s->state == STREAM_CUT)
			return;
		if (s->state == STREAM_BODY)
			v = http1_request_body(h, data, len, &used);
		else if (data)
			v = http1_request_head(h, data, len, time, &used);
		if (v != HTTP1_OK && v != HTTP1_MORE) {
			http1_give_up(h, DECODER_REQUEST, v);
			return;
		}
		len -= used;
		data = data ? data + used : NULL;
	}
}

static void http1_take_response(struct http1 *h, const uint8_t *data, uint64_t len, uint64_t time)
{
	struct http1_stream *s = &h->streams[DECODER_RESPONSE];

	h->answer_time = time;
	while (len) {
		enum http1_verdict v = HTTP1_OK;
		uint64_t used = len;

		if (s->state == STREAM_OVER ||
		    (!h->first && h->streams[DECODER_REQUEST].state == STREAM_OVER))
			return;
		if (!h->first)
			v = http1_answer_unasked(h, data);
		if (!v && s->state == STREAM_BODY)
			v = http1_response_body(h, data, len, time, &used);
		else if (!v)
			v = data ? http1_response_head(h, data, len, time, &used) : HTTP1_GAP;
		if (v != HTTP1_OK && v != HTTP1_MORE) {
			http1_give_up(h, DECODER_RESPONSE, v);
			return;
		}
		len -= used;
		if (h->handed) {
			h->handed_left = len;
			return;
		}
		data = data ? data + used : NULL;
	}
}

static void http1_take(void *state, const struct decoder_piece *p)
{
	struct http1 *h = state;

	if (p->lost) {
		struct exchange *in = p->direction == DECODER_REQUEST ? h->reading : h->first;

		if (in)
			in->lost++;
	}
	if (h->join) {
		if (!http1_join_take(h->join, p->direction, p->data, p->len, p->first))
			return;
		http1_join_end(h);
	}
	if (p->direction == DECODER_REQUEST)
		http1_take_request(h, p->data, p->len, p->time);
	else
		http1_take_response(h, p->data, p->len, p->time);
}

static void http1_server_closed(void *state)
{
	struct http1 *h = state;
	struct http1_stream *s = &h->streams[DECODER_RESPONSE];

	if (s->state != STREAM_BODY || s->body.framing != HTTP1_UNTIL_CLOSE)
		return;
	if (h->first)
		http1_end_first(h, DECODER_COMPLETE, h->answer_time);
	http1_stream_stop(s);
}

static void http1_finish(void *state, enum decoder_end end, uint64_t time)
{
	struct http1 *h = state;

	while (h->first)
		http1_end_first(h, end, time);
	http1_stream_stop(&h->streams[DECODER_REQUEST]);
	http1_stream_stop(&h->streams[DECODER_RESPONSE]);
}

static size_t http1_current(const void *state, uint64_t *seqs, size_t max)
{
	const struct http1 *h = state;

	if (!max || h->join || h->streams[DECODER_RESPONSE].state == STREAM_OVER)
		return 0;
	if (!h->first && !h->streams[DECODER_REQUEST].len)
		return 0;
	seqs[0] = h->first ? h->first->seq : h->seq + 1;
	return 1;
}

static uint64_t http1_headed(const void *state, uint64_t seq)
{
	const struct http1 *h = state;

	for (const struct exchange *e = h->first; e; e = e->next)
		if (e->seq == seq)
			return e->headed;
	return UINT64_MAX;
}

static void http1_stats(const void *state, struct decoder_stats *out)
{
	const struct http1 *h = state;

	out->calls = h->calls;
	out->suspect = h->suspect + (h->join ? h->join->suspect : 0);
	out->gaps = h->gaps;
	out->why = h->join ? "joined" : h->why;
	out->decoding = !*out->why;
}

/* A method's first character, perhaps behind empty lines; and not what begins like a request. */
static enum decoder_begins http1_begins(const uint8_t *data, size_t len, size_t *need)
{
	static const char *const others[] = { "PRI * HTTP/2.0", "PROXY " };
	size_t at = 0;

	*need = len + 1;
	while (at < len && (data[at] == '\r' || data[at] == '\n'))
		at++;
	/* So does version 2 of the PROXY protocol begin, but not with more of them. */
	if (at == len)
		return len > 4 ? DECODER_YES : DECODER_MORE;
	for (size_t i = 0; !at && i < sizeof(others) / sizeof(others[0]); i++) {
		size_t n = strlen(others[i]);

		if (!memcmp(data, others[i], len < n ? len : n))
			return len < n ? DECODER_MORE : DECODER_NO;
	}
	if (!http1_head_is_name(data[at]))
		return DECODER_NO;
	/* The length that a mod_wsgi connection begins with may look like a letter; its zeros not.
	 */
	for (size_t i = at; i < len && i < at + 4; i++)
		if ((data[i] < ' ' && data[i] != '\r' && data[i] != '\n') || data[i] > '~')
			return DECODER_NO;
	return len - at > 3 ? DECODER_YES : DECODER_MORE;
}

const struct decoder_kind http1_kind = {
	.begins = http1_begins,
	.new = http1_new,
	.take = http1_take,
	.server_closed = http1_server_closed,
	.finish = http1_finish,
	.free = http1_free,
	.current = http1_current,
	.headed = http1_headed,
	.stats = http1_stats,
};
