/* Cut, flipped and hostile bytes: the reader ends clearly, verify finds every change. */
#include "bundle_kit.h"

#include <openssl/evp.h>
#include <zstd.h>

static void sha256(const void *data, size_t len, uint8_t *out)
{
	assert_int_equal(EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL), 1);
}

/* A zstd frame as the format wants it: with content size and checksum. */
static size_t pack(const void *content, size_t len, void *out, size_t cap)
{
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	size_t n;

	ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(zstd, out, cap, content, len);
	ZSTD_freeCCtx(zstd);
	assert_false(ZSTD_isError(n));
	return n;
}

static void put_header(struct bytes *out, uint32_t format, uint32_t incompatible)
{
	static const uint8_t id[BUNDLE_ID];

	bytes_put_le32(out, BUNDLE_HEADER_MAGIC);
	bytes_put_le32(out, BUNDLE_HEADER_SIZE);
	bytes_put(out, BUNDLE_NAME, 8);
	bytes_put_le32(out, format);
	bytes_put_le32(out, 0);
	bytes_put_le32(out, incompatible);
	bytes_put(out, id, sizeof(id));
}

static int verify(struct verify_result *out)
{
	struct err err = ERR_INIT;

	return bundle_verify(kit_path, NULL, out, &err);
}

static void intact(void **state)
{
	struct verify_result result;

	(void)state;
	kit_small("a", 3);
	assert_int_equal(verify(&result), 0);
	assert_true(result.ok && result.sealed && result.complete);
	assert_int_equal(result.findings_count, 0);
	assert_int_equal(result.frames_total, 1 + 3 * 4 + 1);
	assert_int_equal(result.frames_good, result.frames_total);
	assert_string_equal(result.end_reason, "sealed");
	verify_result_release(&result);
}

/* At every length: what is read is a prefix of the whole, and verify says "cut" and no worse. */
static void cut_anywhere(void **state)
{
	struct bytes whole;
	uint64_t records = 0;

	(void)state;
	kit_small("a", 3);
	whole = kit_load(kit_path);
	for (size_t len = 0; len < whole.len; len++) {
		struct verify_result result;
		struct kit_read got;

		kit_store(whole.data, len);
		if (len < BUNDLE_SKIPPABLE_HEAD + BUNDLE_HEADER_SIZE) {
			assert_int_equal(kit_read(&got), -1);
			assert_int_equal(verify(&result), -1);
			verify_result_release(&result);
			continue;
		}
		assert_int_equal(kit_read(&got), 0);
		assert_true(got.records >= records);
		records = got.records;
		assert_string_equal(got.end.end_reason, "cut");
		assert_false(got.end.sealed);
		assert_true(got.end.end_offset <= len);
		assert_int_equal(got.end.bytes, len);
		assert_int_equal(verify(&result), 0);
		assert_false(result.ok);
		assert_int_equal(result.findings_count, 1);
		assert_int_equal(result.findings[0].kind, VERIFY_CUT);
		assert_false(result.sealed);
		verify_result_release(&result);
	}
	assert_int_equal(records, 7);
	bytes_release(&whole);
}

static void any_flip(void **state)
{
	struct bytes whole;
	size_t cuts = 0;

	(void)state;
	kit_small("a", 3);
	whole = kit_load(kit_path);
	for (size_t bit = 0; bit < whole.len * 8; bit++) {
		struct verify_result result;
		struct kit_read got;
		int ret;

		whole.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		kit_store(whole.data, whole.len);
		whole.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		kit_read(&got);
		ret = verify(&result);
		if (!ret && result.ok)
			fail_msg("bit %zu of byte %zu is not found", bit % 8, bit / 8);
		if (!ret && result.findings[0].kind == VERIFY_CUT)
			cuts++;
		if (!ret && result.findings_count > 2)
			fail_msg("bit %zu of byte %zu: %zu findings", bit % 8, bit / 8,
				 result.findings_count);
		verify_result_release(&result);
	}
	/* Only where the index frame's own head was hit does the file look cut. */
	assert_in_range(cuts, 1, 64);
	bytes_release(&whole);
}

