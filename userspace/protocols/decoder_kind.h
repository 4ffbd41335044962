/*
 * What a decoder of one protocol offers to the chooser (decoder.c), which puts the bytes in order
 * before they come here. Part of the decoders; nothing else includes it.
 */
#ifndef DAYLIGHT_PROTOCOLS_DECODER_KIND_H
#define DAYLIGHT_PROTOCOLS_DECODER_KIND_H

#include "protocols/decoder.h"

/* Bytes of one direction, in order. */
struct decoder_piece {
	enum decoder_direction direction;
	const uint8_t *data; /* NULL: they are missing */
	uint64_t len; /* more than 0 */
	uint64_t time;
	bool first; /* they begin a send or receive */
	bool lost; /* missing, since a chunk never came */
};

enum decoder_begins { DECODER_NO, DECODER_MORE, DECODER_YES };

struct decoder_kind {
	/*
	 * Can a connection of this protocol begin with these bytes? YES: and no other's can. MORE:
	 * *need (more than len) bytes are needed before anything else can be said.
	 */
	enum decoder_begins (*begins)(const uint8_t *data, size_t len, size_t *need);
	/* NULL when memory is short. */
	void *(*new)(bool joined, const struct decoder_callbacks *callbacks);
	void (*take)(void *state, const struct decoder_piece *piece);
	void (*server_closed)(void *state);
	/* At most once; nothing is taken afterwards. */
	void (*finish)(void *state, enum decoder_end end, uint64_t time);
	void (*free)(void *state);
	size_t (*current)(const void *state, uint64_t *seqs, size_t max);
	uint64_t (*headed)(const void *state, uint64_t seq); /* NULL: it does not tell */
	void (*stats)(const void *state, struct decoder_stats *out);
};

#endif
