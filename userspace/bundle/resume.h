/*
 * An interrupted bundle that is to be gone on with: where its last whole link ends, and all that a
 * writer must know to add the next one. Opening changes nothing in the file; it locks it.
 *
 * Usage: open, read, then bundle_writer_resume (writer.h), free.
 */
#ifndef DAYLIGHT_BUNDLE_RESUME_H
#define DAYLIGHT_BUNDLE_RESUME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "bundle/append_index.h"
#include "bundle/format.h"
#include "bundle/intern.h"
#include "bundle/reader.h"

struct bundle_resume {
	char *path;
	int fd; /* locked; -1 once a writer has it */
	bool is_signed; /* its header promises a signature */
	uint64_t links; /* whole ones, each with the H that stands behind it */
	uint8_t chain[BUNDLE_HASH]; /* H of the last of them */
	uint64_t offset; /* where it ends */
	uint64_t cut; /* bytes of the file behind it */
	uint64_t frames;
	uint64_t position; /* bytes that belong to no string frame */
	struct append_index index;

	/* Known once it was read. */
	uint64_t records;
	uint64_t strings, text; /* how many, and their bytes */
	struct intern *intern;
	/* The largest id of each kind that a record has or refers to. */
	uint64_t ids[REC_KIND_COUNT];
};

/*
 * Locks the file and checks its chain. Errors: ERR_USAGE: not a bundle, still being written,
 * sealed, damaged before its end, without a single link, or by a newer program; the text says
 * which.
 */
struct bundle_resume *bundle_resume_open(const char *path, struct err *err);
void bundle_resume_free(struct bundle_resume *r);

/*
 * Reads what stays: each record goes to `each`, which ends the reading with -1 and an error. The
 * reader gives the strings of records up to then.
 */
int bundle_resume_read(struct bundle_resume *r,
		       int (*each)(void *ctx, const struct bundle_reader *reader,
				   const struct bundle_record *record, struct err *err),
		       void *ctx, struct err *err);

#endif