static void tails(void **state)
{
	static const uint8_t zeros[5000];
	static const struct {
		bool sealed;
		uint8_t fill;
		const char *reason;
		enum verify_kind kind;
	} cases[] = {
		{ true, 0, "trailing", VERIFY_TRAILING },
		{ true, 0xa7, "trailing", VERIFY_TRAILING },
		{ false, 0, "cut", VERIFY_CUT },
		{ false, 0xa7, "damaged", VERIFY_CUT },
	};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct kit_frame frames[64];
		struct verify_result result;
		struct kit_read got;
		struct bytes whole;
		size_t n;

		kit_small("a", 2);
		n = kit_frames(frames, 64);
		whole = kit_load(kit_path);
		if (!cases[i].sealed)
			whole.len = frames[n - 1].offset;
		for (size_t k = 0; k < sizeof(zeros); k++)
			bytes_put_u8(&whole, cases[i].fill);
		kit_store(whole.data, whole.len);
		assert_int_equal(kit_read(&got), 0);
		assert_int_equal(got.records, 5);
		assert_string_equal(got.end.end_reason, cases[i].reason);
		assert_false(got.end.sealed);
		assert_int_equal(got.end.end_offset, whole.len - sizeof(zeros));
		assert_int_equal(verify(&result), 0);
		assert_int_equal(result.findings_count, 1);
		assert_int_equal(result.findings[0].kind, cases[i].kind);
		assert_int_equal(result.findings[0].offset, whole.len - sizeof(zeros));
		verify_result_release(&result);
		bytes_release(&whole);
	}
}

/* A public twin: one string frame written anew, its private strings hidden; all else as it was. */
static void public_twin(void **state)
{
	struct kit_frame frames[64];
	struct verify_result result;
	struct bundle_reader *r;
	struct bundle_record record;
	struct err err = ERR_INIT;
	struct bytes whole, twin = BYTES_INIT, content = BYTES_INIT;
	uint8_t packed[4096], hash[BUNDLE_HASH];
	const struct bundle_string *s;
	uint64_t hidden = 0, shown = 0;
	size_t n, len;

	(void)state;
	kit_small("a", 2);
	whole = kit_load(kit_path);
	n = kit_frames(frames, 64);
	assert_int_equal(frames[1].kind, SCAN_STRINGS);
	/* The commitments are in no file: they come from the canonical form that verify hashes. */
	len = ZSTD_decompress(packed, sizeof(packed), whole.data + frames[2].offset,
			      frames[2].size);
	assert_false(ZSTD_isError(len));
	assert_int_equal(packed[0], BUNDLE_CONTENT_STRINGS);
	{
		struct bytes_reader in = { packed, len, 0, false };
		uint64_t count;

		bytes_put_u8(&content, bytes_get_u8(&in));
		bytes_put_varint(&content, bytes_get_varint(&in));
		count = bytes_get_varint(&in);
		bytes_put_varint(&content, count);
		while (count--) {
			uint8_t form = bytes_get_u8(&in), salted[BUNDLE_SALT + 256];
			uint64_t size;

			if (form == BUNDLE_FORM_PRIVATE)
				memcpy(salted, bytes_get(&in, BUNDLE_SALT), BUNDLE_SALT);
			size = bytes_get_varint(&in);
			assert_true(size <= 256);
			memcpy(salted + BUNDLE_SALT, bytes_get(&in, size), size);
			if (form == BUNDLE_FORM_PUBLIC) {
				bytes_put_u8(&content, form);
				bytes_put_varint(&content, size);
				bytes_put(&content, salted + BUNDLE_SALT, size);
				continue;
			}
			sha256(salted, BUNDLE_SALT + size, hash);
			bytes_put_u8(&content, BUNDLE_FORM_HIDDEN);
			bytes_put(&content, hash, sizeof(hash));
		}
	}
	len = pack(content.data, content.len, packed, sizeof(packed));
	sha256(packed, len, hash);
	bytes_put(&twin, whole.data, frames[1].offset);
	bytes_put_le32(&twin, BUNDLE_STRINGS_MAGIC);
	bytes_put_le32(&twin, BUNDLE_STRINGS_SIZE);
	bytes_put_le32(&twin, (uint32_t)len);
	bytes_put(&twin, hash, BUNDLE_STRINGS_DIGEST);
	bytes_put(&twin, packed, len);
	bytes_put(&twin, whole.data + frames[3].offset, whole.len - frames[3].offset);
	kit_store(twin.data, twin.len);
	assert_int_not_equal(twin.len, whole.len);
	assert_int_equal(verify(&result), 0);
	assert_true(result.ok && result.sealed && result.complete);
	assert_int_equal(result.frames_good, n);
	verify_result_release(&result);
	r = bundle_reader_open(kit_path, &err);
	while (bundle_reader_next(r, &record, &err) > 0)
		;
	for (uint64_t id = 1; (s = bundle_reader_string(r, id)); id++) {
		assert_int_equal(s->hidden && s->len, 0);
		if (s->hidden)
			hidden++;
		else
			shown++;
	}
	assert_int_equal(hidden, 1);
	assert_int_equal(shown, 4);
	bundle_reader_close(r);
	bytes_release(&whole);
	bytes_release(&twin);
	bytes_release(&content);
}

