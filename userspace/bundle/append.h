/*
 * The writer's thread: takes frames from a bounded queue, encodes and compresses them, links them
 * into the chain, appends them to the file and syncs. After a disk error it goes on taking and
 * dropping them, and counts what it drops.
 */
#ifndef DAYLIGHT_BUNDLE_APPEND_H
#define DAYLIGHT_BUNDLE_APPEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "bundle/append_index.h"
#include "bundle/format.h"
#include "bundle/frame.h"
#include "bundle/writer.h"

/* What becomes one link of the chain: a string frame (unless empty) and a data frame. */
struct append_job {
	struct append_job *next;
	struct bytes strings; /* entries of the string frame */
	uint64_t strings_count, strings_first;
	struct frame *frame;
	uint64_t opened; /* monotonic ns of the frame's clock record */
};

struct append;

/* How far a file has come; zeros, with `bytes` 0: a new one. */
struct append_state {
	uint8_t chain[BUNDLE_HASH]; /* H of the last link */
	uint64_t links;
	uint64_t bytes;
	uint64_t position; /* bytes that belong to no string frame */
	uint64_t frames;
	uint64_t records;
	struct append_index index;
};

struct append_options {
	const struct bundle_writer_options *writer;
	struct append_state *state; /* its index is taken over */
	/* Called by the thread some 20 times a second: a frame may be due. */
	void (*due)(void *ctx);
	void *ctx;
};

/*
 * Takes over fd (closed in append_close), which stands where writing goes on; writes and syncs the
 * header of a new file and starts the thread. NULL with ERR_INCOMPLETE: the disk; the descriptor
 * is then closed.
 */
struct append *append_open(int fd, const char *path, const struct append_options *options,
			   struct err *err);

/* Would a job of about this size still fit into the queue? Ask before making one. */
bool append_has_room(struct append *a, size_t bytes);
/* Hands over a job; it is freed by the thread. */
void append_push(struct append *a, struct append_job *job);

/* Readable at any time, from any thread. */
bool append_failed(struct append *a, struct err *err);
uint64_t append_lost(struct append *a); /* records dropped after a disk error */
uint64_t append_bytes(struct append *a);

/*
 * Waits for what is queued; seal: writes the index, with `closed` (monotonic ns) as the end of the
 * last frame; hash (may be NULL) becomes its seal. Frees. -1 with ERR_INCOMPLETE when the disk
 * failed at any time.
 */
int append_close(struct append *a, bool seal, uint64_t closed, uint8_t *hash, struct err *err);

#endif
