/*
 * For the tests of the HTTP/1 decoder: an exchange is a list of steps (who sends which bytes); it
 * is fed in pieces of every kind and the calls are written down as text, one a line.
 */
#ifndef DAYLIGHT_TESTS_UNIT_HTTP1_KIT_H
#define DAYLIGHT_TESTS_UNIT_HTTP1_KIT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "protocols/decoder.h"
#include "protocols/http1.h"

#define KIT_LOG 32768

struct kit {
	struct decoder *h;
	uint64_t sent[2]; /* offsets by direction */
	uint64_t clock; /* one tick a chunk */
	char brief[KIT_LOG]; /* what a table expects */
	char full[KIT_LOG]; /* with sizes, for comparison between ways of feeding */
	unsigned int calls;
};

/* Strings with NUL bytes: give the length. */
struct kit_step {
	char side; /* 'C' client, 'S' server, 0 the end of the list */
	const char *bytes;
	size_t len; /* 0: strlen */
};

static inline void kit_add(char *log, const char *fmt, ...)
{
	size_t len = strlen(log);
	va_list args;

	va_start(args, fmt);
	vsnprintf(log + len, KIT_LOG - len, fmt, args);
	va_end(args);
}

static inline void kit_call(void *ctx, const struct decoder_call *c)
{
	static const char *const ends[] = { "complete", "client", "server", "stop", "timeout" };
	struct kit *k = ctx;
	char line[8192] = "";

	k->calls++;
	kit_add(line, "%ju %s %s %s %u %s", (uintmax_t)c->seq, c->method, c->path,
		*c->host ? c->host : "-", c->status, ends[c->end_reason]);
	for (size_t i = 0; i < c->ids_count; i++) {
		assert_int_equal(c->ids[i].len, strlen(c->ids[i].value));
		kit_add(line, " %s%s=%s", i < c->ids_answered ? "" : "?", c->ids[i].name,
			c->ids[i].value);
	}
	kit_add(k->brief, "%s\n", line);
	kit_add(k->full, "%s %s in=%ju out=%ju lost=%ju first=%d\n", line, c->protocol,
		(uintmax_t)c->request_bytes, (uintmax_t)c->response_bytes, (uintmax_t)c->lost,
		c->first_byte != UINT64_MAX);
	assert_true(c->start <= c->end);
	assert_true(c->first_byte == UINT64_MAX || c->first_byte <= c->end);
}

/* The call that is worked on: these protocols have one at a time. */
static inline uint64_t kit_current(const struct decoder *d)
{
	uint64_t seqs[DECODER_CURRENT_MAX];
	size_t count = decoder_current(d, seqs, DECODER_CURRENT_MAX);

	assert_true(count <= 1);
	return count ? seqs[0] : 0;
}

static inline void kit_init(struct kit *k, bool joined)
{
	struct decoder_callbacks callbacks = { kit_call, k };

	memset(k, 0, sizeof(*k));
	k->h = decoder_new(joined, &callbacks);
	assert_non_null(k->h);
}

/* len bytes moved, the first `captured` of them known. */
static inline void kit_feed_cut(struct kit *k, char side, const void *bytes, size_t len,
				size_t captured)
{
	enum decoder_direction d = side == 'C' ? DECODER_REQUEST : DECODER_RESPONSE;
	struct decoder_chunk c = { d, k->sent[d], len, bytes, captured, ++k->clock };

	k->sent[d] += len;
	decoder_feed(k->h, &c);
}

static inline void kit_feed(struct kit *k, char side, const char *bytes, size_t len)
{
	/* A copy of the exact size lets the address sanitizer see a read behind the end. */
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	kit_feed_cut(k, side, copy, len, len);
	free(copy);
}

static inline void kit_text(struct kit *k, char side, const char *text)
{
	kit_feed(k, side, text, strlen(text));
}

/* A hole: bytes that moved and were never seen. */
static inline void kit_hole(struct kit *k, char side, size_t len)
{
	k->sent[side == 'C' ? DECODER_REQUEST : DECODER_RESPONSE] += len;
}

static inline void kit_end(struct kit *k, enum decoder_end end)
{
	struct decoder_stats stats;

	decoder_finish(k->h, end, ++k->clock);
	decoder_stats(k->h, &stats);
	assert_int_equal(stats.calls, k->calls);
	assert_int_equal(stats.decoding, !*stats.why);
	assert_int_equal(kit_current(k->h), 0);
	kit_add(k->full, "suspect=%ju gaps=%ju\n", (uintmax_t)stats.suspect, (uintmax_t)stats.gaps);
	if (*stats.why)
		kit_add(k->brief, "why %s\n", stats.why);
	decoder_free(k->h);
	k->h = NULL;
}

#endif