/* A header and one zstd frame with this content. */
static void store_content(const uint8_t *content, size_t len)
{
	struct bytes out = BYTES_INIT;
	uint8_t *packed = malloc(ZSTD_compressBound(len));

	put_header(&out, BUNDLE_FORMAT, 0);
	bytes_put(&out, packed, pack(content, len, packed, ZSTD_compressBound(len)));
	kit_store(out.data, out.len);
	bytes_release(&out);
	free(packed);
}

static void hostile_contents(void **state)
{
	/* content, then whether it is read without complaint */
	static const struct {
		const char *what;
		uint8_t data[40];
		size_t len;
		uint64_t records;
		const char *end;
	} cases[] = {
		{ "nothing", { 0 }, 0, 0, "damaged" },
		{ "unknown content", { 9 }, 1, 0, "damaged" },
		{ "no batch", { 2 }, 1, 0, "cut" },
		{ "kind 0", { 2, 0, 1, 2, 1, 2 }, 6, 0, "damaged" },
		{ "no records", { 2, 3, 0, 0 }, 4, 0, "damaged" },
		{ "batch too long", { 2, 3, 1, 9, 1, 2 }, 6, 0, "damaged" },
		{ "column too long", { 2, 3, 1, 2, 5, 2 }, 6, 0, "damaged" },
		{ "more records than bytes", { 2, 3, 9, 4, 1, 2, 1, 2 }, 8, 0, "damaged" },
		{ "unknown kind", { 2, 200, 1, 1, 2, 7, 7 }, 7, 0, "cut" },
		{ "kind above all", { 2, 0x80, 2, 1, 1, 7 }, 6, 0, "damaged" },
		{ "endless varint",
		  { 2, 3, 1, 12, 11, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 },
		  16,
		  0,
		  "damaged" },
		{ "label with id alone", { 2, 3, 1, 2, 1, 2 }, 6, 1, "cut" },
		{ "label with a new field", { 2, 3, 1, 8, 1, 2, 1, 1, 1, 1, 1, 9 }, 12, 1, "cut" },
		{ "a column with a byte too many", { 2, 3, 1, 3, 2, 2, 2 }, 7, 0, "damaged" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kit_read got;

		store_content(cases[i].data, cases[i].len);
		assert_int_equal(kit_read(&got), 0);
		if (got.records != cases[i].records || strcmp(got.end.end_reason, cases[i].end))
			fail_msg("%s: %llu records, %s", cases[i].what,
				 (unsigned long long)got.records, got.end.end_reason);
	}
}

/* Fields that an older writer did not know are null; empty for lists. */
static void older_writer(void **state)
{
	static const uint8_t content[] = { 2, REC_STACK_KIND + 1, 1, 4, 1, 4, 1, 12 };
	struct bundle_reader *r;
	struct bundle_record record;
	struct err err = ERR_INIT;

	(void)state;
	store_content(content, sizeof(content));
	r = bundle_reader_open(kit_path, &err);
	assert_int_equal(bundle_reader_next(r, &record, &err), 1);
	assert_int_equal(record.rec->stack.id, 1);
	assert_int_equal(record.rec->stack.process, 5);
	assert_int_equal(record.rec->stack.frames.count, 0);
	assert_int_equal(record.rec->stack.partial, REC_NULL);
	assert_int_equal(bundle_reader_next(r, &record, &err), 0);
	bundle_reader_close(r);
}

static void bombs(void **state)
{
	const size_t sizes[] = { BUNDLE_CONTENT_MAX, BUNDLE_CONTENT_MAX + 1, 256u << 20 };
	struct bytes out = BYTES_INIT;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint8_t *zeros = calloc(1, sizes[i]);
		struct kit_read got;

		zeros[0] = BUNDLE_CONTENT_RECORDS;
		store_content(zeros, sizes[i]);
		assert_int_equal(kit_read(&got), 0);
		assert_int_equal(got.records, 0);
		assert_string_equal(got.end.end_reason, "damaged");
		free(zeros);
	}
	/* Lengths that promise more than there is. */
	for (size_t i = 0; i < 16; i++) {
		struct verify_result result;
		struct kit_read got;

		out.len = 0;
		put_header(&out, BUNDLE_FORMAT, 0);
		bytes_put_le32(&out, (uint32_t)(0x184D2A50u + i));
		bytes_put_le32(&out, UINT32_MAX);
		kit_store(out.data, out.len);
		assert_int_equal(kit_read(&got), 0);
		assert_int_equal(got.end.end_offset, out.len - 8);
		assert_int_equal(verify(&result), 0);
		assert_false(result.ok);
		verify_result_release(&result);
	}
	bytes_release(&out);
}

