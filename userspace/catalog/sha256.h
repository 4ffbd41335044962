/* SHA-256 (FIPS 180-4) of a probe file in memory. */
#ifndef DAYLIGHT_CATALOG_SHA256_H
#define DAYLIGHT_CATALOG_SHA256_H

#include <stddef.h>
#include <stdint.h>

void sha256_digest(const void *data, size_t size, uint8_t out[32]);

#endif
