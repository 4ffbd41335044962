/*
 * The records of one data frame while they are gathered: by kind, in columns. The thread that puts
 * records fills a frame; the writer's thread turns it into the frame's content.
 */
#ifndef DAYLIGHT_BUNDLE_FRAME_H
#define DAYLIGHT_BUNDLE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "bundle/format.h"

struct frame;

/* NULL for want of memory; frame_free takes NULL. */
struct frame *frame_new(void);
void frame_free(struct frame *f);

/* Appends a record and returns 0, or leaves no trace of it and returns -1. */
int frame_put(struct frame *f, enum rec_kind kind, const void *rec);

uint64_t frame_records(const struct frame *f);
uint64_t frame_count(const struct frame *f, enum rec_kind kind);
size_t frame_size(const struct frame *f); /* bytes in columns */

/* The frame's content, behind what `out` holds; kinds in the order in which they came. 0 or -1. */
int frame_encode(const struct frame *f, struct bytes *out);

#endif
