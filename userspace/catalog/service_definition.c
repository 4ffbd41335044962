/* probes/services/NAME.json: a service's processes, routes and code (docs/probe-schema.md). */
#include <stdlib.h>
#include <string.h>

#include "catalog/probes.h"
#include "catalog/service_checks.h"

#define MATCHES_MAX 100
#define ROOTS_MAX 100
#define ROUTES_MAX 10000
#define SECTIONS_MAX 1000

static int read_match(const struct probe_reader *r, const struct probe_place *at,
		      const json_t *json, void *to)
{
	static const char *const keys[] = { "?exe_globs", "?arg_globs", "?module_globs", NULL };
	struct service_match *out = to;

	if (probe_object(r, at, json, keys))
		return -1;
	if (!json_object_size(json))
		return probe_fail(r, at,
				  "would match every process (give exe_globs, arg_globs or "
				  "module_globs)");
	if (probe_strings(r, at, json, "exe_globs", 1, PROBE_LIST_MAX, service_check_glob,
			  &out->exe_globs, &out->exe_globs_count) ||
	    probe_strings(r, at, json, "arg_globs", 1, PROBE_LIST_MAX, service_check_glob,
			  &out->arg_globs, &out->arg_globs_count))
		return -1;
	return probe_strings(r, at, json, "module_globs", 1, PROBE_LIST_MAX, service_check_glob,
			     &out->module_globs, &out->module_globs_count);
}

static int read_route(const struct probe_reader *r, const struct probe_place *at,
		      const json_t *json, void *to)
{
	static const char *const keys[] = { "id",	 "?methods", "path", "?capabilities",
					    "?handlers", NULL };
	struct service_route *out = to;

	if (probe_object(r, at, json, keys))
		return -1;
	out->id = probe_string(r, at, json, "id", probe_check_id);
	if (!out->id)
		return -1;
	out->path = probe_string(r, at, json, "path", service_check_template);
	if (!out->path)
		return -1;
	if (probe_strings(r, at, json, "methods", 1, PROBE_LIST_MAX, service_check_method,
			  &out->methods, &out->methods_count) ||
	    probe_strings(r, at, json, "capabilities", 0, PROBE_LIST_MAX, probe_check_id,
			  &out->capabilities, &out->capabilities_count))
		return -1;
	return probe_strings(r, at, json, "handlers", 0, PROBE_LIST_MAX, service_check_file_glob,
			     &out->handlers, &out->handlers_count);
}

static int read_section(const struct probe_reader *r, const struct probe_place *at,
			const json_t *json, void *to)
{
	static const char *const keys[] = { "component", "section", "files",
					    "?except",	 "reason",  NULL };
	struct service_section *out = to;

	if (probe_object(r, at, json, keys))
		return -1;
	out->component = probe_string(r, at, json, "component", NULL);
	if (!out->component)
		return -1;
	out->section = probe_string(r, at, json, "section", NULL);
	if (!out->section)
		return -1;
	out->reason = probe_string(r, at, json, "reason", NULL);
	if (!out->reason)
		return -1;
	if (probe_strings(r, at, json, "files", 0, PROBE_LIST_MAX, service_check_file_glob,
			  &out->files, &out->files_count))
		return -1;
	return probe_strings(r, at, json, "except", 0, PROBE_LIST_MAX, service_check_file_glob,
			     &out->except, &out->except_count);
}

typedef int read_item(const struct probe_reader *r, const struct probe_place *at,
		      const json_t *json, void *to);

/* Reads the objects of a list, each with `read`, into an array of structs of `size` bytes. */
static void *read_items(const struct probe_reader *r, const json_t *root, const char *key,
			size_t min, size_t max, size_t size, read_item *read, size_t *count)
{
	const struct probe_place list_at = { NULL, key, 0 };
	struct probe_place here = { &list_at, NULL, 0 };
	const json_t *list = probe_list(r, NULL, root, key, min, max);
	char *items;

	if (!list)
		return NULL;
	items = arena_alloc(r->arena, (json_array_size(list) + 1) * size);
	if (!items) {
		probe_no_memory(r);
		return NULL;
	}
	for (; here.index < json_array_size(list); here.index++)
		if (read(r, &here, json_array_get(list, here.index), items + here.index * size))
			return NULL;
	*count = here.index;
	return items;
}

/* ---- what must be unique across the file ---- */

/* Order of templates in which the names of placeholders do not count. */
static int compare_templates(const char *a, const char *b)
{
	for (;; a++, b++) {
		if (*a == '{' && *b == '{') {
			a += strcspn(a, "*}");
			b += strcspn(b, "*}");
		}
		if (*a != *b)
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		if (!*a)
			return 0;
	}
}

/* A template with one of its methods; "" is any method. */
struct route_method {
	const struct service_route *route;
	const char *method;
};

static int compare_methods(const void *a, const void *b)
{
	const struct route_method *one = a, *other = b;
	int order = compare_templates(one->route->path, other->route->path);

	return order ? order : strcmp(one->method, other->method);
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp((*(const struct service_route *const *)a)->id,
		      (*(const struct service_route *const *)b)->id);
}

