/*
 * What must hold for any bundle: no string reaches a terminal or JSON unescaped, references that
 * lead nowhere are null, an early end is told, a failed output is an error.
 */
#include "trace_fixture.h"

#include <jansson.h>

#include "inspect/inspect.h"

static const char *const views[] = { "summary",	    "calls",	 "processes",
				     "modules",	    "functions", "stacks",
				     "connections", "loss",	 "interpositions" };
#define VIEWS (sizeof(views) / sizeof(views[0]))

static char *print(struct trace *t, const char *view, const char *id, enum inspect_format format)
{
	struct err err = ERR_INIT;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int rc;

	assert_non_null(out);
	rc = id ? inspect_print_record(t, "FILE", view, id, format, out, &err)
		: inspect_print(t, "FILE", view, NULL, format, out, &err);
	fclose(out);
	if (rc)
		fail_msg("%s %s: %s", view, id ? id : "", err.text);
	return text;
}

/* The first row of a view. */
static json_t *first_row(struct trace *t, const char *view, const char *id)
{
	char *text = print(t, view, id, INSPECT_JSONL);
	json_t *row;

	text[strcspn(text, "\n")] = '\0';
	row = json_loads(text, 0, NULL);
	if (!row)
		fail_msg("no JSON: %s", text);
	free(text);
	return row;
}

/* No byte but printable ASCII and line breaks: a terminal takes it as text. */
static void assert_plain(const char *text)
{
	for (; *text; text++)
		if (*text != '\n' && (*text < 0x20 || *text > 0x7e))
			fail_msg("byte 0x%02x is printed", (uint8_t)*text);
}

static void test_strings_are_escaped(void **state)
{
	static const char evil[] = "a\x1b]0;x\x07\r\n\xff\xc0\xaf\xc2\x9b\xe2\x80\xae\xf5\x7f\x00z";
	struct fixture *f = *state;
	char *text;
	uint64_t s;

	s = bundle_writer_string(f->w, evil, sizeof(evil) - 1, STRING_PRIVATE);
	put(f, WINDOW, window, .window = s, .challenge = s, .start_reason = s, .host = s,
	    .kernel = s, .boot_id = s, .arch = s, .version = s, .exe_sha256 = s,
	    .options = list(s, s), .boundary_source = s);
	put(f, LABEL, label, .key = s, .value = s);
	put(f, PROBE, probe, .name = s, .sha256 = s, .shipped = 1);
	put(f, PROGRAM, program, .name = s, .tag = s);
	put(f, GAP, gap, .what = s);
	put(f, TARGET, target, .how = s, .value = s);
	put(f, LISTENER, listener, .family = FAMILY_TCP6, .address = s, .port = 5);
	put(f, PROCESS, process, .pid = 1, .exe = 1, .comm = s, .argv0 = s, .options = list(s),
	    .cgroup = s, .runtime = s, .service = s);
	put(f, MODULE, module, .path = s);
	put(f, IDENTITY, identity, .module = 1, .package_manager = s, .package = s,
	    .package_version = s, .how = s);
	put(f, PYC, pyc, .module = 1, .path = s, .how = s);
	put(f, FUNCTION, function, .module = 1, .name = s, .qualname = s, .line = 1);
	put(f, STACK, stack, .process = 1, .frames = list(1));
	put(f, CONNECTION, connection, .process = 1, .family = FAMILY_TCP4, .local = s,
	    .local_port = 1, .remote = s, .remote_port = 2);
	put(f, CONNECTION_END, connection_end, .connection = 1, .reason = s, .undecoded = s);
	put(f, CALL, call, .process = 1, .connection = 1, .protocol = s, .method = s, .path = s,
	    .service = s, .route = s, .request_id = s, .request_ids = list(s, s), .host = s);
	put(f, LOSS, loss, .stage = s, .class = LOSS_LOST, .cause = s, .count = 1);
	put(f, UNSUPPORTED, unsupported, .process = 1, .what = s, .version = s);
	put(f, DEEP, deep, .process = 1, .reason = s);
	put(f, FUNCTION_SOURCE, function_source, .function = 1, .tokens = s, .docstring = s,
	    .how = s);
	put(f, FUNCTION_MEMORY, function_memory, .function = 1, .memory = s, .compiled = s,
	    .how = s);
	put(f, INTERPOSITION, interposition, .process = 1, .kind = s, .place = s, .module = 1,
	    .by = 1, .detail = s);
	fixture_load(f);
	for (size_t i = 0; i < VIEWS; i++) {
		for (int format = INSPECT_TEXT; format <= INSPECT_JSONL; format++) {
			text = print(f->t, views[i], NULL, (enum inspect_format)format);
			assert_plain(text);
			free(text);
		}
	}
	for (int kind = 0; kind < REC_KIND_COUNT; kind++) {
		if (!trace_count(f->t, (enum rec_kind)kind))
			continue;
		for (int format = INSPECT_TEXT; format <= INSPECT_JSONL; format++) {
			text = print(f->t, rec_schemas[kind].name, "1",
				     (enum inspect_format)format);
			assert_plain(text);
			free(text);
		}
	}
}

