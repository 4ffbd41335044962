/* What must not become a claim: each case once led, or could lead, to false evidence. */
#include "analyze_kit.h"

static void expect_section(const char *name, const struct scene *s, const char *status,
			   const char *why)
{
	json_t *report = scene_report(s);
	json_t *row = row_by(report, "sections", "section", "things API");

	if (strcmp(text_in(row, "status"), status) || !strstr(text_in(row, "reason"), why))
		fail_msg("%s: %s, reason %s", name, text_in(row, "status"), text_in(row, "reason"));
	json_decref(report);
}

#define expect(name, status, why, ...) \
	expect_section(name, &(struct scene){ __VA_ARGS__ }, status, why)

static void test_pyc(void **state)
{
	(void)state;
	expect("only the pyc changed", "observed-modified", "", .pyc_other = true);
	expect("no look", "unknown", "not looked at", .no_pyc = true);
	expect("not proven", "unknown", "not compared", .pyc_unproven = true);
	expect("other source", "unknown", "not of this source", .pyc_header_differs = true);
	expect("other source, other code", "unknown", "not of this source",
	       .pyc_header_differs = true, .pyc_other = true);
	expect("changed later", "unknown", "compiled file may have changed", .pyc_changed = true);
	expect("absent, changed", "unknown", "compiled file may have changed", .pyc_absent = true,
	       .pyc_changed = true);
	expect("absent", "observed-as-packaged", "", .pyc_absent = true);
	/* What lies beside the source is not what was loaded. */
	expect("elsewhere", "unknown", "elsewhere", .pyc_absent = true, .pyc_elsewhere = true);
	expect("-X", "unknown", "elsewhere", .pyc_absent = true, .option_x = true);
	expect("-X, one beside it", "unknown", "elsewhere", .option_x = true);
	expect("-X, other code beside it", "unknown", "elsewhere", .option_x = true,
	       .pyc_other = true);
	expect("-X, other file", "observed-modified", "", .option_x = true, .digest_matches = 1);
}

static void test_edited_without_restart(void **state)
{
	(void)state;
	expect("flag", "unknown", "nothing: the file changed after", .changed = 1);
	expect("flag unknown", "unknown", "not known", .changed = 2);
	/* What lies there now differs: something was changed, whenever. */
	expect("and differs", "observed-modified", "", .changed = 1, .digest_matches = 1);
	/* The flag says no, the file's own time says yes. */
	expect("ctime", "unknown", "changed after", .ctime = SCENE_START_REAL + 1);
	expect("ctime before", "observed-as-packaged", "", .ctime = SCENE_START_REAL);
}

/* A forked worker runs code that its parent loaded: the parent's start counts. */
static void test_forked(void **state)
{
	(void)state;
	expect("both", "observed-as-packaged", "", .second = true);
	expect("worker alone", "observed-as-packaged", "", .second = true, .no_sighting = true);
	expect("changed before the fork", "unknown", "changed after", .second = true,
	       .no_sighting = true, .ctime = SCENE_START_REAL + 1000);
}

static void test_bindings(void **state)
{
	(void)state;
	expect("ambiguous", "unknown", "ambiguous", .link = LINK_AMBIGUOUS);
	expect("unknown link", "unknown", "ambiguous", .link = LINK_COUNT);
	expect("none", "unknown", "not tied", .no_binding = true);
	expect("client gone", "unknown", "did not complete", .end_reason = CALL_END_CLIENT_GONE);
	expect("window", "unknown", "did not complete", .end_reason = CALL_END_WINDOW_STOP);
	expect("flow", "observed-as-packaged", "", .link = LINK_FLOW);
	/* Both ends of the sighting lie outside the binding: it may never have been inside. */
	expect("straddles", "unknown", "not tied", .first = 50, .last = 500);
	expect("one end", "observed-as-packaged", "", .first = 50, .last = 105);
	expect("before", "unknown", "not tied", .first = 50, .last = 99);
	expect("after", "unknown", "not tied", .first = 110, .last = 120);
	expect("backwards", "unknown",
	       "no handler was sighted in 1 completed call of its routes (1 in all)", .first = 105,
	       .last = 101);
}

static void test_dangling(void **state)
{
	(void)state;
	/* The file is there, as its identity says; the call of its route says nothing. */
	expect("module", "unknown", "no handler was sighted", .dangling_function = true);
	expect("stack", "unknown", "no handler was sighted", .dangling_stack = true);
	expect("context", "unknown", "not tied", .dangling_context = true);
}

/* Code under this component's roots that another service ran. */
static void test_other_service(void **state)
{
	(void)state;
	expect("stranger", "unknown", "not tied", .other_service = true);
}

