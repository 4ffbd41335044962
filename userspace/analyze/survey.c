/* Walks the calls of all bundles and gathers what worked for them. */
#include "analyze/survey.h"

#include <string.h>

#include "analyze/input.h"

/* A module belongs to a group. */
struct member {
	struct group *group;
	struct group_instance *instance;
	const struct service_definition *definition;
	const struct survey_route *route; /* NULL: a section's group */
};

struct members {
	struct member *items;
	size_t count;
};

struct walk {
	struct survey *s;
	struct evidence *e;
	struct members *members; /* by module row */
	const struct rec_call *call;
	const struct service_definition *definition; /* of the call, or NULL */
	struct survey_route *route;
	bool complete, handler;
	bool spoke; /* more was sighted than native code that is in no section */
	bool failed; /* memory */
};

static int no_memory(struct err *err)
{
	return err_set(err, ERR_INCOMPLETE, "out of memory: analyze fewer bundles at once");
}

const char *survey_component(const struct service_definition *definition)
{
	const char *component = NULL;

	for (size_t i = 0; i < definition->sections_count; i++) {
		if (component && strcmp(component, definition->sections[i].component))
			return definition->name;
		component = definition->sections[i].component;
	}
	return component ? component : definition->name;
}

static bool code_has(const struct service_section *code, const char *relative)
{
	for (size_t i = 0; i < code->except_count; i++)
		if (service_glob(code->except[i], relative))
			return false;
	for (size_t i = 0; i < code->files_count; i++)
		if (service_glob(code->files[i], relative))
			return true;
	return false;
}

static bool route_has(const struct service_route *route, const char *relative)
{
	for (size_t i = 0; i < route->handlers_count; i++)
		if (service_glob(route->handlers[i], relative))
			return true;
	return false;
}

/* Is a handler of the route code of the section? A handler's glob is taken as a path. */
static bool code_handles(const struct service_section *code, const struct service_route *route)
{
	for (size_t i = 0; i < route->handlers_count; i++)
		if (code_has(code, route->handlers[i]))
			return true;
	return false;
}

static bool section_has_route(const struct survey_section *section,
			      const struct survey_route *route)
{
	for (size_t i = 0; route->route && i < section->mappings_count; i++)
		if (section->mappings[i].definition == route->definition &&
		    code_handles(section->mappings[i].code, route->route))
			return true;
	return false;
}

static bool mapping_has_routes(const struct survey_mapping *mapping)
{
	for (size_t i = 0; i < mapping->definition->routes_count; i++)
		if (code_handles(mapping->code, &mapping->definition->routes[i]))
			return true;
	return false;
}

/* ---- sections ---- */

static bool section_wants(void *ctx, const char *relative)
{
	const struct survey_section *section = ctx;

	for (size_t i = 0; i < section->mappings_count; i++)
		if (code_has(section->mappings[i].code, relative))
			return true;
	return false;
}

static int map_section(struct survey *s, struct survey_section *out)
{
	for (size_t i = 0; i < s->options->definitions_count; i++) {
		const struct service_definition *d = s->options->definitions[i].definition;

		for (size_t j = 0; j < d->sections_count; j++) {
			struct survey_mapping *all;

			if (strcmp(d->sections[j].component, out->section->component) ||
			    strcmp(d->sections[j].section, out->section->section))
				continue;
			all = realloc(out->mappings, (out->mappings_count + 1) * sizeof(*all));
			if (!all)
				return -1;
			out->mappings = all;
			all[out->mappings_count++] = (struct survey_mapping){ d, &d->sections[j] };
			out->has_routes |= mapping_has_routes(&all[out->mappings_count - 1]);
			out->has_code |= d->sections[j].files_count > 0;
		}
	}
	for (size_t i = 0; i < s->references_count; i++)
		if (!strcmp(s->references[i].component, out->section->component) &&
		    group_add_reference(&out->group, &s->references[i], section_wants, out))
			return -1;
	return 0;
}

static int make_sections(struct survey *s)
{
	s->sections = calloc(s->guideline.sections_count + 1, sizeof(*s->sections));
	if (!s->sections)
		return -1;
	for (size_t i = 0; i < s->guideline.sections_count; i++) {
		s->sections[i].section = &s->guideline.sections[i];
		s->sections_count++;
		if (group_init(&s->sections[i].group) || map_section(s, &s->sections[i]))
			return -1;
	}
	return 0;
}

