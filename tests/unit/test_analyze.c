/* Each status of a section, and what it rests on. */
#include "analyze_kit.h"

#define REFERENCE "tests/golden/report/reference.json"
#define REFERENCE_2 "tests/golden/report/reference-2.json"

static void expect_of(const char *name, const struct scene *s, const char *reference,
		      const char *section, const char *status, const char *level,
		      const char *compared)
{
	struct analyze_result result;
	json_t *report = scene_report_with(s, reference, &result);
	json_t *row = row_by(report, "sections", "section", section), *claim;

	if (strcmp(text_in(row, "status"), status) || strcmp(text_in(row, "level"), level) ||
	    strcmp(text_in(row, "compared"), compared))
		fail_msg("%s: %s: %s, level %s, compared %s, reason %s", name, section,
			 text_in(row, "status"), text_in(row, "level"), text_in(row, "compared"),
			 text_in(row, "reason"));
	claim = row_by(report, "claims", "id",
		       json_string_value(json_array_get(json_object_get(row, "claims"), 0)));
	assert_string_equal(text_in(claim, "status"), status);
	json_decref(report);
}

#define expect(name, status, level, compared, ...) \
	expect_of(name, &(struct scene){ __VA_ARGS__ }, NULL, "things API", status, level, compared)
#define NONE "(null)"

static void test_plain(void **state)
{
	const struct scene s = { 0 };
	json_t *report = scene_report(&s);
	json_t *row = row_by(report, "sections", "section", "things API"), *files, *route, *claim;

	(void)state;
	assert_string_equal(text_in(row, "status"), "observed-as-packaged");
	assert_string_equal(text_in(row, "compared"), "file+pyc");
	assert_string_equal(text_in(json_object_get(row, "reference"), "kind"), "dpkg-local");
	assert_string_equal(text_in(json_object_get(row, "reference"), "package"), "python3-demo");
	assert_int_equal(json_integer_value(json_object_get(row, "calls")), 1);
	files = json_object_get(row, "files");
	/* Without a reference nothing lists the files that the section has. */
	assert_true(json_is_null(json_object_get(files, "mapped")));
	assert_int_equal(json_integer_value(json_object_get(files, "from_bundle")), 1);
	assert_int_equal(json_integer_value(json_object_get(files, "ran")), 1);
	assert_int_equal(json_integer_value(json_object_get(files, "differ")), 0);
	assert_true(json_is_null(json_object_get(json_object_get(row, "functions"), "mapped")));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(row, "functions"), "ran")), 1);
	route = row_by(report, "routes", "route", "/v1/things");
	assert_string_equal(text_in(route, "component"), "demo");
	assert_int_equal(json_integer_value(json_object_get(route, "calls")), 1);
	assert_int_equal(json_integer_value(json_object_get(route, "reached")), 1);
	assert_int_equal(json_integer_value(json_object_get(route, "no_sighting")), 0);
	/* All eight links of the chain. */
	claim = row_by(report, "claims", "id", "section/demo/things API");
	assert_int_equal(json_array_size(json_object_get(claim, "records")), 8);
	/* Code of the way that is in no section, by its folder. */
	row = row_by(report, "other_code", "owner", "werkzeug");
	assert_string_equal(text_in(row, "owner_kind"), "folder");
	assert_int_equal(json_integer_value(json_object_get(row, "calls")), 1);
	row_by(report, "other_code", "owner", "/srv/code/demo");
	assert_int_equal(json_array_size(json_object_get(report, "other_code")), 2);
	json_decref(report);
}

static void test_unmapped(void **state)
{
	json_t *report = scene_report(&(struct scene){ 0 });
	json_t *row = row_by(report, "sections", "section", "unmapped");

	(void)state;
	assert_string_equal(text_in(row, "status"), "unknown");
	assert_string_equal(text_in(row, "reason"), "no service definition maps this section");
	/* The definition speaks of it, and names no file. */
	row = row_by(report, "sections", "section", "gone");
	assert_string_equal(text_in(row, "status"), "unknown");
	assert_string_equal(text_in(row, "reason"),
			    "the definition maps no code of this version to it");
	row = row_by(report, "not_compared", "component", "bare");
	assert_non_null(strstr(text_in(row, "reason"), "no section"));
	json_decref(report);
}

