/*
 * Timestamps of bundles by an authority (RFC 3161): the request, the frame that carries the
 * response, and its check. No network: requests and responses are files that others carry.
 */
#ifndef DAYLIGHT_BUNDLE_SEAL_TIME_H
#define DAYLIGHT_BUNDLE_SEAL_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "bundle/format.h"

#define SEAL_TIME_NAME 256

/* What a timestamp frame says. */
struct seal_time {
	bool fits; /* a granted response for this imprint */
	bool genuine; /* signed by the certificate that it carries */
	bool trusted; /* ... which leads to one of the authorities given, at the time it states */
	uint64_t time; /* realtime ns */
	char authority[SEAL_TIME_NAME]; /* subject of that certificate (RFC 4514), escaped */
};

/* A request in DER for the imprint (SHA-256), with a nonce, asking for the certificate. */
int seal_time_request(const uint8_t imprint[BUNDLE_HASH], struct bytes *out, struct err *err);

/*
 * Appends a timestamp frame with this response (DER). ERR_USAGE: it is no response, not granted,
 * for something else, not signed by the certificate it carries, or too long.
 */
int seal_time_frame(const uint8_t *response, size_t len, const uint8_t imprint[BUNDLE_HASH],
		    struct bytes *out, struct err *err);

/* Certificates of authorities that are trusted, from a PEM file. NULL: ERR_USAGE. */
struct seal_authorities;
struct seal_authorities *seal_time_authorities(const char *path, struct err *err);
void seal_time_authorities_free(struct seal_authorities *authorities);

/* Checks a whole timestamp frame (SCAN_TIMESTAMP); authorities may be NULL. */
void seal_time_check(const uint8_t *frame, size_t size, const uint8_t imprint[BUNDLE_HASH],
		     const struct seal_authorities *authorities, struct seal_time *out);

#endif
