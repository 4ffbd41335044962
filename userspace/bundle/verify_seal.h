/*
 * What stands behind the index: a signature, a timestamp, and what does not belong there. Part of
 * verify.c's judgement.
 */
#ifndef DAYLIGHT_BUNDLE_VERIFY_SEAL_H
#define DAYLIGHT_BUNDLE_VERIFY_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bundle/seal.h"
#include "bundle/seal_time.h"
#include "bundle/verify.h"
#include "bundle/verify_link.h"

#define VERIFY_SEAL_FINDINGS 4

struct verify_seal {
	/* Set before: */
	const struct seal_key *key; /* who must have signed; may be NULL */
	const struct seal_authorities *authorities; /* whose timestamps are trusted; may be NULL */
	bool damaged; /* something before is wrong: the window cannot be compared */
	bool promised; /* the header promises a signature */
	/* Set by verify_seal_read: */
	bool signature, timestamp; /* is there */
	struct verify_finding findings[VERIFY_SEAL_FINDINGS];
	size_t findings_count;
	uint64_t good; /* frames that are as they should be */
	uint64_t end; /* offset behind the last frame that belongs here */
};

/* Finds the window's id for the statement. 0, or -1 with err: the file cannot be read. */
int verify_seal_window(struct verify_walk *w, struct seal_facts *facts, struct err *err);

/*
 * Reads from w->scan.at, which stands behind the index, and fills in the signature and the
 * timestamp of *out, and what a next frame would stamp. 0, or -1 with err.
 */
int verify_seal_read(struct verify_walk *w, struct verify_seal *seal, struct verify_result *out,
		     struct err *err);

#endif
