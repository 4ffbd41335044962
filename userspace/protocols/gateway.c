/* One request on a connection of its own, by the uwsgi protocol or by mod_wsgi's. */
#include "protocols/gateway.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/exchange.h"
#include "protocols/gateway_block.h"
#include "protocols/http1.h"
#include "protocols/http1_stream.h"

struct gateway {
	struct decoder_callbacks callbacks;
	enum http1_verdict (*block)(const uint8_t *data, size_t len, struct cgi *c, size_t *size);
	bool status_line; /* of the answer; else it has a Status field */
	const char *protocol;
	struct exchange *e; /* the request, until it is answered */
	struct http1_stream answer;
	uint64_t body_left; /* of the request; UINT64_MAX: not known */
	bool begun; /* the request's head was read */
	uint64_t answer_time; /* of the last byte sent */
	uint64_t calls, suspect, gaps;
	const char *why;
};

static struct gateway *gateway_new(const char *protocol, const struct decoder_callbacks *callbacks)
{
	struct gateway *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->callbacks = *callbacks;
	g->protocol = protocol;
	g->why = "";
	return g;
}

static void *uwsgi_new(bool joined, const struct decoder_callbacks *callbacks)
{
	struct gateway *g = gateway_new("uwsgi", callbacks);

	(void)joined;
	if (g) {
		g->block = gateway_block_uwsgi;
		g->status_line = true;
	}
	return g;
}

static void *mod_wsgi_new(bool joined, const struct decoder_callbacks *callbacks)
{
	struct gateway *g = gateway_new("mod_wsgi", callbacks);

	(void)joined;
	if (g)
		g->block = gateway_block_mod_wsgi;
	return g;
}

static void gateway_free(void *state)
{
	struct gateway *g = state;

	exchange_free(g->e);
	http1_stream_release(&g->answer);
	free(g);
}

static void gateway_end(struct gateway *g, enum decoder_end end, uint64_t time)
{
	g->calls++;
	exchange_report(g->e, end, time, &g->callbacks);
	exchange_free(g->e);
	g->e = NULL;
	http1_stream_release(&g->answer);
	g->answer.state = STREAM_OVER;
}

/* What follows is not decoded. A call in flight stays open until the connection ends. */
static void gateway_give_up(struct gateway *g, enum http1_verdict v)
{
	g->suspect++;
	g->gaps += v == HTTP1_GAP;
	if (!*g->why)
		g->why = v == HTTP1_GAP ? "gap" : "suspect";
	if (g->e && v == HTTP1_GAP && !g->e->lost)
		g->e->lost = 1;
	http1_stream_release(&g->answer);
	g->answer.state = STREAM_OVER;
}

static void gateway_take_request(struct gateway *g, const struct decoder_piece *p)
{
	enum http1_verdict v = HTTP1_OK;
	uint64_t len = p->len;

	if (!g->begun) {
		struct cgi *c = malloc(sizeof(*c));
		size_t size = 0;

		/* The chooser waited until it was whole. */
		g->begun = true;
		v = c && p->data ? g->block(p->data, len, c, &size) : HTTP1_GAP;
		if (!v) {
			g->e = exchange_new(&c->head, g->protocol);
			g->body_left = c->head.length_seen ? c->head.length : UINT64_MAX;
			v = g->e ? HTTP1_OK : HTTP1_GAP;
		}
		if (c)
			explicit_bzero(c, sizeof(*c));
		free(c);
		if (v) {
			gateway_give_up(g, v);
			return;
		}
		g->e->seq = 1;
		g->e->start = p->time;
		g->e->request_bytes = size;
		len -= size;
	}
	if (!g->e)
		return; /* answered, or given up */
	g->e->request_bytes += len;
	g->e->lost += p->lost;
	if (g->body_left == UINT64_MAX)
		return;
	if (len > g->body_left && g->status_line && !*g->why)
		gateway_give_up(g, HTTP1_SUSPECT); /* another request, or more body than said */
	g->body_left -= len < g->body_left ? len : g->body_left;
}

/* An answer of mod_wsgi's own. True when it is one. */
static bool gateway_own_answer(struct gateway *g, const struct http1_head *head, uint64_t time)
{
	struct http1_view s = head->status_field;

	if (g->status_line || s.len < 4)
		return false;
	if (s.len == 12 && !memcmp(s.p, "200 Continue", 12)) {
		http1_stream_release(&g->answer);
		return true;
	}
	if (s.len == 11 && !memcmp(s.p, "200 Timeout", 11)) {
		gateway_end(g, DECODER_TIMEOUT, time);
		return true;
	}
	if (s.len == 12 && !memcmp(s.p, "200 Rejected", 12)) {
		gateway_end(g, DECODER_SERVER_GONE, time);
		return true;
	}
	return false;
}

