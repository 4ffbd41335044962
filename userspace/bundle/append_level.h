/*
 * How hard the writer's thread compresses: harder while that costs little of a core, less when
 * frames come fast or wait.
 */
#ifndef DAYLIGHT_BUNDLE_APPEND_LEVEL_H
#define DAYLIGHT_BUNDLE_APPEND_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct append_level {
	int fixed; /* 0: it adapts */
	size_t step; /* in the list of levels */
	uint64_t began; /* CPU time of the thread when the frame's turn came */
	uint64_t opened; /* of the frame before */
};

/* level: 0 to adapt, else the zstd level of all frames. */
void append_level_init(struct append_level *l, int level);

/* The turn of a frame of so many bytes: its zstd level. */
int append_level_start(struct append_level *l, size_t bytes);

/*
 * The frame is done: `opened` is when it was begun (monotonic ns); `queued` bytes of at most
 * `queue_max` wait.
 */
void append_level_adapt(struct append_level *l, uint64_t opened, size_t queued, size_t queue_max);

#endif
