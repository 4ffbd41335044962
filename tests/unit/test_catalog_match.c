/* Matching: globs, roots, routes and what is kept of a path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "catalog/catalog.h"

static void test_globs(void **state)
{
	static const struct {
		const char *glob, *path;
		bool wanted;
	} cases[] = {
		{ "a.py", "a.py", true },
		{ "a.py", "a_py", false },
		{ "a.py", "xa.py", false },
		{ "a.py", "a.pyc", false },
		{ "", "", true },
		{ "*", "", true },
		{ "*", "a/b", false },
		{ "*.py", "a.py", true },
		{ "*.py", ".py", true },
		{ "*.py", "d/a.py", false },
		{ "a?c", "abc", true },
		{ "a?c", "a/c", false },
		{ "a?c", "ac", false },
		{ "k/*.py", "k/a.py", true },
		{ "k/*.py", "k/a/b.py", false },
		{ "k/*/b.py", "k/a/b.py", true },
		{ "k/*/b.py", "k/b.py", false },
		{ "k/*/b.py", "k/a/a/b.py", false },
		{ "k/**", "k/a", true },
		{ "k/**", "k/a/b/c", true },
		{ "k/**", "k", false },
		{ "k/**", "ka/b", false },
		{ "**/b.py", "b.py", true },
		{ "**/b.py", "a/b.py", true },
		{ "**/b.py", "a/a/b.py", true },
		{ "**/b.py", "ab.py", false },
		{ "**/b.py", "a/ab.py", false },
		{ "k/**/b.py", "k/b.py", true },
		{ "k/**/b.py", "k/x/y/b.py", true },
		{ "k/**/b.py", "k/x/y/c.py", false },
		{ "k/**/b.py", "kb.py", false },
		{ "k/*/backends/**", "k/a/backends/sql.py", true },
		{ "k/*/backends/**", "k/a/backends/ldap/core.py", true },
		{ "k/*/backends/**", "k/a/b/backends/sql.py", false },
		{ "**/*_x/*.py", "a_x/b_y/c_x/d.py", true },
		{ "**/*_x/*.py", "a_x/b_y/c_z/d.py", false },
		{ "**/a*b*c/**/d", "x/a1b2c/y/z/d", true },
		{ "**/a*b*c/**/d", "x/a1b2/c/y/z/d", false },
		{ "*a*b", "xaxxbxb", true },
		{ "*a*b", "xaxxbxc", false },
		{ "\xc3\xa9*", "\xc3\xa9.py", true },
		{ "?", "\xff", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (service_glob(cases[i].glob, cases[i].path) != cases[i].wanted)
			fail_msg("'%s' on '%s'", cases[i].glob, cases[i].path);
}

/* A glob made to be slow on a path made for it ends soon. */
static void test_glob_is_bounded(void **state)
{
	char path[4096], glob[4096];
	clock_t start = clock();

	(void)state;
	memset(path, 'a', sizeof(path));
	path[4095] = '\0';
	for (size_t i = 0; i < 2000; i++)
		memcpy(glob + 2 * i, "*a", 2);
	snprintf(glob + 4000, 8, "*b");
	assert_false(service_glob(glob, path));
	for (size_t i = 1; i < 4095; i += 2)
		path[i] = '/';
	for (size_t i = 0; i < 800; i++)
		memcpy(glob + 5 * i, "**/a/", 5);
	snprintf(glob + 4000, 8, "*b");
	assert_false(service_glob(glob, path));
	assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
}

static void test_relative(void **state)
{
	const char *roots[] = { "/usr/lib/python3/dist-packages", "/opt/*/lib",
				"/**/site-packages" };
	const struct service_definition d = { .roots = roots, .roots_count = 3 };

	(void)state;
	assert_string_equal(service_relative(&d, "/usr/lib/python3/dist-packages/k/a.py"),
			    "k/a.py");
	assert_string_equal(service_relative(&d, "/opt/v/lib/k.py"), "k.py");
	assert_string_equal(service_relative(&d, "/a/b/c/site-packages/k/a.py"), "k/a.py");
	assert_string_equal(service_relative(&d, "/site-packages/k"), "k");
	assert_null(service_relative(&d, "/usr/lib/python3/dist-packages"));
	assert_null(service_relative(&d, "/usr/lib/python3/dist-packages/"));
	assert_null(service_relative(&d, "/usr/lib/python3/dist-packages2/k.py"));
	assert_null(service_relative(&d, "/opt/v/w/lib/k.py"));
	assert_null(service_relative(&d, "usr/lib/python3/dist-packages/k.py"));
	assert_null(service_relative(&d, "<string>"));
	assert_null(service_relative(&d, ""));
}

/* ---- routes ---- */

static const char *get[] = { "GET" }, *put[] = { "PUT" };

