/*
 * Reads a bundle, front to back, in bounded memory, from any bytes: every length is checked, a
 * frame decompresses to at most 16 MiB, lists and strings are bounded. A bundle that ends early
 * (killed, full disk) gives every durable record and then says where and why it ends.
 */
#ifndef DAYLIGHT_BUNDLE_READER_H
#define DAYLIGHT_BUNDLE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bundle/format.h"

struct bundle_reader;

struct bundle_record {
	enum rec_kind kind;
	const union rec_any *rec; /* valid until the next call */
	uint64_t frame; /* number of the frame it came from, from 0 */
};

struct bundle_string {
	const uint8_t *data; /* NUL-terminated for convenience; may hold NULs too */
	size_t len;
	enum string_class class;
	bool hidden; /* a public twin holds only its commitment; data is "" */
};

struct bundle_end {
	uint64_t bytes; /* of the file */
	uint64_t end_offset; /* first byte that is not part of a readable frame */
	const char
		*end_reason; /* sealed, cut, damaged, trailing, unreadable; "open" before the end */
	bool sealed; /* the index is there; behind it nothing but a signature and a timestamp */
	bool complete; /* sealed and with a window_end record */
	uint32_t format;
	uint64_t frames;
};

/* Errors: ERR_USAGE (cannot be opened, not a bundle, needs a newer reader). */
struct bundle_reader *bundle_reader_open(const char *path, struct err *err);
void bundle_reader_close(struct bundle_reader *r);

/*
 * 1: *out is the next record. 0: no more; bundle_reader_end says how it ended (an early end is not
 * an error here). -1: the file cannot be read any more (I/O error), or memory is short.
 */
int bundle_reader_next(struct bundle_reader *r, struct bundle_record *out, struct err *err);

/*
 * To be called before the first record: only records of these kinds (1 << enum rec_kind) are given.
 * In a sealed bundle frames that hold none of them are not even read, nor those that were closed
 * before `from` (monotonic ns): what is wrong in them is not noticed.
 */
void bundle_reader_want(struct bundle_reader *r, uint64_t kinds, uint64_t from);
/* From the next batch on records of the kind are not given. */
void bundle_reader_unwant(struct bundle_reader *r, enum rec_kind kind);
/* How many records of the kind there were so far, given or not. */
uint64_t bundle_reader_count(const struct bundle_reader *r, enum rec_kind kind);

/*
 * Strings take memory; beyond `bytes` of it reading ends with ERR_INCOMPLETE. Without this they may
 * take what the format allows. _memory: how much they take.
 */
void bundle_reader_limit(struct bundle_reader *r, size_t bytes);
size_t bundle_reader_memory(const struct bundle_reader *r);

/* The string of an id, or NULL: REC_NULL, or not defined so far. REC_EMPTY is "". */
const struct bundle_string *bundle_reader_string(const struct bundle_reader *r, uint64_t id);

/* Valid after bundle_reader_next returned 0. */
void bundle_reader_end(const struct bundle_reader *r, struct bundle_end *out);

#endif