static void test_file(void **state)
{
	(void)state;
	expect("differs", "observed-modified", "file", "file", .digest_matches = 1);
	expect("no digest", "observed-unreferenced", NONE, "file+pyc", .digest_matches = 2);
	expect("no identity", "unknown", NONE, NONE, .no_identity = true);
	expect("unreadable", "unknown", NONE, NONE, .unreadable = true);
	expect("deleted", "unknown", NONE, NONE, .deleted = true);
}

static void test_reference(void **state)
{
	const struct scene same = { 0 }, packaged = { .digest_matches = 1 };
	const struct scene other = { .content = 0x44 };

	(void)state;
	expect_of("equal", &same, REFERENCE, "things API", "observed-unmodified", NONE, "file+pyc");
	/* A reference is stronger than the package database. */
	expect_of("over dpkg", &packaged, REFERENCE, "things API", "observed-unmodified", NONE,
		  "file+pyc");
	expect_of("differs", &other, REFERENCE, "things API", "observed-modified", "file", "file");
	expect_of("other release", &same, REFERENCE_2, "things API", "observed-modified", "file",
		  "file");
}

/* A reference that calls itself signed is not believed. */
static void test_reference_signed(void **state)
{
	const struct scene s = { .content = 0x23 };
	struct analyze_result result;
	json_t *report = scene_report_with(&s, REFERENCE_2, &result), *row, *weak;
	bool found = false;
	size_t i;

	(void)state;
	row = row_by(report, "sections", "section", "things API");
	assert_string_equal(text_in(row, "status"), "observed-unmodified");
	assert_string_equal(text_in(json_object_get(row, "reference"), "kind"), "none");
	row = row_by(report, "claims", "id", "section/demo/things API");
	json_array_foreach(json_object_get(row, "weakened_by"), i, weak)
		found |= !strcmp(text_in(weak, "what"), "reference-signature");
	assert_true(found);
	/* The reference names a file that the bundle does not know. */
	row = json_object_get(row_by(report, "sections", "section", "extra"), "files");
	assert_int_equal(json_integer_value(json_object_get(row, "from_bundle")), 1);
	assert_int_equal(json_integer_value(json_object_get(row, "from_reference")), 1);
	assert_int_equal(json_integer_value(json_object_get(row, "mapped")), 2);
	json_decref(report);
}

static void test_loaded(void **state)
{
	const struct scene s = { 0 }, lossy = { .lost = 1 }, cut = { .no_window_end = true };

	(void)state;
	/* extra.py stands in a stack of the serving process that nobody was seen in. */
	expect_of("loaded", &s, NULL, "extra", "loaded", NONE, NONE);
	/* Where evidence is missing it may as well have run. */
	expect_of("loss", &lossy, NULL, "extra", "unknown", NONE, NONE);
	expect_of("cut", &cut, NULL, "extra", "unknown", NONE, NONE);
}

static void test_not_observed(void **state)
{
	(void)state;
	/* A call of the component without a route: nothing is missing, nothing was seen. */
	expect("nothing", "not-observed", NONE, NONE, .elsewhere = true, .no_route = true);
	/* The call's own route is handled by the section, and no handler was seen. */
	expect("silent route", "unknown", NONE, NONE, .elsewhere = true);
	expect("silent call", "unknown", NONE, NONE, .no_code = true, .no_route = true);
	expect("native call", "unknown", NONE, NONE, .elsewhere = true, .native = true,
	       .no_route = true);
	expect("no call", "unknown", NONE, NONE, .no_code = true, .no_call = true);
	expect("stranger", "unknown", NONE, NONE, .elsewhere = true, .no_route = true,
	       .other_service = true);
	expect("loss", "unknown", NONE, NONE, .elsewhere = true, .no_route = true, .lost = 1);
	expect("unsupported", "unknown", NONE, NONE, .elsewhere = true, .no_route = true,
	       .unsupported = true);
	expect("cut", "unknown", NONE, NONE, .elsewhere = true, .no_route = true,
	       .no_window_end = true);
}

