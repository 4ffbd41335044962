/* FastCGI on one server-side connection: records, and the requests that they belong to. */
#include "protocols/fastcgi.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/cgi.h"
#include "protocols/exchange.h"
#include "protocols/http1_stream.h"

/* Types of records, in the words of the specification (section 8). */
enum fastcgi_type {
	FASTCGI_BEGIN_REQUEST = 1,
	FASTCGI_ABORT_REQUEST = 2,
	FASTCGI_END_REQUEST = 3,
	FASTCGI_PARAMS = 4,
	FASTCGI_STDIN = 5,
	FASTCGI_STDOUT = 6,
	FASTCGI_STDERR = 7,
	FASTCGI_DATA = 8,
	FASTCGI_GET_VALUES = 9,
	FASTCGI_GET_VALUES_RESULT = 10,
	FASTCGI_UNKNOWN_TYPE = 11,
};

#define FASTCGI_HEADER 8 /* also the length of the bodies of BEGIN_REQUEST and END_REQUEST */

struct fastcgi_request {
	struct fastcgi_request *next; /* in order of arrival */
	unsigned int id;
	uint64_t seq, start, bytes; /* until there is an exchange */
	struct http1_stream params, head; /* the head of the answer */
	struct exchange *e; /* once the parameters are whole */
	bool answered; /* the head of the answer was read */
};

/* One direction: the record that is passing. */
struct fastcgi_stream {
	uint8_t header[FASTCGI_HEADER], small[FASTCGI_HEADER];
	size_t header_len, small_len;
	size_t left, padding; /* of the record's content; behind it */
	struct fastcgi_request *request; /* whose it is, if anybody's */
	bool over;
};

struct fastcgi {
	struct decoder_callbacks callbacks;
	struct fastcgi_stream streams[2];
	struct fastcgi_request *requests;
	unsigned int count;
	uint64_t seq, calls, suspect, gaps;
	const char *why;
};

static void *fastcgi_new(bool joined, const struct decoder_callbacks *callbacks)
{
	struct fastcgi *f = calloc(1, sizeof(*f));

	(void)joined;
	if (!f)
		return NULL;
	f->callbacks = *callbacks;
	f->why = "";
	return f;
}

static void fastcgi_drop(struct fastcgi *f, struct fastcgi_request *r)
{
	struct fastcgi_request **link = &f->requests;

	while (*link != r)
		link = &(*link)->next;
	*link = r->next;
	f->count--;
	for (size_t i = 0; i < 2; i++)
		if (f->streams[i].request == r)
			f->streams[i].request = NULL;
	exchange_free(r->e);
	http1_stream_release(&r->params);
	http1_stream_release(&r->head);
	free(r);
}

static void fastcgi_end(struct fastcgi *f, struct fastcgi_request *r, enum decoder_end end,
			uint64_t time)
{
	if (r->e) {
		f->calls++;
		exchange_report(r->e, end, time, &f->callbacks);
	}
	fastcgi_drop(f, r);
}

static void fastcgi_free(void *state)
{
	struct fastcgi *f = state;

	while (f->requests)
		fastcgi_drop(f, f->requests);
	free(f);
}

static void fastcgi_give_up(struct fastcgi *f, enum http1_verdict v)
{
	f->suspect++;
	f->gaps += v == HTTP1_GAP;
	f->why = v == HTTP1_GAP ? "gap" : "suspect";
	f->streams[0].over = f->streams[1].over = true;
	for (struct fastcgi_request *r = f->requests; r; r = r->next)
		if (r->e && v == HTTP1_GAP && !r->e->lost)
			r->e->lost = 1;
}

static struct fastcgi_request *fastcgi_find(const struct fastcgi *f, unsigned int id)
{
	struct fastcgi_request *r = f->requests;

	while (r && r->id != id)
		r = r->next;
	return r;
}

