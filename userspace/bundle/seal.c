/* Statements, and the frames that carry their signatures. */
#include "bundle/seal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/clock.h"

#define SEAL_TYPE "application/vnd.daylight.bundle-statement"
#define SEAL_SCHEME 1 /* Ed25519 */

static int seal_print(struct bytes *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int seal_print(struct bytes *out, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= sizeof(line) ? -1 : bytes_put(out, line, (size_t)n);
}

static int seal_print_hex(struct bytes *out, const char *name, const uint8_t *data, size_t len)
{
	char hex[2 * SEAL_WINDOW_MAX + 1];

	bytes_to_hex(data, len, hex);
	return seal_print(out, "%s %s\n", name, len ? hex : "-");
}

static int seal_print_time(struct bytes *out, const char *name, uint64_t realtime)
{
	char text[CLOCK_TEXT] = "-";

	if (realtime != REC_NULL)
		clock_format(realtime, text);
	return seal_print(out, "%s %s\n", name, text);
}

int seal_statement(const struct seal_facts *f, const uint8_t key_id[BUNDLE_HASH], struct bytes *out,
		   size_t *window)
{
	if (seal_print(out, "daylight bundle statement\nformat %" PRIu32 "\n", f->format) ||
	    seal_print_hex(out, "bundle", f->bundle, sizeof(f->bundle)) ||
	    seal_print_hex(out, "key", key_id, BUNDLE_HASH) ||
	    seal_print(out, "links %" PRIu64 "\n", f->links) ||
	    seal_print_hex(out, "chain", f->chain, sizeof(f->chain)) ||
	    seal_print_hex(out, "seal", f->seal, sizeof(f->seal)) ||
	    seal_print(out, "frames %" PRIu64 "\nstrings %" PRIu64 "\nrecords %" PRIu64 "\n",
		       f->data_frames, f->strings, f->records))
		return -1;
	if (window)
		*window = out->len;
	if (seal_print_hex(out, "window", f->window, f->window_len) ||
	    seal_print_time(out, "start", f->start) || seal_print_time(out, "stop", f->stop))
		return -1;
	return 0;
}

int seal_message(const void *statement, size_t len, struct bytes *out)
{
	return seal_print(out, "DSSEv1 %zu %s %zu ", strlen(SEAL_TYPE), SEAL_TYPE, len) ||
			       bytes_put(out, statement, len)
		       ? -1
		       : 0;
}

int seal_frame(const struct seal_key *key, const struct seal_facts *facts, struct bytes *out)
{
	struct bytes statement = BYTES_INIT, message = BYTES_INIT;
	uint8_t signature[BUNDLE_SIGNATURE];
	int ret = -1;

	if (seal_statement(facts, key->id, &statement, NULL) ||
	    seal_message(statement.data, statement.len, &message) ||
	    seal_key_sign(key, message.data, message.len, signature))
		goto out;
	if (bytes_put_le32(out, BUNDLE_SIGNATURE_MAGIC) ||
	    bytes_put_le32(out, (uint32_t)(BUNDLE_SIGNATURE_MIN + statement.len)) ||
	    bytes_put_le32(out, SEAL_SCHEME) ||
	    bytes_put(out, key->public_der, sizeof(key->public_der)) ||
	    bytes_put(out, signature, sizeof(signature)) ||
	    bytes_put(out, statement.data, statement.len))
		goto out;
	ret = 0;
out:
	bytes_release(&statement);
	bytes_release(&message);
	return ret;
}

int seal_check(const uint8_t *frame, size_t size, const struct seal_facts *facts,
	       struct seal_signature *out)
{
	struct bytes_reader in = { frame, size, BUNDLE_SKIPPABLE_HEAD, false };
	struct bytes statement = BYTES_INIT, message = BYTES_INIT;
	uint32_t scheme = bytes_get_le32(&in);
	const uint8_t *public_der = bytes_get(&in, BUNDLE_SIGNER_KEY);
	const uint8_t *signature = bytes_get(&in, BUNDLE_SIGNATURE);
	size_t len = in.len - in.at, window = 0;
	const uint8_t *text = bytes_get(&in, len);
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (in.bad)
		return 0;
	if (!EVP_Digest(public_der, BUNDLE_SIGNER_KEY, out->key_id, NULL, EVP_sha256(), NULL) ||
	    seal_statement(facts, out->key_id, &statement, &window) ||
	    seal_message(text, len, &message))
		goto out;
	out->genuine = scheme == SEAL_SCHEME &&
		       seal_key_check(public_der, message.data, message.len, signature);
	out->agrees = len == statement.len && !memcmp(text, statement.data, len);
	out->agrees_but_window = len >= window && !memcmp(text, statement.data, window);
	ret = 0;
out:
	bytes_release(&statement);
	bytes_release(&message);
	return ret;
}
