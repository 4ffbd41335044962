/* Signatures: what is signed, what a verifier says of it, and what is refused. */
#include "seal_kit.h"

#include "bundle/resume.h"

static struct kit_key alice, bob;

static int keys(void **state)
{
	if (kit_setup(state))
		return -1;
	kit_key_make(&alice, "alice");
	kit_key_make(&bob, "bob");
	return 0;
}

static int no_keys(void **state)
{
	kit_key_remove(&alice);
	kit_key_remove(&bob);
	return kit_teardown(state);
}

/* Both ways to sign give a valid signature; the reader takes it for the end. */
static void valid(void **state)
{
	struct verify_result r;
	struct kit_read got;
	char id[65];

	(void)state;
	bytes_to_hex(alice.key->id, BUNDLE_HASH, id);
	for (int later = 0; later < 2; later++) {
		kit_signed(later ? NULL : alice.key, 3);
		if (later)
			kit_sign(alice.key);
		kit_verify(NULL, NULL, &r);
		assert_string_equal(kit_findings(&r), "");
		assert_true(r.ok && r.sealed && r.complete && !r.trusted);
		assert_int_equal(r.signature, VERIFY_SIGNATURE_VALID);
		assert_int_equal(r.timestamp, VERIFY_TIMESTAMP_ABSENT);
		assert_string_equal(r.key_sha256, id);
		assert_int_equal(r.frames_good, r.frames_total);
		assert_int_equal(r.frames_total, 1 + 3 * 4 + 2);
		verify_result_release(&r);
		kit_verify(alice.public, NULL, &r);
		assert_true(r.ok && r.trusted);
		verify_result_release(&r);
		kit_verify(alice.secret, NULL, &r);
		assert_true(r.ok && r.trusted);
		verify_result_release(&r);
		kit_read(&got);
		assert_string_equal(got.end.end_reason, "sealed");
		assert_true(got.end.complete);
		assert_int_equal(got.records, 5);
		assert_int_equal(got.end.end_offset, got.end.bytes);
	}
}

/* Byte for byte what docs/bundle-format.md says, checked without our own code. */
static void statement(void **state)
{
	struct kit_frame frames[32];
	struct verify_result r;
	struct bytes whole;
	const uint8_t *frame;
	char wanted[1200], message[1400], chain[65], seal[65], key[65], bundle[33];
	EVP_PKEY *pkey;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n, len;
	int total;

	(void)state;
	kit_signed(alice.key, 2);
	n = kit_frames(frames, 32);
	whole = kit_load(kit_path);
	assert_int_equal(frames[n - 1].kind, SCAN_SIGNATURE);
	assert_int_equal(frames[n - 3].kind, SCAN_CHAIN);
	frame = whole.data + frames[n - 1].offset;
	bytes_to_hex(whole.data + 8 + 20, 16, bundle);
	bytes_to_hex(whole.data + frames[n - 3].offset + 16, 32, chain);
	bytes_to_hex(frame - 32, 32, seal);
	bytes_to_hex(alice.key->id, 32, key);
	len = (size_t)snprintf(wanted, sizeof(wanted),
			       "daylight bundle statement\nformat 1\nbundle %s\nkey %s\nlinks 2\n"
			       "chain %s\nseal %s\nframes 2\nstrings 4\nrecords 6\n"
			       "window 01fe2077696e646f77\nstart 1970-01-01T00:00:01.000000001Z\n"
			       "stop 1970-01-01T00:00:05.000000000Z\n",
			       bundle, key, chain, seal);
	assert_int_equal(frames[n - 1].size, 8 + 112 + len);
	assert_memory_equal(frame + 120, wanted, len);
	total = snprintf(message, sizeof(message),
			 "DSSEv1 41 application/vnd.daylight.bundle-statement %zu %s", len, wanted);
	pkey = d2i_PUBKEY(NULL, &(const uint8_t *){ frame + 12 }, 44);
	assert_non_null(pkey);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey), 1);
	assert_int_equal(EVP_DigestVerify(ctx, frame + 56, 64, (uint8_t *)message, (size_t)total),
			 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	/* Nothing is known of the window: dashes, and no complaint. */
	{
		struct bundle_writer *w = kit_open(NULL);

		assert_int_equal(kit_label(w, "label", "value"), 0);
		kit_close(w);
	}
	kit_sign(alice.key);
	bytes_release(&whole);
	whole = kit_load(kit_path);
	assert_memory_equal(whole.data + whole.len - 25, "\nwindow -\nstart -\nstop -\n", 25);
	kit_verify(NULL, NULL, &r);
	assert_int_equal(r.signature, VERIFY_SIGNATURE_VALID);
	assert_true(r.ok);
	verify_result_release(&r);
	bytes_release(&whole);
}

