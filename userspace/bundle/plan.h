/*
 * Which data frame of a sealed bundle holds what, so that a reader may leave out those that it does
 * not need. Comes from the index, whose seal is checked; a table that does not fit the frames is
 * not used. What lies in a frame that is left out is not looked at: that is verify's.
 */
#ifndef DAYLIGHT_BUNDLE_PLAN_H
#define DAYLIGHT_BUNDLE_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "bundle/format.h"

struct plan_frame {
	uint64_t offset, size;
	uint64_t opened; /* monotonic ns of its clock record */
	uint64_t kinds; /* 1 << enum rec_kind */
	uint32_t counts; /* where its counts stand in the table */
	uint32_t kinds_count;
};

struct plan {
	struct plan_frame *frames; /* in order; those that the table has no line for are not here */
	size_t count;
	uint8_t *index; /* the index's bytes */
	const uint8_t *table; /* within them */
	size_t table_len;
};

/* Reads the plan of an open file; without one (not sealed, damaged, no memory) count is 0. */
void plan_read(struct plan *p, int fd, uint64_t size);
void plan_release(struct plan *p);

/* Adds the frame's records to counts, by kind. */
void plan_count(const struct plan *p, size_t frame, uint64_t counts[REC_KIND_COUNT]);

#endif
