/* Statuses, and what they rest on. The order of the questions is the rule; docs/evidence.md. */
#include <string.h>

#include "analyze/interpose.h"
#include "analyze/output.h"

static const char *const rank_names[] = {
	[VERDICT_UNMODIFIED] = "observed-unmodified",
	[VERDICT_AS_PACKAGED] = "observed-as-packaged",
	[VERDICT_UNREFERENCED] = "observed-unreferenced",
	[VERDICT_UNKNOWN] = "unknown",
	[VERDICT_MODIFIED] = "observed-modified",
};

#define set(out, status, ...)                                                \
	do {                                                                 \
		(out)->name = status;                                        \
		snprintf((out)->reason, sizeof((out)->reason), __VA_ARGS__); \
	} while (0)

/* Why silence says nothing, or false when the evidence is complete. */
static bool evidence_lacks(const struct survey *s, const struct survey_section *section,
			   struct status *out)
{
	for (size_t i = 0; i < s->bundles_count; i++) {
		const struct evidence *e = &s->bundles[i];

		if (e->altered)
			set(out, "unknown",
			    "nothing of it was seen running, and a bundle was altered");
		else if (!e->complete)
			set(out, "unknown",
			    "nothing of it was seen running, and a bundle ends early");
		else if (e->lost)
			set(out, "unknown", "nothing of it was seen running, and %llu event%s lost",
			    (unsigned long long)e->lost, e->lost == 1 ? " was" : "s were");
		else if (trace_count(e->trace, REC_UNSUPPORTED_KIND))
			set(out, "unknown",
			    "nothing of it was seen running, and a runtime is not supported");
		else if (e->hidden)
			set(out, "unknown",
			    "nothing of it was seen running, and paths of modules are hidden");
		else
			continue;
		return true;
	}
	if (section->route_calls_unseen) {
		set(out, "unknown",
		    "no handler was sighted in %llu completed call%s of its routes (%llu in all)",
		    (unsigned long long)section->route_calls_unseen,
		    claim_plural(section->route_calls_unseen),
		    (unsigned long long)section->route_calls);
		return true;
	}
	if (section->component_silent) {
		set(out, "unknown",
		    "nothing at all was sighted in %llu completed call%s of the component "
		    "(%llu in all)",
		    (unsigned long long)section->component_silent,
		    claim_plural(section->component_silent),
		    (unsigned long long)section->component_calls);
		return true;
	}
	if (!section->component_calls) {
		set(out, "unknown", "no call of this component is in the bundles");
		return true;
	}
	return false;
}

void status_of_section(const struct survey *s, const struct survey_section *section,
		       const struct group_result *r, struct status *out)
{
	out->reason[0] = 0;
	if (!section->mappings_count)
		set(out, "unknown", "no service definition maps this section");
	else if (!section->has_code)
		set(out, "unknown", "the definition maps no code of this version to it");
	else if (r->files_ran)
		set(out, rank_names[r->rank], "%s%s",
		    r->rank == VERDICT_UNKNOWN ? "it ran, but is compared with nothing: " : "",
		    r->rank == VERDICT_UNKNOWN && r->reason ? r->reason : "");
	else if (r->ambiguous)
		set(out, "unknown", "seen only through ambiguous bindings");
	else if (r->incomplete)
		set(out, "unknown", "seen only in calls that did not complete");
	else if (r->seen)
		set(out, "unknown", "seen running, but not tied to a call");
	else if (!evidence_lacks(s, section, out))
		out->name = r->files_loaded ? "loaded" : "not-observed";
}

void status_of_route(const struct survey_route *route, const struct group_result *r,
		     struct status *out)
{
	uint64_t complete = route->calls - route->incomplete;

	out->reason[0] = 0;
	if (!complete)
		set(out, "unknown", "no call of it completed");
	else if (route->reached == complete)
		set(out, rank_names[r->rank], "%s%s",
		    r->rank == VERDICT_UNKNOWN ? "the handler ran, but is compared with nothing: "
					       : "",
		    r->rank == VERDICT_UNKNOWN && r->reason ? r->reason : "");
	else
		set(out, "unknown", "no handler was sighted in %llu of %llu completed call%s",
		    (unsigned long long)(complete - route->reached), (unsigned long long)complete,
		    claim_plural(complete));
}

/* True when the deciding file was compared with the reference, not with a package database. */
static bool by_reference(const struct group_result *r)
{
	return r->reference && r->decides &&
	       reference_file(r->reference, r->decides->relative) != NULL;
}