static void expect_claim(const struct scene *s, const char *reference, const char *id,
			 const char *text)
{
	struct analyze_result result;
	json_t *report = scene_report_with(s, reference, &result);
	const char *have = text_in(row_by(report, "claims", "id", id), "text");

	if (!strstr(have, text))
		fail_msg("'%s' is not in '%s'", text, have);
	json_decref(report);
}

/* Sentences say what is counted, and what is not known. */
static void test_texts(void **state)
{
	const struct scene plain = { 0 }, off = { .elsewhere = true, .no_route = true };
	const struct scene refused = { .elsewhere = true, .status = 401 };

	(void)state;
	expect_claim(&off, NULL, "section/demo/things API",
		     "seen in 1 call of the component; 0 of 1 call was on its routes. Not");
	expect_claim(&off, NULL, "section/demo/extra", "; the definition names no route of it.");
	expect_claim(&plain, NULL, "section/demo/things API",
		     "1 file and 1 function ran in 1 completed call; how many the section has is "
		     "not known; ");
	expect_claim(&plain, REFERENCE, "section/demo/things API",
		     "1 of 1 known file and 1 function ran in 1 completed call; each");
	expect_claim(&plain, NULL, "section/demo/extra",
		     "1 file present in a serving process; how many the section has is not known");
	expect_claim(&refused, NULL, "route/demo/GET /v1/things", ", 1 is not known: 1 x 401.");
	expect_claim(&plain, NULL, "route/demo/GET /v1/things", ", 0 are not known; handlers");
}

/* What was passed over stands beside each claim that something was not seen. */
static void test_sampled(void **state)
{
	json_t *report = scene_report(&(struct scene){ .sampled = true }), *weak, *walks;

	(void)state;
	weak = weakness(report, "section/demo/extra", "sampled");
	assert_non_null(weak);
	assert_string_equal(text_in(weak, "text"),
			    "stacks are samples, not a full list of what ran: of 4653 walks "
			    "attempted, 873 were delivered and 3780 skipped (paced 3666, repeat "
			    "114); system calls made walks only in phases "
			    "(syscall-phase=30000ms, syscall-duty=100ms/1000ms)");
	/* The handler was seen in the one call. */
	assert_null(weakness(report, "section/demo/things API", "sampled"));
	assert_null(weakness(report, "route/demo/GET /v1/things", "sampled"));
	walks = json_object_get(
		json_object_get(
			json_array_get(
				json_object_get(json_object_get(report, "inputs"), "bundles"), 0),
			"sampling"),
		"walks");
	assert_int_equal(json_integer_value(json_object_get(walks, "attempted")), 4653);
	assert_int_equal(json_integer_value(json_object_get(walks, "delivered")), 873);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(walks, "skipped"), "paced")),
		3666);
	json_decref(report);
	report = scene_report(&(struct scene){ .sampled = true, .elsewhere = true });
	assert_non_null(weakness(report, "section/demo/things API", "sampled"));
	assert_non_null(weakness(report, "route/demo/GET /v1/things", "sampled"));
	json_decref(report);
	/* A bundle that does not say is no better. */
	report = scene_report(&(struct scene){ .elsewhere = true });
	weak = weakness(report, "section/demo/extra", "sampled");
	assert_non_null(weak);
	assert_non_null(strstr(text_in(weak, "text"), "does not say"));
	json_decref(report);
}

static bool has_record(json_t *claim, const char *kind, const char *shows)
{
	json_t *record;
	size_t i;

	json_array_foreach(json_object_get(claim, "records"), i, record)
		if (!strcmp(text_in(record, "kind"), kind) &&
		    !strcmp(text_in(record, "shows"), shows))
			return true;
	return false;
}