/* The text of one label value, as JSON sees it and as a terminal does. */
static void check_escape(const char *bytes, size_t len, const char *json, const char *terminal)
{
	struct fixture f;
	json_t *row;
	char *text, *at;

	fixture_open(&f);
	put(&f, LABEL, label, .key = pub(&f, "k"),
	    .value = bundle_writer_string(f.w, bytes, len, STRING_PUBLIC));
	fixture_load(&f);
	row = first_row(f.t, "label", "1");
	assert_string_equal(json_string_value(json_object_get(row, "value")), json);
	json_decref(row);
	text = print(f.t, "label", "1", INSPECT_TEXT);
	at = strstr(text, "\nvalue");
	assert_non_null(at);
	at += 1 + 20;
	at[strcspn(at, "\n")] = '\0';
	assert_string_equal(at, terminal);
	free(text);
	fixture_release(&f);
}

static void test_escapes(void **state)
{
	(void)state;
	check_escape("plain", 5, "plain", "plain");
	check_escape("K\xc3\xb6ln \xe6\x97\xa5", 9, "K\xc3\xb6ln \xe6\x97\xa5",
		     "K\xc3\xb6ln \xe6\x97\xa5");
	check_escape("a\xff"
		     "b",
		     3, "a\\xffb", "a\\xffb");
	check_escape("\xc3", 1, "\\xc3", "\\xc3"); /* cut in the middle */
	check_escape("\xc0\xaf", 2, "\\xc0\\xaf", "\\xc0\\xaf"); /* too long for its character */
	check_escape("\xe0\x80\xaf", 3, "\\xe0\\x80\\xaf", "\\xe0\\x80\\xaf");
	check_escape("\xed\xa0\x80", 3, "\\xed\\xa0\\x80", "\\xed\\xa0\\x80"); /* surrogate */
	check_escape("\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80", "\\xf4\\x90\\x80\\x80");
	check_escape("\x1b[2J", 4, "\x1b[2J", "\\x1b[2J");
	check_escape("a\nb", 3, "a\nb", "a\\x0ab");
	check_escape("\x7f", 1, "\x7f", "\\x7f");
	check_escape("\xc2\x9b"
		     "2J",
		     4,
		     "\xc2\x9b"
		     "2J",
		     "\\u{9b}2J");
	check_escape("\xe2\x80\xae"
		     "abc",
		     6,
		     "\xe2\x80\xae"
		     "abc",
		     "\\u{202e}abc");
}

