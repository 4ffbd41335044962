/*
 * The probe files that are shipped: against the interpreters and the keystone that are installed.
 * Runs from the top of the tree. DAYLIGHT_GUIDELINES may name a folder of guideline files.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "catalog/catalog.h"
#include "catalog/embedded.h"

/* Passes on 0, skips on 77, fails on anything else. */
static void run_tool(const char *command)
{
	int status = system(command);

	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Every guideline section of keystone, spelled as the guidelines spell it. */
static void test_keystone_sections(void **state)
{
	static const char *const sections[] = {
		"assignment API", /* 2016.08, 2018.02, 2020.06, as all but the next */
		"auth (v2.0) API", /* 2016.08 */
		"auth (v3) API",   "catalog API",    "credential API", "drivers",
		"ec2 API",	   "federation API", "identity API",   "notifications",
		"policy API",	   "resource API",   "revoke API",     "trust API",
	};
	struct err err = ERR_INIT;
	struct catalog *c = catalog_load(NULL, &err);
	const struct service_definition *d;

	(void)state;
	assert_string_equal(err.text, "");
	assert_non_null(c);
	d = catalog_service(c, "keystone");
	assert_non_null(d);
	assert_int_equal(d->sections_count, sizeof(sections) / sizeof(sections[0]));
	for (size_t i = 0; i < d->sections_count; i++) {
		assert_string_equal(d->sections[i].section, sections[i]);
		assert_string_equal(d->sections[i].component, "keystone");
	}
	catalog_free(c);
}

static const char *route_of(const struct service_definition *d, const char *method,
			    const char *path)
{
	static char kept[KEPT_MAX];
	const struct service_route *r = service_route_match(d, method, path, kept);

	return r ? r->id : "none";
}

static void test_keystone_routes(void **state)
{
	struct err err = ERR_INIT;
	struct catalog *c = catalog_load(NULL, &err);
	const struct service_definition *d = catalog_service(c, "keystone");

	(void)state;
	assert_string_equal(route_of(d, "POST", "/v3/auth/tokens"), "auth.tokens.create");
	assert_string_equal(route_of(d, "GET", "/v3/auth/tokens"), "auth.tokens.validate");
	assert_string_equal(route_of(d, "HEAD", "/v3/auth/tokens"), "auth.tokens.validate");
	assert_string_equal(route_of(d, "DELETE", "/v3/auth/tokens"), "auth.tokens.delete");
	assert_string_equal(route_of(d, "GET", "/v3/"), "v3");
	assert_string_equal(route_of(d, "POST", "/v3/users/x"), "none");
	assert_string_equal(route_of(d, "GET", "/v2.0/tokens"), "none");
	/* Each route finds itself by its own template. */
	for (size_t i = 0; i < d->routes_count; i++)
		assert_string_equal(route_of(d, d->routes[i].methods[0], d->routes[i].path),
				    d->routes[i].id);
	catalog_free(c);
}

static void test_keystone_installed(void **state)
{
	(void)state;
	run_tool("set -- ${DAYLIGHT_GUIDELINES:+\"$DAYLIGHT_GUIDELINES\"/*.json}; "
		 "tools/keystone-definition check probes/services/keystone.json \"$@\" 2>&1");
}

static void test_python_system(void **state)
{
	(void)state;
	run_tool("tools/python-layout prove probes/python/cpython-3.11.json /usr/bin/python3 2>&1");
}

/*
 * Each version's file is what the generator writes from the DWARF of such an interpreter, and is
 * proved on it. Where there is none (pyenv) it is said.
 */
static void test_python_dwarf(void **state)
{
	static const char *const versions[] = { "2.7",	"3.6",	"3.7",	"3.8", "3.9",
						"3.10", "3.11", "3.12", "3.13" };
	const size_t count = sizeof(versions) / sizeof(versions[0]);
	size_t found = 0;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const char *v = versions[i];
		char command[4096], pattern[256];
		glob_t python = { 0 };

		snprintf(pattern, sizeof(pattern), "~/.pyenv/versions/%s.*/bin/python%s", v, v);
		if (glob(pattern, GLOB_TILDE, NULL, &python)) {
			print_message("no CPython %s under ~/.pyenv\n", v);
			continue;
		}
		found++;
		snprintf(command, sizeof(command),
			 "tools/python-layout check probes/python/cpython-%s.json '%s' 2>&1 && "
			 "tools/python-layout prove probes/python/cpython-%s.json '%s' 2>&1",
			 v, python.gl_pathv[0], v, python.gl_pathv[0]);
		globfree(&python);
		run_tool(command);
	}
	if (found < count && getenv("CI") && !strcmp(getenv("CI"), "true"))
		fail_msg("%zu of %zu versions were not proved", count - found, count);
	if (!found)
		skip();
}

static void test_embedded(void **state)
{
	(void)state;
	assert_true(catalog_embedded_count >= 2);
	for (size_t i = 1; i < catalog_embedded_count; i++)
		assert_true(strcmp(catalog_embedded[i - 1].name, catalog_embedded[i].name) < 0);
	/* The same files give the same bytes, in whatever order they are named. */
	run_tool("set -e; t=$(mktemp -d); tools/embed.py $t/a probes probes/*/*.json; "
		 "tools/embed.py $t/b probes $(printf '%s\\n' probes/*/*.json | sort -r); "
		 "cmp $t/a $t/b; rm -r $t");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keystone_sections),  cmocka_unit_test(test_keystone_routes),
		cmocka_unit_test(test_keystone_installed), cmocka_unit_test(test_python_system),
		cmocka_unit_test(test_python_dwarf),	   cmocka_unit_test(test_embedded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
