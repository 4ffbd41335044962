/* Reading probe files: what is right is loaded, what is wrong is one line with its place. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "catalog/probes.h"
#include "base/digest.h"

static const char service[] =
	"{\"schema\": 1, \"name\": \"x\", \"title\": \"X\", \"versions\": \"1\",\n"
	" \"matches\": [{\"exe_globs\": [\"*/x\"]}], \"roots\": [\"/usr/lib/x\"],\n"
	" \"routes\": [{\"id\": \"a\", \"methods\": [\"GET\"], \"path\": \"/a/{b}\","
	" \"capabilities\": [\"c-1\"], \"handlers\": [\"x/**/a.py\"]},\n"
	" {\"id\": \"rest\", \"path\": \"/files/{all*}\"}],\n"
	" \"sections\": [{\"component\": \"x\", \"section\": \"core\", \"files\": [\"x/*.py\"],"
	" \"except\": [\"x/y.py\"], \"reason\": \"because\"}]}\n";

static const char python[] =
	"{\"schema\": 1, \"name\": \"x\", \"source\": \"s\", \"arch\": \"x86_64\",\n"
	" \"version\": {\"major\": 3, \"minor\": 11}, \"strategy\": \"cframe-on-stack\",\n"
	" \"anchor\": \"_PyRuntime\", \"owners\": {\"generator\": 1, \"c_stack\": null},\n"
	" \"pyc\": {\"magic\": 3495, \"tag\": \"cpython-311\", \"header\": 16}, \"offsets\": {\n"
	"\"runtime.interpreters_head\": 40, \"interp.next\": 0, \"interp.threads_head\": 16,"
	"\"interp.eval_frame\": 1424, \"tstate.frame\": null, \"tstate.thread_id\": 152,"
	"\"tstate.next\": 8, \"tstate.interp\": 16, \"tstate.cframe\": 56,"
	"\"tstate.native_thread_id\": 160, \"cframe.current_frame\": 8, \"frame.code\": 32,"
	"\"frame.previous\": 48, \"frame.owner\": 69, \"frame.is_entry\": null,"
	"\"object.type\": 8, \"code.code\": null, \"code.code_adaptive\": 184,"
	"\"code.firstlineno\": 72,"
	"\"code.filename\": 112, \"code.name\": 120, \"code.qualname\": 128, \"code.flags\": 48,"
	"\"unicode.length\": 16, \"unicode.hash\": 24, \"unicode.state\": 32,"
	"\"unicode.ascii_data\": 48, \"unicode.compact_data\": 72},\n"
	"\"debug_offsets\": {\"cookie\": \"xdebugpy\", \"version\": 8, \"free_threaded\": 16,"
	"\"fields\": {\"frame.code\": 240, \"code.name\": 288}}}\n";

/* base with its first `old` replaced by `new`; free it. */
static char *change(const char *base, const char *old, const char *new)
{
	const char *at = strstr(base, old);
	char *out = NULL;

	if (!at)
		fail_msg("'%s' is not in the text", old);
	assert_true(asprintf(&out, "%.*s%s%s", (int)(at - base), base, new, at + strlen(old)) >= 0);
	return out;
}

static int read_text(const char *text, bool is_python, struct err *err)
{
	struct arena arena = { 0 };
	struct probe_reader r = { &arena, "probes/k/x.json", err };
	struct service_definition definition;
	struct python_layout layout;
	int ret = is_python ? python_layout_read(&r, "x", text, strlen(text), &layout)
			    : service_definition_read(&r, "x", text, strlen(text), &definition);

	arena_release(&arena);
	return ret;
}

