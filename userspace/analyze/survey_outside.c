/*
 * Modules that ran in calls and that no package owns and no section names: added middleware, and
 * whatever else was put there by hand. Code without a file (frozen, generated) is not counted here:
 * what made it is.
 */
#include <string.h>

#include "analyze/input.h"
#include "analyze/survey.h"

static void release_outside(struct survey_outside *o)
{
	if (!o)
		return;
	json_decref(o->functions);
	json_decref(o->routes);
	free(o->key);
	free(o->component);
	free(o);
}

void survey_release_outside(struct survey *s)
{
	for (size_t i = 0; i < s->outside_count; i++)
		release_outside(s->outside[i]);
	free(s->outside);
	json_decref(s->outside_index);
}

/* The newest look at the file, when it was read and no package was found to own it. */
static const struct rec_identity *unowned(const struct evidence *e, uint64_t module)
{
	const struct rec_identity *identity = trace_identity(e->trace, module);
	const char *how = identity ? trace_text(e->trace, identity->how) : NULL;

	return how && !strcmp(how, "open") && identity->package_manager == REC_EMPTY ? identity
										     : NULL;
}

static struct survey_outside *get_outside(struct survey *s, struct evidence *e,
					  struct evidence_module *m, const char *component)
{
	struct survey_outside *o = calloc(1, sizeof(*o)), **all;
	const json_t *at;

	if (!o)
		return NULL;
	if (asprintf(&o->key, "%s\n%s\n%s", component ? component : "", m->path ? m->path : "",
		     rec_module_kind_name(m->rec->kind)) < 0)
		o->key = NULL;
	/* A path that is no UTF-8 cannot be found again: such modules get a row each. */
	at = o->key ? json_object_get(s->outside_index, o->key) : NULL;
	if (at) {
		release_outside(o);
		return s->outside[json_integer_value(at)];
	}
	o->component = component ? strdup(component) : NULL;
	o->functions = json_object();
	o->routes = json_object();
	o->evidence = e;
	o->module = m;
	o->identity = unowned(e, m->rec->id);
	all = realloc(s->outside, (s->outside_count + 1) * sizeof(*all));
	if (all)
		s->outside = all;
	if (!all || !o->key || !o->functions || !o->routes || (component && !o->component)) {
		release_outside(o);
		return NULL;
	}
	json_object_set_new(s->outside_index, o->key, json_integer((json_int_t)s->outside_count));
	s->outside[s->outside_count++] = o;
	return o;
}

static int count_function(struct survey_outside *o, struct evidence *e, uint32_t row)
{
	const struct rec_function *f = e->functions[row].rec;
	const char *qualname = trace_text(e->trace, f->qualname);
	char *key;
	int rc;

	if (e->functions[row].counted_out == o)
		return 0;
	e->functions[row].counted_out = o;
	if (asprintf(&key, "%s\n%llu\n%llu", qualname && input_is_name(qualname) ? qualname : "",
		     (unsigned long long)f->line, (unsigned long long)f->offset) < 0)
		return -1;
	rc = json_object_set_new(o->functions, key, json_true());
	free(key);
	return rc;
}

int survey_see_outside(struct survey *s, struct evidence *e, const char *component,
		       const struct survey_route *route, const struct rec_call *call,
		       const struct evidence_seen *seen)
{
	struct evidence_module *m = &e->modules[e->functions[seen->function].module];
	struct survey_outside *o = m->outside;

	if (m->rec->kind == MODULE_FROZEN || m->rec->kind == MODULE_GENERATED)
		return 0;
	if (!o || m->outside_for != component) {
		o = get_outside(s, e, m, component);
		if (!o)
			return -1;
		m->outside = o;
		m->outside_for = component;
	}
	if (o->call_stamp != s->serial) {
		o->call_stamp = s->serial;
		o->calls++;
		if (route->text &&
		    json_object_set_new(o->routes, route->key, json_string(route->text)))
			return -1;
	}
	if (!o->example.call)
		o->example = (struct group_example){ call->id, seen->binding->id,
						     seen->sighting->id, seen->stack->id,
						     e->functions[seen->function].rec->id };
	return count_function(o, e, seen->function);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *survey_outside_routes(const struct survey_outside *o)
{
	const char **names = calloc(json_object_size(o->routes) + 1, sizeof(*names)), *key;
	json_t *out = names ? json_array() : NULL, *text;
	size_t n = 0;

	if (out) {
		json_object_foreach(o->routes, key, text)
			names[n++] = json_string_value(text);
		qsort(names, n, sizeof(*names), compare_names);
		for (size_t i = 0; i < n; i++)
			if ((!i || strcmp(names[i], names[i - 1]) != 0) &&
			    json_array_append_new(out, json_string(names[i]))) {
				json_decref(out);
				out = NULL;
				break;
			}
	}
	free(names);
	return out;
}