static enum http1_verdict fastcgi_add(struct fastcgi *f, struct fastcgi_stream *s, unsigned int id,
				      uint64_t time)
{
	struct fastcgi_request **link = &f->requests, *r;

	if (!id || fastcgi_find(f, id) || f->count == FASTCGI_REQUESTS_MAX)
		return HTTP1_SUSPECT;
	r = calloc(1, sizeof(*r));
	if (!r)
		return HTTP1_GAP;
	while (*link)
		link = &(*link)->next;
	*link = r;
	f->count++;
	r->id = id;
	r->seq = ++f->seq;
	r->start = time;
	s->request = r;
	return HTTP1_OK;
}

/* A length of one byte, or of four with the first bit set (section 3.4). */
static bool fastcgi_length(const uint8_t *data, size_t len, size_t *at, size_t *out)
{
	const uint8_t *p = data + *at;

	if (*at == len)
		return false;
	if (*p < 128) {
		*out = *p;
		*at += 1;
		return true;
	}
	if (len - *at < 4)
		return false;
	*out = (size_t)(p[0] & 127) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	*at += 4;
	return true;
}

static enum http1_verdict fastcgi_read_params(const uint8_t *data, size_t len, struct cgi *c)
{
	size_t at = 0;

	memset(c, 0, sizeof(*c));
	while (at < len) {
		struct http1_view name, value;

		if (!fastcgi_length(data, len, &at, &name.len) ||
		    !fastcgi_length(data, len, &at, &value.len) || name.len > len - at ||
		    value.len > len - at - name.len)
			return HTTP1_SUSPECT;
		name.p = (const char *)data + at;
		value.p = name.p + name.len;
		at += name.len + value.len;
		cgi_put(c, name, value);
	}
	return cgi_end(c);
}

/* The parameters are whole: the request becomes a call. */
static enum http1_verdict fastcgi_begin_call(struct fastcgi_request *r)
{
	struct cgi *c = malloc(sizeof(*c));
	enum http1_verdict v = HTTP1_GAP;

	if (c)
		v = fastcgi_read_params(r->params.buf, r->params.len, c);
	if (!v) {
		r->e = exchange_new(&c->head, "fastcgi");
		v = r->e ? HTTP1_OK : HTTP1_GAP;
	}
	if (!v) {
		r->e->seq = r->seq;
		r->e->start = r->start;
		r->e->request_bytes = r->bytes;
	}
	if (c)
		explicit_bzero(c, sizeof(*c));
	free(c);
	http1_stream_release(&r->params);
	return v;
}

static enum http1_verdict fastcgi_take_params(struct fastcgi_request *r, const uint8_t *data,
					      size_t len)
{
	if (r->e || r->params.len + len > FASTCGI_PARAMS_MAX)
		return HTTP1_SUSPECT;
	return http1_stream_keep(&r->params, data, len) ? HTTP1_GAP : HTTP1_OK;
}

/* Bytes of the answer: its head, which may come in several records. */
static enum http1_verdict fastcgi_take_answer(struct fastcgi_request *r, const uint8_t *data,
					      size_t len, uint64_t time)
{
	struct http1_head head;
	const uint8_t *at;
	size_t at_len;
	uint64_t used;
	enum http1_verdict v;

	if (r->answered)
		return HTTP1_OK;
	if (!data)
		return HTTP1_GAP;
	if (!r->e)
		return HTTP1_SUSPECT;
	if (!r->head.len)
		r->head.start = time;
	v = http1_stream_head(&r->head, data, len, &at, &at_len, &used);
	if (v)
		return v == HTTP1_MORE ? HTTP1_OK : v;
	v = cgi_read_answer(at, at_len, &head);
	if (v)
		return HTTP1_SUSPECT;
	if (!head.status || head.status >= 200) {
		r->e->first_byte = r->head.start;
		if (exchange_answer(r->e, &head))
			return HTTP1_GAP;
		r->answered = true;
	}
	http1_stream_release(&r->head);
	return HTTP1_OK;
}

