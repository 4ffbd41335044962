/*
 * 10,000 single-bit flips over a sealed, signed and stamped bundle, spread over all of its bytes,
 * skippable frames and the tail included: verify finds every one. Fewer, but still one for each
 * byte at least, of a bundle without a stamp and of one without a signature. And every length to
 * which a bundle can be cut.
 */
#include "seal_kit.h"

#define FLIPS 10000 /* of the stamped bundle, which has frames of every kind */
#define FLIPS_LESS 3000

static struct kit_key alice;
static struct kit_authority here;

static int parts(void **state)
{
	time_t now = time(NULL);

	if (kit_setup(state))
		return -1;
	kit_key_make(&alice, "alice");
	kit_authority_make(&here, "here", "critical,timeStamping", now - 100, now + 86400);
	return 0;
}

static int no_parts(void **state)
{
	kit_key_remove(&alice);
	kit_authority_remove(&here);
	return kit_teardown(state);
}

/* What a flip can be found as: by the reader that opens the file, or by a finding. */
static bool found(void)
{
	const struct verify_options options = { 0 };
	struct err err = ERR_INIT;
	struct verify_result r;
	bool ok;

	if (bundle_verify(kit_path, &options, &r, &err)) {
		/* Only a header that is none is not verified at all. */
		assert_int_equal(err.kind, ERR_USAGE);
		verify_result_release(&r);
		return true;
	}
	ok = r.ok;
	assert_int_equal(ok, !r.findings_count);
	if (r.findings_count > 3)
		fail_msg("one flip, but: %s", kit_findings(&r));
	verify_result_release(&r);
	return !ok;
}

static void flips(const char *what, uint64_t count)
{
	struct bytes whole = kit_load(kit_path);
	uint64_t bits = whole.len * 8;
	int fd = open(kit_path, O_WRONLY | O_CLOEXEC);

	assert_true(whole.len <= count); /* so that each byte is hit */
	for (uint64_t i = 0; i < count; i++) {
		/* Evenly over the bits; beyond them, once more. */
		uint64_t bit = bits > count ? i * bits / count : i % bits, at = bit / 8;
		uint8_t flipped = whole.data[at] ^ (uint8_t)(1 << bit % 8);

		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
		if (!found())
			fail_msg("%s bundle of %zu bytes: bit %llu of byte %llu is not found", what,
				 whole.len, (unsigned long long)(bit % 8), (unsigned long long)at);
		assert_int_equal(pwrite(fd, &whole.data[at], 1, (off_t)at), 1);
	}
	assert_false(found());
	close(fd);
	bytes_release(&whole);
}

static void flips_unsigned(void **state)
{
	(void)state;
	kit_signed(NULL, 3);
	flips("unsigned", FLIPS_LESS);
}

static void flips_signed(void **state)
{
	(void)state;
	kit_signed(alice.key, 3);
	flips("signed", FLIPS_LESS);
}

static void flips_stamped(void **state)
{
	(void)state;
	kit_signed(alice.key, 3);
	kit_stamp(&here);
	flips("stamped", FLIPS);
}

/* Half a signature, half a timestamp: they can be put there anew. */
static void again(void **state)
{
	struct kit_frame frames[32];
	struct bytes whole;

	(void)state;
	for (int promised = 0; promised < 2; promised++) {
		struct err err = ERR_INIT;
		struct bytes request = BYTES_INIT;

		kit_signed(promised ? alice.key : NULL, 2);
		if (!promised)
			kit_sign(alice.key);
		whole = kit_load(kit_path);
		kit_store(whole.data, whole.len - 9);
		assert_int_equal(seal_file_request(kit_path, &request, &err), -1);
		assert_int_equal(err.kind, ERR_INCOMPLETE);
		kit_sign(alice.key);
		kit_stamp(&here);
		bytes_release(&whole);
		whole = kit_load(kit_path);
		assert_int_equal(kit_frames(frames, 32), 12);
		kit_store(whole.data, frames[11].offset + 40);
		err.kind = ERR_NONE;
		assert_int_equal(seal_file_sign(kit_path, alice.key, NULL, &err), -1);
		assert_int_equal(err.kind, ERR_INCOMPLETE);
		kit_stamp(&here);
		assert_int_equal(kit_frames(frames, 32), 12);
		assert_false(found());
		bytes_release(&whole);
	}
}

/* Only behind the signature may a stamped bundle end early unnoticed: nothing promises a stamp. */
static void cuts(void **state)
{
	struct kit_frame frames[32];
	struct bytes whole;
	size_t n;

	(void)state;
	kit_signed(alice.key, 2);
	kit_stamp(&here);
	whole = kit_load(kit_path);
	n = kit_frames(frames, 32);
	for (size_t len = BUNDLE_SKIPPABLE_HEAD + BUNDLE_HEADER_SIZE; len < whole.len; len++) {
		struct verify_result r;
		struct kit_read got;

		kit_store(whole.data, len);
		kit_verify(NULL, NULL, &r);
		kit_read(&got);
		if (len == frames[n - 1].offset) {
			assert_true(r.ok && r.sealed && got.end.sealed);
			verify_result_release(&r);
			continue;
		}
		assert_false(r.ok || r.sealed || r.complete || got.end.sealed);
		assert_int_equal(r.findings_count, 1);
		if (len < frames[n - 1].offset) {
			assert_int_equal(r.findings[0].kind, VERIFY_CUT);
			assert_string_equal(got.end.end_reason, "cut");
			assert_int_equal(r.signature, VERIFY_SIGNATURE_ABSENT);
		} else {
			/* Half a timestamp; of one to three bytes nobody can tell what they are. */
			bool begun = len >= frames[n - 1].offset + 4;

			assert_int_equal(r.findings[0].kind, begun ? VERIFY_CUT : VERIFY_TRAILING);
			assert_int_equal(r.unfinished, begun ? VERIFY_UNFINISHED_TIMESTAMP
							     : VERIFY_UNFINISHED_NOTHING);
			assert_string_equal(got.end.end_reason, begun ? "cut" : "trailing");
			assert_int_equal(r.signature, VERIFY_SIGNATURE_VALID);
		}
		verify_result_release(&r);
	}
	bytes_release(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flips_unsigned), cmocka_unit_test(flips_signed),
		cmocka_unit_test(flips_stamped),  cmocka_unit_test(again),
		cmocka_unit_test(cuts),
	};

	return cmocka_run_group_tests(tests, parts, no_parts);
}
