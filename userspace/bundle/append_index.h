/* The index of a bundle as its writer gathers it: what each data frame holds, and the totals. */
#ifndef DAYLIGHT_BUNDLE_APPEND_INDEX_H
#define DAYLIGHT_BUNDLE_APPEND_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "bundle/format.h"
#include "bundle/frame.h"

/* Zero-initialise; release at the end. */
struct append_index {
	uint64_t strings;
	uint64_t data_frames, listed;
	uint64_t position, opened; /* of the frame that the table lists last */
	uint64_t totals[REC_KIND_COUNT];
	struct bytes table;
};

/* A data frame of `len` bytes at `position` (string frames not counted). 0, or -1 for memory. */
int append_index_add(struct append_index *ix, const struct frame *frame, uint64_t opened,
		     uint64_t position, size_t len);

/* Appends the parts of the index to `out`. 0, or -1 for memory. */
int append_index_write(const struct append_index *ix, uint64_t links, const uint8_t *chain,
		       uint64_t closed, struct bytes *out);
void append_index_release(struct append_index *ix);

#endif