/* Content of the record that is passing. */
static enum http1_verdict fastcgi_take_content(struct fastcgi_stream *s, const uint8_t *data,
					       size_t len, uint64_t time)
{
	unsigned int type = s->header[1];

	if (type == FASTCGI_BEGIN_REQUEST || type == FASTCGI_END_REQUEST) {
		if (!data)
			return HTTP1_GAP;
		memcpy(s->small + s->small_len, data, len);
		s->small_len += len;
		return HTTP1_OK;
	}
	if (!s->request)
		return HTTP1_OK;
	if (type == FASTCGI_PARAMS)
		return data ? fastcgi_take_params(s->request, data, len) : HTTP1_GAP;
	if (type == FASTCGI_STDOUT)
		return fastcgi_take_answer(s->request, data, len, time);
	return HTTP1_OK;
}

/* A header is whole. */
static enum http1_verdict fastcgi_begin_record(struct fastcgi *f, enum decoder_direction direction,
					       uint64_t time)
{
	struct fastcgi_stream *s = &f->streams[direction];
	unsigned int type = s->header[1], id = (unsigned int)s->header[2] << 8 | s->header[3];
	bool asked = type == FASTCGI_BEGIN_REQUEST || type == FASTCGI_ABORT_REQUEST ||
		     type == FASTCGI_PARAMS || type == FASTCGI_STDIN || type == FASTCGI_DATA ||
		     type == FASTCGI_GET_VALUES;

	s->left = (size_t)s->header[4] << 8 | s->header[5];
	s->padding = s->header[6];
	s->small_len = 0;
	s->request = fastcgi_find(f, id);
	if (s->header[0] != 1 || !type || type > FASTCGI_UNKNOWN_TYPE ||
	    asked != (direction == DECODER_REQUEST))
		return HTTP1_SUSPECT;
	if (type == FASTCGI_BEGIN_REQUEST || type == FASTCGI_END_REQUEST) {
		if (s->left != FASTCGI_HEADER)
			return HTTP1_SUSPECT;
		if (type == FASTCGI_BEGIN_REQUEST) {
			enum http1_verdict v = fastcgi_add(f, s, id, time);

			if (v)
				return v;
		}
	}
	if (s->request && direction == DECODER_REQUEST && s->request->e)
		s->request->e->request_bytes += FASTCGI_HEADER + s->left + s->padding;
	else if (s->request && direction == DECODER_REQUEST)
		s->request->bytes += FASTCGI_HEADER + s->left + s->padding;
	else if (s->request && s->request->e)
		s->request->e->response_bytes += FASTCGI_HEADER + s->left + s->padding;
	return HTTP1_OK;
}

/* The content of a record is whole. */
static enum http1_verdict fastcgi_end_record(struct fastcgi *f, struct fastcgi_stream *s,
					     uint64_t time)
{
	unsigned int type = s->header[1];

	if (type == FASTCGI_PARAMS && s->request && !s->header[4] && !s->header[5])
		return s->request->e ? HTTP1_SUSPECT : fastcgi_begin_call(s->request);
	/* Role: a responder's alone is an HTTP call. */
	if (type == FASTCGI_BEGIN_REQUEST && s->request && (s->small[0] || s->small[1] != 1))
		fastcgi_drop(f, s->request);
	if (type == FASTCGI_END_REQUEST && s->request)
		/* Its protocol status: 0 complete, else refused. */
		fastcgi_end(f, s->request, s->small[4] ? DECODER_SERVER_GONE : DECODER_COMPLETE,
			    time);
	return HTTP1_OK;
}

static size_t fastcgi_part(size_t want, uint64_t len)
{
	return want < len ? want : (size_t)len;
}

