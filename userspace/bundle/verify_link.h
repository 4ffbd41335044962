/*
 * Reading one link of a bundle's chain: its frames, what is wrong with them by themselves, and its
 * hash. Judging the row of links is verify.c's.
 */
#ifndef DAYLIGHT_BUNDLE_VERIFY_LINK_H
#define DAYLIGHT_BUNDLE_VERIFY_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/err.h"
#include "bundle/decode.h"
#include "bundle/scan.h"
#include "bundle/verify_index.h"

#define VERIFY_FINDINGS_MAX 1000

struct chain_link {
	uint64_t offset;
	uint64_t frame, frames; /* number of the first, how many */
	uint64_t bad_frame, bad_offset; /* what is wrong by itself, if broken */
	uint64_t end_frame, end_offset; /* the chain frame */
	uint64_t number; /* stored in the chain frame */
	uint8_t stored[BUNDLE_HASH], computed[BUNDLE_HASH];
	bool broken; /* something in it is wrong whatever the hash says */
	bool hashed; /* computed is valid */
	uint64_t data_frames;
	bool intact; /* stored is its hash, from some hash before it */
	bool direct; /* ... from the one that stands before it in the file */
	bool extra; /* ... once a frame that was put into it is left out: this one */
	uint64_t extra_frame, extra_offset;
	bool by_computed; /* ... from the one that was computed for the link before it */
};

/* What reads links, and what was found out on the way. Zero-initialise, then scan_open and hash. */
struct verify_walk {
	struct scan scan;
	struct scan_content content;
	struct decode_records records;
	struct verify_index index; /* what the index must say */
	EVP_MD_CTX *hash;
	struct bytes commit;
	uint64_t frames; /* so far */
	bool quiet; /* hashing again: nothing is to be counted */
	uint64_t without, without_end; /* hashing again: the bytes that are left out */
	bool index_seen, index_agrees;
	uint64_t index_frame, index_offset;
	uint8_t index_digest[BUNDLE_HASH]; /* SHA-256 of the index frame */
	struct seal_facts facts; /* what the index says */
	bool misplaced; /* a signature or a timestamp stands before the index, or without one */
	uint64_t unreadable; /* stretches that are no frames */
};

/*
 * Reads one link from where the scan stands, hashing from `before`. 1: it ended with a chain frame.
 * 0: the file ended, or the index came (it is hashed then: stored is its seal). -1: error.
 */
int verify_link(struct verify_walk *w, struct chain_link *link, const uint8_t *before,
		struct err *err);
void verify_walk_release(struct verify_walk *w);

#endif