static void signers(void **state)
{
	struct kit_frame frames[32];
	struct verify_result r;
	struct bytes whole, other;
	struct kit_read got;
	size_t n;

	(void)state;
	/* Signed by somebody else than was asked for. */
	kit_signed(bob.key, 2);
	n = kit_frames(frames, 32);
	kit_verify(alice.public, NULL, &r);
	assert_int_equal(r.findings_count, 1);
	assert_int_equal(r.findings[0].kind, VERIFY_RESIGNED);
	assert_int_equal(r.findings[0].offset, frames[n - 1].offset);
	assert_int_equal(r.signature, VERIFY_SIGNATURE_VALID);
	assert_false(r.trusted || r.ok);
	verify_result_release(&r);
	/* A second signature behind the first. */
	other = kit_load(kit_path);
	kit_signed(alice.key, 2);
	whole = kit_load(kit_path);
	n = kit_frames(frames, 32);
	bytes_put(&whole, whole.data + frames[n - 1].offset, frames[n - 1].size);
	kit_store(whole.data, whole.len);
	kit_verify(alice.public, NULL, &r);
	assert_int_equal(r.findings_count, 1);
	assert_int_equal(r.findings[0].kind, VERIFY_RESIGNED);
	assert_int_equal(r.findings[0].frame, n);
	assert_true(r.trusted);
	verify_result_release(&r);
	kit_read(&got);
	assert_string_equal(got.end.end_reason, "trailing");
	/* The signature of another bundle. */
	whole.len = frames[n - 1].offset;
	bytes_put(&whole, other.data + other.len - frames[n - 1].size, frames[n - 1].size);
	kit_store(whole.data, whole.len);
	kit_verify(bob.public, NULL, &r);
	assert_int_equal(r.findings_count, 1);
	assert_int_equal(r.findings[0].kind, VERIFY_ALTERED);
	assert_int_equal(r.findings[0].frame, n - 1);
	assert_int_equal(r.signature, VERIFY_SIGNATURE_INVALID);
	assert_false(r.trusted);
	verify_result_release(&r);
	/* The chain is right, the header's promise is not kept. */
	kit_store(whole.data, frames[n - 1].offset);
	kit_verify(NULL, NULL, &r);
	assert_string_equal(kit_findings(&r), "cut@10");
	assert_int_equal(r.unfinished, VERIFY_UNFINISHED_SIGNATURE);
	assert_false(r.sealed || r.complete);
	assert_int_equal(r.signature, VERIFY_SIGNATURE_ABSENT);
	assert_string_equal(r.end_reason, "cut");
	verify_result_release(&r);
	kit_read(&got);
	assert_string_equal(got.end.end_reason, "cut");
	assert_false(got.end.sealed || got.end.complete);
	/* Which can be made up for. */
	kit_sign(alice.key);
	kit_verify(alice.public, NULL, &r);
	assert_true(r.ok && r.trusted && r.complete);
	verify_result_release(&r);
	bytes_release(&whole);
	bytes_release(&other);
}

/* A damaged bundle whose signature is genuine: what is as it was signed is told from what is not.
 */