static enum http1_verdict fastcgi_step(struct fastcgi *f, const struct decoder_piece *p,
				       const uint8_t *data, uint64_t len, size_t *used)
{
	struct fastcgi_stream *s = &f->streams[p->direction];
	enum http1_verdict v = HTTP1_OK;

	if (s->header_len < FASTCGI_HEADER) {
		if (!data)
			return HTTP1_GAP;
		*used = fastcgi_part(FASTCGI_HEADER - s->header_len, len);
		memcpy(s->header + s->header_len, data, *used);
		s->header_len += *used;
		if (s->header_len < FASTCGI_HEADER)
			return HTTP1_OK;
		v = fastcgi_begin_record(f, p->direction, p->time);
		if (!v && !s->left)
			v = fastcgi_end_record(f, s, p->time);
	} else if (s->left) {
		*used = fastcgi_part(s->left, len);
		v = fastcgi_take_content(s, data, *used, p->time);
		s->left -= *used;
		if (!v && !s->left)
			v = fastcgi_end_record(f, s, p->time);
	} else {
		*used = fastcgi_part(s->padding, len);
		s->padding -= *used;
	}
	if (!s->left && !s->padding)
		s->header_len = 0;
	return v;
}

static void fastcgi_take(void *state, const struct decoder_piece *p)
{
	struct fastcgi *f = state;
	const uint8_t *data = p->data;
	uint64_t len = p->len;

	for (struct fastcgi_request *r = f->requests; p->lost && r; r = r->next)
		if (r->e)
			r->e->lost++;
	while (len && !f->streams[p->direction].over) {
		size_t used = 0;
		enum http1_verdict v = fastcgi_step(f, p, data, len, &used);

		if (v) {
			fastcgi_give_up(f, v);
			return;
		}
		len -= used;
		data = data ? data + used : NULL;
	}
}

/* Only END_REQUEST ends one. */
static void fastcgi_server_closed(void *state)
{
	(void)state;
}

static void fastcgi_finish(void *state, enum decoder_end end, uint64_t time)
{
	struct fastcgi *f = state;

	while (f->requests)
		fastcgi_end(f, f->requests, end, time);
}

static size_t fastcgi_current(const void *state, uint64_t *seqs, size_t max)
{
	const struct fastcgi *f = state;
	size_t count = 0;

	if (f->streams[DECODER_RESPONSE].over)
		return 0;
	for (struct fastcgi_request *r = f->requests; r && count < max; r = r->next)
		seqs[count++] = r->seq;
	return count;
}

static void fastcgi_stats(const void *state, struct decoder_stats *out)
{
	const struct fastcgi *f = state;

	out->calls = f->calls;
	out->suspect = f->suspect;
	out->gaps = f->gaps;
	out->why = f->why;
	out->decoding = !*f->why;
}

/* BEGIN_REQUEST with its body: version, type, an id, length 8, no reserved bit; role, flags, zeros.
 */
static enum decoder_begins fastcgi_begins(const uint8_t *data, size_t len, size_t *need)
{
	static const uint8_t want[2 * FASTCGI_HEADER] = { 1, 1, 0, 0, 0, 8 };
	/* The id, the padding, one of the three roles, and whether the connection is kept. */
	static const uint8_t free_bits[2 * FASTCGI_HEADER] = {
		0, 0, 255, 255, 0, 0, 255, 0, 0, 3, 1
	};

	*need = len + 1;
	for (size_t i = 0; i < len && i < sizeof(want); i++)
		if ((data[i] | free_bits[i]) != (want[i] | free_bits[i]))
			return DECODER_NO;
	return len < sizeof(want) ? DECODER_MORE : DECODER_YES;
}

const struct decoder_kind fastcgi_kind = {
	.begins = fastcgi_begins,
	.new = fastcgi_new,
	.take = fastcgi_take,
	.server_closed = fastcgi_server_closed,
	.finish = fastcgi_finish,
	.free = fastcgi_free,
	.current = fastcgi_current,
	.stats = fastcgi_stats,
};