static void test_route_counts(void **state)
{
	static const struct {
		const char *name;
		struct scene s;
		int deep, reached, not_reached, no_sighting;
	} cases[] = {
		{ "stacks", { .source = SOURCE_SYSCALL }, 0, 1, 0, 0 },
		{ "silence", { .no_sighting = true }, 0, 0, 0, 1 },
		{ "stacks elsewhere", { .dangling_function = true }, 0, 0, 0, 1 },
		{ "ambiguous", { .link = LINK_AMBIGUOUS }, 0, 0, 0, 1 },
		{ "incomplete", { .end_reason = CALL_END_TIMEOUT }, 0, 0, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *report = scene_report(&cases[i].s);
		json_t *row = row_by(report, "routes", "route", "/v1/things");
		const int got[] = { (int)json_integer_value(json_object_get(row, "deep")),
				    (int)json_integer_value(json_object_get(row, "reached")),
				    (int)json_integer_value(json_object_get(row, "not_reached")),
				    (int)json_integer_value(json_object_get(row, "no_sighting")) };

		if (got[0] != cases[i].deep || got[1] != cases[i].reached ||
		    got[2] != cases[i].not_reached || got[3] != cases[i].no_sighting)
			fail_msg("%s: %d %d %d %d", cases[i].name, got[0], got[1], got[2], got[3]);
		json_decref(report);
	}
}

static void test_no_route(void **state)
{
	json_t *report = scene_report(&(struct scene){ .no_route = true });
	json_t *row = json_array_get(json_object_get(report, "routes"), 0);

	(void)state;
	assert_true(json_is_null(json_object_get(row, "component")));
	assert_true(json_is_null(json_object_get(row, "route")));
	assert_true(json_is_null(json_object_get(row, "reached")));
	assert_int_equal(json_integer_value(json_object_get(row, "calls")), 1);
	assert_int_equal(json_integer_value(json_object_get(row, "sighted")), 1);
	json_decref(report);
}

/* ---- the bundle itself ---- */

static void test_weakened(void **state)
{
	const struct scene s = { .lost = 3, .unsupported = true };
	json_t *report = scene_report(&s);

	(void)state;
	assert_non_null(weakness(report, "section/demo/things API", "loss"));
	assert_non_null(weakness(report, "section/demo/things API", "unsupported"));
	assert_non_null(weakness(report, "route/demo/GET /v1/things", "loss"));
	assert_null(weakness(report, "section/demo/things API", "cut"));
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(json_object_get(report, "loss"), 0), "count")),
			 3);
	json_decref(report);
}

/* What was looked at before an interruption is not looked at again at the end. */
static void test_interrupted(void **state)
{
	static const struct {
		struct scene scene;
		bool early;
	} cases[] = {
		{ { .resumed = 0 }, false },
		{ { .resumed = 150 }, true },
		{ { .resumed = 50 }, false }, /* the file was looked at behind it */
		{ { .no_window_end = true }, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *report = scene_report(&cases[i].scene);

		if (!weakness(report, "section/demo/things API", "early") == cases[i].early)
			fail_msg("case %zu", i);
		json_decref(report);
	}
}

static void damage(const char *path, bool cut)
{
	FILE *file = fopen(path, "r+");
	long size;
	int c;

	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	if (cut) {
		assert_int_equal(ftruncate(fileno(file), size - 20), 0);
	} else {
		fseek(file, 0, SEEK_END);
		for (c = 0; c < 16; c++)
			putc('x', file);
	}
	fclose(file);
}

static void test_damaged(void **state)
{
	(void)state;
	for (int cut = 0; cut < 2; cut++) {
		const struct scene s = { 0 };
		struct analyze_result result;
		struct err err = ERR_INIT;
		const char *path;
		struct fixture f;

		scene_write(&f, &s);
		damage(f.path, cut);
		path = f.path;
		assert_int_equal(scene_run(&path, 1, NULL, &result, &err), 0);
		assert_int_equal(result.altered, !cut);
		assert_true(result.incomplete);
		assert_non_null(weakness(result.report, "section/demo/things API",
					 cut ? "cut" : "altered"));
		/* Known only because a stack showed it: that stack's sighting may be cut off. */
		assert_string_equal(
			text_in(row_by(result.report, "sections", "section", "extra"), "status"),
			"unknown");
		json_decref(result.report);
		fixture_release(&f);
	}
}

/* Every record that a claim names is in its bundle. */
static void test_pointers(void **state)
{
	static const struct scene cases[] = {
		{ 0 },
		{ .no_sighting = true },
		{ .link = LINK_AMBIGUOUS },
		{ .dangling_function = true },
		{ .dangling_stack = true },
		{ .no_identity = true, .no_pyc = true },
		{ .no_code = true, .no_call = true, .unsupported = true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct analyze_result result;
		struct err err = ERR_INIT;
		json_t *claim, *record;
		size_t j, k, named = 0;
		struct fixture f;
		const char *path = f.path;

		scene_write(&f, &cases[i]);
		f.t = trace_load(f.path, &err);
		assert_non_null(f.t);
		assert_int_equal(scene_run(&path, 1, NULL, &result, &err), 0);
		json_array_foreach(json_object_get(result.report, "claims"), j, claim)
			json_array_foreach(json_object_get(claim, "records"), k, record) {
				uint64_t id =
					(uint64_t)json_integer_value(json_object_get(record, "id"));

				assert_string_equal(text_in(record, "bundle"), trace_sha256(f.t));
				assert_non_null(trace_find(
					f.t, rec_kind_find(text_in(record, "kind")), id));
				named++;
			}
		assert_true(named > 0);
		json_decref(result.report);
		fixture_release(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pyc),	     cmocka_unit_test(test_edited_without_restart),
		cmocka_unit_test(test_forked),	     cmocka_unit_test(test_bindings),
		cmocka_unit_test(test_dangling),     cmocka_unit_test(test_other_service),
		cmocka_unit_test(test_route_counts), cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_weakened),     cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_damaged),	     cmocka_unit_test(test_pointers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
