/* Helpers of the seal tests: keys, signed bundles, a timestamp authority of their own. */
#ifndef DAYLIGHT_TESTS_SEAL_KIT_H
#define DAYLIGHT_TESTS_SEAL_KIT_H

#include "bundle_kit.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ts.h>
#include <openssl/x509v3.h>

#include "bundle/seal_file.h"

/* A key that is made once; its files are beside the scratch bundle. */
struct kit_key {
	struct seal_key *key;
	char secret[128], public[128];
};

static inline void kit_key_make(struct kit_key *k, const char *name)
{
	struct err err = ERR_INIT;

	snprintf(k->secret, sizeof(k->secret), "%s/%s.pem", kit_folder, name);
	snprintf(k->public, sizeof(k->public), "%s/%s.pub", kit_folder, name);
	k->key = seal_key_new(&err);
	assert_non_null(k->key);
	if (seal_key_write(k->key, true, k->secret, &err) ||
	    seal_key_write(k->key, false, k->public, &err))
		fail_msg("%s", err.text);
}

static inline void kit_key_remove(struct kit_key *k)
{
	unlink(k->secret);
	unlink(k->public);
	seal_key_free(k->key);
}

static inline void kit_sign(const struct seal_key *key)
{
	struct err err = ERR_INIT;

	if (seal_file_sign(kit_path, key, NULL, &err))
		fail_msg("%s", err.text);
}

/* Verifies kit_path; release the result. */
static inline void kit_verify(const char *key, const char *authorities, struct verify_result *out)
{
	const struct verify_options options = { key, authorities };
	struct err err = ERR_INIT;

	if (bundle_verify(kit_path, &options, out, &err))
		fail_msg("%s", err.text);
}

/* The findings as text: "kind@frame ...". */
static inline const char *kit_findings(const struct verify_result *r)
{
	static char text[1024];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < r->findings_count && len < sizeof(text) - 64; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s@%llu", len ? " " : "",
					verify_kind_name(r->findings[i].kind),
					(unsigned long long)r->findings[i].frame);
	return text;
}

/* A root, a certificate below it that stamps, and what the clock of that says. */
struct kit_authority {
	EVP_PKEY *root_key, *key;
	X509 *root, *certificate;
	char ca[128]; /* the root's file */
	long seconds, microseconds;
};

static inline X509 *kit_certificate(const char *name, EVP_PKEY *key, X509 *issuer,
				    EVP_PKEY *issuer_key, const char *usage, time_t from,
				    time_t until)
{
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);
	X509V3_CTX ctx;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0);
	X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : subject);
	ASN1_TIME_set(X509_getm_notBefore(x), from);
	ASN1_TIME_set(X509_getm_notAfter(x), until);
	X509_set_pubkey(x, key);
	X509V3_set_ctx(&ctx, issuer ? issuer : x, x, NULL, NULL, 0);
	if (usage || !issuer) {
		X509_EXTENSION *extension =
			issuer ? X509V3_EXT_conf_nid(NULL, &ctx, NID_ext_key_usage, usage)
			       : X509V3_EXT_conf_nid(NULL, &ctx, NID_basic_constraints,
						     "critical,CA:TRUE");

		assert_non_null(extension);
		X509_add_ext(x, extension, -1);
		X509_EXTENSION_free(extension);
	}
	assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
	return x;
}

/* usage: what the certificate may do; NULL: anything. */
static inline void kit_authority_make(struct kit_authority *a, const char *name, const char *usage,
				      time_t from, time_t until)
{
	char text[64];
	FILE *f;

	memset(a, 0, sizeof(*a));
	a->seconds = from + 10;
	a->root_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	a->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	snprintf(text, sizeof(text), "%s root", name);
	a->root = kit_certificate(text, a->root_key, NULL, a->root_key, NULL, from, until);
	snprintf(text, sizeof(text), "%s stamps", name);
	a->certificate = kit_certificate(text, a->key, a->root, a->root_key, usage, from, until);
	snprintf(a->ca, sizeof(a->ca), "%s/%s.ca", kit_folder, name);
	f = fopen(a->ca, "we");
	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, a->root), 1);
	assert_int_equal(fclose(f), 0);
}

