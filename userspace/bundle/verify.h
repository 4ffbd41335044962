/*
 * Checks a bundle's chain from its bytes alone and names what is wrong. Never stops at the first
 * finding: it resynchronises on the stored chain.
 */
#ifndef DAYLIGHT_BUNDLE_VERIFY_H
#define DAYLIGHT_BUNDLE_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

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

struct verify_result {
	bool ok; /* no finding */
	bool sealed, complete;
	uint64_t frames_total, frames_good;
	enum verify_signature signature; /* format 0: always absent */
	char key_sha256[65]; /* "" when there is none */
	bool trusted;
	struct verify_finding *findings; /* at most 1,000 are kept */
	size_t findings_count;
	const char *end_reason; /* as bundle_end */
	char sha256[65]; /* of the file */
	char chain[65]; /* what the last chain frame stores; "" when there is none */
};

/*
 * key_path: a PEM public key to check the signature with, or NULL. Errors: ERR_USAGE (cannot be
 * opened, not a bundle). Findings are a result, not an error. Release the result in any case.
 */
int bundle_verify(const char *path, const char *key_path, struct verify_result *out,
		  struct err *err);
void verify_result_release(struct verify_result *result);

#endif
