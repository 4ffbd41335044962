/*
 * Fuzzes all decoders behind their chooser: uwsgi, mod_wsgi, FastCGI, HTTP/2, HTTP/1, the PROXY
 * protocol. The input is one flag byte (bits 0-1: how it ends; bits 2-4: a first block that is put
 * in front, see below) and then chunks: a control byte, a length byte, and the bytes. Control: bit
 * 0 direction, bit 1 leaves a hole, bit 2 nothing captured, bit 3 the length counts times 16. What
 * was told of a call is checked. fuzz_http1.c does the same for HTTP/1 alone, with more ways to
 * feed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_kit.h"

#define CALLS_MAX 65536

struct fuzz_state {
	uint64_t calls, now;
	uint8_t seen[CALLS_MAX / 8]; /* seq numbers that were told of */
};

static void check_call(void *ctx, const struct decoder_call *c)
{
	struct fuzz_state *f = ctx;

	f->calls++;
	CHECK(c->seq && c->seq < CALLS_MAX);
	CHECK(!(f->seen[c->seq / 8] & 1 << c->seq % 8));
	f->seen[c->seq / 8] |= (uint8_t)(1 << c->seq % 8);
	check_kept(c);
	CHECK(c->start <= c->end && c->end <= f->now);
	CHECK(c->first_byte == UINT64_MAX || c->first_byte <= c->end);
	CHECK(c->first_byte != UINT64_MAX || !c->status);
	CHECK(*c->protocol);
}

#define FRONT(text)                    \
	{                              \
		text, sizeof(text) - 1 \
	}

/* What the random bytes would hardly find. */
static const struct {
	const char *bytes;
	size_t len;
} fronts[] = {
	FRONT(""),
	FRONT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
	FRONT("\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0"),
	FRONT("\0\45\0\0\16\0REQUEST_METHOD\3\0GET\13\0REQUEST_URI\1\0/"),
	FRONT("\106\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0REQUEST_METHOD\0GET\0REQUEST_URI\0/a\0"
	      "mod_wsgi.process_group\0keys\0"),
	FRONT("PROXY UNKNOWN\r\n"),
	FRONT("GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"),
	FRONT("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\0"),
};

static void feed(struct decoder *d, struct fuzz_state *f, struct decoder_chunk *c,
		 const uint8_t *bytes, uint64_t next[2])
{
	/* A copy of the exact size, gone afterwards: nothing of it may be used later. */
	uint8_t *copy = malloc(c->captured ? c->captured : 1);

	CHECK(copy);
	memcpy(copy, bytes, c->captured);
	c->data = copy;
	c->time = f->now++;
	next[c->direction] = c->offset + c->length;
	decoder_feed(d, c);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum decoder_end ends[] = { DECODER_COMPLETE, DECODER_CLIENT_GONE,
						 DECODER_SERVER_GONE, DECODER_WINDOW_STOP };
	static struct fuzz_state f;
	struct decoder_callbacks callbacks = { check_call, &f };
	uint64_t next[2] = { 0, 0 }, seqs[DECODER_CURRENT_MAX];
	struct decoder_stats stats, before = { 0, 0, 0, true, "" };
	struct decoder_chunk c = { .direction = DECODER_REQUEST };
	struct decoder *d;
	size_t at = 1, front, count;

	if (!size)
		return 0;
	memset(&f, 0, sizeof(f));
	f.now = 1;
	d = decoder_new(false, &callbacks);
	if (!d)
		return 0;
	front = data[0] >> 2 & 7;
	c.length = c.captured = fronts[front].len;
	if (c.length)
		feed(d, &f, &c, (const uint8_t *)fronts[front].bytes, next);
	while (size - at > 2) {
		uint8_t control = data[at], bytes = data[at + 1];

		at += 2;
		c = (struct decoder_chunk){
			.direction = control & 1 ? DECODER_RESPONSE : DECODER_REQUEST,
			.length = control & 8 ? bytes * 16u : bytes,
		};
		c.captured = c.length < size - at ? c.length : size - at;
		if (control & 4)
			c.captured = 0;
		c.offset = next[c.direction] + (control & 2 ? bytes % 8 : 0);
		feed(d, &f, &c, data + at, next);
		at += c.captured;
		count = decoder_current(d, seqs, DECODER_CURRENT_MAX);
		CHECK(count <= DECODER_CURRENT_MAX);
		for (size_t i = 0; i < count; i++)
			CHECK(seqs[i] < CALLS_MAX && !(f.seen[seqs[i] / 8] & 1 << seqs[i] % 8) &&
			      (!i || seqs[i] > seqs[i - 1]));
		decoder_stats(d, &stats);
		CHECK(stats.calls == f.calls);
		CHECK(stats.suspect >= before.suspect && stats.gaps >= before.gaps);
		CHECK(stats.decoding == !*stats.why);
		before = stats;
	}
	decoder_finish(d, ends[data[0] & 3], f.now);
	decoder_stats(d, &stats);
	CHECK(stats.calls == f.calls && !decoder_current(d, seqs, DECODER_CURRENT_MAX));
	decoder_free(d);
	return 0;
}
