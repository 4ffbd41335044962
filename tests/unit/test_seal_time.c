/* Timestamps: who gave them, when, of what; and what is no timestamp of this bundle. */
#include "seal_kit.h"

#define DAY 86400L

static struct kit_key alice;
static struct kit_authority here, there, past;
static time_t now;

static int authorities(void **state)
{
	if (kit_setup(state))
		return -1;
	now = time(NULL);
	kit_key_make(&alice, "alice");
	kit_authority_make(&here, "here", "critical,timeStamping", now - DAY, now + DAY);
	kit_authority_make(&there, "there", "critical,timeStamping", now - DAY, now + DAY);
	/* Its certificates have long expired. */
	kit_authority_make(&past, "past", "critical,timeStamping", 1000 * DAY, 1001 * DAY);
	return 0;
}

static int no_authorities(void **state)
{
	kit_key_remove(&alice);
	kit_authority_remove(&here);
	kit_authority_remove(&there);
	kit_authority_remove(&past);
	return kit_teardown(state);
}

static void stamped(void **state)
{
	(void)state;
	for (int with = 0; with < 2; with++) {
		struct verify_result r;
		struct kit_read got;

		here.seconds = now;
		here.microseconds = 250000;
		kit_signed(with ? alice.key : NULL, 2);
		kit_stamp(&here);
		kit_verify(NULL, NULL, &r);
		assert_string_equal(kit_findings(&r), "");
		assert_true(r.ok && r.sealed && r.complete);
		assert_int_equal(r.frames_total, r.frames_good);
		assert_int_equal(r.timestamp, VERIFY_TIMESTAMP_UNCHECKED);
		assert_int_equal(r.timestamp_time, (uint64_t)now * 1000000000 + 250000000);
		assert_string_equal(r.authority, "CN=here stamps");
		verify_result_release(&r);
		kit_verify(NULL, here.ca, &r);
		assert_int_equal(r.timestamp, VERIFY_TIMESTAMP_VALID);
		assert_true(r.ok);
		verify_result_release(&r);
		kit_verify(NULL, there.ca, &r);
		assert_int_equal(r.timestamp, VERIFY_TIMESTAMP_INVALID);
		assert_string_equal(kit_findings(&r), with ? "resigned@11" : "resigned@10");
		verify_result_release(&r);
		kit_read(&got);
		assert_string_equal(got.end.end_reason, "sealed");
		assert_int_equal(got.end.end_offset, got.end.bytes);
	}
}

/* The certificates are judged as of the time that is stated, not as of now. */
static void expired(void **state)
{
	struct verify_result r;

	(void)state;
	kit_signed(alice.key, 2);
	past.seconds = 1000 * DAY + 10;
	kit_stamp(&past);
	kit_verify(NULL, past.ca, &r);
	assert_int_equal(r.timestamp, VERIFY_TIMESTAMP_VALID);
	assert_true(r.ok);
	verify_result_release(&r);
	kit_signed(alice.key, 2);
	past.seconds = 1002 * DAY;
	kit_stamp(&past);
	kit_verify(NULL, past.ca, &r);
	assert_int_equal(r.timestamp, VERIFY_TIMESTAMP_INVALID);
	assert_string_equal(kit_findings(&r), "resigned@11");
	verify_result_release(&r);
}

/* A certificate of the right root that may not stamp. */
static void not_for_this(void **state)
{
	struct verify_result r;
	X509 *may = here.certificate;

	(void)state;
	kit_signed(alice.key, 2);
	here.certificate = kit_certificate("server", here.key, here.root, here.root_key,
					   "serverAuth", now - DAY, now + DAY);
	/* libcrypto does not stamp with it, so it is put into the response of the other. */
	{
		struct bytes request = BYTES_INIT, response;
		struct err err = ERR_INIT;
		const uint8_t *at;
		uint8_t *der = NULL;
		TS_RESP *parsed;
		PKCS7 *token;
		int len;

		X509 *wrong = here.certificate;

		here.certificate = may;
		assert_int_equal(seal_file_request(kit_path, &request, &err), 0);
		response = kit_respond(&here, &request);
		at = response.data;
		parsed = d2i_TS_RESP(NULL, &at, (long)response.len);
		assert_non_null(parsed);
		token = TS_RESP_get_token(parsed);
		sk_X509_pop_free(token->d.sign->cert, X509_free);
		token->d.sign->cert = NULL;
		/* Without a certificate it cannot be kept. */
		len = i2d_TS_RESP(parsed, &der);
		assert_int_equal(seal_file_stamp(kit_path, der, (size_t)len, &err), -1);
		assert_non_null(strstr(err.text, "certificate"));
		OPENSSL_free(der);
		der = NULL;
		assert_int_equal(PKCS7_add_certificate(token, wrong), 1);
		len = i2d_TS_RESP(parsed, &der);
		err.kind = ERR_NONE;
		/* The same key and serial, so the signature fits. */
		if (seal_file_stamp(kit_path, der, (size_t)len, &err))
			fail_msg("%s", err.text);
		OPENSSL_free(der);
		TS_RESP_free(parsed);
		X509_free(wrong);
		bytes_release(&request);
		bytes_release(&response);
	}
	kit_verify(NULL, NULL, &r);
	assert_int_equal(r.timestamp, VERIFY_TIMESTAMP_UNCHECKED);
	assert_string_equal(r.authority, "CN=server");
	verify_result_release(&r);
	kit_verify(NULL, here.ca, &r);
	assert_int_equal(r.timestamp, VERIFY_TIMESTAMP_INVALID);
	assert_string_equal(kit_findings(&r), "resigned@11");
	verify_result_release(&r);
}

