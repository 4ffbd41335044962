/* Bundles that were written once: readers must go on saying the same of them. */
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

static void same_as_ever(void **state)
{
	(void)state;
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
