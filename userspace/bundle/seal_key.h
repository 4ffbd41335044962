/*
 * Keys that sign bundles: Ed25519, in PEM files as openssl writes them (PKCS #8, not encrypted, and
 * SubjectPublicKeyInfo). A key is known by its id: SHA-256 of the public key as
 * SubjectPublicKeyInfo in DER.
 */
#ifndef DAYLIGHT_BUNDLE_SEAL_KEY_H
#define DAYLIGHT_BUNDLE_SEAL_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "bundle/format.h"

struct seal_key {
	void *pkey;
	bool secret; /* it can sign */
	uint8_t public_der[BUNDLE_SIGNER_KEY];
	uint8_t id[BUNDLE_HASH];
};

/* A new key. NULL: ERR_MACHINE. */
struct seal_key *seal_key_new(struct err *err);

/*
 * Reads a PEM file: a private key, or (unless `secret`) a public one. NULL with ERR_USAGE: cannot
 * be opened, is no regular file, holds no such key, another kind of key, or one behind a
 * passphrase.
 */
struct seal_key *seal_key_load(const char *path, bool secret, struct err *err);
/* NULL may be freed. Secrets are wiped. */
void seal_key_free(struct seal_key *key);

/*
 * Writes the private key (mode 0600) or the public one (0644) into a new file, synced. ERR_USAGE:
 * it exists, or cannot be created; ERR_INCOMPLETE: the disk; then no file is left.
 */
int seal_key_write(const struct seal_key *key, bool secret, const char *path, struct err *err);
/* The public key as PEM; allocated. NULL for want of memory. */
char *seal_key_text(const struct seal_key *key);

/* 64 bytes of signature over the message. 0, or -1. */
int seal_key_sign(const struct seal_key *key, const void *message, size_t len,
		  uint8_t signature[BUNDLE_SIGNATURE]);
/* Is this the signature of the message by this public key (as in public_der)? */
bool seal_key_check(const uint8_t public_der[BUNDLE_SIGNER_KEY], const void *message, size_t len,
		    const uint8_t signature[BUNDLE_SIGNATURE]);

#endif