static void damaged(void **state)
{
	struct kit_frame frames[32];
	struct verify_result r;
	struct bytes whole;

	(void)state;
	kit_signed(alice.key, 3);
	kit_frames(frames, 32);
	whole = kit_load(kit_path);
	/* The data frame of link 1 holds the window, that of link 2 does not. */
	for (size_t frame = 3; frame < 8; frame += 4) {
		whole.data[frames[frame].offset + frames[frame].size - 6] ^= 4;
		kit_store(whole.data, whole.len);
		whole.data[frames[frame].offset + frames[frame].size - 6] ^= 4;
		kit_verify(alice.public, NULL, &r);
		assert_int_equal(r.findings_count, 1);
		assert_int_equal(r.findings[0].kind, VERIFY_ALTERED);
		assert_int_equal(r.findings[0].frame, frame);
		assert_int_equal(r.signature, VERIFY_SIGNATURE_VALID);
		assert_true(r.trusted && r.sealed && !r.ok);
		assert_int_equal(r.frames_total, 1 + 3 * 4 + 2);
		assert_int_equal(r.frames_good, r.frames_total - (frame == 3 ? 5 : 4));
		verify_result_release(&r);
	}
	/* A whole link is gone: the numbers of what is left are still the signed ones. */
	{
		struct bytes less = BYTES_INIT;

		bytes_put(&less, whole.data, frames[5].offset);
		bytes_put(&less, whole.data + frames[9].offset, whole.len - frames[9].offset);
		kit_store(less.data, less.len);
		kit_verify(alice.public, NULL, &r);
		assert_string_equal(kit_findings(&r), "cut@5");
		assert_true(r.trusted);
		verify_result_release(&r);
		bytes_release(&less);
	}
	bytes_release(&whole);
}

/* A frame put into the bundle at each place where frames meet is named, and nothing else is. */
static void inserted(void **state)
{
	static const uint8_t skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3 };
	struct kit_frame frames[32];
	struct bytes whole, out = BYTES_INIT;
	size_t n;

	(void)state;
	kit_signed(alice.key, 3);
	n = kit_frames(frames, 32);
	whole = kit_load(kit_path);
	for (size_t at = 1; at <= n; at++) {
		uint64_t offset = at < n ? frames[at].offset : whole.len;
		/* A foreign frame; the signature itself; a data frame of the bundle. */
		const struct {
			const uint8_t *data;
			size_t len;
		} pieces[] = {
			{ skippable, sizeof(skippable) },
			{ whole.data + frames[n - 1].offset, frames[n - 1].size },
			{ whole.data + frames[7].offset, frames[7].size },
		};

		for (size_t p = 0; p < 3; p++) {
			struct verify_result r;
			enum verify_kind kind = VERIFY_INSERTED;

			out.len = 0;
			bytes_put(&out, whole.data, offset);
			bytes_put(&out, pieces[p].data, pieces[p].len);
			bytes_put(&out, whole.data + offset, whole.len - offset);
			kit_store(out.data, out.len);
			kit_verify(NULL, NULL, &r);
			if (at >= n - 1)
				kind = p == 1 ? VERIFY_RESIGNED : VERIFY_TRAILING;
			/* Between a strings head and its frame the head is what does not fit. */
			if (frames[at < n ? at - 1 : 0].kind == SCAN_STRINGS) {
				assert_true(r.findings_count > 0);
			} else if (r.findings_count != 1 || r.findings[0].kind != kind ||
				   (r.findings[0].offset != offset &&
				    (kind != VERIFY_RESIGNED ||
				     r.findings[0].offset != offset + frames[n - 1].size) &&
				    (p != 2 || at != 8)))
				fail_msg("piece %zu at frame %zu (%llu): %s at %llu", p, at,
					 (unsigned long long)offset, kit_findings(&r),
					 (unsigned long long)r.findings[0].offset);
			verify_result_release(&r);
		}
	}
	bytes_release(&out);
	bytes_release(&whole);
}

static int ignore(void *ctx, const struct bundle_reader *reader, const struct bundle_record *record,
		  struct err *err)
{
	(void)ctx;
	(void)reader;
	(void)record;
	(void)err;
	return 0;
}

