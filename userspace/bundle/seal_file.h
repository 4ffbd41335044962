/*
 * Adds a signature or a timestamp to the end of a finished bundle. The bundle is verified first:
 * only what is intact is signed or stamped, and the statement is made from what the file holds.
 * Errors: ERR_USAGE (no bundle, or it has one already), ERR_ALTERED, ERR_INCOMPLETE (it ends early,
 * or the disk failed; the file is then as it was).
 */
#ifndef DAYLIGHT_BUNDLE_SEAL_FILE_H
#define DAYLIGHT_BUNDLE_SEAL_FILE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "bundle/seal_key.h"

/* seal: what the index must end with, for who has just written it; or NULL. */
int seal_file_sign(const char *path, const struct seal_key *key, const uint8_t *seal,
		   struct err *err);

/* A request for a timestamp of the bundle as it is now. */
int seal_file_request(const char *path, struct bytes *out, struct err *err);
/* Takes in the response to such a request. */
int seal_file_stamp(const char *path, const uint8_t *response, size_t len, struct err *err);

#endif
