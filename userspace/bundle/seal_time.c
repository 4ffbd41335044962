/* RFC 3161 timestamps, by libcrypto. */
#include "bundle/seal_time.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#define NS 1000000000ULL

struct seal_authorities {
	X509_STORE *store;
};

/* ---- requests ---- */

static TS_MSG_IMPRINT *time_imprint(const uint8_t imprint[BUNDLE_HASH])
{
	TS_MSG_IMPRINT *out = TS_MSG_IMPRINT_new();
	X509_ALGOR *algorithm = X509_ALGOR_new();
	uint8_t copy[BUNDLE_HASH];

	memcpy(copy, imprint, sizeof(copy));
	if (algorithm)
		X509_ALGOR_set_md(algorithm, EVP_sha256());
	if (out && algorithm && TS_MSG_IMPRINT_set_algo(out, algorithm) &&
	    TS_MSG_IMPRINT_set_msg(out, copy, sizeof(copy))) {
		X509_ALGOR_free(algorithm);
		return out;
	}
	X509_ALGOR_free(algorithm);
	TS_MSG_IMPRINT_free(out);
	return NULL;
}

static ASN1_INTEGER *time_nonce(void)
{
	ASN1_INTEGER *nonce = ASN1_INTEGER_new();
	uint64_t random;

	if (nonce && RAND_bytes((uint8_t *)&random, sizeof(random)) == 1 &&
	    ASN1_INTEGER_set_uint64(nonce, random))
		return nonce;
	ASN1_INTEGER_free(nonce);
	return NULL;
}

int seal_time_request(const uint8_t imprint[BUNDLE_HASH], struct bytes *out, struct err *err)
{
	TS_MSG_IMPRINT *wanted = time_imprint(imprint);
	ASN1_INTEGER *nonce = time_nonce();
	TS_REQ *request = TS_REQ_new();
	uint8_t *der = NULL;
	int len = -1, ret = -1;

	if (wanted && nonce && request && TS_REQ_set_version(request, 1) &&
	    TS_REQ_set_msg_imprint(request, wanted) && TS_REQ_set_nonce(request, nonce) &&
	    TS_REQ_set_cert_req(request, 1))
		len = i2d_TS_REQ(request, &der);
	if (len > 0)
		ret = bytes_put(out, der, (size_t)len);
	OPENSSL_free(der);
	TS_REQ_free(request);
	ASN1_INTEGER_free(nonce);
	TS_MSG_IMPRINT_free(wanted);
	ERR_clear_error();
	return ret ? err_set(err, ERR_INCOMPLETE, "cannot make the request: out of memory") : 0;
}

/* ---- responses ---- */

/* Generalized time with an optional fraction, as RFC 3161 has it. */
static uint64_t time_value(const ASN1_GENERALIZEDTIME *t)
{
	const unsigned char *text = ASN1_STRING_get0_data(t);
	size_t len = (size_t)ASN1_STRING_length(t), at = 0;
	uint64_t fraction = 0, scale = NS / 10;
	struct tm tm;
	time_t sec;

	if (!ASN1_TIME_to_tm(t, &tm))
		return REC_NULL;
	sec = timegm(&tm);
	if (sec < 0 || (uint64_t)sec > UINT64_MAX / NS - 1)
		return REC_NULL;
	while (at < len && text[at] != '.')
		at++;
	for (at++; at < len && text[at] >= '0' && text[at] <= '9'; at++, scale /= 10)
		fraction += (uint64_t)(text[at] - '0') * scale;
	return (uint64_t)sec * NS + fraction;
}

static bool time_granted(TS_RESP *response)
{
	long status =
		ASN1_INTEGER_get(TS_STATUS_INFO_get0_status(TS_RESP_get_status_info(response)));

	return status == TS_STATUS_GRANTED || status == TS_STATUS_GRANTED_WITH_MODS;
}

static bool time_fits(TS_TST_INFO *info, const uint8_t imprint[BUNDLE_HASH])
{
	TS_MSG_IMPRINT *have = TS_TST_INFO_get_msg_imprint(info);
	ASN1_OCTET_STRING *hash = TS_MSG_IMPRINT_get_msg(have);
	const ASN1_OBJECT *algorithm;

	X509_ALGOR_get0(&algorithm, NULL, NULL, TS_MSG_IMPRINT_get_algo(have));
	return TS_TST_INFO_get_version(info) == 1 && OBJ_obj2nid(algorithm) == NID_sha256 &&
	       ASN1_STRING_length(hash) == BUNDLE_HASH &&
	       !memcmp(ASN1_STRING_get0_data(hash), imprint, BUNDLE_HASH);
}

