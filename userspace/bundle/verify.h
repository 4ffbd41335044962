/*
 * Checks a bundle's chain, its signature and its timestamp from its bytes alone and names what is
 * wrong. Never stops at the first
 * finding: it resynchronises on the stored chain.
 */
#ifndef DAYLIGHT_BUNDLE_VERIFY_H
#define DAYLIGHT_BUNDLE_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bundle/seal.h"
#include "bundle/seal_time.h"

enum verify_kind {
	VERIFY_ALTERED,
	VERIFY_CUT,
	VERIFY_REORDERED,
	VERIFY_INSERTED,
	VERIFY_TRAILING,
	VERIFY_RESIGNED,
};

const char *verify_kind_name(enum verify_kind kind);

struct verify_finding {
	enum verify_kind kind;
	uint64_t frame;
	uint64_t offset;
};

enum verify_signature { VERIFY_SIGNATURE_ABSENT, VERIFY_SIGNATURE_VALID, VERIFY_SIGNATURE_INVALID };

/* unchecked: it fits, and nobody said whose timestamps are to be trusted. */
enum verify_timestamp {
	VERIFY_TIMESTAMP_ABSENT,
	VERIFY_TIMESTAMP_UNCHECKED,
	VERIFY_TIMESTAMP_VALID,
	VERIFY_TIMESTAMP_INVALID,
};

/* What was to be put behind the index and is not there, or not whole; the rest may be intact. */
enum verify_unfinished {
	VERIFY_UNFINISHED_NOTHING,
	VERIFY_UNFINISHED_SIGNATURE, /* begun, or promised by the header */
	VERIFY_UNFINISHED_TIMESTAMP, /* begun */
};

/* All may be NULL. */
struct verify_options {
	const char *key; /* a PEM key, public or private: who must have signed */
	const char *authorities; /* PEM certificates: whose timestamps are trusted */
};

struct verify_result {
	bool ok; /* no finding */
	bool sealed, complete;
	uint64_t frames_total, frames_good;
	enum verify_signature signature;
	char key_sha256[65]; /* id of the key that the signature names; "" when there is none */
	bool trusted; /* it is valid and of options->key */
	enum verify_unfinished unfinished;
	enum verify_timestamp timestamp;
	uint64_t timestamp_time; /* realtime ns; REC_NULL: unknown */
	char authority[SEAL_TIME_NAME]; /* who gave the timestamp, as its certificate says */
	struct verify_finding *findings; /* at most 1,000 are kept */
	size_t findings_count;
	const char *end_reason; /* as bundle_end */
	char sha256[65]; /* of the file */
	char chain[65]; /* what the last chain frame stores; "" when there is none */
	/* For what is to be added at the end. Valid when `sealed` or `unfinished`. */
	struct seal_facts facts;
	uint8_t imprint[BUNDLE_HASH]; /* SHA-256 of the last frame that a timestamp may stand behind
				       */
	uint64_t size; /* of the file */
	uint64_t end; /* where it is to be added: less than size, if a part of it is there */
};

/*
 * options may be NULL. Errors: ERR_USAGE (the bundle, the key or the certificates cannot be opened,
 * or are none). Findings are a result, not an error. Release the result in any case.
 */
int bundle_verify(const char *path, const struct verify_options *options, struct verify_result *out,
		  struct err *err);
void verify_result_release(struct verify_result *result);

#endif
