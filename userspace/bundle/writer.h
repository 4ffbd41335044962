/*
 * Writes a bundle: records in, one sealed file out. One thread puts records; a second one, owned
 * by the writer, encodes, compresses, appends and syncs, so putting waits neither for the disk nor
 * for the compression. Memory is bounded: what finds no room in the queue is dropped and counted.
 *
 * Usage: open (or resume), string/put ..., close. What was put is on disk within a second, as far
 * as the disk keeps up, whatever the putting thread does meanwhile. After a disk error the writer
 * goes on accepting and dropping records (counted), so that the caller can end in order; what was
 * durable stays readable. The file is locked (flock) until it is closed.
 */
#ifndef DAYLIGHT_BUNDLE_WRITER_H
#define DAYLIGHT_BUNDLE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bundle/format.h"
#include "bundle/seal_key.h"

struct bundle_writer;

/* After a sync: everything up to `offset` bytes of the file is on disk and readable. */
struct bundle_durable {
	uint64_t frame; /* number of frames, all kinds */
	uint64_t offset;
	uint64_t records;
};

struct bundle_writer_options {
	bool force; /* replace an existing file (it is replaced only once the new one is open) */
	int level; /* zstd level; 0: as high as the load allows, from 1 to 19 */
	size_t frame_bytes; /* raw bytes that close a frame; 0: 1 MiB; 8 MiB at most */
	/* Age that closes a frame, at a tick. 0: 0.95 s, and then without a tick, too. */
	uint64_t frame_ns;
	size_t queue_bytes; /* frames waiting for the disk; 0: 32 MiB. Beyond: records are lost */
	/* Called from the writer's thread after each sync; may be NULL. */
	void (*durable)(void *ctx, const struct bundle_durable *durable);
	void *ctx;
	/* Signs the bundle when it is closed; must stay until then. NULL: it is not signed. */
	const struct seal_key *key;
};

/* Counts for the ledger's stage `bundle`; readable at any time. */
struct bundle_writer_stats {
	uint64_t records; /* put, the writer's own clock records with them */
	uint64_t lost_queue; /* records dropped because the queue was full, or for want of memory */
	uint64_t lost_disk; /* records dropped after a disk error */
	uint64_t bytes; /* of the file so far */
};

/* Creates the file. Errors: ERR_USAGE (exists without force, no such folder, denied). */
struct bundle_writer *
bundle_writer_open(const char *path, const struct bundle_writer_options *options, struct err *err);

/*
 * Goes on with an interrupted bundle (resume.h), cut behind its last link that is whole: ids,
 * strings and the chain go on. `options->force` is not used; a key is needed when the header
 * promises a signature. On error the file stays as it was, unless the disk fails. ERR_INCOMPLETE.
 */
struct bundle_resume;
struct bundle_writer *bundle_writer_resume(struct bundle_resume *resume,
					   const struct bundle_writer_options *options,
					   struct err *err);

/*
 * Interns a string and returns its id (REC_EMPTY for length 0, REC_NULL for data == NULL). The
 * same bytes in the same class give the same id while they are remembered (32 MiB of them). Longer
 * than 64 KiB is cut. REC_NULL also after a disk error, and when strings can be held no more.
 */
uint64_t bundle_writer_string(struct bundle_writer *w, const void *data, size_t len,
			      enum string_class class);
/* The same for a C string; NULL gives REC_NULL. */
uint64_t bundle_writer_text(struct bundle_writer *w, const char *text, enum string_class class);

/* A new id for a record of the kind: 1, 2, 3, ... */
uint64_t bundle_writer_id(struct bundle_writer *w, enum rec_kind kind);

/*
 * Appends a record (struct rec_<kind> with its id set; lists are copied, of BUNDLE_LIST_MAX items
 * at most). Returns 0, or -1 when it was dropped; drops are in the stats.
 */
int bundle_writer_put(struct bundle_writer *w, enum rec_kind kind, const void *rec);

/*
 * Says that all that was learned up to now has been put: a clock record, and the frame is closed.
 * So a reader knows how far a bundle reaches that ends early. When no frame is open this does
 * nothing, but once in 10 s.
 */
void bundle_writer_flush(struct bundle_writer *w);

/* Closes the frame when it is old enough by this time. */
void bundle_writer_tick(struct bundle_writer *w, uint64_t monotonic_ns);

void bundle_writer_stats(struct bundle_writer *w, struct bundle_writer_stats *out);
/* True once the disk failed; err then says how. */
bool bundle_writer_failed(struct bundle_writer *w, struct err *err);

/*
 * Writes what is left, the index frame, syncs, closes and frees; then verifies and signs, if there
 * is a key. Returns 0, or -1 with ERR_INCOMPLETE when something could not be written (ERR_ALTERED:
 * the file is not what was written). `abandon`: free without sealing.
 */
int bundle_writer_close(struct bundle_writer *w, struct err *err);
void bundle_writer_abandon(struct bundle_writer *w);

#endif
