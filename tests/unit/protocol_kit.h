/*
 * For the tests of the binary protocols: builds their bytes and feeds them in pieces of every size.
 * What comes out must not depend on the pieces.
 */
#ifndef DAYLIGHT_TESTS_UNIT_PROTOCOL_KIT_H
#define DAYLIGHT_TESTS_UNIT_PROTOCOL_KIT_H

#include "http1_kit.h"

#define WIRE_MAX 400000

struct wire {
	char bytes[WIRE_MAX];
	size_t len;
};

static inline void wire_put(struct wire *w, const void *bytes, size_t len)
{
	assert_true(w->len + len <= WIRE_MAX);
	memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
}

static inline void wire_text(struct wire *w, const char *text)
{
	wire_put(w, text, strlen(text));
}

/* A number of so many bytes. */
static inline void wire_little(struct wire *w, uint64_t n, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++, n >>= 8)
		wire_put(w, &(uint8_t){ (uint8_t)n }, 1);
}

static inline void wire_big(struct wire *w, uint64_t n, size_t bytes)
{
	while (bytes-- > 0)
		wire_put(w, &(uint8_t){ (uint8_t)(n >> 8 * bytes) }, 1);
}

static inline void kit_wire(struct kit *k, char side, const struct wire *w, size_t piece)
{
	for (size_t at = 0; at < w->len; at += piece)
		kit_feed(k, side, w->bytes + at, w->len - at < piece ? w->len - at : piece);
}

/* The request in pieces, then the answer in pieces: always the same calls. */
static inline void kit_both(const struct wire *request, const struct wire *answer,
			    enum decoder_end end, const char *expect)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 8, 9, 64, 1000, WIRE_MAX };
	static char first[KIT_LOG];
	static struct kit k;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		kit_init(&k, false);
		kit_wire(&k, 'C', request, pieces[i]);
		kit_wire(&k, 'S', answer, pieces[i]);
		kit_end(&k, end);
		assert_string_equal(k.brief, expect);
		if (!i)
			memcpy(first, k.full, sizeof(first));
		assert_string_equal(k.full, first);
	}
}

#endif
