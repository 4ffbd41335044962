/* The renderings: golden files, hostile texts, writing in place. DAYLIGHT_GOLDEN=write renews. */
#include "analyze_kit.h"

#include <sys/stat.h>

#include "report/report.h"

#define FOLDER "tests/golden/report/"

static char *read_all(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(text);
	if (f) {
		assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
		fclose(f);
	}
	return text;
}

/* A bundle's name and digest are of the run, not of the scene. */
static void pin(json_t *value, const char *sha256, const char *pinned)
{
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_string(value) && !strcmp(json_string_value(value), sha256))
		json_string_set(value, pinned);
	json_object_foreach(value, key, member)
		pin(member, sha256, pinned);
	json_array_foreach(value, i, member)
		pin(member, sha256, pinned);
}

static void compare_golden(const char *name, const char *text)
{
	char path[128], *golden;

	snprintf(path, sizeof(path), FOLDER "%s", name);
	if (getenv("DAYLIGHT_GOLDEN")) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		fputs(text, f);
		fclose(f);
	}
	golden = read_all(path);
	assert_string_equal(text, golden);
	free(golden);
}

static json_t *pinned_report(const struct scene *s, const char *reference)
{
	struct analyze_result result;
	json_t *bundle;
	char *sha256;

	scene_report_with(s, reference, &result);
	bundle = json_array_get(
		json_object_get(json_object_get(result.report, "inputs"), "bundles"), 0);
	sha256 = strdup(text_in(bundle, "sha256"));
	pin(result.report, sha256, "(digest of the bundle)");
	free(sha256);
	return result.report;
}

static char *print(const json_t *report, int (*how)(const json_t *, FILE *, struct err *))
{
	struct err err = ERR_INIT;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	if (how(report, out, &err))
		fail_msg("%s", err.text);
	fclose(out);
	return text;
}

static void golden_pair(const char *name, const struct scene *s, const char *reference)
{
	json_t *report = pinned_report(s, reference);
	char file[64], *text;

	snprintf(file, sizeof(file), "%s.json", name);
	text = print(report, report_print_json);
	compare_golden(file, text);
	free(text);
	snprintf(file, sizeof(file), "%s.txt", name);
	text = print(report, report_print_text);
	compare_golden(file, text);
	free(text);
	json_decref(report);
}

static void test_golden(void **state)
{
	const struct scene plain = { 0 };
	const struct scene poor = { .digest_matches = 1, .lost = 3, .unsupported = true };
	const struct scene between = { .entered = 1,
				       .memory_differs = true,
				       .tokens = 0x54,
				       .between = "wrapper",
				       .between_module = 1 };
	const struct scene memory = {
		.entered = 1, .memory_equal = true, .tokens = 0x51, .between = "preload"
	};
	const struct scene proxied = { .proxied = true };
	const struct scene silent = { .elsewhere = true, .sampled = true, .listeners = true };

	(void)state;
	golden_pair("packaged", &plain, NULL);
	golden_pair("unmodified", &plain, FOLDER "reference.json");
	golden_pair("modified", &poor, NULL);
	golden_pair("silent", &silent, NULL);
	golden_pair("between", &between, FOLDER "reference-functions.json");
	golden_pair("memory", &memory, FOLDER "reference-functions.json");
	golden_pair("ways", &proxied, NULL);
}

/* The keys of the contract are there, in every row. */
static void test_keys(void **state)
{
	static const char *const top[] = { "schema", "inputs",		 "sections",
					   "routes", "claims",		 "interpositions",
					   "ways",   "outside_packages", "hops" };
	static const char *const section[] = { "component", "section",	 "designated", "list",
					       "status",    "level",	 "reference",  "compared",
					       "files",	    "functions", "calls",      "claims",
					       "replaced",  "calls_deep" };
	static const char *const route[] = { "component",      "method",      "route",
					     "calls",	       "deep",	      "reached",
					     "not_reached",    "no_sighting", "unsighted",
					     "deep_no_handler" };
	static const char *const functions[] = {
		"mapped",	"ran",	"differ",      "unlisted", "docstring_differ",
		"not_compared", "deep", "not_entered", "memory",   "differing"
	};
	static const char *const claim[] = { "id", "text", "status", "records", "weakened_by" };
	json_t *report = scene_report(&(struct scene){ .no_route = true }), *row;
	size_t i;

	(void)state;
#define HAS(row, keys)                                                 \
	for (size_t k_ = 0; k_ < sizeof(keys) / sizeof(keys[0]); k_++) \
		if (!json_object_get(row, keys[k_]))                   \
	fail_msg("'%s' is missing", keys[k_])
	HAS(report, top);
	json_array_foreach(json_object_get(report, "sections"), i, row) {
		HAS(row, section);
		HAS(json_object_get(row, "functions"), functions);
	}
	json_array_foreach(json_object_get(report, "routes"), i, row)
		HAS(row, route);
	json_array_foreach(json_object_get(report, "claims"), i, row)
		HAS(row, claim);
	json_decref(report);
}