static inline void kit_authority_remove(struct kit_authority *a)
{
	unlink(a->ca);
	X509_free(a->root);
	X509_free(a->certificate);
	EVP_PKEY_free(a->root_key);
	EVP_PKEY_free(a->key);
}

static inline ASN1_INTEGER *kit_serial(struct TS_resp_ctx *ctx, void *arg)
{
	ASN1_INTEGER *serial = ASN1_INTEGER_new();

	(void)ctx;
	(void)arg;
	ASN1_INTEGER_set(serial, 7);
	return serial;
}

static inline int kit_time(struct TS_resp_ctx *ctx, void *arg, long *seconds, long *microseconds)
{
	const struct kit_authority *a = arg;

	(void)ctx;
	*seconds = a->seconds;
	*microseconds = a->microseconds;
	return 1;
}

/* The authority's response to a request. */
static inline struct bytes kit_respond(struct kit_authority *a, const struct bytes *request)
{
	TS_RESP_CTX *ctx = TS_RESP_CTX_new();
	BIO *in = BIO_new_mem_buf(request->data, (int)request->len);
	ASN1_OBJECT *policy = OBJ_txt2obj("1.2.3.4", 1);
	struct bytes out = BYTES_INIT;
	uint8_t *der = NULL;
	TS_RESP *response;
	int len;

	TS_RESP_CTX_set_serial_cb(ctx, kit_serial, NULL);
	TS_RESP_CTX_set_time_cb(ctx, kit_time, a);
	TS_RESP_CTX_set_clock_precision_digits(ctx, 6);
	assert_true(TS_RESP_CTX_set_signer_cert(ctx, a->certificate));
	assert_true(TS_RESP_CTX_set_signer_key(ctx, a->key));
	assert_true(TS_RESP_CTX_set_def_policy(ctx, policy));
	assert_true(TS_RESP_CTX_add_md(ctx, EVP_sha256()));
	assert_true(TS_RESP_CTX_set_signer_digest(ctx, EVP_sha256()));
	response = TS_RESP_create_response(ctx, in);
	assert_non_null(response);
	len = i2d_TS_RESP(response, &der);
	assert_true(len > 0);
	bytes_put(&out, der, (size_t)len);
	OPENSSL_free(der);
	TS_RESP_free(response);
	ASN1_OBJECT_free(policy);
	TS_RESP_CTX_free(ctx);
	BIO_free(in);
	return out;
}

/* Stamps kit_path. */
static inline void kit_stamp(struct kit_authority *a)
{
	struct bytes request = BYTES_INIT, response;
	struct err err = ERR_INIT;

	if (seal_file_request(kit_path, &request, &err))
		fail_msg("%s", err.text);
	response = kit_respond(a, &request);
	if (seal_file_stamp(kit_path, response.data, response.len, &err))
		fail_msg("%s", err.text);
	bytes_release(&request);
	bytes_release(&response);
}

/* A small bundle with a window, written by a writer that signs (or not: NULL). */
static inline void kit_signed(const struct seal_key *key, int links)
{
	const struct bundle_writer_options options = { .frame_ns = 1, .key = key };
	struct bundle_writer *w = kit_open(&options);
	struct rec_window window = { .id = 1, .realtime = 1000000001 };
	struct rec_window_end end = { 1, 2, 3, 5000000000, 1, REC_EMPTY };

	window.window = bundle_writer_string(w, "\x01\xfe window", 9, STRING_PUBLIC);
	assert_int_equal(bundle_writer_put(w, REC_WINDOW_KIND, &window), 0);
	for (int i = 0; i < links; i++) {
		char value[32];

		snprintf(value, sizeof(value), "secret-%d", i);
		assert_int_equal(kit_label(w, "label", value), 0);
		if (i == links - 1)
			assert_int_equal(bundle_writer_put(w, REC_WINDOW_END_KIND, &end), 0);
		bundle_writer_tick(w, UINT64_MAX);
	}
	kit_close(w);
}

#endif
