/*
 * The writer's thread: takes the raw contents of frames from a bounded queue, compresses them,
 * links them into the chain, appends them to the file and syncs. After a disk error it goes on
 * taking and dropping them, and counts what it drops.
 */
#ifndef DAYLIGHT_BUNDLE_APPEND_H
#define DAYLIGHT_BUNDLE_APPEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "bundle/format.h"
#include "bundle/writer.h"

/* What becomes one link of the chain: a string frame (unless empty) and a data frame. */
struct append_job {
	struct append_job *next;
	struct bytes strings; /* the content of the string frame */
	struct bytes records; /* the content of the data frame */
	uint64_t strings_count;
	uint64_t records_count;
	uint64_t opened; /* monotonic ns of the frame's clock record */
	uint64_t counts[REC_KIND_COUNT];
};

struct append;

/*
 * Takes over fd (closed in append_close), to which nothing has been written; writes and syncs the
 * header and starts the thread. NULL with ERR_INCOMPLETE: the disk; the descriptor is then closed.
 */
struct append *append_open(int fd, const char *path, const struct bundle_writer_options *options,
			   struct err *err);

/* Would a job of about this size still fit into the queue? Ask before making one. */
bool append_has_room(struct append *a, size_t bytes);
/* Hands over a job; it is freed here. */
void append_push(struct append *a, struct append_job *job);
void append_job_free(struct append_job *job);

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
