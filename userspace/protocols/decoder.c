/*
 * Puts the chunks of a connection in order, looks at its first bytes, and hands all of them to the
 * one decoder whose protocol begins so.
 */
#include "protocols/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "protocols/fastcgi.h"
#include "protocols/gateway.h"
#include "protocols/http1.h"
#include "protocols/http1_stream.h"
#include "protocols/http2.h"
#include "protocols/proxy.h"

#define EARLY_MAX 4096 /* bytes that a server may send first */
#define CHOICE_MAX                                                                     \
	131072 /* bytes looked at; a protocol that is not certain by then is not known \
		*/

/* All that can be chosen; what one is certain of, no other can be. */
static const struct decoder_kind *const kinds[] = { &http1_kind, &http2_kind, &fastcgi_kind,
						    &uwsgi_kind, &mod_wsgi_kind };

struct decoder {
	struct decoder_callbacks callbacks;
	const struct decoder_kind *kind; /* NULL until it is chosen */
	void *state;
	uint64_t next[2]; /* offset expected, by direction */
	bool seen[2], joined, finished;
	uint8_t *first; /* what was received until then; wiped when released */
	size_t len, cap;
	size_t need; /* with fewer bytes than these there is nothing to say */
	bool begun; /* there is more in it than empty lines */
	uint64_t time; /* of the first byte behind them */
	bool proxied; /* a PROXY header was taken off its front */
	struct http1_stream early; /* what the server sent until then */
	uint64_t calls, suspect, gaps; /* of a decoder before this one */
	const char *why; /* why there is no choice, or "" */
};

struct decoder *decoder_new(bool joined, const struct decoder_callbacks *callbacks)
{
	struct decoder *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->callbacks = *callbacks;
	d->joined = joined;
	d->why = "";
	if (!joined)
		return d;
	/* Only HTTP/1 can be found in the middle of a connection. */
	d->state = http1_kind.new(true, callbacks);
	if (!d->state) {
		free(d);
		return NULL;
	}
	d->kind = &http1_kind;
	return d;
}

static void decoder_release_first(struct decoder *d)
{
	if (d->first)
		explicit_bzero(d->first, d->cap);
	free(d->first);
	d->first = NULL;
	d->len = d->cap = 0;
	http1_stream_release(&d->early);
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	decoder_release_first(d);
	if (d->kind)
		d->kind->free(d->state);
	free(d);
}

static void decoder_give_up(struct decoder *d, const char *why)
{
	d->why = why;
	decoder_release_first(d);
}

/* Not realloc: that could leave a copy of the old bytes behind. */
static int decoder_keep(struct decoder *d, const uint8_t *data, size_t len)
{
	size_t cap = d->cap ? d->cap : 512;
	uint8_t *grown;

	while (cap < d->len + len)
		cap *= 2;
	if (cap != d->cap) {
		grown = malloc(cap);
		if (!grown)
			return -1;
		if (d->first) {
			memcpy(grown, d->first, d->len);
			explicit_bzero(d->first, d->cap);
			free(d->first);
		}
		d->first = grown;
		d->cap = cap;
	}
	memcpy(d->first + d->len, data, len);
	d->len += len;
	return 0;
}

/* A TLS record with the first bytes of a handshake (RFC 8446 section 5.1). */
static enum decoder_begins decoder_begins_tls(const uint8_t *data, size_t len)
{
	if (data[0] != 0x16 || (len > 1 && data[1] != 3) || (len > 2 && data[2] > 4) ||
	    (len > 5 && data[5] != 1))
		return DECODER_NO;
	return len > 5 ? DECODER_YES : DECODER_MORE;
}

/* The kind whose protocol the first bytes begin. NULL: none yet, or why says that there is none. */
static const struct decoder_kind *decoder_choose(struct decoder *d)
{
	enum decoder_begins tls = decoder_begins_tls(d->first, d->len);
	bool more = tls == DECODER_MORE;
	size_t need = more ? d->len + 1 : CHOICE_MAX;

	if (tls == DECODER_YES) {
		decoder_give_up(d, "tls-unseen");
		return NULL;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t wants;
		enum decoder_begins begins = kinds[i]->begins(d->first, d->len, &wants);

		if (begins == DECODER_YES)
			return kinds[i];
		if (begins != DECODER_MORE)
			continue;
		more = true;
		need = wants < need ? wants : need;
	}
	d->need = need;
	if (!more || d->len == CHOICE_MAX)
		decoder_give_up(d, "unknown-protocol");
	return NULL;
}

/* Takes the PROXY header, d->need bytes, off the front. */
static void decoder_unwrap(struct decoder *d, uint64_t time)
{
	d->proxied = true;
	d->len -= d->need;
	memmove(d->first, d->first + d->need, d->len);
	explicit_bzero(d->first + d->len, d->need);
	d->need = 0;
	d->time = time;
	d->begun = d->len > 0;
}

/* Before the choice: the server sends. */
static void decoder_begin_answer(struct decoder *d, const struct decoder_piece *p)
{
	/* An answer that nobody asked for; or it speaks first, or answers what cannot be told. */
	bool answer = !d->len && *p->data == 'H';

	if (d->early.len + p->len <= EARLY_MAX) {
		if (!d->early.len)
			d->early.start = p->time;
		if (!http1_stream_keep(&d->early, p->data, p->len) &&
		    http2_server_begins(d->early.buf, d->early.len) != DECODER_NO)
			return;
	}
	d->suspect += answer;
	decoder_give_up(d, answer ? "suspect" : "unknown-protocol");
}

