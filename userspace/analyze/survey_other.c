/* What else stood in the way: code outside the component's sections, by its owner. */
#include <string.h>

#include "analyze/input.h"
#include "analyze/survey.h"

/* "site-packages/werkzeug/serving.py" belongs to "werkzeug". */
static char *owner_of_path(const char *path)
{
	static const char *const marks[] = { "/dist-packages/", "/site-packages/" };
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		const char *at = strstr(path, marks[i]);

		if (at) {
			at += strlen(marks[i]);
			return strndup(at, strcspn(at, "/"));
		}
	}
	return slash && slash > path ? strndup(path, (size_t)(slash - path)) : strdup(path);
}

static const char *known(const char *text)
{
	return text && *text && input_is_name(text) ? text : NULL;
}

/* Fills owner, owner_kind and version. */
static int find_owner(const struct evidence *e, const struct evidence_module *m,
		      struct survey_other *out)
{
	const struct rec_identity *identity = trace_identity(e->trace, m->rec->id);
	const char *package = identity ? known(trace_text(e->trace, identity->package)) : NULL;
	const char *version =
		identity ? known(trace_text(e->trace, identity->package_version)) : NULL;

	if (package) {
		out->owner_kind = "package";
		out->owner = strdup(package);
		out->version = version ? strdup(version) : NULL;
		return out->owner && (!version || out->version) ? 0 : -1;
	}
	if (m->rec->kind == MODULE_FILE && known(m->path)) {
		out->owner_kind = "folder";
		out->owner = owner_of_path(m->path);
	} else {
		out->owner_kind = "kind";
		out->owner = strdup(rec_module_kind_name(m->rec->kind));
	}
	return out->owner ? 0 : -1;
}

static void release_other(struct survey_other *o)
{
	if (!o)
		return;
	json_decref(o->modules);
	json_decref(o->functions);
	free(o->key);
	free(o->component);
	free(o->owner);
	free(o->version);
	free(o);
}

void survey_release_others(struct survey *s)
{
	for (size_t i = 0; i < s->others_count; i++)
		release_other(s->others[i]);
	free(s->others);
}

static struct survey_other *make_other(const struct evidence *e, const struct evidence_module *m,
				       const char *component)
{
	struct survey_other *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->modules = json_object();
	o->functions = json_object();
	o->component = component ? strdup(component) : NULL;
	if (!o->modules || !o->functions || (component && !o->component) || find_owner(e, m, o) ||
	    asprintf(&o->key, "%s\n%s\n%s\n%s", component ? component : "", o->owner_kind, o->owner,
		     o->version ? o->version : "") < 0) {
		release_other(o);
		return NULL;
	}
	return o;
}

/* The group of a module, made when it is the first. NULL: no memory. */
static struct survey_other *get_other(struct survey *s, const struct evidence *e,
				      const struct evidence_module *m, const char *component)
{
	struct survey_other *o = make_other(e, m, component), **all;
	const json_t *at = o ? json_object_get(s->other_index, o->key) : NULL;

	if (at) {
		release_other(o);
		return s->others[json_integer_value(at)];
	}
	all = o ? realloc(s->others, (s->others_count + 1) * sizeof(*all)) : NULL;
	if (!all) {
		release_other(o);
		return NULL;
	}
	s->others = all;
	if (json_object_set_new(s->other_index, o->key,
				json_integer((json_int_t)s->others_count))) {
		release_other(o);
		return NULL;
	}
	all[s->others_count] = o;
	return all[s->others_count++];
}

static int count_function(struct survey_other *o, struct evidence *e,
			  const struct evidence_module *m, uint32_t row)
{
	const struct rec_function *f = e->functions[row].rec;
	const char *qualname = trace_text(e->trace, f->qualname), *path = known(m->path);
	char *key;
	int rc;

	if (e->functions[row].counted_in == o)
		return 0;
	e->functions[row].counted_in = o;
	qualname = known(qualname);
	if (asprintf(&key, "%s\n%s\n%llu\n%llu", path ? path : "", qualname ? qualname : "",
		     (unsigned long long)f->line, (unsigned long long)f->offset) < 0)
		return -1;
	rc = json_object_set_new(o->functions, key, json_true());
	free(key);
	return rc || json_object_set_new(o->modules, path ? path : "", json_true()) ? -1 : 0;
}

int survey_see_other(struct survey *s, struct evidence *e, const char *component,
		     const struct rec_call *call, const struct evidence_seen *seen, bool *owned)
{
	struct evidence_module *m = &e->modules[e->functions[seen->function].module];
	struct survey_other *o = m->other;

	if (!o || m->other_for != component) {
		o = get_other(s, e, m, component);
		if (!o)
			return -1;
		m->other = o;
		m->other_for = component;
	}
	if (o->call_stamp != s->serial) {
		o->call_stamp = s->serial;
		o->calls++;
	}
	if (!o->evidence) {
		o->evidence = e;
		o->module = m->rec->id;
		o->example = (struct group_example){ call->id, seen->binding->id,
						     seen->sighting->id, seen->stack->id,
						     e->functions[seen->function].rec->id };
	}
	*owned = !strcmp(o->owner_kind, "package");
	return count_function(o, e, m, seen->function);
}
