/*
 * Cuts a bundle file into frames, for reader and verify. Trusts nothing: lengths are checked before
 * memory is taken, and at most BUNDLE_INDEX_MAX bytes are held.
 */
#ifndef DAYLIGHT_BUNDLE_SCAN_H
#define DAYLIGHT_BUNDLE_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bundle/format.h"

enum scan_kind {
	SCAN_HEADER,
	SCAN_STRINGS, /* the skippable frame before a string frame */
	SCAN_CHAIN,
	SCAN_INDEX,
	SCAN_SIGNATURE,
	SCAN_TIMESTAMP,
	SCAN_OTHER, /* a skippable frame that format 1 does not know */
	SCAN_ZSTD,
};

struct scan_frame {
	enum scan_kind kind;
	uint64_t offset;
	uint64_t size; /* with its head */
	const uint8_t *data; /* the whole frame, valid until the next call; NULL for SCAN_OTHER */
};

enum scan_result {
	SCAN_ERROR = -1, /* the file cannot be read */
	SCAN_END = 0, /* exactly behind the last frame */
	SCAN_FRAME = 1,
	SCAN_CUT = 2, /* the file ends within a frame, or in zeros */
	SCAN_DAMAGED = 3, /* these bytes are no frame */
};

struct scan {
	int fd;
	const char *path;
	uint64_t size; /* of the file, as it was opened */
	uint64_t at; /* where the next frame is looked for; may be set */
	uint8_t *buffer; /* the bytes [base, base + held) of the file */
	size_t held, cap;
	uint64_t base;
};

/* What the header says. */
struct scan_header {
	uint32_t format, compatible, incompatible;
	uint8_t id[BUNDLE_ID];
};

/*
 * Opens and checks the header, which stays the first frame to come. Errors: ERR_USAGE (cannot be
 * opened, not a bundle, needs a newer reader). `path` must outlive the scan.
 */
int scan_open(struct scan *s, const char *path, struct scan_header *header, struct err *err);
void scan_close(struct scan *s);

/*
 * The next frame; `at` moves behind it, and stays where it is for any other result. SCAN_CUT:
 * f->kind is what the frame would be, as far as that can be told, else SCAN_OTHER.
 */
enum scan_result scan_next(struct scan *s, struct scan_frame *f, struct err *err);

/* Bytes [offset, offset + *len); *len shrinks at the end of the file. NULL: cannot be read. */
const uint8_t *scan_bytes(struct scan *s, uint64_t offset, size_t *len, struct err *err);

/*
 * Decompresses a SCAN_ZSTD frame into *content (allocated, BUNDLE_CONTENT_MAX at most, kept for
 * the next call). Returns the length, or -1: damaged.
 */
struct scan_content {
	void *zstd;
	uint8_t *data;
	size_t cap;
};
long scan_decompress(struct scan_content *c, const struct scan_frame *f);
void scan_content_release(struct scan_content *c);

#endif