static void test_dangling_references(void **state)
{
	struct fixture *f = *state;
	json_t *row, *functions;

	put(f, WINDOW, window, .window = 1 << 20, .challenge = REC_NULL, .monotonic = REC_NULL,
	    .realtime = UINT64_MAX - 1, .options = list(1 << 20, REC_NULL));
	put(f, PROCESS, process, .pid = UINT64_MAX - 1, .parent = 1, .exe = 99, .origin = 99,
	    .argv0 = REC_NULL);
	put(f, MODULE, module, .kind = 99, .path = REC_NULL, .language = 99);
	put(f, FUNCTION, function, .module = 98, .name = REC_NULL, .qualname = 1 << 20,
	    .line = REC_NULL);
	put(f, STACK, stack, .process = 97, .frames = list(1, 9, REC_NULL), .partial = REC_NULL);
	put(f, STACK, stack, .process = 97, .partial = 1);
	put(f, CALL, call, .process = 96, .connection = 95, .end_reason = 94,
	    .request_ids = list(REC_NULL, 7, 8));
	put(f, HOP, hop, .call = 1, .connection = 93, .time = 1);
	put(f, HOP, hop, .call = REC_NULL, .connection = 2, .time = 5, .context = 92, .last = 1,
	    .received = UINT64_MAX - 1, .sent = REC_NULL, .process = 83, .protocol = 1 << 20);
	put(f, HOP, hop, .call = REC_NULL, .connection = 2, .time = 0, .context = 92,
	    .last = UINT64_MAX - 1, .received = UINT64_MAX - 1, .sent = 0, .process = REC_NULL,
	    .protocol = REC_NULL);
	put(f, BINDING, binding, .context = 92, .call = 1, .from = 0, .until = REC_NULL,
	    .link = 91);
	put(f, SIGHTING, sighting, .context = 92, .stack = 1, .source = 90, .first = 1, .last = 2,
	    .count = REC_NULL);
	put(f, CONNECTION, connection, .process = REC_NULL, .family = 89, .local = REC_NULL,
	    .remote = 1 << 20, .direction = DIRECTION_IN);
	put(f, CONNECTION, connection, .process = 1, .direction = 88);
	put(f, LOSS, loss, .stage = REC_NULL, .class = 87, .cause = REC_NULL, .count = REC_NULL);
	put(f, LOSS, loss, .stage = REC_NULL, .class = LOSS_LOST, .cause = REC_NULL,
	    .count = UINT64_MAX - 1);
	put(f, LOSS, loss, .stage = REC_NULL, .class = LOSS_LOST, .cause = pub(f, "x"),
	    .count = UINT64_MAX - 1);
	put(f, DEEP, deep, .process = 87, .from = REC_NULL, .until = REC_NULL, .reason = REC_NULL);
	put(f, FUNCTION, function, .module = 98, .name = REC_EMPTY, .qualname = REC_EMPTY,
	    .line = REC_NULL, .offset = UINT64_MAX - 1);
	put(f, FUNCTION, function, .module = 97, .name = REC_EMPTY, .qualname = REC_EMPTY,
	    .line = REC_NULL, .offset = 7);
	put(f, FUNCTION_SOURCE, function_source, .function = 86, .tokens = 1 << 20,
	    .docstring = REC_NULL, .how = REC_NULL);
	put(f, FUNCTION_MEMORY, function_memory, .function = 1, .process = 85, .memory = REC_NULL,
	    .compiled = 1 << 20, .matches = 7, .how = REC_NULL, .when = REC_NULL);
	put(f, INTERPOSITION, interposition, .process = REC_NULL, .kind = REC_NULL,
	    .place = 1 << 20, .module = 84, .by = REC_NULL, .detail = REC_NULL, .when = REC_NULL);
	fixture_load(f);
	for (size_t i = 0; i < VIEWS; i++)
		for (int format = INSPECT_TEXT; format <= INSPECT_JSONL; format++)
			free(print(f->t, views[i], NULL, (enum inspect_format)format));
	for (int kind = 0; kind < REC_KIND_COUNT; kind++)
		if (trace_count(f->t, (enum rec_kind)kind))
			free(print(f->t, rec_schemas[kind].name, "1", INSPECT_JSON));

	row = first_row(f->t, "calls", NULL);
	assert_true(json_is_null(json_object_get(json_object_get(row, "process"), "pid")));
	assert_string_equal(json_string_value(json_object_get(row, "evidence")), "none");
	functions = json_object_get(row, "functions");
	assert_int_equal(json_array_size(functions), 2);
	assert_true(json_is_null(json_object_get(json_array_get(functions, 1), "qualname")));
	/* By connection; the sum is more than a number can be. */
	assert_int_equal(json_array_size(json_object_get(row, "hops")), 2);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(row, "hops"), 0), "received")),
			    "18446744073709551614");
	assert_true(json_is_null(json_object_get(row, "caller")));
	json_decref(row);
	row = first_row(f->t, "processes", NULL);
	/* More than a JSON reader's 64-bit number holds. */
	assert_string_equal(json_string_value(json_object_get(row, "pid")), "18446744073709551614");
	json_decref(row);
	/* Accepted is decoded plus undecoded, also without an end record. */
	row = first_row(f->t, "summary", NULL);
	functions = json_object_get(json_object_get(row, "visibility"), "connections");
	assert_int_equal(json_integer_value(json_object_get(functions, "accepted")), 1);
	assert_int_equal(json_integer_value(json_object_get(functions, "decoded")), 0);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(functions, "undecoded"),
							    "no-end-record")),
			 1);
	json_decref(row);
}

