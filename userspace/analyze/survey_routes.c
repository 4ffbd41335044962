/* The route rows of a survey: which service a call is of, and which of its routes it took. */
#include <string.h>

#include "analyze/input.h"
#include "analyze/survey.h"

const struct service_definition *survey_definition(const struct survey *s, const struct evidence *e,
						   const struct rec_call *call)
{
	const char *name = trace_text(e->trace, call->service);

	for (size_t i = 0; name && i < s->options->definitions_count; i++)
		if (!strcmp(s->options->definitions[i].definition->name, name))
			return s->options->definitions[i].definition;
	return NULL;
}

static bool has_method(const struct service_route *route, const char *method)
{
	for (size_t i = 0; i < route->methods_count; i++)
		if (!strcmp(route->methods[i], method))
			return true;
	return !route->methods_count;
}

/* A call names its route by id; a template is understood as well. */
static const struct service_route *call_route(const struct service_definition *d, const char *name,
					      const char *method)
{
	for (size_t i = 0; d && i < d->routes_count; i++)
		if (!strcmp(d->routes[i].id, name))
			return &d->routes[i];
	for (size_t i = 0; d && i < d->routes_count; i++)
		if (!strcmp(d->routes[i].path, name) && has_method(&d->routes[i], method))
			return &d->routes[i];
	return NULL;
}

struct survey_route *survey_get_route(struct survey *s, const struct evidence *e,
				      const struct rec_call *call)
{
	const struct service_definition *d = survey_definition(s, e, call);
	const char *name = trace_text(e->trace, call->route), *method;
	const struct service_route *route;
	struct survey_route **all, *row;
	const char *text;
	const json_t *at;
	char *key;

	method = trace_text(e->trace, call->method);
	if (!method || !input_is_name(method))
		method = "?";
	route = name && *name ? call_route(d, name, method) : NULL;
	text = route ? route->path : name && *name ? name : NULL;
	if (text && !input_is_name(text))
		text = NULL;
	if (asprintf(&key, "%s\n%s\n%s", route ? d->name : "", text ? text : "", method) < 0)
		return NULL;
	at = json_object_get(s->route_index, key);
	if (at) {
		free(key);
		return s->routes[json_integer_value(at)];
	}
	all = realloc(s->routes, (s->routes_count + 1) * sizeof(*all));
	row = calloc(1, sizeof(*row));
	if (all)
		s->routes = all;
	if (!all || !row) {
		free(row);
		free(key);
		return NULL;
	}
	all[s->routes_count++] = row;
	row->key = key;
	row->definition = route ? d : NULL;
	row->route = route;
	row->component = route ? survey_component(d) : NULL;
	row->method = strdup(method);
	row->text = text ? strdup(text) : NULL;
	row->unseen_statuses = json_object();
	if (group_init(&row->group) || !row->unseen_statuses || !row->method ||
	    (text && !row->text))
		return NULL;
	/* A key that is no UTF-8 cannot be found again: such calls get a row each. */
	json_object_set_new(s->route_index, key, json_integer((json_int_t)(s->routes_count - 1)));
	return row;
}

int survey_make_routes(struct survey *s)
{
	for (size_t b = 0; b < s->bundles_count; b++) {
		const struct evidence *e = &s->bundles[b];

		for (size_t i = 0; i < trace_count(e->trace, REC_CALL_KIND); i++)
			if (!survey_get_route(s, e, trace_at(e->trace, REC_CALL_KIND, i)))
				return -1;
	}
	return 0;
}
