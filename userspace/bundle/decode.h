/*
 * What zstd frames hold: strings, and batches of records in columns. For reader and verify; reads
 * from hostile memory, takes memory for lists only (BUNDLE_LIST_MAX items each).
 */
#ifndef DAYLIGHT_BUNDLE_DECODE_H
#define DAYLIGHT_BUNDLE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "bundle/format.h"

/* Each function that steps returns 1: here is one, 0: that was all, -1: not as the format says. */

/* ---- strings ---- */

struct decode_strings {
	struct bytes_reader in;
	uint64_t next; /* id of the string to come */
	uint64_t left;
	size_t head; /* bytes before the first entry */
};

struct decode_string {
	uint64_t id;
	enum bundle_form form;
	const uint8_t *salt; /* FORM_PRIVATE */
	const uint8_t *data; /* the value; FORM_HIDDEN: the commitment */
	size_t len;
};

int decode_strings_open(struct decode_strings *d, const uint8_t *content, size_t len);
int decode_strings_next(struct decode_strings *d, struct decode_string *out);

/* ---- records ---- */

struct decode_list {
	uint64_t *items;
	uint32_t cap;
};

/* The values of a field that are not read yet. */
struct decode_column {
	const uint8_t *at, *end;
	uint64_t previous;
};

struct decode_records {
	struct bytes_reader in;
	uint8_t met[BUNDLE_KINDS_MAX / 8 + 1]; /* bits of the kinds so far: each comes once */
	/* The batch that decode_records_batch found. */
	uint64_t number; /* of the kind, as on disk */
	enum rec_kind kind; /* REC_KIND_COUNT: not known here; it has no records to step through */
	uint64_t count;
	uint64_t left;
	size_t columns; /* known fields that are there */
	struct decode_column column[BUNDLE_FIELDS_MAX];
	struct decode_list list[BUNDLE_FIELDS_MAX];
};

/* Zero-initialise once; release at the end. 0 or -1. */
int decode_records_open(struct decode_records *d, const uint8_t *content, size_t len);
void decode_records_release(struct decode_records *d);

/* The next batch; records of the last one that were not read are skipped. */
int decode_records_batch(struct decode_records *d);
/* The next record of the batch. Lists live until the next call. */
int decode_records_next(struct decode_records *d, union rec_any *out);

#endif
