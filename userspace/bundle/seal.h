/*
 * The signature of a bundle: the statement that is signed, and the frame that carries it.
 * docs/bundle-format.md ("Signature") is the normative text.
 */
#ifndef DAYLIGHT_BUNDLE_SEAL_H
#define DAYLIGHT_BUNDLE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "bundle/format.h"
#include "bundle/seal_key.h"

#define SEAL_WINDOW_MAX 64 /* bytes of a window's id */

/* What a statement says of a bundle. */
struct seal_facts {
	uint32_t format;
	uint8_t bundle[BUNDLE_ID];
	uint64_t links;
	uint8_t chain[BUNDLE_HASH]; /* H of the last link */
	uint8_t seal[BUNDLE_HASH];
	uint64_t data_frames, strings, records;
	uint8_t window[SEAL_WINDOW_MAX];
	size_t window_len; /* 0: unknown */
	uint64_t start, stop; /* realtime ns; REC_NULL: unknown */
};

/*
 * The statement, as text. *window (may be NULL) becomes the offset of its lines on the window,
 * which cannot be checked when a bundle is damaged. 0, or -1 for memory.
 */
int seal_statement(const struct seal_facts *facts, const uint8_t key_id[BUNDLE_HASH],
		   struct bytes *out, size_t *window);

/* What is signed of a statement: its DSSE pre-authentication encoding. 0, or -1 for memory. */
int seal_message(const void *statement, size_t len, struct bytes *out);

/* Appends a signature frame. 0, or -1. */
int seal_frame(const struct seal_key *key, const struct seal_facts *facts, struct bytes *out);

/* What a signature frame says. */
struct seal_signature {
	bool genuine; /* the signature is of this key and this statement */
	uint8_t key_id[BUNDLE_HASH];
	bool agrees; /* the statement says the facts */
	bool agrees_but_window; /* all but those on the window */
};

/* Checks a whole signature frame (SCAN_SIGNATURE) against the facts. 0, or -1 for memory. */
int seal_check(const uint8_t *frame, size_t size, const struct seal_facts *facts,
	       struct seal_signature *out);

#endif
