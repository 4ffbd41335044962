/* What ran beyond its files: deep calls, memory, sources of functions, code that stands between. */
#include "analyze_kit.h"

#define REFERENCE "tests/golden/report/reference.json"
#define FUNCTIONS "tests/golden/report/reference-functions.json"
#define NONE "(null)"

static json_t *section(json_t *report)
{
	return row_by(report, "sections", "section", "things API");
}

static long long number(json_t *row, const char *key)
{
	json_t *value = json_object_get(row, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const char *claim_says(json_t *report, const char *id)
{
	return text_in(row_by(report, "claims", "id", id), "text");
}

static void assert_says(json_t *report, const char *id, const char *text)
{
	if (!strstr(claim_says(report, id), text))
		fail_msg("'%s' is not in '%s'", text, claim_says(report, id));
}

/* ---- deep ---- */

static void expect_route(const char *name, const struct scene *s, int deep, int no_handler,
			 int reached, int unsighted)
{
	json_t *report = scene_report(s), *row = row_by(report, "routes", "route", "/v1/things");

	if (number(row, "deep") != deep || number(row, "deep_no_handler") != no_handler ||
	    number(row, "reached") != reached || number(row, "unsighted") != unsighted ||
	    number(row, "not_reached") != 0 || number(row, "no_sighting") != !reached)
		fail_msg("%s: %s", name, json_dumps(row, JSON_COMPACT));
	json_decref(report);
}

#define route(name, deep, no_handler, reached, unsighted, ...) \
	expect_route(name, &(struct scene){ __VA_ARGS__ }, deep, no_handler, reached, unsighted)

static void test_deep_routes(void **state)
{
	json_t *report;

	(void)state;
	route("stacks", 0, 0, 1, 0, 0);
	route("silence", 0, 0, 0, 1, .no_sighting = true);
	route("entered", 1, 0, 1, 0, .entered = 1, .no_sighting = true);
	/* Silence is no bypass, not even a deep one: not_reached stays 0. */
	route("other code entered", 1, 1, 0, 0, .entered = 3, .no_sighting = true);
	route("ambiguous", 0, 0, 0, 1, .entered = 1, .no_sighting = true, .link = LINK_AMBIGUOUS);
	route("lost before it", 1, 0, 1, 0, .entered = 1, .lost = 1);
	route("not complete", 0, 0, 0, 0, .entered = 1, .end_reason = CALL_END_TIMEOUT);
	report = scene_report(&(struct scene){ .entered = 3, .no_sighting = true });
	assert_says(report, "route/demo/GET /v1/things",
		    "1 deep, in 1 of them no handler was entered by what is known to have worked");
	json_decref(report);
	report = scene_report(&(struct scene){ .entered = 1 });
	assert_says(report, "route/demo/GET /v1/things", "1 deep, a handler was entered in each");
	assert_says(report, "section/demo/things API", "in 1 deep call 1 of these functions ran");
	assert_int_equal(number(section(report), "calls_deep"), 1);
	assert_int_equal(number(json_object_get(section(report), "functions"), "deep"), 1);
	json_decref(report);
	report = scene_report(&(struct scene){ 0 });
	assert_null(strstr(claim_says(report, "section/demo/things API"), "deep"));
	assert_int_equal(number(section(report), "calls_deep"), 0);
	json_decref(report);
}

/* ---- memory ---- */

static void expect_section(const char *name, const struct scene *s, const char *status,
			   const char *level, const char *compared)
{
	json_t *report = scene_report(s), *row = section(report);

	if (strcmp(text_in(row, "status"), status) || strcmp(text_in(row, "level"), level) ||
	    strcmp(text_in(row, "compared"), compared))
		fail_msg("%s: %s, level %s, compared %s, reason %s", name, text_in(row, "status"),
			 text_in(row, "level"), text_in(row, "compared"), text_in(row, "reason"));
	json_decref(report);
}

#define expect(name, status, level, compared, ...) \
	expect_section(name, &(struct scene){ __VA_ARGS__ }, status, level, compared)
#define PACKAGED "observed-as-packaged"
#define MODIFIED "observed-modified"

static void test_memory_equal(void **state)
{
	(void)state;
	expect("equal", PACKAGED, NONE, "memory", .memory_equal = true);
	expect("null is no difference", PACKAGED, NONE, "file+pyc", .memory_null = true);
	expect("not all looks agree", PACKAGED, NONE, "file+pyc", .memory_equal = true,
	       .memory_null = true);
	expect("of another process", PACKAGED, NONE, "file+pyc", .memory_equal = true,
	       .memory_process = 2);
	/* It ran in two processes; only one of them was looked at. */
	expect("one of two", PACKAGED, NONE, "file+pyc", .memory_equal = true, .second = true);
	expect("no .pyc", PACKAGED, NONE, "memory", .memory_equal = true, .pyc_absent = true);
	expect("no reference", "observed-unreferenced", NONE, "memory", .memory_equal = true,
	       .digest_matches = 2);
	/* Equal memory does not mend what the files leave open. */
	expect("not proven", "unknown", NONE, NONE, .memory_equal = true, .pyc_unproven = true);
	expect("stale .pyc", "unknown", NONE, NONE, .memory_equal = true,
	       .pyc_header_differs = true);
	expect("no look", "unknown", NONE, NONE, .memory_equal = true, .no_pyc = true);
	expect("elsewhere", "unknown", NONE, NONE, .memory_equal = true, .pyc_absent = true,
	       .pyc_elsewhere = true);
	expect("changed", "unknown", NONE, NONE, .memory_equal = true, .changed = 1);
	expect("deleted", "unknown", NONE, NONE, .memory_equal = true, .deleted = true);
	expect("unreadable", "unknown", NONE, NONE, .memory_equal = true, .unreadable = true);
	expect("other file", MODIFIED, "file", "file", .memory_equal = true, .digest_matches = 1);
	expect("other .pyc", MODIFIED, "pyc", "file+pyc", .memory_equal = true, .pyc_other = true);
}

static void test_memory_differs(void **state)
{
	json_t *report, *row;
	size_t i, found = 0;

	(void)state;
	expect("differs", MODIFIED, "memory", "memory", .memory_differs = true);
	expect("differs once", MODIFIED, "memory", "memory", .memory_differs = true,
	       .memory_equal = true);
	expect("not proven", MODIFIED, "memory", "memory", .memory_differs = true,
	       .pyc_unproven = true);
	expect("no look", MODIFIED, "memory", "memory", .memory_differs = true, .no_pyc = true);
	expect("no .pyc", MODIFIED, "memory", "memory", .memory_differs = true, .pyc_absent = true);
	expect("changed", MODIFIED, "memory", "memory", .memory_differs = true, .changed = 1);
	expect("deleted", MODIFIED, "memory", "memory", .memory_differs = true, .deleted = true);
	expect("no reference", MODIFIED, "memory", "memory", .memory_differs = true,
	       .digest_matches = 2);
	/* The file or the .pyc differs from what it should be: that is said first. */
	expect("other file", MODIFIED, "file", "file", .memory_differs = true, .digest_matches = 1);
	expect("other .pyc", MODIFIED, "pyc", "file+pyc", .memory_differs = true,
	       .pyc_other = true);
	/* Such a .pyc is passed over: what ran was compared with the source. */
	expect("stale .pyc", MODIFIED, "memory", "memory", .memory_differs = true,
	       .pyc_header_differs = true);
	/* It never ran in that process. */
	expect("of another process", PACKAGED, NONE, "file+pyc", .memory_differs = true,
	       .memory_process = 2);
	report = scene_report(&(struct scene){ .memory_differs = true });
	assert_says(report, "section/demo/things API",
		    "in memory Things.get (line 10) of /srv/code/demo/api.py was other code than "
		    "its file gives, in process 1 (pid 11; record function_memory 1)");
	json_array_foreach(
		json_object_get(row_by(report, "claims", "id", "section/demo/things API"),
				"records"),
		i, row)
		found += !strcmp(text_in(row, "kind"), "function_memory");
	assert_int_equal(found, 1);
	row = json_object_get(json_object_get(section(report), "functions"), "memory");
	assert_int_equal(number(row, "differ"), 1);
	assert_int_equal(number(row, "equal"), 0);
	json_decref(report);
	/* Named also where it decides nothing. */
	report = scene_report(&(struct scene){ .memory_differs = true, .digest_matches = 1 });
	assert_says(report, "section/demo/things API", "was other code than its file gives");
	json_decref(report);
}

/* ---- functions of a reference ---- */

static json_t *functions_of(const struct scene *s, json_t **report)
{
	struct analyze_result result;

	*report = scene_report_with(s, FUNCTIONS, &result);
	return json_object_get(section(*report), "functions");
}

static void expect_functions(const char *name, const struct scene *s, int differ, int unlisted,
			     int docstring, int not_compared)
{
	json_t *report, *f = functions_of(s, &report);

	if (number(f, "differ") != differ || number(f, "unlisted") != unlisted ||
	    number(f, "docstring_differ") != docstring ||
	    number(f, "not_compared") != not_compared || number(f, "mapped") != 3)
		fail_msg("%s: %s", name, json_dumps(f, JSON_COMPACT));
	assert_int_equal(json_array_size(json_object_get(f, "differing")),
			 differ + unlisted + docstring);
	json_decref(report);
}

#define functions(name, differ, unlisted, docstring, not_compared, ...)                     \
	expect_functions(name, &(struct scene){ __VA_ARGS__ }, differ, unlisted, docstring, \
			 not_compared)

/* The reference lists Things.get twice (tokens 51 and 55, docstring 52 and none), and one more. */
static void test_functions(void **state)
{
	json_t *report, *f;

	(void)state;
	functions("equal", 0, 0, 0, 0, .tokens = 0x51, .docstring = 0x52);
	functions("equal to the other", 0, 0, 0, 0, .tokens = 0x55);
	functions("docstring", 0, 0, 1, 0, .tokens = 0x51, .docstring = 0x53);
	functions("docstring gone", 0, 0, 1, 0, .tokens = 0x51);
	functions("differs", 1, 0, 0, 0, .tokens = 0x54, .docstring = 0x52);
	functions("differs, so does the file", 1, 0, 0, 0, .tokens = 0x54, .content = 0x44);
	/* The file equals the reference: so does each function of it. */
	functions("no digest", 0, 0, 0, 0, 0);
	functions("no digest, other file", 0, 0, 0, 1, .content = 0x44);
	/* What is on the disk may not be what ran. */
	functions("changed", 0, 0, 0, 1, .tokens = 0x54, .changed = 1);
	report = scene_report(&(struct scene){ .tokens = 0x51 });
	f = json_object_get(section(report), "functions");
	assert_true(json_is_null(json_object_get(f, "mapped")));
	assert_int_equal(number(f, "differ"), 0);
	assert_true(json_is_null(json_object_get(f, "unlisted")));
	json_decref(report);
	f = functions_of(&(struct scene){ .tokens = 0x54, .entered = 1 }, &report);
	assert_int_equal(number(f, "not_entered"), 1);
	assert_says(report, "section/demo/things API",
		    "in 1 deep call 1 of these functions ran, and 1 of the 3 that the reference "
		    "lists were not entered (not observed is not absent)");
	assert_says(report, "section/demo/things API",
		    "of the source of 1 function: 1 with other tokens than the reference lists");
	assert_string_equal(text_in(json_array_get(json_object_get(f, "differing"), 0), "qualname"),
			    "Things.get");
	json_decref(report);
}

/* A reference that lists functions of another name for the file. */
static void test_unlisted(void **state)
{
	struct analyze_result result;
	json_t *report = scene_report_with(&(struct scene){ .tokens = 0x51 },
					   "tests/golden/report/reference-unlisted.json", &result);
	json_t *f = json_object_get(section(report), "functions");

	(void)state;
	assert_int_equal(number(f, "unlisted"), 1);
	assert_int_equal(number(f, "differ"), 0);
	json_decref(report);
}

static void expect_refused(const char *functions, const char *why)
{
	struct analyze_result result;
	struct err err = ERR_INIT;
	struct fixture f;
	const char *path = f.path;
	char reference[96];
	FILE *file;

	scene_write(&f, &(struct scene){ 0 });
	snprintf(reference, sizeof(reference), "%s/reference.json", f.folder);
	file = fopen(reference, "w");
	assert_non_null(file);
	fprintf(file,
		"{\"schema\": \"daylight.reference/0\", \"component\": \"demo\", \"package\": "
		"\"demo\", \"version\": \"1\", \"kind\": \"none\", \"files\": {\"demo/api.py\": "
		"\"2222222222222222222222222222222222222222222222222222222222222222\"}, "
		"\"functions\": %s}",
		functions);
	fclose(file);
	assert_int_equal(scene_run(&path, 1, reference, &result, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	if (!strstr(err.text, why))
		fail_msg("no '%s' in: %s", why, err.text);
	unlink(reference);
	fixture_release(&f);
}

static void test_bad_functions(void **state)
{
	(void)state;
	expect_refused("{}", "must be a list");
	expect_refused("[1]", "must be one of 'files'");
	expect_refused("[{\"path\": \"demo/other.py\"}]", "must be one of 'files'");
	expect_refused("[{\"path\": \"demo/api.py\", \"qualname\": \"\"}]", "must be a name");
	expect_refused("[{\"path\": \"demo/api.py\", \"qualname\": \"f\", \"tokens\": \"12\", "
		       "\"docstring\": null}]",
		       "must be a SHA-256");
	/* No docstring is null, not nothing. */
	expect_refused("[{\"path\": \"demo/api.py\", \"qualname\": \"f\", \"tokens\": "
		       "\"2222222222222222222222222222222222222222222222222222222222222222\"}]",
		       "one or null");
}

/* ---- code that stands between ---- */

static void test_replaced(void **state)
{
	static const char *const kinds[] = { "rebound", "code-replaced", "wrapper", "new kind" };
	json_t *report, *row;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		expect(kinds[i], MODIFIED, "memory", "memory", .between = kinds[i],
		       .between_module = 1);
	expect("file first", MODIFIED, "file", "file", .between = "rebound", .between_module = 1,
	       .digest_matches = 1);
	/* In the process that it was forked from. */
	expect("forked", MODIFIED, "memory", "memory", .between = "rebound", .between_module = 1,
	       .between_process = 1, .second = true, .no_sighting = true);
	expect("not known where", MODIFIED, "memory", "memory", .between = "rebound",
	       .between_module = 1, .between_process = REC_NULL);
	expect("of another module", PACKAGED, NONE, "file+pyc", .between = "rebound",
	       .between_module = 3);
	/* A process is not a place in the section. */
	expect("preload", PACKAGED, NONE, "file+pyc", .between = "preload", .between_module = 1);
	report = scene_report(&(struct scene){ .between = "wrapper", .between_module = 1 });
	assert_non_null(weakness(report, "section/demo/things API", "interposed"));
	assert_non_null(weakness(report, "route/demo/GET /v1/things", "interposed"));
	assert_null(weakness(report, "section/demo/extra", "interposed"));
	assert_says(report, "section/demo/things API",
		    "other code stands in its place: wrapper at demo.api.Things.get by "
		    "/srv/lib/site-packages/werkzeug/serving.py, in process 1 (pid 11)");
	assert_int_equal(number(section(report), "replaced"), 1);
	row = json_array_get(json_object_get(report, "interpositions"), 0);
	assert_string_equal(text_in(row, "kind"), "wrapper");
	assert_string_equal(text_in(row, "module"), "/srv/code/demo/api.py");
	assert_string_equal(json_string_value(json_array_get(json_object_get(row, "sections"), 0)),
			    "demo/things API");
	row = json_array_get(json_object_get(row, "records"), 0);
	assert_string_equal(text_in(row, "kind"), "interposition");
	json_decref(report);
	report = scene_report(&(struct scene){ .between = "preload" });
	assert_non_null(weakness(report, "section/demo/things API", "interposed"));
	assert_non_null(weakness(report, "section/demo/extra", "interposed"));
	json_decref(report);
	report = scene_report(&(struct scene){ 0 });
	assert_int_equal(json_array_size(json_object_get(report, "interpositions")), 0);
	assert_int_equal(number(section(report), "replaced"), 0);
	json_decref(report);
}

/* All of the section that could have run was replaced: it is not seen, and that is said. */
static void test_replaced_unseen(void **state)
{
	json_t *report = scene_report(&(struct scene){ .between = "rebound", .between_module = 2 });

	(void)state;
	assert_string_equal(text_in(row_by(report, "sections", "section", "extra"), "status"),
			    "loaded");
	assert_non_null(weakness(report, "section/demo/extra", "interposed"));
	assert_null(weakness(report, "section/demo/things API", "interposed"));
	json_decref(report);
}

static void expect_outside(const char *name, const struct scene *s, int rows, bool known)
{
	json_t *report = scene_report(s), *all = json_object_get(report, "outside_packages");
	json_t *row = json_array_get(all, 0);

	if ((int)json_array_size(all) != rows)
		fail_msg("%s: %zu rows", name, json_array_size(all));
	if (rows) {
		assert_string_equal(text_in(row, "path"), "/srv/lib/gate.py");
		assert_string_equal(
			json_string_value(json_array_get(json_object_get(row, "routes"), 0)),
			"/v1/things");
		assert_true(known ? json_is_false(json_object_get(row, "owned"))
				  : json_is_null(json_object_get(row, "owned")));
		assert_int_equal(number(row, "functions"), 1);
		assert_int_equal(number(row, "calls"), 1);
	}
	json_decref(report);
}

static void test_outside(void **state)
{
	(void)state;
	expect_outside("middleware", &(struct scene){ .elsewhere = true }, 1, true);
	expect_outside("not looked at", &(struct scene){ .elsewhere = true, .gate_unknown = true },
		       1, false);
	expect_outside("not asked", &(struct scene){ .elsewhere = true, .gate_not_asked = true }, 1,
		       false);
	expect_outside("of a package", &(struct scene){ .elsewhere = true, .gate_owned = true }, 0,
		       false);
	expect_outside("not in a call", &(struct scene){ .elsewhere = true, .no_binding = true }, 0,
		       false);
	expect_outside("ambiguous", &(struct scene){ .elsewhere = true, .link = LINK_AMBIGUOUS }, 0,
		       false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deep_routes),    cmocka_unit_test(test_memory_equal),
		cmocka_unit_test(test_memory_differs), cmocka_unit_test(test_functions),
		cmocka_unit_test(test_unlisted),       cmocka_unit_test(test_bad_functions),
		cmocka_unit_test(test_replaced),       cmocka_unit_test(test_replaced_unseen),
		cmocka_unit_test(test_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
