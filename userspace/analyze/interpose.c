/* Interpositions and modules outside any package, for claims and for the report. */
#include "analyze/interpose.h"

#include <string.h>

#include "analyze/claim.h"
#include "base/clock.h"

#define WEAKEN_MAX 8 /* rows of a bundle; the rest is counted */

static const char *text_or(const struct evidence *e, uint64_t string, const char *other)
{
	const char *text = trace_text(e->trace, string);

	return text && *text ? text : other;
}

bool interpose_replaces(const struct evidence *e, const struct rec_interposition *in)
{
	static const char *const process_wide[] = { "preload", "sitecustomize", "pth",
						    "import-hook" };
	const char *kind = text_or(e, in->kind, "");

	for (size_t i = 0; i < sizeof(process_wide) / sizeof(process_wide[0]); i++)
		if (!strcmp(kind, process_wide[i]))
			return false;
	return true;
}

static const struct rec_module *module_of(const struct evidence *e, uint64_t module)
{
	return trace_find(e->trace, REC_MODULE_KIND, module);
}

json_t *interpose_text(const struct evidence *e, const struct rec_interposition *in)
{
	const struct rec_module *by = module_of(e, in->by);
	const struct rec_process *p = trace_find(e->trace, REC_PROCESS_KIND, in->process);
	const char *detail = text_or(e, in->detail, "");
	char process[64] = "a process that is not known";

	if (p)
		snprintf(process, sizeof(process), "process %llu (pid %llu)",
			 (unsigned long long)p->id, (unsigned long long)p->pid);
	return claim_format("%s at %s by %s%s%s%s, in %s", text_or(e, in->kind, "unknown"),
			    text_or(e, in->place, "a place that is not known"),
			    by ? text_or(e, by->path, "a hidden module") : "code that is not known",
			    *detail ? " (" : "", detail, *detail ? ")" : "", process);
}

int interpose_weaken(const struct evidence *e, json_t *weakened)
{
	size_t n = trace_count(e->trace, REC_INTERPOSITION_KIND), more = 0, named = 0;

	for (size_t i = 0; i < n; i++) {
		const struct rec_interposition *in = trace_at(e->trace, REC_INTERPOSITION_KIND, i);
		json_t *text;
		int rc;

		if (interpose_replaces(e, in))
			continue;
		if (named == WEAKEN_MAX) {
			more++;
			continue;
		}
		named++;
		text = interpose_text(e, in);
		rc = claim_weaken(weakened, e, "interposed",
				  claim_format("code was put in the way: %s",
					       text ? json_string_value(text) : "?"));
		json_decref(text);
		if (rc)
			return -1;
	}
	return more ? claim_weaken(
			      weakened, e, "interposed",
			      claim_format("%zu more places where code was put in the way", more))
		    : 0;
}

static json_t *path_of(const struct evidence *e, uint64_t module)
{
	const struct rec_module *m = module_of(e, module);

	return claim_text(m ? trace_text(e->trace, m->path) : NULL);
}

/* {manager, name, version} of a module's owner; null without one that is known. */
static json_t *package_of(const struct evidence *e, uint64_t module)
{
	const struct rec_identity *identity = trace_identity(e->trace, module);

	if (!identity || !*text_or(e, identity->package, ""))
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "manager",
			 claim_text(trace_text(e->trace, identity->package_manager)), "name",
			 claim_text(trace_text(e->trace, identity->package)), "version",
			 claim_text(trace_text(e->trace, identity->package_version)));
}

static json_t *number_or_null(uint64_t number)
{
	return number > INT64_MAX ? json_null() : json_integer((json_int_t)number);
}

static json_t *time_or_null(const struct evidence *e, uint64_t monotonic)
{
	uint64_t realtime = trace_realtime(e->trace, monotonic);
	char text[CLOCK_TEXT];

	if (realtime == REC_NULL)
		return json_null();
	clock_format(realtime, text);
	return json_string(text);
}