static struct service_route routes[] = {
	{ .id = "root", .path = "/" },
	{ .id = "users", .path = "/v3/users" },
	{ .id = "user", .path = "/v3/users/{user_id}", .methods = get, .methods_count = 1 },
	{ .id = "put-user", .path = "/v3/users/{id}", .methods = put, .methods_count = 1 },
	{ .id = "me", .path = "/v3/users/me", .methods = get, .methods_count = 1 },
	{ .id = "tags", .path = "/v3/users/{user_id}/tags" },
	{ .id = "config", .path = "/v3/{any}/config/{group}" },
	{ .id = "me-deep", .path = "/v3/users/me/tags/{tag}" },
	{ .id = "object", .path = "/o/{account}/{object*}" },
	{ .id = "account", .path = "/o/{account}" },
	{ .id = "container", .path = "/o/{account}/{container}/acl" },
};
static const struct service_definition service = {
	.routes = routes,
	.routes_count = sizeof(routes) / sizeof(routes[0]),
};

static void test_routes(void **state)
{
	static const struct {
		const char *method, *path, *id, *kept;
	} cases[] = {
		{ "GET", "/", "root", "/" },
		{ "GET", "//", "root", "//" },
		{ "GET", "", NULL, "" },
		{ "GET", "*", NULL, "*" },
		{ "GET", "/v3/users", "users", "/v3/users" },
		{ "GET", "/v3/users/", "users", "/v3/users/" },
		{ "GET", "/v3/users///", "users", "/v3/users///" },
		{ "GET", "/v3//users", NULL, "/v3//*" },
		{ "GET", "//v3/users", NULL, "//*/*" },
		{ "GET", "v3/users", NULL, "*/*" },
		{ "GET", "/V3/users", NULL, "/*/*" },
		{ "GET", "/v3", NULL, "/v3" },
		{ "GET", "/v3/usersx", NULL, "/v3/*" },
		{ "GET", "/v3/user", NULL, "/v3/*" },
		{ "GET", "/v3/users/s3cret", "user", "/v3/users/{user_id}" },
		{ "PUT", "/v3/users/s3cret", "put-user", "/v3/users/{id}" },
		{ "POST", "/v3/users/s3cret", NULL, "/v3/users/*" },
		{ "get", "/v3/users/s3cret", NULL, "/v3/users/*" },
		{ "GET", "/v3/users/me", "me", "/v3/users/me" },
		{ "PUT", "/v3/users/me", "put-user", "/v3/users/{id}" },
		{ "POST", "/v3/users/me", NULL, "/v3/users/me" },
		{ "GET", "/v3/users/me/tags", "tags", "/v3/users/{user_id}/tags" },
		{ "GET", "/v3/users/me/tags/x", "me-deep", "/v3/users/me/tags/{tag}" },
		{ "GET", "/v3/users/you/tags/x", NULL, "/v3/users/*/tags/*" },
		{ "GET", "/v3/users/config/x", "config", "/v3/{any}/config/{group}" },
		{ "GET", "/v3/users/tags/tags", "tags", "/v3/users/{user_id}/tags" },
		{ "GET", "/v3/users/config/tags", "tags", "/v3/users/{user_id}/tags" },
		{ "GET", "/v3/a/config", NULL, "/v3/*/config" },
		{ "GET", "/v3/users?x=y", NULL, "/v3/*" },
		{ "GET", "/v3/users/%75%73", "user", "/v3/users/{user_id}" },
		{ "GET", "/v3/%75sers", NULL, "/v3/*" },
		{ "GET",
		  "/v3/us\xff"
		  "rs/\x01\n",
		  NULL, "/v3/*/*" },
		{ "GET", "/v3/users/\xff\x01", "user", "/v3/users/{user_id}" },
		{ "GET", "http://u:p@h/v3/users", NULL, "*//*/*/*" },
		{ "GET", "/../v3/users", NULL, "/*/*/*" },
		{ "GET", "/o/a", "account", "/o/{account}" },
		{ "GET", "/o/a/", "account", "/o/{account}/" },
		{ "GET", "/o/a//", "account", "/o/{account}//" },
		{ "GET", "/o/a/b", "object", "/o/{account}/{object*}" },
		{ "GET", "/o/a/b//c/", "object", "/o/{account}/{object*}" },
		{ "GET", "/o/a/b/acl", "container", "/o/{account}/{container}/acl" },
		{ "GET", "/o/a/b/acl/x", "object", "/o/{account}/{object*}" },
		{ "GET", "/o//b", NULL, "/o//*" },
	};
	char kept[KEPT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct service_route *r =
			service_route_match(&service, cases[i].method, cases[i].path, kept);

		if (!r != !cases[i].id || (r && strcmp(r->id, cases[i].id) != 0))
			fail_msg("%s %s: %s", cases[i].method, cases[i].path, r ? r->id : "none");
		if (strcmp(kept, cases[i].kept) != 0)
			fail_msg("%s %s: kept '%s'", cases[i].method, cases[i].path, kept);
		assert_null(service_route_match(NULL, cases[i].method, cases[i].path, kept));
		for (const char *p = kept; *p; p++)
			assert_true(*p == '/' || *p == '*');
	}
}