/* One line, of the right kind, that starts with the file and the place and has a remedy. */
static void expect_error(const char *text, bool is_python, const char *wanted)
{
	struct err err = ERR_INIT;
	char *prefix = NULL;

	assert_int_equal(read_text(text, is_python, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_true(asprintf(&prefix, "probes/k/x.json: %s", wanted) > 0);
	if (strncmp(err.text, prefix, strlen(prefix)) != 0)
		fail_msg("'%s' does not start with '%s'", err.text, prefix);
	assert_null(strchr(err.text, '\n'));
	free(prefix);
}

struct bad {
	const char *old, *new, *wanted;
};

static void expect_all(const char *base, bool is_python, const struct bad *bad, size_t count)
{
	struct err err = ERR_INIT;

	assert_int_equal(read_text(base, is_python, &err), 0);
	for (size_t i = 0; i < count; i++) {
		char *text = change(base, bad[i].old, bad[i].new);

		expect_error(text, is_python, bad[i].wanted);
		free(text);
	}
}

static void test_bad_services(void **state)
{
	static const struct bad bad[] = {
		{ "\"schema\": 1", "\"schema\": 2", "schema: must be 1" },
		{ "\"schema\": 1", "\"schema\": \"1\"", "schema: must be 1" },
		{ "\"name\": \"x\"", "\"name\": \"y\"", "name: is 'y', but the file is called" },
		{ "\"name\": \"x\"", "\"name\": \"../x\"", "name: has a character" },
		{ "\"title\": \"X\"", "\"title\": 7", "title: must be a string" },
		{ "\"title\": \"X\"", "\"title\": \"\"", "title: must not be empty" },
		{ "\"title\": \"X\"", "\"title\": \"a\\nb\"", "title: has a control character" },
		{ "\"title\": \"X\",", "", "'title' is missing" },
		{ "\"title\": \"X\",", "\"title\": \"X\", \"tilte\": 1,", "unknown key 'tilte'" },
		{ "\"title\": \"X\",", "\"title\": \"X\", \"t\\u0007\": 1,", "unknown key 't?'" },
		{ "\"title\": \"X\",", "\"title\": \"X\", \"title\": \"X\",",
		  "line 1, column 48: duplicate object key" },
		{ "\"title\": \"X\",", "\"title\" \"X\",", "line 1, column 38: ':' expected" },
		{ "\"title\": \"X\",", "\"note\": 1, \"title\": \"X\",", "note: must be a string" },
		{ "[{\"exe_globs\": [\"*/x\"]}]", "[]", "matches: has 0 entries" },
		{ "{\"exe_globs\": [\"*/x\"]}", "{}", "matches[0]: would match every process" },
		{ "{\"exe_globs\": [\"*/x\"]}", "[]", "matches[0]: must be an object" },
		{ "\"*/x\"", "", "matches[0].exe_globs: has 0 entries" },
		{ "\"*/x\"", "\"\"", "matches[0].exe_globs[0]: must not be empty" },
		{ "\"*/x\"", "\"*/[x]\"", "matches[0].exe_globs[0]: has '['" },
		{ "[\"/usr/lib/x\"]", "{}", "roots: must be a list" },
		{ "[\"/usr/lib/x\"]", "[]", "roots: has 0 entries" },
		{ "/usr/lib/x\"", "usr/lib\"", "roots[0]: must start with '/'" },
		{ "/usr/lib/x\"", "/usr/lib/\"", "roots[0]: must not end with '/'" },
		{ "/usr/lib/x\"", "/\"", "roots[0]: must not end with '/'" },
		{ "/usr/lib/x\"", "/usr/../lib\"", "roots[0]: has an empty, '.' or '..'" },
		{ "\"/usr/lib/x\"", "\"/a\", \"/b\", \"/a\"", "roots: '/a' stands twice" },
		{ "\"id\": \"a\"", "\"id\": \"a b\"", "routes[0].id: has a character" },
		{ "\"id\": \"a\"", "\"id\": \"rest\"",
		  "routes[1].id: rest is already in routes[0]" },
		{ "\"GET\"", "\"get\"", "routes[0].methods[0]: must be a method in upper case" },
		{ "\"GET\"", "\"GET\", \"GET\"", "routes[0].methods: 'GET' stands twice" },
		{ "\"/a/{b}\"", "\"a\"", "routes[0].path: must start with '/'" },
		{ "\"/a/{b}\"", "\"/a/\"", "routes[0].path: must not end with '/'" },
		{ "\"/a/{b}\"", "\"/a//b\"", "routes[0].path: has an empty segment" },
		{ "\"/a/{b}\"", "\"/a?b\"", "routes[0].path: has a character" },
		{ "\"/a/{b}\"", "\"/a/{b}.json\"",
		  "routes[0].path: has a segment with only a part" },
		{ "\"/a/{b}\"", "\"/a/x{b}\"", "routes[0].path: has a segment with only a part" },
		{ "\"/a/{b}\"", "\"/a/b}\"", "routes[0].path: has a segment with only a part" },
		{ "\"/a/{b}\"", "\"/a/{\"", "routes[0].path: has a segment with only a part" },
		{ "\"/a/{b}\"", "\"/a/{}\"", "routes[0].path: has a placeholder without a name" },
		{ "\"/a/{b}\"", "\"/a/{*}\"", "routes[0].path: has a placeholder without a name" },
		{ "\"/a/{b}\"", "\"/a/{b-c}\"", "routes[0].path: has a placeholder whose name" },
		{ "\"/a/{b}\"", "\"/a/{b*}/c\"", "routes[0].path: has {name*} before the end" },
		{ "\"/a/{b}\"", "\"/{b}/{b}\"",
		  "routes[0].path: has two placeholders of one name" },
		{ "\"/a/{b}\"", "\"/{b}/{b*}\"", "routes[0].path: has two placeholders" },
		{ "\"/a/{b}\"", "\"/files/{x*}\"",
		  "routes[1].path: GET /files/{x*} is already in routes[0]" },
		{ "\"c-1\"", "\"c 1\"", "routes[0].capabilities[0]: has a character" },
		{ "\"x/**/a.py\"", "\"x/**a.py\"", "routes[0].handlers[0]: has '**' beside" },
		{ "\"x/**/a.py\"", "\"/x/a.py\"",
		  "routes[0].handlers[0]: must not start with '/'" },
		{ "\"section\": \"core\",", "", "sections[0]: 'section' is missing" },
		{ "\"reason\": \"because\"", "\"reason\": \"\"",
		  "sections[0].reason: must not be" },
		{ "\"x/*.py\"", "\"x//y\"", "sections[0].files[0]: has an empty" },
		{ "\"files\": [\"x/*.py\"],", "", "sections[0]: 'files' is missing" },
		{ "\"reason\": \"because\"}",
		  "\"reason\": \"r\"}, {\"component\": \"x\", \"section\": \"core\", \"files\": [],"
		  " \"reason\": \"r\"}",
		  "sections[1]: 'core' is already in sections[0]" },
		{ service, "", "line 1, column 0:" },
		{ service, "[]", "must be an object" },
		{ service, "[[[[[[[[[]]]]]]]]]", "line 1: nested more than 8 deep" },
		{ service, "{\"\xff\": 1}", "line 1, column" },
		{ service, "{\"a\\u0000\": 1}", "line 1, column" },
		{ "]}\n", "]} x", "line 5, column 119: end of file expected" },
	};

	(void)state;
	expect_all(service, false, bad, sizeof(bad) / sizeof(bad[0]));
}

static void test_bad_layouts(void **state)
{
	static const struct bad bad[] = {
		{ "\"arch\": \"x86_64\"", "\"arch\": \"arm64\"", "arch: must be 'x86_64'" },
		{ "cframe-on-stack", "guess", "strategy: 'guess' is unknown" },
		{ "\"minor\": 11", "\"minor\": -1", "version.minor: is -1, out of range" },
		{ "\"minor\": 11", "\"minor\": 1.5", "version.minor: must be a whole number" },
		{ "3495", "65536", "pyc.magic: is 65536, out of range" },
		{ "\"interp.next\": 0, ", "", "offsets: 'interp.next' is missing" },
		{ "\"interp.next\": 0", "\"interp.next\": 4", "offsets.interp.next: is 4, not a" },
		{ "\"interp.next\": 0", "\"interp.next\": null",
		  "offsets.interp.next: must be a nu" },
		{ "\"interp.next\": 0", "\"interp.next\": -8",
		  "offsets.interp.next: is -8, out of" },
		{ "\"interp.next\": 0", "\"interp.next\": 65536", "offsets.interp.next: is 65536" },
		{ "\"interp.next\": 0", "\"interp.next\": true", "offsets.interp.next: must be a" },
		{ "\"interp.next\": 0", "\"interp.x\": 0, \"interp.next\": 0",
		  "offsets: unknown key 'interp.x'" },
		{ "\"tstate.cframe\": 56", "\"tstate.cframe\": null",
		  "offsets.tstate.cframe: must be a number (strategy cframe-on-stack needs it)" },
	};

	(void)state;
	expect_all(python, true, bad, sizeof(bad) / sizeof(bad[0]));
}

static void test_values(void **state)
{
	struct err err = ERR_INIT;
	struct arena arena = { 0 };
	struct probe_reader r = { &arena, "f", &err };
	struct service_definition d;
	struct python_layout l;

	(void)state;
	assert_int_equal(service_definition_read(&r, "x", service, strlen(service), &d), 0);
	assert_string_equal(d.title, "X");
	assert_int_equal(d.routes_count, 2);
	assert_string_equal(d.routes[0].path, "/a/{b}");
	assert_string_equal(d.routes[0].methods[0], "GET");
	assert_string_equal(d.routes[0].capabilities[0], "c-1");
	assert_string_equal(d.routes[0].handlers[0], "x/**/a.py");
	assert_int_equal(d.routes[1].methods_count, 0);
	assert_string_equal(d.sections[0].except[0], "x/y.py");
	assert_int_equal(d.matches[0].exe_globs_count, 1);
	assert_int_equal(d.matches[0].arg_globs_count, 0);
	assert_int_equal(python_layout_read(&r, "x", python, strlen(python), &l), 0);
	assert_int_equal(l.major * 100 + l.minor, 311);
	assert_int_equal(l.strategy, PYTHON_CFRAME_ON_STACK);
	assert_int_equal(l.pyc_magic, 3495);
	assert_int_equal(l.runtime_interpreters_head, 40);
	assert_int_equal(l.unicode_compact_data, 72);
	assert_int_equal(l.code_code_adaptive, 184);
	assert_int_equal(l.frame_is_entry, -1);
	arena_release(&arena);
}

/* A definition at the limit of routes is read in reasonable time; one more is refused. */
static void test_many_routes(void **state)
{
	char *routes = malloc(1 << 20), *text;
	struct err err = ERR_INIT;

	(void)state;
	for (int n = 10000; n <= 10001; n++) {
		size_t len = (size_t)snprintf(routes, 64, "\"routes\": [");

		for (int i = 0; i < n; i++)
			len += (size_t)snprintf(routes + len, 64,
						"{\"id\":\"%d\",\"path\":\"/%d/{b}\"},", i, i);
		snprintf(routes + len, 64, "{\"id\":\"z\",\"path\":\"/z\"}], \"unused\": [");
		routes[len - 1] = ']';
		routes[len] = '\0';
		text = change(service, "[\"/usr/lib/x\"],",
			      "[\"/usr/lib/x\"], ROUTES, \"sections\": []}");
		strstr(text, "[]}")[3] = '\0';
		char *full = change(text, "ROUTES", routes);

		if (n == 10000)
			assert_int_equal(read_text(full, false, &err), 0);
		else
			expect_error(full, false,
				     "routes: has 10001 entries, 0 to 10000 are allowed");
		free(full);
		free(text);
	}
	free(routes);
}

static void test_sha256(void **state)
{
	static const struct {
		size_t repeat;
		const char *wanted;
	} known[] = {
		/* "a" repeated: lengths around the padding's borders. */
		{ 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ 1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" },
		{ 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318" },
		{ 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a" },
		{ 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb" },
		{ 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
	};
	char *text = malloc(1000000), hex[65];
	uint8_t digest[32];

	(void)state;
	memset(text, 'a', 1000000);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_int_equal(digest_sha256(text, known[i].repeat, digest), 0);
		bytes_to_hex(digest, 32, hex);
		assert_string_equal(hex, known[i].wanted);
	}
	free(text);
}

/* ---- folders ---- */

static char folder[64];

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fputs(text, f) >= 0, 1);
	assert_int_equal(fclose(f), 0);
}

static int folder_setup(void **state)
{
	char path[256];

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test_catalog.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/python", folder);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/services", folder);
	assert_int_equal(mkdir(path, 0755), 0);
	write_file("python/x.json", python);
	write_file("services/x.json", service);
	return 0;
}

static int folder_teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void expect_load_error(const char *wanted)
{
	struct err err = ERR_INIT;
	char *full = NULL;

	assert_null(catalog_load(folder, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_true(asprintf(&full, "%s/%s", folder, wanted) > 0);
	if (strncmp(err.text, full, strlen(full)) != 0)
		fail_msg("'%s' does not start with '%s'", err.text, full);
	free(full);
}

static void test_folder(void **state)
{
	struct err err = ERR_INIT;
	struct catalog *c;

	(void)state;
	write_file("services/README", "not a probe");
	write_file("services/.hidden.json", "not a probe");
	c = catalog_load(folder, &err);
	assert_non_null(c);
	assert_int_equal(catalog_files_count(c), 2);
	assert_string_equal(catalog_file_at(c, 0)->name, "python/x.json");
	assert_string_equal(catalog_file_at(c, 1)->name, "services/x.json");
	assert_false(catalog_file_at(c, 0)->shipped);
	assert_null(catalog_file_at(c, 2));
	assert_non_null(catalog_python(c, 3, 11));
	assert_null(catalog_python(c, 3, 12));
	assert_int_equal(catalog_python_count(c), 1);
	assert_non_null(catalog_service(c, "x"));
	assert_null(catalog_service(c, "y"));
	assert_ptr_equal(catalog_service_file(c, "x"), catalog_file_at(c, 1));
	assert_null(catalog_service_file(c, "y"));
	catalog_free(c);
}

static void test_folder_errors(void **state)
{
	char path[256], *text;

	(void)state;
	text = change(python, "\"name\": \"x\"", "\"name\": \"y\"");
	write_file("python/y.json", text);
	expect_load_error("python/y.json: version: 3.11 is already described by 'x'");
	snprintf(path, sizeof(path), "%s/python/y.json", folder);
	assert_int_equal(unlink(path), 0);
	free(text);

	snprintf(path, sizeof(path), "%s/services/fifo.json", folder);
	assert_int_equal(mkfifo(path, 0644), 0);
	expect_load_error("services/fifo.json: is not a regular file");
	assert_int_equal(unlink(path), 0);

	assert_int_equal(symlink("/dev/zero", path), 0);
	expect_load_error("services/fifo.json: is not a regular file");
	assert_int_equal(unlink(path), 0);

	assert_int_equal(symlink("/nowhere", path), 0);
	expect_load_error("services/fifo.json: cannot look at it: No such file");
	assert_int_equal(unlink(path), 0);

	assert_int_equal(mkdir(path, 0755), 0);
	expect_load_error("services/fifo.json: is not a regular file");
	assert_int_equal(rmdir(path), 0);

	write_file("services/fifo.json", "");
	assert_int_equal(truncate(path, (1 << 20) + 1), 0);
	expect_load_error("services/fifo.json: 1048577 bytes, more than 1048576");
	assert_int_equal(unlink(path), 0);

	write_file("services/bad name.json", "{}");
	expect_load_error("services: 'bad name.json' has a character");
}

static void test_folder_missing(void **state)
{
	struct err err = ERR_INIT;
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/python/x.json", folder);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/python", folder);
	assert_int_equal(rmdir(path), 0);
	expect_load_error("python: cannot open the folder");
	assert_null(catalog_load("/dev/null", &err));
	assert_string_equal(strrchr(err.text, ':'), ": Not a directory");
}

static void test_add_services(void **state)
{
	struct err err = ERR_INIT;
	struct catalog *c = catalog_load(NULL, &err);
	size_t files, services;
	char path[256], *text;

	(void)state;
	assert_non_null(c);
	files = catalog_files_count(c);
	services = catalog_services_count(c);
	snprintf(path, sizeof(path), "%s/services", folder);
	assert_int_equal(catalog_add_services(c, path, &err), 0);
	assert_int_equal(catalog_files_count(c), files + 1);
	assert_int_equal(catalog_services_count(c), services + 1);
	assert_false(catalog_service_file(c, "x")->shipped);

	/* The later definition of a name takes the place of the earlier one. */
	text = change(service, "\"title\": \"X\"", "\"title\": \"Y\"");
	write_file("services/x.json", text);
	free(text);
	text = change(service, "\"name\": \"x\"", "\"name\": \"keystone\"");
	write_file("services/keystone.json", text);
	free(text);
	assert_true(catalog_service_file(c, "keystone")->shipped);
	assert_int_equal(catalog_add_services(c, path, &err), 0);
	assert_int_equal(catalog_files_count(c), files + 1);
	assert_int_equal(catalog_services_count(c), services + 1);
	assert_string_equal(catalog_service(c, "x")->title, "Y");
	assert_string_equal(catalog_service(c, "keystone")->title, "X");
	assert_false(catalog_service_file(c, "keystone")->shipped);

	assert_int_equal(catalog_add_services(c, "/nowhere", &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	catalog_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_services),
		cmocka_unit_test(test_bad_layouts),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_many_routes),
		cmocka_unit_test(test_sha256),
		cmocka_unit_test_setup_teardown(test_folder, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_folder_errors, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_folder_missing, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(test_add_services, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
