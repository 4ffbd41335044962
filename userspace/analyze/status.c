/* Statuses, and what they rest on. The order of the questions is the rule; docs/evidence.md. */
#include <string.h>

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
	else if (route->not_reached == complete)
		out->name = "not-observed";
	else if (route->not_reached)
		set(out, "unknown", "%llu completed call%s did not reach a handler",
		    (unsigned long long)route->not_reached, claim_plural(route->not_reached));
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

json_t *status_compared(const struct group_result *r)
{
	if (!r->files_ran || r->rank == VERDICT_UNKNOWN)
		return json_null();
	if (r->rank == VERDICT_MODIFIED)
		return json_string(r->level && !strcmp(r->level, "pyc") ? "file+pyc" : "file");
	return json_string(r->with_pyc ? "file+pyc" : "file");
}

char *status_comparison(const struct group_result *r)
{
	const char *package = identity_text(r, 'p'), *version = identity_text(r, 'v');
	const char *how = r->with_pyc ? "file and .pyc" : "file";
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
		if (r->level && !strcmp(r->level, "pyc"))
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

/* What came closest: code that was seen in a call, though not usably. */
static const struct group_instance *any_seen(const struct group *g)
{
	for (size_t i = 0; i < g->files_count; i++)
		for (size_t j = 0; j < g->files[i].instances_count; j++)
			if (g->files[i].instances[j]->example.call)
				return g->files[i].instances[j];
	return NULL;
}

int status_records(struct claim *c, const struct survey *s, const struct group *g,
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

int status_weaken(struct claim *c, const struct group_result *r)
{
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
