/* SHA-256 of bytes in memory. */
#include "base/digest.h"

#include <openssl/evp.h>

int digest_sha256(const void *data, size_t size, uint8_t out[DIGEST_SIZE])
{
	return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL) ? 0 : -1;
}