static int fail_routes(const struct probe_reader *r, const struct service_definition *d,
		       const struct service_route *one, const struct service_route *other,
		       const char *key, const char *what)
{
	const struct service_route *first = one < other ? one : other;
	const struct service_route *second = one < other ? other : one;
	const struct probe_place list_at = { NULL, "routes", 0 };
	const struct probe_place at = { &list_at, NULL, (size_t)(second - d->routes) };
	const struct probe_place here = { &at, key, 0 };

	return probe_fail(r, &here, "%s is already in routes[%zu] (remove one)", what,
			  (size_t)(first - d->routes));
}

static int check_route_ids(const struct probe_reader *r, const struct service_definition *d)
{
	const struct service_route **sorted = malloc((d->routes_count + 1) * sizeof(*sorted));
	int ret = 0;

	if (!sorted)
		return probe_no_memory(r);
	for (size_t i = 0; i < d->routes_count; i++)
		sorted[i] = &d->routes[i];
	qsort(sorted, d->routes_count, sizeof(*sorted), compare_ids);
	for (size_t i = 1; i < d->routes_count && !ret; i++)
		if (!strcmp(sorted[i - 1]->id, sorted[i]->id))
			ret = fail_routes(r, d, sorted[i - 1], sorted[i], "id",
					  probe_show(sorted[i]->id));
	free(sorted);
	return ret;
}

/* At most one route for each method of a template, or one for any method. */
static int check_route_paths(const struct probe_reader *r, const struct service_definition *d)
{
	struct route_method *all;
	size_t n = 0;
	int ret = 0;

	for (size_t i = 0; i < d->routes_count; i++)
		n += d->routes[i].methods_count + 1;
	all = malloc((n + 1) * sizeof(*all));
	if (!all)
		return probe_no_memory(r);
	n = 0;
	for (size_t i = 0; i < d->routes_count; i++) {
		const struct service_route *route = &d->routes[i];

		if (!route->methods_count)
			all[n++] = (struct route_method){ route, "" };
		for (size_t k = 0; k < route->methods_count; k++)
			all[n++] = (struct route_method){ route, route->methods[k] };
	}
	qsort(all, n, sizeof(*all), compare_methods);
	for (size_t i = 1; i < n && !ret; i++) {
		char what[128];

		/* "" sorts first, and stands for whatever comes behind it. */
		if (compare_templates(all[i - 1].route->path, all[i].route->path) ||
		    (*all[i - 1].method && strcmp(all[i - 1].method, all[i].method) != 0))
			continue;
		snprintf(what, sizeof(what), "%s %s", *all[i].method ? all[i].method : "any method",
			 probe_show(all[i].route->path));
		ret = fail_routes(r, d, all[i - 1].route, all[i].route, "path", what);
	}
	free(all);
	return ret;
}

static int check_sections(const struct probe_reader *r, const struct service_definition *d)
{
	const struct probe_place list_at = { NULL, "sections", 0 };
	struct probe_place at = { &list_at, NULL, 0 };

	for (size_t i = 1; i < d->sections_count; i++) {
		for (size_t k = 0; k < i; k++) {
			if (strcmp(d->sections[i].section, d->sections[k].section) != 0 ||
			    strcmp(d->sections[i].component, d->sections[k].component) != 0)
				continue;
			at.index = i;
			return probe_fail(r, &at,
					  "'%s' is already in sections[%zu] (put the globs "
					  "into one)",
					  probe_show(d->sections[i].section), k);
		}
	}
	return 0;
}

static int read_texts(const struct probe_reader *r, const json_t *root,
		      struct service_definition *out)
{
	out->title = probe_string(r, NULL, root, "title", NULL);
	if (!out->title)
		return -1;
	out->versions = probe_string(r, NULL, root, "versions", NULL);
	if (!out->versions)
		return -1;
	if (json_object_get(root, "note") && !probe_string(r, NULL, root, "note", NULL))
		return -1;
	return 0;
}

static int read_lists(const struct probe_reader *r, const json_t *root,
		      struct service_definition *out)
{
	out->matches = read_items(r, root, "matches", 1, MATCHES_MAX, sizeof(*out->matches),
				  read_match, &out->matches_count);
	if (!out->matches || probe_strings(r, NULL, root, "roots", 1, ROOTS_MAX,
					   service_check_root_glob, &out->roots, &out->roots_count))
		return -1;
	out->routes = read_items(r, root, "routes", 0, ROUTES_MAX, sizeof(*out->routes), read_route,
				 &out->routes_count);
	if (!out->routes)
		return -1;
	out->sections = read_items(r, root, "sections", 0, SECTIONS_MAX, sizeof(*out->sections),
				   read_section, &out->sections_count);
	return out->sections ? 0 : -1;
}

int service_definition_read(const struct probe_reader *r, const char *stem, const void *data,
			    size_t size, struct service_definition *out)
{
	static const char *const keys[] = { "schema",  "name",	"title",  "versions", "?note",
					    "matches", "roots", "routes", "sections", NULL };
	json_t *root = probe_parse(r, data, size);
	int ret = -1;

	if (!root)
		return -1;
	memset(out, 0, sizeof(*out));
	if (!probe_object(r, NULL, root, keys) && (out->name = probe_header(r, root, stem)) &&
	    !read_texts(r, root, out) && !read_lists(r, root, out) && !check_route_ids(r, out) &&
	    !check_route_paths(r, out))
		ret = check_sections(r, out);
	json_decref(root);
	return ret;
}
