/* Guideline files: both schemas, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyze/guideline.h"

#define FOLDER "tests/golden/guidelines/"

static void test_schema_2_0(void **state)
{
	struct err err = ERR_INIT;
	struct guideline g;

	(void)state;
	assert_int_equal(guideline_load(FOLDER "demo.json", &g, &err), 0);
	assert_string_equal(g.id, "demo-1");
	assert_string_equal(g.schema, "2.0");
	assert_int_equal(strlen(g.sha256), 64);
	assert_int_equal(g.sections_count, 4);
	assert_string_equal(g.sections[0].component, "demo");
	assert_string_equal(g.sections[0].section, "things API");
	assert_string_equal(g.sections[0].list, "required");
	assert_true(g.sections[0].designated);
	assert_false(g.sections[1].designated);
	assert_int_equal(g.bare_count, 1);
	assert_string_equal(g.bare[0], "bare");
	guideline_release(&g);
}

static void test_schema_1_6(void **state)
{
	struct err err = ERR_INIT;
	struct guideline g;

	(void)state;
	assert_int_equal(guideline_load(FOLDER "old.json", &g, &err), 0);
	assert_string_equal(g.id, "old-1");
	assert_int_equal(g.sections_count, 2);
	assert_string_equal(g.sections[0].component, "demo");
	assert_string_equal(g.sections[0].list, "required");
	assert_true(g.sections[0].designated);
	assert_string_equal(g.sections[1].component, "later");
	assert_string_equal(g.sections[1].list, "advisory");
	assert_false(g.sections[1].designated);
	assert_int_equal(g.bare_count, 1);
	guideline_release(&g);
}

static void refuse(const char *text, const char *why)
{
	struct err err = ERR_INIT;
	struct guideline g;

	assert_int_equal(guideline_parse(text, strlen(text), "in.json", &g, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	if (!strstr(err.text, "in.json") || !strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
	assert_null(strchr(err.text, '\n'));
}

#define V2(sections) \
	"{\"metadata\":{\"id\":\"x\",\"schema\":\"2.0\"},\"designated_sections\":" sections "}"

static void test_refused(void **state)
{
	(void)state;
	refuse("", "not valid JSON");
	refuse("[]", "not a JSON object");
	refuse("{\"a\":1,\"a\":2}", "duplicate");
	refuse("{}", "schema");
	refuse("{\"metadata\":{\"id\":\"x\",\"schema\":2.0}}", "schema");
	refuse("{\"metadata\":{\"id\":\"x\",\"schema\":\"2.1\"}}", "schema '2.1' is not known");
	refuse("{\"id\":\"x\",\"schema\":\"2.0\",\"designated_sections\":{}}", "place");
	refuse("{\"metadata\":{\"schema\":\"2.0\"},\"designated_sections\":{}}", "id");
	refuse(V2("[]"), "must be an object");
	refuse(V2("{\"c\":[]}"), "'c' must be an object");
	refuse(V2("{\"c\":{\"wanted\":{\"sections\":{}}}}"), "not a known list");
	refuse(V2("{\"required\":{\"required\":{\"sections\":{}}}}"), "not a component");
	refuse(V2("{\"c\":{\"required\":{}}}"), "'sections' must be an object");
	refuse(V2("{\"c\":{\"required\":{\"sections\":{\"s\":{}}}}}"), "'designated'");
	refuse(V2("{\"c\":{\"required\":{\"sections\":{\"s\":{\"designated\":\"yes\"}}}}}"),
	       "'designated'");
	refuse(V2("{\"c\":{\"required\":{\"sections\":{\"s\\n\":{\"designated\":true}}}}}"),
	       "not a plain text");
	refuse(V2("{\"c\":{\"required\":{\"sections\":{\"s\":{\"designated\":true}}},"
		  "\"advisory\":{\"sections\":{\"s\":{\"designated\":true}}}}}"),
	       "two lists");
	refuse("{\"id\":\"x\",\"schema\":\"1.6\",\"designated-sections\":{\"c\":{\"required\":{}}}"
	       "}",
	       "not a known list");
}

static void test_files(void **state)
{
	struct err err = ERR_INIT, fifo = ERR_INIT, missing = ERR_INIT;
	char folder[] = "/tmp/daylight-guideline-XXXXXX", path[64];
	struct guideline g;

	(void)state;
	assert_int_equal(guideline_load(FOLDER "unknown-schema.json", &g, &err), -1);
	assert_non_null(strstr(err.text, "unknown-schema.json"));
	assert_non_null(strstr(err.text, "'3.0' is not known"));
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(guideline_load(path, &g, &fifo), -1);
	assert_non_null(strstr(fifo.text, "not a regular file"));
	unlink(path);
	assert_int_equal(guideline_load(path, &g, &missing), -1);
	assert_int_equal(missing.kind, ERR_USAGE);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_2_0),
		cmocka_unit_test(test_schema_1_6),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