static void not_for_us(void **state)
{
	struct bytes out = BYTES_INIT;
	struct err err = ERR_INIT;

	(void)state;
	put_header(&out, BUNDLE_FORMAT + 7, 0);
	kit_store(out.data, out.len);
	assert_null(bundle_reader_open(kit_path, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.text, "newer"));
	out.len = 0;
	put_header(&out, BUNDLE_FORMAT, 4);
	kit_store(out.data, out.len);
	err.kind = ERR_NONE;
	assert_null(bundle_reader_open(kit_path, &err));
	assert_non_null(strstr(err.text, "0x4"));
	kit_store("#!/bin/sh\n", 10);
	err.kind = ERR_NONE;
	assert_null(bundle_reader_open(kit_path, &err));
	assert_non_null(strstr(err.text, "not a Daylight bundle"));
	err.kind = ERR_NONE;
	assert_null(bundle_reader_open(kit_folder, &err));
	assert_non_null(strstr(err.text, "not a regular file"));
	err.kind = ERR_NONE;
	assert_null(bundle_reader_open("/nowhere", &err));
	assert_non_null(strstr(err.text, "/nowhere"));
	bytes_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intact),	cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(any_flip),	cmocka_unit_test(tails),
		cmocka_unit_test(public_twin),	cmocka_unit_test(hostile_contents),
		cmocka_unit_test(older_writer), cmocka_unit_test(bombs),
		cmocka_unit_test(not_for_us),
	};

	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