static void test_early_end(void **state)
{
	struct fixture *f = *state;
	char *text;
	json_t *row;

	fixture_host(f);
	fixture_calls(f); /* and no window_end */
	fixture_load(f);
	row = first_row(f->t, "summary", NULL);
	assert_true(json_is_null(json_object_get(json_object_get(row, "window"), "stop")));
	assert_true(json_is_false(json_object_get(json_object_get(row, "bundle"), "complete")));
	json_decref(row);
	for (size_t i = 0; i < VIEWS; i++) {
		text = print(f->t, views[i], NULL, INSPECT_TEXT);
		assert_non_null(strstr(text, "\nthe bundle ends early ("));
		assert_non_null(strstr(text, "\nlost: 3 events"));
		free(text);
	}
}

static void check_error(struct trace *t, const char *kind, const char *id, const char *part)
{
	struct err err = ERR_INIT;
	int rc;

	rc = id ? inspect_print_record(t, "FILE", kind, id, INSPECT_TEXT, stdout, &err)
		: inspect_print(t, "FILE", kind, NULL, INSPECT_TEXT, stdout, &err);
	assert_int_equal(rc, -1);
	assert_int_equal(err.kind, ERR_USAGE);
	if (!strstr(err.text, part))
		fail_msg("no '%s' in: %s", part, err.text);
}

static void test_usage_errors_name_what_exists(void **state)
{
	struct fixture *f = *state;

	fixture_host(f);
	fixture_load(f);
	check_error(f->t, "call", NULL, "summary, calls");
	check_error(f->t, "callz", "1", "window, window_end");
	check_error(f->t, "call", "1", "holds no call at all");
	check_error(f->t, "module", "5", "holds 4, with ids from 1 to 4");
	check_error(f->t, "module", "0x1", "ids from 1 to 4");
	check_error(f->t, "module", "-1", "ids from 1 to 4");
	check_error(f->t, "module", "", "ids from 1 to 4");
	check_error(f->t, "module", "99999999999999999999999", "ids from 1 to 4");
}

static void test_full_output_is_an_error(void **state)
{
	struct fixture *f = *state;

	fixture_host(f);
	fixture_calls(f);
	fixture_code(f);
	fixture_load(f);
	for (size_t i = 0; i < VIEWS; i++) {
		struct err err = ERR_INIT;
		FILE *full = fopen("/dev/full", "w");

		if (!full)
			skip();
		assert_int_equal(
			inspect_print(f->t, "FILE", views[i], NULL, INSPECT_JSONL, full, &err), -1);
		assert_int_equal(err.kind, ERR_INCOMPLETE);
		assert_non_null(strstr(err.text, "No space left"));
		fclose(full);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_strings_are_escaped),
		cmocka_unit_test(test_escapes),
		fixture_test(test_dangling_references),
		fixture_test(test_early_end),
		fixture_test(test_usage_errors_name_what_exists),
		fixture_test(test_full_output_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