/* ---- members ---- */

static int add_member(struct members *members, struct group *group, const char *relative,
		      struct evidence *e, const struct evidence_module *module,
		      const struct service_definition *definition, const struct survey_route *route)
{
	struct member *all = realloc(members->items, (members->count + 1) * sizeof(*all));
	struct group_instance *instance;

	if (!all)
		return -1;
	members->items = all;
	instance = group_add(group, relative, e, module);
	if (!instance)
		return -1;
	all[members->count++] = (struct member){ group, instance, definition, route };
	return 0;
}

static int map_module(struct survey *s, struct evidence *e, const struct evidence_module *module,
		      struct members *out)
{
	for (size_t d = 0; d < s->options->definitions_count; d++) {
		const struct service_definition *definition = s->options->definitions[d].definition;
		const char *relative = service_relative(definition, module->path);

		if (!relative || !input_is_name(relative))
			continue;
		for (size_t i = 0; i < s->sections_count; i++) {
			struct survey_section *section = &s->sections[i];
			bool has = false;

			for (size_t j = 0; j < section->mappings_count && !has; j++)
				has = section->mappings[j].definition == definition &&
				      code_has(section->mappings[j].code, relative);
			if (has &&
			    add_member(out, &section->group, relative, e, module, definition, NULL))
				return -1;
		}
		for (size_t i = 0; i < s->routes_count; i++)
			if (s->routes[i]->definition == definition && s->routes[i]->route &&
			    route_has(s->routes[i]->route, relative) &&
			    add_member(out, &s->routes[i]->group, relative, e, module, definition,
				       s->routes[i]))
				return -1;
	}
	return 0;
}

/* Files by path only: other kinds have no file that could be compared. */
static bool is_file(const struct evidence_module *module)
{
	return module->path &&
	       (module->rec->kind == MODULE_FILE || module->rec->kind == MODULE_DELETED);
}

static struct members *map_modules(struct survey *s, struct evidence *e)
{
	struct members *members = calloc(e->modules_count + 1, sizeof(*members));

	for (size_t i = 0; members && i < e->modules_count; i++) {
		if (!is_file(&e->modules[i]) || !map_module(s, e, &e->modules[i], &members[i]))
			continue;
		for (size_t j = 0; j <= i; j++)
			free(members[j].items);
		free(members);
		return NULL;
	}
	return members;
}

/* ---- calls ---- */

/* A call of another service of the catalog shows nothing about this one's code. */
static bool counts_for(const struct walk *w, const struct service_definition *definition)
{
	return !w->definition || w->definition == definition;
}

/* Code that is in no section of the component. */
static void see_outside(struct walk *w, const struct evidence_seen *seen)
{
	const char *component = w->definition ? survey_component(w->definition) : NULL;
	bool owned = true;

	if (survey_see_other(w->s, w->e, component, w->call, seen, &owned) ||
	    (!owned && survey_see_outside(w->s, w->e, component, w->route, w->call, seen)))
		w->failed = true;
}

static void see(void *ctx, const struct evidence_seen *seen)
{
	struct walk *w = ctx;
	uint32_t module = w->e->functions[seen->function].module;
	bool inside = false;

	/* Native functions of an interpreter or a server show nothing of the code that it runs. */
	w->spoke |= seen->sure && w->e->functions[seen->function].rec->line != REC_NULL;
	if (module == EVIDENCE_NONE)
		return;
	for (size_t i = 0; i < w->members[module].count; i++) {
		const struct member *m = &w->members[module].items[i];

		if (m->route ? m->route != w->route : !counts_for(w, m->definition))
			continue;
		inside |= !m->route;
		if (m->route && seen->sure && w->complete)
			w->handler = true;
		if (group_see(m->group, m->instance, seen, w->call, w->complete, w->s->serial))
			w->failed = true;
	}
	w->spoke |= inside && seen->sure;
	if (!inside && seen->sure && w->complete)
		see_outside(w, seen);
}

static void count_status(struct walk *w)
{
	json_t *counts = w->route->unseen_statuses;
	char status[32] = "no status";

	if (w->call->status <= 999)
		snprintf(status, sizeof(status), "%llu", (unsigned long long)w->call->status);
	if (json_object_set_new(
		    counts, status,
		    json_integer(1 + json_integer_value(json_object_get(counts, status)))))
		w->failed = true;
}