/* Nothing that a terminal acts on comes through. */
static void test_hostile_text(void **state)
{
	json_t *report = pinned_report(&(struct scene){ 0 }, NULL), *row;
	char *text;

	(void)state;
	row = json_array_get(json_object_get(report, "other_code"), 0);
	json_object_set_new(row, "owner", json_string("a\x1b[31m\nb\x7f\xc2\x9b\xc3\xa9"));
	text = print(report, report_print_text);
	assert_non_null(strstr(text, "a\\x1b[31m\\x0ab\\x7f\\xc2\\x9b\xc3\xa9"));
	assert_null(strchr(text, 0x1b));
	free(text);
	json_decref(report);
}

/* Any JSON at all: an error or a text, no crash. */
static void test_no_report(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"schema\":\"x\"}",
		"{\"schema\":\"daylight.report/0\"}",
		"{\"schema\":\"daylight.report/"
		"0\",\"sections\":[1,{}],\"routes\":[{}],\"claims\":3,"
		"\"other_code\":[{}],\"interpositions\":[1,{},{\"sections\":[1]}],"
		"\"outside_packages\":[{}, "
		"[]],\"weakened_by\":[{}],\"visibility\":[{}],\"inputs\":[]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct err err = ERR_INIT;
		json_t *report = json_loads(texts[i], 0, NULL);
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		assert_non_null(report);
		assert_int_equal(report_print_text(report, out, &err), i < 2 ? -1 : 0);
		fclose(out);
		free(text);
		json_decref(report);
	}
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Only what is empty or a report is replaced; an input never is. */
static void expect_kept(const json_t *report, const char *path, const char *folder)
{
	static const char *const others[] = { "a note\n", "{}",
					      "{\"schema\": \"daylight.reference/0\"}", "[]",
					      "{\"schema\": \"daylight.report/0\"" };
	char other[64], *kept;
	const char *inputs[] = { "/nowhere", other };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct err err = ERR_INIT, early = ERR_INIT;

		put_file(path, others[i]);
		assert_int_equal(report_check_place(path, NULL, 0, &early), -1);
		assert_int_equal(report_write(report, path, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_non_null(strstr(err.text, "not a report"));
		kept = read_all(path);
		assert_string_equal(kept, others[i]);
		free(kept);
	}
	for (int empty = 0; empty < 2; empty++) {
		struct err err = ERR_INIT, same = ERR_INIT;

		put_file(path, empty ? "" : "{\"schema\": \"daylight.report/0\"}");
		snprintf(other, sizeof(other), "%s/link", folder);
		assert_int_equal(link(path, other), 0);
		assert_int_equal(report_check_place(path, inputs, 1, &err), 0);
		assert_int_equal(report_check_place(path, inputs, 2, &same), -1);
		assert_int_equal(same.kind, ERR_USAGE);
		assert_non_null(strstr(same.text, "is the input"));
		unlink(other);
		assert_int_equal(report_write(report, path, &err), 0);
	}
	unlink(path);
}

static void test_write(void **state)
{
	char folder[] = "/tmp/daylight-report-XXXXXX", path[64], fifo[64], absent[64];
	json_t *report = pinned_report(&(struct scene){ 0 }, NULL), *back;
	struct err err = ERR_INIT, bad = ERR_INIT, none = ERR_INIT;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/report.json", folder);
	snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
	snprintf(absent, sizeof(absent), "%s/none/report.json", folder);
	assert_int_equal(report_write(report, path, &err), 0);
	assert_int_equal(report_write(report, path, &err), 0);
	back = json_load_file(path, 0, NULL);
	assert_true(json_equal(report, back));
	json_decref(back);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(report_write(report, fifo, &bad), -1);
	assert_int_equal(bad.kind, ERR_USAGE);
	assert_non_null(strstr(bad.text, "not a regular file"));
	assert_int_equal(report_write(report, absent, &none), -1);
	assert_int_equal(none.kind, ERR_USAGE);
	assert_int_equal(lstat(fifo, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	unlink(fifo);
	unlink(path);
	expect_kept(report, path, folder);
	/* No temporary file is left. */
	assert_int_equal(rmdir(folder), 0);
	json_decref(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	     cmocka_unit_test(test_keys),
		cmocka_unit_test(test_hostile_text), cmocka_unit_test(test_no_report),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
