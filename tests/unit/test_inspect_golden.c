/*
 * Every view of one fixed bundle against tests/golden/inspect, as text and as JSON. What differs
 * from run to run (sizes, salts and so the digest, the path) is replaced by words first.
 * UPDATE_GOLDEN=1 writes the files anew.
 */
#include "trace_fixture.h"

#include <inttypes.h>

#include "inspect/inspect.h"

#define GOLDEN "tests/golden/inspect/"

static char *replace(char *text, const char *from, const char *to)
{
	char *at, *out;

	while ((at = strstr(text, from))) {
		assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, to,
				     at + strlen(from)) >= 0);
		free(text);
		text = out;
	}
	return text;
}

static char *replace_number(char *text, const char *format, uint64_t number, const char *word)
{
	char from[64], to[64], digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, number);
	snprintf(from, sizeof(from), format, digits);
	snprintf(to, sizeof(to), format, word);
	return replace(text, from, to);
}

/* The printed view, with words for what differs. */
static char *print(const struct fixture *f, const char *view, const char *id,
		   enum inspect_format format)
{
	struct err err = ERR_INIT;
	struct bundle_end end;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int rc;

	assert_non_null(out);
	rc = id ? inspect_print_record(f->t, f->path, view, id, format, out, &err)
		: inspect_print(f->t, f->path, view, NULL, format, out, &err);
	fclose(out);
	if (rc)
		fail_msg("%s", err.text);
	trace_end(f->t, &end);
	text = replace(text, trace_sha256(f->t), "SHA256");
	text = replace(text, f->path, "FILE");
	text = replace_number(text, "\"bytes\": %s", end.bytes, "BYTES");
	text = replace_number(text, "\"end_offset\": %s", end.end_offset, "BYTES");
	text = replace_number(text, "\"frames\": %s", end.frames, "FRAMES");
	return replace_number(text, "bytes %s,", end.bytes, "BYTES");
}

static void check_golden(const char *name, const char *text)
{
	char path[128], *want;
	long size;
	FILE *file;

	snprintf(path, sizeof(path), GOLDEN "%s", name);
	if (getenv("UPDATE_GOLDEN")) {
		file = fopen(path, "w");
		assert_non_null(file);
		fputs(text, file);
		assert_int_equal(fclose(file), 0);
		return;
	}
	file = fopen(path, "r");
	if (!file)
		fail_msg("no %s: run from the repository's root", path);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	want = calloc(1, (size_t)size + 1);
	assert_non_null(want);
	assert_int_equal(fread(want, 1, (size_t)size, file), size);
	fclose(file);
	if (strcmp(want, text))
		print_error("%s differs; got:\n%s", path, text);
	assert_string_equal(text, want);
	free(want);
}

static int setup(void **state)
{
	struct fixture *f;

	fixture_setup(state);
	f = *state;
	fixture_host(f);
	fixture_calls(f);
	fixture_code(f);
	fixture_window_end(f);
	fixture_load(f);
	return 0;
}

static void test_views(void **state)
{
	static const char *const views[] = { "summary",	    "calls",	 "processes",
					     "modules",	    "functions", "stacks",
					     "connections", "loss",	 "interpositions" };

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		static const struct {
			enum inspect_format format;
			const char *end;
		} formats[] = { { INSPECT_TEXT, "txt" },
				{ INSPECT_JSONL, "jsonl" },
				{ INSPECT_JSON, "json" } };

		for (size_t j = 0; j < sizeof(formats) / sizeof(formats[0]); j++) {
			char name[64], *text;

			/* The lines are the rows of the document; the summary has no rows. */
			if (formats[j].format == (i ? INSPECT_JSON : INSPECT_JSONL) &&
			    strcmp(views[i], "loss"))
				continue;
			text = print(*state, views[i], NULL, formats[j].format);
			snprintf(name, sizeof(name), "%s.%s", views[i], formats[j].end);
			check_golden(name, text);
			free(text);
		}
	}
}

static void test_text_fits_the_line(void **state)
{
	static const char *const views[] = { "calls",  "processes",   "modules", "functions",
					     "stacks", "connections", "loss",	 "interpositions" };

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		char *text = print(*state, views[i], NULL, INSPECT_TEXT), *line, *rest = text;

		while ((line = strsep(&rest, "\n")))
			if (strlen(line) > 100)
				fail_msg("%s: %zu columns: %s", views[i], strlen(line), line);
		free(text);
	}
}

static void test_records(void **state)
{
	static const struct {
		const char *kind, *id;
	} records[] = { { "window", "1" }, { "stack", "2" }, { "call", "3" },
			{ "module", "2" }, { "loss", "4" },  { "deep", "1" } };

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		char name[64], *text;

		text = print(*state, records[i].kind, records[i].id, INSPECT_JSON);
		snprintf(name, sizeof(name), "record-%s.json", records[i].kind);
		check_golden(name, text);
		free(text);
	}
	free(({
		char *text = print(*state, "stack", "2", INSPECT_TEXT);

		check_golden("record-stack.txt", text);
		text;
	}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_text_fits_the_line),
		cmocka_unit_test(test_records),
	};

	return cmocka_run_group_tests(tests, setup, fixture_teardown);
}