/* "component/section" of those whose code it stands in the place of. */
static json_t *sections_of(const struct survey *s, const struct evidence *e,
			   const struct rec_interposition *in)
{
	json_t *out = json_array();

	for (size_t i = 0; out && interpose_replaces(e, in) && i < s->sections_count; i++) {
		const struct survey_section *section = &s->sections[i];

		if (group_has_module(&section->group, e, in->module) &&
		    json_array_append_new(out, claim_format("%s/%s", section->section->component,
							    section->section->section))) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

static json_t *interpose_row(const struct survey *s, const struct evidence *e,
			     const struct rec_interposition *in)
{
	const struct rec_process *p = trace_find(e->trace, REC_PROCESS_KIND, in->process);
	struct claim c = { .records = json_array(), .shows = NULL };
	json_t *row = NULL;

	if (c.records && !claim_record(&c, e, REC_INTERPOSITION_KIND, in->id) &&
	    !claim_record(&c, e, REC_PROCESS_KIND, in->process) &&
	    !claim_record(&c, e, REC_MODULE_KIND, in->module) &&
	    !claim_record(&c, e, REC_MODULE_KIND, in->by))
		row = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:o, s:O}",
				"kind", claim_text(trace_text(e->trace, in->kind)), "place",
				claim_text(trace_text(e->trace, in->place)), "module",
				path_of(e, in->module), "by", path_of(e, in->by), "by_package",
				package_of(e, in->by), "detail",
				claim_text(trace_text(e->trace, in->detail)), "when",
				time_or_null(e, in->when), "process", "id",
				number_or_null(in->process), "pid",
				p ? number_or_null(p->pid) : json_null(), "sections",
				sections_of(s, e, in), "records", c.records);
	json_decref(c.records);
	return row;
}

json_t *interpose_rows(const struct survey *s)
{
	json_t *out = json_array();

	for (size_t b = 0; out && b < s->bundles_count; b++) {
		const struct evidence *e = &s->bundles[b];

		for (size_t i = 0; i < trace_count(e->trace, REC_INTERPOSITION_KIND); i++)
			if (json_array_append_new(
				    out,
				    interpose_row(s, e,
						  trace_at(e->trace, REC_INTERPOSITION_KIND, i)))) {
				json_decref(out);
				return NULL;
			}
	}
	return out;
}

static int compare_outside(const void *a, const void *b)
{
	const struct survey_outside *x = *(struct survey_outside *const *)a;
	const struct survey_outside *y = *(struct survey_outside *const *)b;

	return strcmp(x->key, y->key);
}

static json_t *outside_row(const struct survey_outside *o)
{
	const struct rec_module *m = o->module->rec;
	struct claim c = { .records = json_array() };
	json_t *row = NULL;

	if (c.records && !claim_example(&c, o->evidence, &o->example) &&
	    !claim_record(&c, o->evidence, REC_MODULE_KIND, m->id) &&
	    (!o->identity || !claim_record(&c, o->evidence, REC_IDENTITY_KIND, o->identity->id)))
		row = json_pack(
			"{s:s?, s:o, s:s, s:s, s:o, s:I, s:I, s:o, s:O}", "component", o->component,
			"path", claim_text(o->module->path), "kind", rec_module_kind_name(m->kind),
			"language", rec_language_name(m->language), "owned",
			o->identity ? json_false() : json_null(), "functions",
			(json_int_t)json_object_size(o->functions), "calls", (json_int_t)o->calls,
			"routes", survey_outside_routes(o), "records", c.records);
	json_decref(c.records);
	return row;
}

json_t *interpose_outside_rows(struct survey *s)
{
	json_t *out = json_array();

	if (s->outside_count)
		qsort(s->outside, s->outside_count, sizeof(*s->outside), compare_outside);
	for (size_t i = 0; out && i < s->outside_count; i++)
		if (json_array_append_new(out, outside_row(s->outside[i]))) {
			json_decref(out);
			return NULL;
		}
	return out;
}