static enum http1_verdict gateway_answer_head(struct gateway *g, const uint8_t *data, uint64_t len,
					      uint64_t time, uint64_t *used)
{
	struct http1_stream *s = &g->answer;
	struct http1_head head;
	const uint8_t *at;
	size_t at_len;
	enum http1_verdict v;

	if (!s->len)
		s->start = time;
	v = http1_stream_head(s, data, len, &at, &at_len, used);
	if (v)
		return v;
	v = g->status_line ? http1_head_read_response(at, at_len, &head)
			   : cgi_read_answer(at, at_len, &head);
	if (v)
		return HTTP1_SUSPECT;
	g->e->response_bytes += at_len;
	if (gateway_own_answer(g, &head, time))
		return HTTP1_OK;
	if (head.status && head.status < 200) {
		http1_stream_release(s);
		return HTTP1_OK;
	}
	g->e->first_byte = s->start;
	if (exchange_answer(g->e, &head))
		return HTTP1_GAP;
	http1_stream_release(s);
	s->state = STREAM_BODY;
	/* Where nothing else says where it ends, closing does. */
	if (head.length_seen && !head.length_bad && !head.coding_seen &&
	    strcmp(g->e->method, "HEAD") && head.status != 204 && head.status != 304)
		http1_body_init(&s->body, HTTP1_LENGTH, head.length);
	else
		http1_body_init(&s->body, HTTP1_UNTIL_CLOSE, 0);
	if (s->body.framing == HTTP1_LENGTH && !head.length)
		gateway_end(g, DECODER_COMPLETE, time);
	return HTTP1_OK;
}

static void gateway_take_answer(struct gateway *g, const struct decoder_piece *p)
{
	const uint8_t *data = p->data;
	uint64_t len = p->len;

	g->answer_time = p->time;
	if (g->e)
		g->e->lost += p->lost;
	while (len && g->answer.state != STREAM_OVER) {
		enum http1_verdict v = HTTP1_GAP;
		uint64_t used = len;

		if (!g->e)
			return;
		if (g->answer.state == STREAM_BODY) {
			v = http1_body_take(&g->answer.body, data, len, &used);
			g->e->response_bytes += used;
			if (v == HTTP1_OK)
				gateway_end(g, DECODER_COMPLETE, p->time);
		} else if (data) {
			v = gateway_answer_head(g, data, len, p->time, &used);
		}
		if (v != HTTP1_OK && v != HTTP1_MORE) {
			gateway_give_up(g, v);
			return;
		}
		len -= used;
		data = data ? data + used : NULL;
	}
}

static void gateway_take(void *state, const struct decoder_piece *p)
{
	struct gateway *g = state;

	if (p->direction == DECODER_REQUEST)
		gateway_take_request(g, p);
	else
		gateway_take_answer(g, p);
}

static void gateway_server_closed(void *state)
{
	struct gateway *g = state;

	if (g->e && g->answer.state == STREAM_BODY && g->answer.body.framing == HTTP1_UNTIL_CLOSE)
		gateway_end(g, DECODER_COMPLETE, g->answer_time);
}

static void gateway_finish(void *state, enum decoder_end end, uint64_t time)
{
	struct gateway *g = state;

	if (g->e)
		gateway_end(g, end, time);
}

static size_t gateway_current(const void *state, uint64_t *seqs, size_t max)
{
	const struct gateway *g = state;

	if (!max || !g->e || g->answer.state == STREAM_OVER)
		return 0;
	seqs[0] = g->e->seq;
	return 1;
}

static void gateway_stats(const void *state, struct decoder_stats *out)
{
	const struct gateway *g = state;

	out->calls = g->calls;
	out->suspect = g->suspect;
	out->gaps = g->gaps;
	out->why = g->why;
	out->decoding = !*g->why;
}

static enum decoder_begins gateway_begins(enum http1_verdict v)
{
	return v == HTTP1_OK ? DECODER_YES : v == HTTP1_MORE ? DECODER_MORE : DECODER_NO;
}

static enum decoder_begins uwsgi_begins(const uint8_t *data, size_t len, size_t *need)
{
	struct cgi c;

	return gateway_begins(gateway_block_uwsgi(data, len, &c, need));
}

static enum decoder_begins mod_wsgi_begins(const uint8_t *data, size_t len, size_t *need)
{
	struct cgi c;

	return gateway_begins(gateway_block_mod_wsgi(data, len, &c, need));
}

const struct decoder_kind uwsgi_kind = {
	.begins = uwsgi_begins,
	.new = uwsgi_new,
	.take = gateway_take,
	.server_closed = gateway_server_closed,
	.finish = gateway_finish,
	.free = gateway_free,
	.current = gateway_current,
	.stats = gateway_stats,
};

const struct decoder_kind mod_wsgi_kind = {
	.begins = mod_wsgi_begins,
	.new = mod_wsgi_new,
	.take = gateway_take,
	.server_closed = gateway_server_closed,
	.finish = gateway_finish,
	.free = gateway_free,
	.current = gateway_current,
	.stats = gateway_stats,
};