static const char *identity_text(const struct group_result *r, int what)
{
	const struct group_file *f = r->decides;
	const struct rec_identity *i = f ? f->verdict.identity : NULL;
	const struct trace *t = f && f->judged ? f->judged->evidence->trace : NULL;

	if (!i || !t)
		return NULL;
	return trace_text(t, what == 'm'   ? i->package_manager
			     : what == 'p' ? i->package
					   : i->package_version);
}

json_t *status_reference(const struct group_result *r)
{
	const char *manager = identity_text(r, 'm');

	if (!r->files_ran || r->rank == VERDICT_UNKNOWN || r->rank == VERDICT_UNREFERENCED)
		return json_null();
	if (by_reference(r))
		return json_pack("{s:s, s:s, s:s}", "kind", "none", "package",
				 r->reference->package, "version", r->reference->version);
	if (!manager || !*manager)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "kind", claim_format("%s-local", manager), "package",
			 claim_text(identity_text(r, 'p')), "version",
			 claim_text(identity_text(r, 'v')));
}

static bool level_is(const struct group_result *r, const char *level)
{
	return r->level && !strcmp(r->level, level);
}

json_t *status_compared(const struct group_result *r)
{
	if (!r->files_ran || r->rank == VERDICT_UNKNOWN)
		return json_null();
	if (r->rank == VERDICT_MODIFIED)
		return json_string(level_is(r, "pyc")	   ? "file+pyc"
				   : level_is(r, "memory") ? "memory"
							   : "file");
	return json_string(r->with_memory ? "memory" : r->with_pyc ? "file+pyc" : "file");
}

/* "Things.get (line 10) of api.py in process 1 (pid 11), record function_memory 3" */
static json_t *memory_text(const struct group_result *r)
{
	const struct trace *t = r->memory_in->trace;
	const struct rec_function *f = trace_find(t, REC_FUNCTION_KIND, r->memory->function);
	const struct rec_module *m = f ? trace_find(t, REC_MODULE_KIND, f->module) : NULL;
	const struct rec_process *p = trace_find(t, REC_PROCESS_KIND, r->memory->process);
	const char *name = f ? trace_text(t, f->qualname) : NULL;
	const char *path = m ? trace_text(t, m->path) : NULL;

	return claim_format("in memory %s (line %llu) of %s was other code than its file gives, in "
			    "process %llu (pid %llu; record function_memory %llu)",
			    name ? name : "?", f ? (unsigned long long)f->line : 0,
			    path ? path : "?", (unsigned long long)r->memory->process,
			    p ? (unsigned long long)p->pid : 0, (unsigned long long)r->memory->id);
}

/* What stands in the place of the group's code. */
static json_t *place_text(const struct group_result *r)
{
	json_t *text = interpose_text(r->place_in, r->place), *out;

	if (!text)
		return NULL;
	out = r->replaced == 1
		      ? claim_format("other code stands in its place: %s", json_string_value(text))
		      : claim_format(
				"other code stands in its place at %zu points, one of them: %s",
				r->replaced, json_string_value(text));
	json_decref(text);
	return out;
}

static char *file_comparison(const struct group_result *r)
{
	const char *package = identity_text(r, 'p'), *version = identity_text(r, 'v');
	const char *how = r->with_memory
				  ? (r->with_pyc ? "file, .pyc and memory" : "file and memory")
			  : r->with_pyc ? "file and .pyc"
					: "file";
	char *out = NULL;
	int rc;

	package = package ? package : "?";
	version = version ? version : "?";
	switch (r->rank) {
	case VERDICT_UNMODIFIED:
		rc = asprintf(&out, "each equals the reference %s %s (%s)", r->reference->package,
			      r->reference->version, how);
		break;
	case VERDICT_AS_PACKAGED:
		rc = asprintf(&out,
			      "each equals what the host's package database records (%s %s; %s)",
			      package, version, how);
		break;
	case VERDICT_UNREFERENCED:
		rc = asprintf(&out, "%s belongs to no reference and no package digest",
			      r->decides->relative);
		break;
	case VERDICT_MODIFIED:
		if (level_is(r, "memory"))
			rc = asprintf(&out, "the files on the disk are not known to differ");
		else if (level_is(r, "pyc"))
			rc = asprintf(&out,
				      "%s: the compiled file holds other code than its source",
				      r->decides->relative);
		else if (by_reference(r))
			rc = asprintf(&out, "%s differs from the reference %s %s",
				      r->decides->relative, r->reference->package,
				      r->reference->version);
		else
			rc = asprintf(&out, "%s differs from the record of package %s %s",
				      r->decides->relative, package, version);
		break;
	default:
		rc = asprintf(&out, "%s: %s", r->decides->relative,
			      r->reason ? r->reason : "not compared");
	}
	return rc < 0 ? NULL : out;
}