/* Before the choice: keeps what the server received. */
static void decoder_begin(struct decoder *d, const struct decoder_piece *p)
{
	enum decoder_begins proxy;
	struct decoder_piece all;
	uint64_t room = CHOICE_MAX - d->len;
	size_t len = p->len < room ? p->len : room;

	if (!p->data) {
		d->gaps++;
		d->suspect++;
		decoder_give_up(d, "gap");
		return;
	}
	if (p->direction == DECODER_RESPONSE) {
		decoder_begin_answer(d, p);
		return;
	}
	if (!d->begun)
		d->time = p->time;
	for (size_t i = 0; i < len; i++)
		d->begun |= p->data[i] != '\r' && p->data[i] != '\n';
	if (decoder_keep(d, p->data, len)) {
		decoder_give_up(d, "gap");
		return;
	}
	if (d->len < d->need)
		return;
	proxy = d->proxied ? DECODER_NO : proxy_begins(d->first, d->len, &d->need);
	if (proxy == DECODER_YES) {
		decoder_unwrap(d, p->time);
		if (!d->len)
			return;
	}
	if (proxy != DECODER_MORE)
		d->kind = decoder_choose(d);
	if (!d->kind)
		return;
	d->state = d->kind->new (false, &d->callbacks);
	if (!d->state) {
		d->kind = NULL;
		decoder_give_up(d, "gap");
		return;
	}
	all = (struct decoder_piece){ DECODER_RESPONSE, d->early.buf, d->early.len,
				      d->early.start,	true,	      false };
	if (all.len)
		d->kind->take(d->state, &all);
	all = (struct decoder_piece){ DECODER_REQUEST, d->first, d->len, d->time, true, false };
	d->kind->take(d->state, &all);
	decoder_release_first(d);
	if (p->len > len) {
		all = *p;
		all.data += len;
		all.len -= len;
		d->kind->take(d->state, &all);
	}
}

/* The connection may have become HTTP/2: the rest of the piece is that. */
static void decoder_upgrade(struct decoder *d, const struct decoder_piece *p)
{
	struct decoder_piece rest = *p;
	struct decoder_stats before;
	struct exchange *e;
	void *state;

	e = http1_handed(d->state, &rest.len);
	if (!e)
		return;
	state = http2_new_upgraded(&d->callbacks, e);
	if (!state) {
		exchange_free(e);
		return;
	}
	http1_kind.stats(d->state, &before);
	d->calls += before.calls;
	d->suspect += before.suspect;
	d->gaps += before.gaps;
	http1_kind.free(d->state);
	d->state = state;
	d->kind = &http2_kind;
	if (!rest.len)
		return;
	rest.data = p->data ? p->data + (p->len - rest.len) : NULL;
	rest.first = false;
	d->kind->take(d->state, &rest);
}

static void decoder_take(struct decoder *d, const struct decoder_chunk *c, const uint8_t *data,
			 uint64_t len, bool first, bool lost)
{
	struct decoder_piece piece = { c->direction, data, len, c->time, first, lost };

	if (!len)
		return;
	if (d->kind) {
		d->kind->take(d->state, &piece);
		if (d->kind == &http1_kind)
			decoder_upgrade(d, &piece);
	} else if (!*d->why) {
		decoder_begin(d, &piece);
	}
}

void decoder_feed(struct decoder *d, const struct decoder_chunk *c)
{
	uint64_t *next = &d->next[c->direction], end, repeated = 0, captured;

	if (d->finished || !c->length || __builtin_add_overflow(c->offset, c->length, &end))
		return;
	if (!d->seen[c->direction] && d->joined)
		*next = c->offset;
	d->seen[c->direction] = true;
	if (c->offset > *next)
		decoder_take(d, c, NULL, c->offset - *next, false, true);
	else
		repeated = *next - c->offset;
	if (repeated >= c->length)
		return;
	*next = end;
	captured = c->captured < c->length ? c->captured : c->length;
	if (captured > repeated)
		decoder_take(d, c, c->data + repeated, captured - repeated, !repeated, false);
	else
		captured = repeated;
	decoder_take(d, c, NULL, c->length - captured, false, false);
}

void decoder_server_closed(struct decoder *d)
{
	if (d->kind && !d->finished)
		d->kind->server_closed(d->state);
}

void decoder_finish(struct decoder *d, enum decoder_end end, uint64_t time)
{
	if (d->finished)
		return;
	if (end == DECODER_SERVER_GONE || end == DECODER_COMPLETE) {
		decoder_server_closed(d);
		end = DECODER_SERVER_GONE;
	}
	d->finished = true;
	decoder_release_first(d);
	if (d->kind)
		d->kind->finish(d->state, end, time);
}

size_t decoder_current(const struct decoder *d, uint64_t *seqs, size_t max)
{
	if (d->finished)
		return 0;
	if (d->kind)
		return d->kind->current(d->state, seqs, max);
	if (!max || !d->begun || *d->why)
		return 0;
	seqs[0] = 1; /* whatever it speaks, that is its first call */
	return 1;
}

uint64_t decoder_headed(const struct decoder *d, uint64_t seq)
{
	return d->kind && d->kind->headed ? d->kind->headed(d->state, seq) : UINT64_MAX;
}

void decoder_stats(const struct decoder *d, struct decoder_stats *out)
{
	*out = (struct decoder_stats){ .decoding = !*d->why, .why = d->why };
	if (d->kind)
		d->kind->stats(d->state, out);
	out->calls += d->calls;
	out->suspect += d->suspect;
	out->gaps += d->gaps;
}
