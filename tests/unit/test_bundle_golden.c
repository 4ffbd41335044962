/*
 * Bundles that were written once: readers must go on saying the same of them. With UPDATE_GOLDEN=1
 * in the environment they are written anew (only while the format may still change).
 */
#include "bundle_kit.h"

#define FOLDER "tests/golden/bundles"

static const struct golden {
	const char *name;
	const char *end;
	uint64_t records;
	bool sealed;
	size_t findings;
	enum verify_kind first;
} golden[] = {
	{ "sealed", "sealed", 5, true, 0, VERIFY_ALTERED },
	{ "cut", "cut", 2, false, 1, VERIFY_CUT },
	{ "zeros", "cut", 5, false, 1, VERIFY_CUT },
	{ "altered", "damaged", 2, true, 1, VERIFY_ALTERED },
	{ "trailing", "trailing", 5, false, 1, VERIFY_TRAILING },
};

static void golden_path(const char *name, char *out, size_t cap)
{
	snprintf(out, cap, FOLDER "/%s.daylight", name);
}

static void golden_put(const char *name, const uint8_t *data, size_t len)
{
	char path[128];
	FILE *f;

	golden_path(name, path, sizeof(path));
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void golden_write(void)
{
	static const uint8_t zeros[100];
	struct kit_frame frames[16];
	struct bytes b;
	size_t n;

	kit_small("golden", 2);
	n = kit_frames(frames, 16);
	b = kit_load(kit_path);
	golden_put("sealed", b.data, b.len);
	golden_put("cut", b.data, frames[7].offset + 20);
	b.data[frames[7].offset + 30] ^= 1;
	golden_put("altered", b.data, b.len);
	b.data[frames[7].offset + 30] ^= 1;
	bytes_put(&b, "more", 4);
	golden_put("trailing", b.data, b.len);
	b.len = frames[n - 1].offset;
	bytes_put(&b, zeros, sizeof(zeros));
	golden_put("zeros", b.data, b.len);
	bytes_release(&b);
}

static void same_as_ever(void **state)
{
	(void)state;
	if (getenv("UPDATE_GOLDEN"))
		golden_write();
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		const struct golden *g = &golden[i];
		struct verify_result result;
		struct err err = ERR_INIT;
		struct kit_read got;
		struct bytes b;
		char path[128];

		golden_path(g->name, path, sizeof(path));
		b = kit_load(path);
		kit_store(b.data, b.len);
		bytes_release(&b);
		assert_int_equal(kit_read(&got), 0);
		if (strcmp(got.end.end_reason, g->end) || got.records != g->records)
			fail_msg("%s: %llu records, %s", g->name, (unsigned long long)got.records,
				 got.end.end_reason);
		assert_int_equal(bundle_verify(kit_path, NULL, &result, &err), 0);
		assert_int_equal(result.findings_count, g->findings);
		if (g->findings)
			assert_int_equal(result.findings[0].kind, g->first);
		assert_int_equal(result.sealed, g->sealed);
		verify_result_release(&result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(same_as_ever) };

	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