static void time_authority(X509 *signer, char out[SEAL_TIME_NAME])
{
	BIO *text = BIO_new(BIO_s_mem());
	int n = -1;

	if (text &&
	    X509_NAME_print_ex(text, X509_get_subject_name(signer), 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_read(text, out, SEAL_TIME_NAME - 1);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(text);
}

/* Is the token signed by the one certificate that it carries for that? */
static bool time_genuine(PKCS7 *token, struct seal_time *out)
{
	STACK_OF(X509) * signers;

	if (!PKCS7_type_is_signed(token) ||
	    PKCS7_verify(token, NULL, NULL, NULL, NULL, PKCS7_NOVERIFY) != 1)
		return false;
	signers = PKCS7_get0_signers(token, NULL, 0);
	if (!signers)
		return false;
	if (sk_X509_num(signers) == 1)
		time_authority(sk_X509_value(signers, 0), out->authority);
	sk_X509_free(signers);
	return out->authority[0];
}

/* The certificates are judged as of the time that is stated: they expire long before a bundle. */
static bool time_trusted(PKCS7 *token, const struct seal_authorities *authorities, uint64_t when)
{
	X509_STORE *store = authorities->store;
	X509 *signer = NULL;
	bool ok;

	X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)(when / NS));
	ok = TS_RESP_verify_signature(token, NULL, store, &signer) == 1;
	X509_free(signer);
	return ok;
}

static void time_judge(const uint8_t *response, size_t len, const uint8_t imprint[BUNDLE_HASH],
		       const struct seal_authorities *authorities, struct seal_time *out)
{
	const uint8_t *at = response;
	TS_RESP *parsed = d2i_TS_RESP(NULL, &at, (long)len);
	TS_TST_INFO *info = parsed ? TS_RESP_get_tst_info(parsed) : NULL;
	PKCS7 *token = parsed ? TS_RESP_get_token(parsed) : NULL;

	memset(out, 0, sizeof(*out));
	out->time = REC_NULL;
	if (info && token && at == response + len && time_granted(parsed)) {
		out->time = time_value(TS_TST_INFO_get_time(info));
		out->fits = out->time != REC_NULL && time_fits(info, imprint);
		out->genuine = time_genuine(token, out);
		out->trusted = out->fits && out->genuine && authorities &&
			       time_trusted(token, authorities, out->time);
	}
	TS_RESP_free(parsed);
	ERR_clear_error();
}

int seal_time_frame(const uint8_t *response, size_t len, const uint8_t imprint[BUNDLE_HASH],
		    struct bytes *out, struct err *err)
{
	struct seal_time said;
	uint8_t digest[BUNDLE_HASH];

	if (!len || len > BUNDLE_TIMESTAMP_MAX - BUNDLE_HASH)
		return err_set(err, ERR_USAGE, "the response has %zu bytes, not 1 to %u", len,
			       BUNDLE_TIMESTAMP_MAX - BUNDLE_HASH);
	time_judge(response, len, imprint, NULL, &said);
	if (said.time == REC_NULL)
		return err_set(err, ERR_USAGE, "no response that grants a timestamp (RFC 3161)");
	if (!said.fits)
		return err_set(err, ERR_USAGE,
			       "a timestamp of something else: was the request made for this file, "
			       "as it is now?");
	if (!said.genuine)
		return err_set(err, ERR_USAGE,
			       "the timestamp is not signed by a certificate that it carries: ask "
			       "with the request that 'daylight timestamp request' makes");
	if (!EVP_Digest(response, len, digest, NULL, EVP_sha256(), NULL) ||
	    bytes_put_le32(out, BUNDLE_TIMESTAMP_MAGIC) ||
	    bytes_put_le32(out, (uint32_t)(sizeof(digest) + len)) ||
	    bytes_put(out, digest, sizeof(digest)) || bytes_put(out, response, len))
		return err_set(err, ERR_INCOMPLETE, "out of memory");
	return 0;
}

void seal_time_check(const uint8_t *frame, size_t size, const uint8_t imprint[BUNDLE_HASH],
		     const struct seal_authorities *authorities, struct seal_time *out)
{
	const uint8_t *stored = frame + BUNDLE_SKIPPABLE_HEAD, *response = stored + BUNDLE_HASH;
	size_t len = size - BUNDLE_SKIPPABLE_HEAD - BUNDLE_HASH;
	uint8_t digest[BUNDLE_HASH];

	time_judge(response, len, imprint, authorities, out);
	/* Not all bytes of a response are signed: the digest finds a change of any. */
	if (!EVP_Digest(response, len, digest, NULL, EVP_sha256(), NULL) ||
	    memcmp(digest, stored, sizeof(digest)))
		out->genuine = out->trusted = false;
}

/* ---- authorities ---- */

struct seal_authorities *seal_time_authorities(const char *path, struct err *err)
{
	struct seal_authorities *authorities = calloc(1, sizeof(*authorities));

	if (authorities)
		authorities->store = X509_STORE_new();
	if (!authorities || !authorities->store) {
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
	} else if (!X509_STORE_load_file(authorities->store, path)) {
		err_set(err, ERR_USAGE, "%s: no certificates in PEM form can be read from it",
			path);
	} else {
		ERR_clear_error();
		return authorities;
	}
	ERR_clear_error();
	seal_time_authorities_free(authorities);
	return NULL;
}

void seal_time_authorities_free(struct seal_authorities *authorities)
{
	if (!authorities)
		return;
	X509_STORE_free(authorities->store);
	free(authorities);
}
