/*
 * What the index of a bundle must say, gathered while verify reads the frames, and the comparison
 * with what it does say.
 */
#ifndef DAYLIGHT_BUNDLE_VERIFY_INDEX_H
#define DAYLIGHT_BUNDLE_VERIFY_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "bundle/decode.h"
#include "bundle/format.h"
#include "bundle/seal.h"

/* Zero-initialise; release at the end. */
struct verify_index {
	uint64_t position; /* bytes so far that belong to no string frame */
	uint64_t links;
	uint8_t hash[BUNDLE_HASH]; /* stored in the last chain frame */
	uint64_t strings;
	uint64_t data_frames, listed;
	uint64_t table_position, table_opened;
	uint64_t totals[BUNDLE_KINDS_MAX + 1]; /* by the kind's number */
	struct bytes table;
	/* For the statement of a signature, not for the index. */
	bool window_seen;
	uint64_t window; /* string id, of the first window record */
	uint64_t start, stop; /* of the first window record, the last window_end record */
};

void verify_index_release(struct verify_index *ix);

/* A data frame of `size` bytes with this content. -1: it is not as the format says. */
int verify_index_frame(struct verify_index *ix, struct decode_records *records,
		       const uint8_t *content, size_t len, uint64_t size);
/* A chain frame. */
void verify_index_link(struct verify_index *ix, const uint8_t *hash, uint64_t size);
/* Any other frame that belongs to no string frame. */
void verify_index_skip(struct verify_index *ix, uint64_t size);

/* Compares with an index frame's payload without its last BUNDLE_HASH bytes. -1: it differs. */
int verify_index_read(const struct verify_index *ix, const uint8_t *payload, size_t len);

/* What such a payload says for the statement; what it does not say stays as it is. */
void verify_index_facts(const uint8_t *payload, size_t len, struct seal_facts *facts);

#endif
