/* The route rows of a report and their claims. */
#include <string.h>

#include "analyze/output.h"

static int compare_routes(const void *a, const void *b)
{
	const struct survey_route *x = *(struct survey_route *const *)a;
	const struct survey_route *y = *(struct survey_route *const *)b;
	int c;

	if (!x->component != !y->component)
		return x->component ? -1 : 1;
	c = x->component ? strcmp(x->component, y->component) : 0;
	if (!c && !x->text != !y->text)
		return x->text ? -1 : 1;
	if (!c && x->text)
		c = strcmp(x->text, y->text);
	return c ? c : strcmp(x->method, y->method);
}

static bool has_handlers(const struct survey_route *route)
{
	return route->route && route->route->handlers_count;
}

static int compare_statuses(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ": 20 x 401, 3 x 500"; "" for none. The caller frees it; NULL: no memory. */
static char *list_statuses(json_t *statuses)
{
	const char **names = calloc(json_object_size(statuses) + 1, sizeof(*names)), *name;
	size_t n = 0, size;
	json_t *count;
	char *text = NULL;
	FILE *out = names ? open_memstream(&text, &size) : NULL;

	if (out) {
		json_object_foreach(statuses, name, count)
			names[n++] = name;
		qsort(names, n, sizeof(*names), compare_statuses);
		for (size_t i = 0; i < n; i++)
			fprintf(out, "%s%lld x %s", i ? ", " : ": ",
				json_integer_value(json_object_get(statuses, names[i])), names[i]);
		if (fclose(out)) {
			free(text);
			text = NULL;
		}
	}
	free(names);
	return text;
}

/* Of the deep calls. Work that was handed to a context that is not bound to the call is not seen.
 */
static json_t *deep_text(const struct survey_route *route)
{
	unsigned long long deep = route->deep, elsewhere = route->deep_elsewhere;

	if (!deep)
		return json_string("");
	if (!elsewhere)
		return claim_format("; %llu deep, a handler was entered in each", deep);
	return claim_format("; %llu deep, in %llu of them no handler was entered by what is known "
			    "to have worked for the call (that is not a proof that none ran)",
			    deep, elsewhere);
}

static int route_claim(struct survey *s, struct survey_route *route, const struct group_result *r,
		       const struct status *status, const json_t *weakened, const char *id,
		       json_t *claims)
{
	uint64_t complete = route->calls - route->incomplete;
	uint64_t unknown = complete - route->reached;
	json_t *deep = deep_text(route);
	char *statuses = list_statuses(route->unseen_statuses);
	char *comparison = r->files_ran ? status_comparison(r) : NULL;
	struct claim c;
	int rc;

	rc = claim_init(&c, weakened, id);
	c.status = json_string(status->name);
	c.text = claim_format("%s, %s %s: %llu of %llu completed call%s seen in a handler, %llu "
			      "%s not known%s%s%s%s.",
			      route->component, route->method, route->text,
			      (unsigned long long)route->reached, (unsigned long long)complete,
			      complete == 1 ? " was" : "s were", (unsigned long long)unknown,
			      unknown == 1 ? "is" : "are", statuses ? statuses : "",
			      deep ? json_string_value(deep) : "", comparison ? "; handlers: " : "",
			      comparison ? comparison : "");
	rc |= deep ? 0 : -1;
	json_decref(deep);
	c.shows = "a call not known";
	if (!rc && route->unseen_in)
		rc = claim_example(&c, route->unseen_in, &route->unseen);
	if (!rc && unknown)
		rc = claim_sampled(&c, s);
	if (!rc)
		rc = status_records(&c, s, &route->group, r) || status_weaken(&c, r) ? -1 : 0;
	free(comparison);
	free(statuses);
	return claim_finish(&c, claims) || rc ? -1 : 0;
}

static json_t *handlers_row(const struct survey_route *route)
{
	json_t *list = json_array();

	for (size_t i = 0; list && has_handlers(route) && i < route->route->handlers_count; i++)
		if (json_array_append_new(list, json_string(route->route->handlers[i]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *count_or_null(bool known, uint64_t count)
{
	return known ? json_integer((json_int_t)count) : json_null();
}

static json_t *route_row(struct survey *s, struct survey_route *route, const json_t *weakened,
			 json_t *claims)
{
	bool known = has_handlers(route);
	json_t *ids = json_array();
	struct status status = { 0 };
	struct group_result r;
	char *id = NULL;

	if (known) {
		group_judge_best(&route->group, route->component, s->references,
				 s->references_count, &r);
		status_of_route(route, &r, &status);
		if (asprintf(&id, "route/%s/%s %s", route->component, route->method, route->text) <
		    0)
			id = NULL;
		if (!id || route_claim(s, route, &r, &status, weakened, id, claims) ||
		    json_array_append_new(ids, json_string(id))) {
			free(id);
			json_decref(ids);
			return NULL;
		}
		free(id);
	}
	return json_pack(
		"{s:s?, s:s, s:s?, s:s?, s:I, s:I, s:o, s:o, s:o, s:o, s:O, s:I, s:I, s:I, "
		"s:o, s:s?, s:s?, s:o}",
		"component", route->component, "method", route->method, "route", route->text,
		"route_id", route->route ? route->route->id : NULL, "calls",
		(json_int_t)route->calls, "deep", (json_int_t)route->deep, "deep_no_handler",
		count_or_null(known, route->deep_elsewhere), "reached",
		count_or_null(known, route->reached), "not_reached", count_or_null(known, 0),
		"no_sighting", count_or_null(known, route->no_sighting), "no_sighting_statuses",
		route->unseen_statuses, "incomplete", (json_int_t)route->incomplete, "sighted",
		(json_int_t)route->sighted, "unsighted",
		(json_int_t)(route->calls - route->sighted), "handlers", handlers_row(route),
		"status", status.name, "reason",
		known ? (status.reason[0] ? status.reason : NULL)
		      : "no handler is known for these calls",
		"claims", ids);
}

json_t *output_routes(struct survey *s, const json_t *weakened, json_t *claims)
{
	json_t *out = json_array();

	if (s->routes_count)
		qsort(s->routes, s->routes_count, sizeof(*s->routes), compare_routes);
	for (size_t i = 0; out && i < s->routes_count; i++)
		if (json_array_append_new(out, route_row(s, s->routes[i], weakened, claims))) {
			json_decref(out);
			return NULL;
		}
	return out;
}
