/*
 * Fuzzes the HTTP/1 decoder. The input is one flag byte (bit 0: joined in the middle; bits 1-2: how
 * it ends) and then chunks: a control byte, a length byte, and the bytes. Control: bit 0 direction,
 * bit 1 repeats up to 16 bytes, bit 2 leaves a hole, bit 3 nothing captured, bit 4 the second half
 * not captured, bit 5 the length counts times 16. What was told of a call is checked.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_kit.h"

struct fuzz_state {
	uint64_t seq, calls, now;
};

static void check_call(void *ctx, const struct decoder_call *c)
{
	struct fuzz_state *f = ctx;

	f->calls++;
	CHECK(c->seq > f->seq);
	f->seq = c->seq;
	check_kept(c);
	CHECK(c->end_reason != DECODER_COMPLETE || c->status >= 101);
	CHECK((c->first_byte == UINT64_MAX) == (c->status == 0));
	CHECK(c->start <= c->end && c->end <= f->now);
	CHECK(c->first_byte == UINT64_MAX || c->first_byte <= c->end);
	CHECK(c->request_bytes >= 14);
	CHECK(!strcmp(c->protocol, "http/1.0") || !strcmp(c->protocol, "http/1.1"));
}

static uint64_t current_of(const struct decoder *d)
{
	uint64_t seq = 0;

	return decoder_current(d, &seq, 1) ? seq : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum decoder_end ends[] = { DECODER_COMPLETE, DECODER_CLIENT_GONE,
						 DECODER_SERVER_GONE, DECODER_WINDOW_STOP };
	struct fuzz_state f = { 0, 0, 1 };
	struct decoder_callbacks callbacks = { check_call, &f };
	uint64_t next[2] = { 0, 0 };
	struct decoder_stats stats, before = { 0, 0, 0, true, "" };
	struct decoder *h;
	uint8_t flags;
	size_t at = 1;

	if (!size)
		return 0;
	flags = data[0];
	h = decoder_new(flags & 1, &callbacks);
	if (!h)
		return 0;
	while (size - at > 2) {
		uint8_t control = data[at], count = data[at + 1];
		struct decoder_chunk c = { .length = control & 32 ? count * 16u : count };
		uint64_t current;

		at += 2;
		c.direction = control & 1 ? DECODER_RESPONSE : DECODER_REQUEST;
		c.captured = c.length < size - at ? c.length : size - at;
		c.offset = next[c.direction];
		if (control & 2)
			c.offset -= c.offset < 16 ? c.offset : 16;
		if (control & 4)
			c.offset += count % 32;
		next[c.direction] = c.offset + c.length;
		/* A copy of the exact size, gone afterwards: nothing of it may be used later. */
		uint8_t *copy = malloc(c.captured ? c.captured : 1);

		CHECK(copy);
		memcpy(copy, data + at, c.captured);
		at += c.captured;
		if (control & 8)
			c.captured = 0;
		else if (control & 16)
			c.captured /= 2;
		c.data = copy;
		c.time = f.now++;
		decoder_feed(h, &c);
		free(copy);
		current = current_of(h);
		CHECK(!current || current > f.seq);
		decoder_stats(h, &stats);
		CHECK(stats.calls == f.calls);
		CHECK(stats.suspect >= before.suspect && stats.gaps >= before.gaps);
		CHECK(stats.decoding == !*stats.why);
		CHECK(before.decoding || !stats.decoding || (flags & 1));
		before = stats;
	}
	decoder_finish(h, ends[flags >> 1 & 3], f.now);
	decoder_stats(h, &stats);
	CHECK(stats.calls == f.calls && !current_of(h));
	decoder_free(h);
	return 0;
}