/* A window that was interrupted is still to be signed, by whoever goes on with it. */
static void resumed(void **state)
{
	const struct bundle_writer_options options = { .frame_ns = 1, .key = alice.key };
	struct bundle_writer *w = kit_open(&options);
	struct bundle_resume *resume;
	struct err err = ERR_INIT;
	struct verify_result r;

	(void)state;
	assert_int_equal(kit_label(w, "label", "before"), 0);
	bundle_writer_tick(w, UINT64_MAX);
	bundle_writer_abandon(w);
	kit_verify(NULL, NULL, &r);
	assert_int_equal(r.findings_count, 1);
	assert_int_equal(r.findings[0].kind, VERIFY_CUT);
	assert_int_equal(r.signature, VERIFY_SIGNATURE_ABSENT);
	verify_result_release(&r);
	assert_int_equal(seal_file_sign(kit_path, alice.key, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_INCOMPLETE);
	err.kind = ERR_NONE;
	resume = bundle_resume_open(kit_path, &err);
	if (!resume || bundle_resume_read(resume, ignore, NULL, &err))
		fail_msg("%s", err.text);
	assert_true(resume->is_signed);
	w = bundle_writer_resume(resume, &options, &err);
	assert_non_null(w);
	bundle_resume_free(resume);
	assert_int_equal(kit_label(w, "label", "after"), 0);
	kit_close(w);
	kit_verify(alice.public, NULL, &r);
	assert_string_equal(kit_findings(&r), "");
	assert_true(r.ok && r.trusted);
	verify_result_release(&r);
}

static void refused(void **state)
{
	struct err err = ERR_INIT;
	struct bytes whole;

	(void)state;
	kit_signed(alice.key, 2);
	assert_int_equal(seal_file_sign(kit_path, bob.key, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.text, "signed already"));
	whole = kit_load(kit_path);
	whole.data[60] ^= 1;
	kit_store(whole.data, whole.len);
	err.kind = ERR_NONE;
	assert_int_equal(seal_file_sign(kit_path, bob.key, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_ALTERED);
	whole.data[60] ^= 1;
	kit_store(whole.data, whole.len / 2);
	err.kind = ERR_NONE;
	assert_int_equal(seal_file_sign(kit_path, bob.key, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_INCOMPLETE);
	bytes_release(&whole);
	whole = kit_load(kit_path);
	kit_signed(NULL, 2);
	/* Not the file that was written. */
	err.kind = ERR_NONE;
	assert_int_equal(seal_file_sign(kit_path, bob.key, alice.key->id, &err), -1);
	assert_int_equal(err.kind, ERR_ALTERED);
	bytes_release(&whole);
}

/* Key files that are none, or that are not for this. */
static void key_files(void **state)
{
	static const char *const kinds[] = { "RSA", "EC" };
	struct err err = ERR_INIT;
	struct seal_key *key;
	char path[128];
	struct stat st;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/key.pem", kit_folder);
	assert_int_equal(stat(alice.secret, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(seal_key_write(alice.key, true, alice.secret, &err), -1);
	assert_non_null(strstr(err.text, "never overwritten"));
	key = seal_key_load(alice.secret, true, &err);
	assert_memory_equal(key->id, alice.key->id, BUNDLE_HASH);
	assert_true(key->secret);
	seal_key_free(key);
	err.kind = ERR_NONE;
	assert_null(seal_key_load(alice.public, true, &err));
	assert_non_null(strstr(err.text, "no private key"));
	key = seal_key_load(alice.public, false, &err);
	assert_false(key->secret);
	seal_key_free(key);
	for (size_t i = 0; i < 4; i++) {
		EVP_PKEY *pkey =
			i < 2 ? EVP_PKEY_Q_keygen(NULL, NULL, kinds[i],
						  i ? (size_t)(uintptr_t) "P-256" : (size_t)1024)
			      : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

		assert_non_null(pkey);
		f = fopen(path, "we");
		if (i < 3)
			assert_int_equal(PEM_write_PrivateKey(f, pkey,
							      i == 2 ? EVP_aes_128_cbc() : NULL,
							      i == 2 ? (uint8_t *)"x1y2" : NULL,
							      i == 2 ? 4 : 0, NULL, NULL),
					 1);
		else
			fputs("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", f);
		fclose(f);
		EVP_PKEY_free(pkey);
		err.kind = ERR_NONE;
		assert_null(seal_key_load(path, true, &err));
		assert_int_equal(err.kind, ERR_USAGE);
		if (!strstr(err.text, i < 2    ? "another kind"
				      : i == 2 ? "passphrase"
					       : "no private key"))
			fail_msg("%zu: %s", i, err.text);
		unlink(path);
	}
	err.kind = ERR_NONE;
	assert_null(seal_key_load(kit_folder, true, &err));
	assert_null(seal_key_load("/nowhere", true, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid),   cmocka_unit_test(statement), cmocka_unit_test(signers),
		cmocka_unit_test(damaged), cmocka_unit_test(inserted),	cmocka_unit_test(refused),
		cmocka_unit_test(resumed), cmocka_unit_test(key_files),
	};

	return cmocka_run_group_tests(tests, keys, no_keys);
}
