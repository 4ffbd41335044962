/* Ed25519 keys: new ones, PEM files, signing, checking. */
#include "bundle/seal_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/cleanup.h"

#define PEM_MAX 65536 /* bytes of a key file */

/* What every SubjectPublicKeyInfo of an Ed25519 key begins with (RFC 8410). */
static const uint8_t spki_head[12] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
				       0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };

/* Takes over pkey. */
static struct seal_key *key_make(EVP_PKEY *pkey, bool secret)
{
	struct seal_key *key = calloc(1, sizeof(*key));
	size_t len = BUNDLE_SIGNER_KEY - sizeof(spki_head);

	if (!key)
		goto fail;
	memcpy(key->public_der, spki_head, sizeof(spki_head));
	if (!EVP_PKEY_get_raw_public_key(pkey, key->public_der + sizeof(spki_head), &len) ||
	    len != BUNDLE_SIGNER_KEY - sizeof(spki_head) ||
	    !EVP_Digest(key->public_der, sizeof(key->public_der), key->id, NULL, EVP_sha256(),
			NULL))
		goto fail;
	key->pkey = pkey;
	key->secret = secret;
	return key;
fail:
	EVP_PKEY_free(pkey);
	free(key);
	return NULL;
}

struct seal_key *seal_key_new(struct err *err)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct seal_key *key = pkey ? key_make(pkey, true) : NULL;

	ERR_clear_error();
	if (!key)
		err_set(err, ERR_MACHINE, "libcrypto cannot make an Ed25519 key here");
	return key;
}

void seal_key_free(struct seal_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

/* A key behind a passphrase is not asked for: *ctx is set instead. */
static int key_passphrase(char *buf, int size, int write, void *ctx)
{
	(void)buf;
	(void)size;
	(void)write;
	*(bool *)ctx = true;
	return -1;
}

/* The whole file into memory that is wiped when it is freed. */
static BIO *key_read(const char *path, struct err *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char piece[4096];
	struct stat st;
	BIO *text;
	ssize_t n;

	if (fd < 0) {
		err_errno(err, ERR_USAGE, "%s: cannot open the key", path);
		return NULL;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > PEM_MAX) {
		err_set(err, ERR_USAGE, "%s is no key: name a PEM file", path);
		return NULL;
	}
	text = BIO_new(BIO_s_secmem());
	while (text && (n = read(fd, piece, sizeof(piece)))) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || BIO_pending(text) > PEM_MAX || BIO_write(text, piece, (int)n) != n) {
			err_errno(err, ERR_USAGE, "%s: cannot read the key", path);
			BIO_free(text);
			text = NULL;
		}
	}
	OPENSSL_cleanse(piece, sizeof(piece));
	if (!text)
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
	return text;
}

struct seal_key *seal_key_load(const char *path, bool secret, struct err *err)
{
	bool asked = false, is_secret = true;
	BIO *text = key_read(path, err);
	struct seal_key *key = NULL;
	EVP_PKEY *pkey;

	if (!text)
		return NULL;
	pkey = PEM_read_bio_PrivateKey(text, NULL, key_passphrase, &asked);
	BIO_free(text);
	if (!pkey && !asked && !secret) {
		is_secret = false;
		text = key_read(path, err);
		if (!text)
			return NULL;
		pkey = PEM_read_bio_PUBKEY(text, NULL, NULL, NULL);
		BIO_free(text);
	}
	ERR_clear_error();
	if (asked) {
		err_set(err, ERR_USAGE,
			"%s is behind a passphrase: give a key without one (openssl pkey -in %s)",
			path, path);
	} else if (!pkey) {
		err_set(err, ERR_USAGE,
			"%s holds no %s key in PEM form: 'daylight key new' makes "
			"one",
			path, secret ? "private" : "private or public");
	} else if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519) {
		err_set(err, ERR_USAGE,
			"%s holds a key of another kind: Ed25519 is needed ('daylight key new')",
			path);
	} else {
		key = key_make(pkey, is_secret);
		if (!key)
			err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
		return key;
	}
	EVP_PKEY_free(pkey);
	return NULL;
}

static BIO *key_pem(const struct seal_key *key, bool secret)
{
	BIO *text = BIO_new(BIO_s_secmem());
	int ok = text &&
		 (secret ? PEM_write_bio_PKCS8PrivateKey(text, key->pkey, NULL, NULL, 0, NULL, NULL)
			 : PEM_write_bio_PUBKEY(text, key->pkey));

	if (ok)
		return text;
	ERR_clear_error();
	BIO_free(text);
	return NULL;
}

char *seal_key_text(const struct seal_key *key)
{
	BIO *text = key_pem(key, false);
	char *data, *out = NULL;
	long len;

	if (text) {
		len = BIO_get_mem_data(text, &data);
		out = strndup(data, (size_t)len);
	}
	BIO_free(text);
	return out;
}

static int key_store(int fd, BIO *text)
{
	char *data;
	long len = BIO_get_mem_data(text, &data), at = 0;

	while (at < len) {
		ssize_t n = write(fd, data + at, (size_t)(len - at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += n;
	}
	return fsync(fd);
}

int seal_key_write(const struct seal_key *key, bool secret, const char *path, struct err *err)
{
	cleanup_close int fd = -1;
	BIO *text = key_pem(key, secret);
	int ret = -1;

	if (!text)
		return err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, secret ? 0600 : 0644);
	if (fd < 0 && errno == EEXIST) {
		err_set(err, ERR_USAGE, "%s exists: a key is never overwritten; name another file",
			path);
	} else if (fd < 0) {
		err_errno(err, ERR_USAGE, "%s: cannot create the key", path);
	} else if (key_store(fd, text)) {
		err_errno(err, ERR_INCOMPLETE, "%s: cannot write the key", path);
		unlink(path);
	} else {
		ret = 0;
	}
	BIO_free(text);
	return ret;
}

int seal_key_sign(const struct seal_key *key, const void *message, size_t len,
		  uint8_t signature[BUNDLE_SIGNATURE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t size = BUNDLE_SIGNATURE;
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) > 0 &&
		  EVP_DigestSign(ctx, signature, &size, message, len) > 0 &&
		  size == BUNDLE_SIGNATURE;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok ? 0 : -1;
}

bool seal_key_check(const uint8_t public_der[BUNDLE_SIGNER_KEY], const void *message, size_t len,
		    const uint8_t signature[BUNDLE_SIGNATURE])
{
	EVP_MD_CTX *ctx;
	EVP_PKEY *pkey;
	bool ok;

	if (memcmp(public_der, spki_head, sizeof(spki_head)))
		return false;
	pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_der + sizeof(spki_head),
					   BUNDLE_SIGNER_KEY - sizeof(spki_head));
	ctx = EVP_MD_CTX_new();
	ok = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) > 0 &&
	     EVP_DigestVerify(ctx, signature, BUNDLE_SIGNATURE, message, len) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return ok;
}
