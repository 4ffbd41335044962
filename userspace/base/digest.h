/* SHA-256 of bytes in memory (libcrypto). */
#ifndef DAYLIGHT_BASE_DIGEST_H
#define DAYLIGHT_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32

/* Returns 0, or -1 when libcrypto has no SHA-256. */
int digest_sha256(const void *data, size_t size, uint8_t out[DIGEST_SIZE]);

#endif