char *status_comparison(const struct group_result *r)
{
	char *file = file_comparison(r), *out = NULL;
	json_t *memory = r->memory ? memory_text(r) : json_string("");
	json_t *place = r->replaced ? place_text(r) : json_string("");

	if (!file || !memory || !place ||
	    asprintf(&out, "%s%s%s%s%s", file, r->memory ? "; " : "", json_string_value(memory),
		     r->replaced ? "; " : "", json_string_value(place)) < 0)
		out = NULL;
	free(file);
	json_decref(memory);
	json_decref(place);
	return out;
}

/* What came closest: code that was seen in a call, though not usably. */
static const struct group_instance *any_seen(const struct group *g)
{
	for (size_t i = 0; i < g->files_count; i++)
		for (size_t j = 0; j < g->files[i].instances_count; j++)
			if (g->files[i].instances[j]->example.call)
				return g->files[i].instances[j];
	return NULL;
}

/* The function that differs in memory, and what stands in the place of code. */
static int memory_records(struct claim *c, const struct group_result *r)
{
	if (r->memory) {
		c->shows = "memory that differs";
		if (claim_record(c, r->memory_in, REC_FUNCTION_MEMORY_KIND, r->memory->id) ||
		    claim_record(c, r->memory_in, REC_FUNCTION_KIND, r->memory->function))
			return -1;
	}
	if (r->replaced) {
		c->shows = "code in its place";
		return claim_record(c, r->place_in, REC_INTERPOSITION_KIND, r->place->id);
	}
	return 0;
}

static int file_records(struct claim *c, const struct survey *s, const struct group *g,
			const struct group_result *r)
{
	const struct group_instance *at = r->decides ? r->decides->judged : NULL;
	const struct verdict *v = at ? &r->decides->verdict : NULL;

	if (!r->files_ran && any_seen(g)) {
		at = any_seen(g);
		v = NULL;
	}
	c->shows = !at		  ? "the window"
		   : r->files_ran ? "a call seen"
		   : any_seen(g)  ? "a call that could not be used"
				  : "a file that was present";
	if (at) {
		if (claim_example(c, at->evidence, &at->example) ||
		    claim_record(c, at->evidence, REC_MODULE_KIND, at->module->rec->id))
			return -1;
		if (v && v->identity &&
		    claim_record(c, at->evidence, REC_IDENTITY_KIND, v->identity->id))
			return -1;
		return v && v->pyc ? claim_record(c, at->evidence, REC_PYC_KIND, v->pyc->id) : 0;
	}
	for (size_t i = 0; i < s->bundles_count; i++) {
		const struct evidence *e = &s->bundles[i];
		const struct rec_window *w = trace_window(e->trace);
		const struct rec_window_end *last = trace_window_end(e->trace);

		if ((w && claim_record(c, e, REC_WINDOW_KIND, w->id)) ||
		    (last && claim_record(c, e, REC_WINDOW_END_KIND, last->id)))
			return -1;
		if (trace_count(e->trace, REC_UNSUPPORTED_KIND)) {
			const struct rec_unsupported *u =
				trace_at(e->trace, REC_UNSUPPORTED_KIND, 0);

			if (claim_record(c, e, REC_UNSUPPORTED_KIND, u->id))
				return -1;
		}
	}
	return 0;
}

int status_records(struct claim *c, const struct survey *s, const struct group *g,
		   const struct group_result *r)
{
	return file_records(c, s, g, r) || memory_records(c, r) ? -1 : 0;
}

int status_weaken(struct claim *c, const struct group_result *r)
{
	json_t *place = r->replaced ? place_text(r) : NULL;

	if (place && claim_weaken(c->weakened, r->place_in, "interposed", place))
		return -1;
	if (r->no_pyc && r->rank <= VERDICT_UNREFERENCED &&
	    claim_weaken(c->weakened, NULL, "no-pyc",
			 json_string("no compiled file was found beside a source; where the "
				     "interpreter keeps compiled files elsewhere (pycache prefix) "
				     "they were not looked at")))
		return -1;
	if (r->files_ran && r->early &&
	    claim_weaken(
		    c->weakened, NULL, "early",
		    json_string("a file was looked at before it was last seen running: a later "
				"change would not show")))
		return -1;
	if (r->loaded_differ &&
	    claim_weaken(
		    c->weakened, NULL, "loaded-differ",
		    claim_format("loaded, but not seen running in a call, and not what they are "
				 "compared with: %zu file%s",
				 r->loaded_differ, claim_plural(r->loaded_differ))))
		return -1;
	if (r->reference && r->reference->says_signed &&
	    claim_weaken(c->weakened, NULL, "reference-signature",
			 json_string("the reference calls itself signed; its signature was not "
				     "checked, so it counts as unsigned")))
		return -1;
	return 0;
}