/* The order of the routes in the definition plays no part. */
static void test_route_order(void **state)
{
	size_t n = service.routes_count;
	struct service_route turned[sizeof(routes) / sizeof(routes[0])];
	const struct service_definition other = { .routes = turned, .routes_count = n };
	static const char *const paths[] = { "/v3/users/me", "/v3/users/config/tags", "/o/a/b/acl",
					     "/o/a/b", "/o/a" };
	char kept[KEPT_MAX];

	(void)state;
	for (size_t i = 0; i < n; i++)
		turned[i] = routes[n - 1 - i];
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_string_equal(service_route_match(&service, "GET", paths[i], kept)->id,
				    service_route_match(&other, "GET", paths[i], kept)->id);
}

/* Paths as long as they come: never more than KEPT_MAX is written, never a foreign byte. */
static void test_long_paths(void **state)
{
	char path[5001], kept[KEPT_MAX + 1];

	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		for (size_t i = 0; i < 5000; i++)
			path[i] = kind == 0   ? '/'
				  : kind == 1 ? (i % 2 ? 's' : '/')
					      : (char)(i + 128);
		path[0] = '/';
		for (size_t i = 1; i < 5000; i++)
			if (!path[i])
				path[i] = '!';
		path[5000] = '\0';
		kept[KEPT_MAX] = 'x';
		service_route_match(&service, "GET", path, kept);
		assert_int_equal(kept[KEPT_MAX], 'x');
		assert_true(strlen(kept) < KEPT_MAX);
		assert_null(strchr(kept, 's'));
		for (const char *p = kept; *p; p++)
			assert_true(*p == '/' || *p == '*');
	}
}

/* Behind the 64th segment nothing is literal any more. */
static void test_many_segments(void **state)
{
	static char template[512], path[520];
	struct service_route deep = { .id = "deep", .path = template };
	const struct service_definition d = { .routes = &deep, .routes_count = 1 };
	char kept[KEPT_MAX];

	(void)state;
	for (size_t i = 0; i < 64; i++)
		memcpy(template + 2 * i, "/a", 3);
	assert_non_null(service_route_match(&d, "GET", template, kept));
	assert_string_equal(kept, template);
	snprintf(path, sizeof(path), "%s/a", template);
	assert_null(service_route_match(&d, "GET", path, kept));
	assert_int_equal(strlen(kept), 130);
	assert_string_equal(kept + 126, "/a/*");
}

static void test_processes(void **state)
{
	struct err err = ERR_INIT;
	struct catalog *c = catalog_load(NULL, &err);
	const char *init[] = { "uwsgi_python3", "--ini", "/etc/keystone/keystone-uwsgi.ini" };
	const char *file[] = { "uwsgi", "--wsgi-file", "/usr/bin/keystone-wsgi-public" };
	const char *other[] = { "uwsgi", "--wsgi-file", "/usr/bin/glance-api" };
	const char *mod_wsgi[] = { "(wsgi:keystone-pu", "-k", "start" };
	const char *modules[] = { "/usr/lib/libc.so.6",
				  "/opt/v/lib/python3.11/site-packages/keystone/api/auth.py" };
	struct service_process process = { .exe = "/usr/bin/uwsgi-core" };

	(void)state;
	assert_non_null(c);
	assert_null(catalog_match_process(c, &process));
	process.args_count = 3;
	process.args = other;
	assert_null(catalog_match_process(c, &process));
	process.args = init;
	assert_string_equal(catalog_match_process(c, &process)->name, "keystone");
	process.args = file;
	assert_string_equal(catalog_match_process(c, &process)->name, "keystone");
	/* Both lists of a match must agree: an editor of that file is no keystone. */
	process.exe = "/usr/bin/vim.basic";
	assert_null(catalog_match_process(c, &process));
	process.exe = NULL;
	assert_null(catalog_match_process(c, &process));
	process.exe = "/usr/sbin/apache2";
	process.args = mod_wsgi;
	assert_string_equal(catalog_match_process(c, &process)->name, "keystone");
	process.args = other;
	process.modules = modules;
	process.modules_count = 1;
	assert_null(catalog_match_process(c, &process));
	process.modules_count = 2;
	assert_string_equal(catalog_match_process(c, &process)->name, "keystone");
	catalog_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_globs),	      cmocka_unit_test(test_glob_is_bounded),
		cmocka_unit_test(test_relative),      cmocka_unit_test(test_routes),
		cmocka_unit_test(test_route_order),   cmocka_unit_test(test_long_paths),
		cmocka_unit_test(test_many_segments), cmocka_unit_test(test_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