static void count_unseen(struct walk *w)
{
	const struct group_example unseen = { .call = w->call->id };

	w->route->no_sighting++;
	if (!w->complete)
		return;
	count_status(w);
	if (!w->route->unseen_in) {
		w->route->unseen = unseen;
		w->route->unseen_in = w->e;
	}
	for (size_t i = 0; i < w->s->sections_count; i++) {
		struct survey_section *section = &w->s->sections[i];

		if (!section_has_route(section, w->route))
			continue;
		if (!section->route_calls_unseen++) {
			section->unseen = unseen;
			section->unseen_in = w->e;
		}
	}
}

/* Of which component is the call, and is anything known of it? */
static void count_component(struct walk *w)
{
	for (size_t i = 0; i < w->s->sections_count; i++) {
		struct survey_section *section = &w->s->sections[i];
		bool maps = false;

		for (size_t j = 0; j < section->mappings_count; j++)
			maps |= section->mappings[j].definition == w->definition;
		section->component_calls += maps;
		section->component_silent += maps && w->complete && !w->spoke;
	}
}

static void count_call(struct walk *w)
{
	struct evidence_sources sources;

	w->s->serial++;
	w->handler = w->spoke = false;
	w->complete = w->call->end_reason == CALL_END_COMPLETE && w->call->start != REC_NULL &&
		      w->call->end != REC_NULL;
	w->definition = survey_definition(w->s, w->e, w->call);
	evidence_walk(w->e, w->call, see, w, &sources);
	count_component(w);
	w->route->calls++;
	w->route->deep += sources.deep;
	w->route->sighted += w->spoke;
	w->route->incomplete += !w->complete;
	w->route->deep_elsewhere += sources.deep && !w->handler;
	if (w->handler)
		w->route->reached++;
	else
		count_unseen(w);
}

static int walk_bundle(struct survey *s, struct evidence *e, struct err *err)
{
	struct walk w = { .s = s, .e = e };

	w.members = map_modules(s, e);
	if (!w.members)
		return no_memory(err);
	for (size_t i = 0; i < trace_count(e->trace, REC_CALL_KIND) && !w.failed; i++) {
		w.call = trace_at(e->trace, REC_CALL_KIND, i);
		w.route = survey_get_route(s, e, w.call);
		if (w.route)
			count_call(&w);
		else
			w.failed = true;
	}
	for (size_t i = 0; i < e->modules_count; i++)
		free(w.members[i].items);
	free(w.members);
	return w.failed ? no_memory(err) : 0;
}

/* ---- all of it ---- */

int survey_run(struct survey *s, const struct analyze_options *options, struct err *err)
{
	*s = (struct survey){ .options = options };
	s->route_index = json_object();
	s->other_index = json_object();
	s->outside_index = json_object();
	if (!s->route_index || !s->other_index || !s->outside_index)
		return no_memory(err);
	if (survey_load_inputs(s, err))
		return -1;
	if (make_sections(s) || survey_make_routes(s))
		return no_memory(err);
	for (size_t i = 0; i < s->bundles_count; i++)
		if (walk_bundle(s, &s->bundles[i], err))
			return -1;
	for (size_t i = 0; i < s->sections_count; i++)
		for (size_t j = 0; j < s->routes_count; j++)
			if (section_has_route(&s->sections[i], s->routes[j]))
				s->sections[i].route_calls += s->routes[j]->calls;
	return 0;
}

void survey_release(struct survey *s)
{
	for (size_t i = 0; i < s->sections_count; i++) {
		group_release(&s->sections[i].group);
		free(s->sections[i].mappings);
	}
	for (size_t i = 0; i < s->routes_count; i++) {
		group_release(&s->routes[i]->group);
		free(s->routes[i]->key);
		free(s->routes[i]->method);
		free(s->routes[i]->text);
		json_decref(s->routes[i]->unseen_statuses);
		free(s->routes[i]);
	}
	for (size_t i = 0; i < s->references_count; i++)
		reference_release(&s->references[i]);
	for (size_t i = 0; i < s->bundles_count; i++)
		evidence_release(&s->bundles[i]);
	survey_release_others(s);
	survey_release_outside(s);
	free(s->sections);
	free(s->routes);
	free(s->references);
	free(s->bundles);
	json_decref(s->route_index);
	json_decref(s->other_index);
	guideline_release(&s->guideline);
	*s = (struct survey){ 0 };
}