/* Frames behind the index in other orders and numbers, and of other bundles. */
static void order(void **state)
{
	struct kit_frame frames[32], others[32];
	struct bytes whole, other, out = BYTES_INIT;
	size_t n;
	/* Letters: s signature, t timestamp, o timestamp of another bundle. */
	static const struct {
		const char *plan, *findings, *end;
		enum verify_signature signature;
		enum verify_timestamp timestamp;
	} cases[] = {
		{ "st", "", "sealed", VERIFY_SIGNATURE_VALID, VERIFY_TIMESTAMP_VALID },
		{ "s", "", "sealed", VERIFY_SIGNATURE_VALID, VERIFY_TIMESTAMP_ABSENT },
		{ "stt", "inserted@12", "trailing", VERIFY_SIGNATURE_VALID,
		  VERIFY_TIMESTAMP_VALID },
		{ "sts", "resigned@12", "trailing", VERIFY_SIGNATURE_VALID,
		  VERIFY_TIMESTAMP_VALID },
		{ "ss", "resigned@11", "trailing", VERIFY_SIGNATURE_VALID,
		  VERIFY_TIMESTAMP_ABSENT },
		{ "so", "altered@11", "sealed", VERIFY_SIGNATURE_VALID, VERIFY_TIMESTAMP_INVALID },
		/* The stamp is of the signature, not of the index. */
		{ "t", "altered@10 cut@11", "cut", VERIFY_SIGNATURE_ABSENT,
		  VERIFY_TIMESTAMP_INVALID },
		{ "", "cut@10", "cut", VERIFY_SIGNATURE_ABSENT, VERIFY_TIMESTAMP_ABSENT },
	};

	(void)state;
	here.seconds = now;
	kit_signed(alice.key, 2);
	kit_stamp(&here);
	other = kit_load(kit_path);
	kit_frames(others, 32);
	kit_signed(alice.key, 2);
	kit_stamp(&here);
	whole = kit_load(kit_path);
	n = kit_frames(frames, 32);
	assert_int_equal(n, 12);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct verify_result r;
		struct kit_read got;

		out.len = 0;
		bytes_put(&out, whole.data, frames[10].offset);
		for (const char *p = cases[i].plan; *p; p++) {
			const struct kit_frame *f = *p == 's'	? &frames[10]
						    : *p == 't' ? &frames[11]
								: &others[11];

			bytes_put(&out, (*p == 'o' ? other.data : whole.data) + f->offset, f->size);
		}
		kit_store(out.data, out.len);
		kit_verify(alice.public, here.ca, &r);
		if (strcmp(kit_findings(&r), cases[i].findings) ||
		    r.signature != cases[i].signature || r.timestamp != cases[i].timestamp)
			fail_msg("%s: \"%s\", signature %d, timestamp %d", cases[i].plan,
				 kit_findings(&r), r.signature, r.timestamp);
		verify_result_release(&r);
		kit_read(&got);
		assert_string_equal(got.end.end_reason, cases[i].end);
	}
	bytes_release(&whole);
	bytes_release(&other);
	bytes_release(&out);
}

/* Responses that are none. */
static void refused(void **state)
{
	static const uint8_t rejection[] = { 0x30, 5, 0x30, 3, 2, 1, 2 };
	struct bytes request = BYTES_INIT, response, whole, now_there;
	struct err err = ERR_INIT;
	uint8_t *large = calloc(1, BUNDLE_TIMESTAMP_MAX);

	(void)state;
	kit_signed(alice.key, 2);
	whole = kit_load(kit_path);
	assert_int_equal(seal_file_request(kit_path, &request, &err), 0);
	response = kit_respond(&here, &request);
	bytes_put_u8(&response, 0);
	for (int i = 0; i < 5; i++) {
		const struct {
			const uint8_t *data;
			size_t len;
		} cases[] = {
			{ rejection, sizeof(rejection) },
			{ response.data, response.len }, /* a byte too many */
			{ response.data, response.len / 2 },
			{ response.data, 0 },
			{ large, BUNDLE_TIMESTAMP_MAX },
		};

		err.kind = ERR_NONE;
		assert_int_equal(seal_file_stamp(kit_path, cases[i].data, cases[i].len, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
	}
	now_there = kit_load(kit_path);
	assert_int_equal(now_there.len, whole.len);
	assert_memory_equal(now_there.data, whole.data, whole.len);
	free(large);
	bytes_release(&request);
	bytes_release(&response);
	bytes_release(&whole);
	bytes_release(&now_there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stamped),	cmocka_unit_test(expired),
		cmocka_unit_test(not_for_this), cmocka_unit_test(order),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, authorities, no_authorities);
}