/* An example says what it is an example of. */
static void test_examples(void **state)
{
	json_t *report = scene_report(&(struct scene){ 0 }), *claim;

	(void)state;
	claim = row_by(report, "claims", "id", "route/demo/GET /v1/things");
	assert_true(has_record(claim, "call", "a call seen"));
	claim = row_by(report, "claims", "id", "section/demo/extra");
	assert_true(has_record(claim, "module", "a file that was present"));
	json_decref(report);
	report = scene_report(&(struct scene){ .no_sighting = true, .status = 401 });
	claim = row_by(report, "claims", "id", "route/demo/GET /v1/things");
	assert_true(has_record(claim, "call", "a call not known"));
	assert_false(has_record(claim, "call", "a call seen"));
	claim = row_by(report, "routes", "route", "/v1/things");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(claim, "no_sighting_statuses"), "401")),
			 1);
	json_decref(report);
}

/* Without a compiled file beside the source the claim says so. */
static void test_no_pyc(void **state)
{
	json_t *report = scene_report(&(struct scene){ .pyc_absent = true });

	(void)state;
	assert_string_equal(
		text_in(row_by(report, "sections", "section", "things API"), "compared"), "file");
	assert_non_null(weakness(report, "section/demo/things API", "no-pyc"));
	assert_non_null(weakness(report, "route/demo/GET /v1/things", "no-pyc"));
	json_decref(report);
	report = scene_report(&(struct scene){ 0 });
	assert_null(weakness(report, "section/demo/things API", "no-pyc"));
	json_decref(report);
}

/* Two hosts: calls add up, the weakest file decides. */
static void test_two_bundles(void **state)
{
	const struct scene a = { 0 }, b = { .digest_matches = 1, .window = 0xb2 };
	struct err err = ERR_INIT, twice = ERR_INIT;
	struct analyze_result result;
	struct fixture f, g;
	const char *paths[2];
	json_t *row;

	(void)state;
	scene_write(&f, &a);
	scene_write(&g, &b);
	paths[0] = f.path;
	paths[1] = g.path;
	assert_int_equal(scene_run(paths, 2, NULL, &result, &err), 0);
	row = row_by(result.report, "sections", "section", "things API");
	assert_string_equal(text_in(row, "status"), "observed-modified");
	assert_int_equal(json_integer_value(json_object_get(row, "calls")), 2);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(row, "files"), "ran")),
			 1);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(row, "functions"), "ran")), 1);
	row = row_by(result.report, "routes", "route", "/v1/things");
	assert_int_equal(json_integer_value(json_object_get(row, "reached")), 2);
	json_decref(result.report);
	paths[1] = f.path;
	assert_int_equal(scene_run(paths, 2, NULL, &result, &twice), -1);
	assert_int_equal(twice.kind, ERR_USAGE);
	assert_non_null(strstr(twice.text, "same bundle"));
	fixture_release(&f);
	fixture_release(&g);
}

static void test_same_window(void **state)
{
	const struct scene a = { 0 }, b = { .digest_matches = 1 };
	struct err err = ERR_INIT;
	struct analyze_result result;
	struct fixture f, g;
	const char *paths[2];

	(void)state;
	scene_write(&f, &a);
	scene_write(&g, &b);
	paths[0] = f.path;
	paths[1] = g.path;
	assert_int_equal(scene_run(paths, 2, NULL, &result, &err), -1);
	assert_non_null(strstr(err.text, "same window"));
	fixture_release(&f);
	fixture_release(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_unmapped),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_reference),
		cmocka_unit_test(test_reference_signed),
		cmocka_unit_test(test_loaded),
		cmocka_unit_test(test_not_observed),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_sampled),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_no_pyc),
		cmocka_unit_test(test_two_bundles),
		cmocka_unit_test(test_same_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
