/* The section rows of a report and their claims. */
#include <string.h>

#include "analyze/functions.h"
#include "analyze/output.h"

/* Does anything list the files that the section has? */
static bool has_reference(const struct survey_section *section)
{
	for (size_t i = 0; i < section->group.files_count; i++)
		if (section->group.files[i].in_reference)
			return true;
	return false;
}

/* "12 of 30 known files", or how many it has is not said. */
static json_t *known_files(const struct survey_section *section, size_t count)
{
	size_t known = section->group.files_count;

	if (has_reference(section))
		return claim_format("%zu of %zu known file%s", count, known, claim_plural(known));
	return claim_format("%zu file%s", count, claim_plural(count));
}

/* "; in 20 deep calls 12 functions of it ran, ..."; "" without one. NULL: no memory. */
static json_t *deep_text(const struct survey_section *section, const struct functions *f)
{
	unsigned long long calls = section->group.calls_deep;

	if (!calls)
		return json_string("");
	if (!f->listed)
		return claim_format("; in %llu deep call%s %zu of these functions ran", calls,
				    claim_plural(calls), f->deep);
	return claim_format("; in %llu deep call%s %zu of these functions ran, and %zu of the %zu "
			    "that the reference lists were not entered (not observed is not "
			    "absent)",
			    calls, claim_plural(calls), f->deep, f->not_entered, f->mapped);
}

/* How the source of the functions that ran compares with the reference's; "" without one. */
static json_t *source_text(const struct functions *f)
{
	if (!f->listed)
		return json_string("");
	return claim_format("; of the source of %zu function%s: %zu with other tokens than the "
			    "reference lists, %zu not in it, %zu with another docstring alone, %zu "
			    "not compared",
			    f->ran, claim_plural(f->ran), f->differ, f->unlisted,
			    f->docstring_differ, f->not_compared);
}

static json_t *section_text(const struct survey_section *section, const struct group_result *r,
			    const struct status *status, const struct functions *counted,
			    const char *comparison)
{
	const char *component = section->section->component, *name = section->section->section;
	const char *open = has_reference(section) ? "" : "; how many the section has is not known";
	uint64_t functions = json_object_size(section->group.functions);
	uint64_t calls = section->group.calls, of = section->component_calls;
	json_t *files, *text, *deep, *source;

	if (section->mappings_count && r->files_ran) {
		deep = deep_text(section, counted);
		source = source_text(counted);
		files = known_files(section, r->files_ran);
		text = claim_format(
			"%s, %s: %s and %llu function%s ran in %llu completed call%s%s%s; "
			"%s%s.",
			component, name, json_string_value(files), (unsigned long long)functions,
			claim_plural(functions), (unsigned long long)calls, claim_plural(calls),
			open, json_string_value(deep), comparison, json_string_value(source));
		json_decref(deep);
		json_decref(source);
	} else if (!strcmp(status->name, "loaded")) {
		files = known_files(section, r->files_loaded);
		text = claim_format("%s, %s: %s present in a serving process%s; none was seen "
				    "running.",
				    component, name, json_string_value(files), open);
	} else if (!strcmp(status->name, "not-observed")) {
		files = section->has_routes
				? claim_format("%llu of %llu call%s on its routes",
					       (unsigned long long)section->route_calls,
					       (unsigned long long)of, of == 1 ? " was" : "s were")
				: json_string("the definition names no route of it");
		text = claim_format("%s, %s: nothing of it was seen in %llu call%s of the "
				    "component; %s. Not observed is not absent.",
				    component, name, (unsigned long long)of, claim_plural(of),
				    json_string_value(files));
	} else {
		files = NULL;
		text = claim_format("%s, %s: not known: %s.", component, name, status->reason);
	}
	json_decref(files);
	return text;
}

static int section_claim(struct survey *s, const struct survey_section *section,
			 const struct group_result *r, const struct status *status,
			 const struct functions *counted, const json_t *weakened, const char *id,
			 json_t *claims)
{
	char *comparison = r->files_ran ? status_comparison(r) : NULL;
	struct claim c;
	int rc;

	rc = claim_init(&c, weakened, id);
	c.status = json_string(status->name);
	c.text = section_text(section, r, status, counted, comparison ? comparison : "");
	if (section->mappings_count && !rc) {
		c.shows = "a call not known";
		if (!r->files_ran && section->unseen_in)
			rc = claim_example(&c, section->unseen_in, &section->unseen);
		if (!r->files_ran && section->has_code)
			rc = rc || claim_sampled(&c, s) ? -1 : 0;
		rc = rc || status_records(&c, s, &section->group, r) || status_weaken(&c, r) ? -1
											     : 0;
	}
	free(comparison);
	return claim_finish(&c, claims) || rc ? -1 : 0;
}

static json_t *files_row(const struct survey_section *section, const struct group_result *r)
{
	json_int_t bundle = 0, reference = 0;

	if (!section->mappings_count)
		return json_pack("{s:n, s:n, s:n, s:n, s:n, s:n, s:n}", "mapped", "from_bundle",
				 "from_reference", "ran", "differ", "loaded", "loaded_differ");
	for (size_t i = 0; i < section->group.files_count; i++) {
		bundle += section->group.files[i].instances_count > 0;
		reference += section->group.files[i].in_reference;
	}
	return json_pack(
		"{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "mapped",
		reference ? json_integer((json_int_t)section->group.files_count) : json_null(),
		"from_bundle", bundle, "from_reference", reference, "ran", (json_int_t)r->files_ran,
		"differ", (json_int_t)r->files_differ, "loaded", (json_int_t)r->files_loaded,
		"loaded_differ", (json_int_t)r->loaded_differ);
}

static json_t *count_if(bool known, size_t count)
{
	return known ? json_integer((json_int_t)count) : json_null();
}

/* Functions that exist are listed by a reference alone. Without one none differs where no file
 * does. */
static json_t *functions_row(const struct survey_section *section, const struct group_result *r,
			     const struct functions *f)
{
	bool mapped = section->mappings_count > 0;
	bool same = r->files_ran && r->rank <= VERDICT_AS_PACKAGED;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:O}",
			 "mapped", count_if(f->listed, f->mapped), "ran", count_if(mapped, f->ran),
			 "differ", count_if(f->listed || same, f->differ), "unlisted",
			 count_if(f->listed, f->unlisted), "docstring_differ",
			 count_if(f->listed, f->docstring_differ), "not_compared",
			 count_if(f->listed, f->not_compared), "deep", count_if(mapped, f->deep),
			 "not_entered",
			 count_if(f->listed && section->group.calls_deep, f->not_entered), "memory",
			 "equal", count_if(mapped, f->memory_equal), "differ",
			 count_if(mapped, f->memory_differ), "not_compared",
			 count_if(mapped, f->memory_unknown), "differing", f->differing);
}

/* Every file that ran, with its own verdict. */
static json_t *ran_list(const struct survey_section *section)
{
	static const char *const names[] = { "unmodified", "as-packaged", "unreferenced", "unknown",
					     "modified" };
	json_t *list = json_array();

	for (size_t i = 0; list && i < section->group.files_count; i++) {
		const struct group_file *f = &section->group.files[i];
		const struct verdict *v = &f->verdict;

		if (!f->ran)
			continue;
		if (json_array_append_new(
			    list, json_pack("{s:s, s:s, s:s?, s:s?}", "path", f->relative,
					    "verdict", names[v->rank], "level", v->level, "reason",
					    v->rank == VERDICT_UNKNOWN ? v->reason : NULL))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *make_row(const struct survey_section *section, const struct group_result *r,
			const struct status *status, const struct functions *counted,
			const char *id)
{
	bool mapped = section->mappings_count > 0;

	return json_pack(
		"{s:s, s:s, s:b, s:s, s:s, s:s?, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
		"s:o, s:[s]}",
		"component", section->section->component, "section", section->section->section,
		"designated", section->section->designated, "list", section->section->list,
		"status", status->name, "level",
		r->files_ran && r->rank == VERDICT_MODIFIED ? r->level : NULL, "reason",
		status->reason[0] ? status->reason : NULL, "reference", status_reference(r),
		"compared", status_compared(r), "files", files_row(section, r), "ran",
		ran_list(section), "functions", functions_row(section, r, counted), "replaced",
		count_if(mapped, r->replaced), "calls", count_if(mapped, section->group.calls),
		"calls_deep", count_if(mapped, section->group.calls_deep), "route_calls",
		count_if(section->has_routes, section->route_calls), "claims", id);
}

static json_t *section_row(struct survey *s, struct survey_section *section, const json_t *weakened,
			   json_t *claims)
{
	struct functions counted;
	struct group_result r;
	struct status status;
	json_t *row = NULL;
	char *id;

	group_judge_best(&section->group, section->section->component, s->references,
			 s->references_count, &r);
	functions_count(&section->group, r.reference, &counted);
	status_of_section(s, section, &r, &status);
	if (asprintf(&id, "section/%s/%s", section->section->component, section->section->section) <
	    0)
		id = NULL;
	if (id && counted.differing &&
	    !section_claim(s, section, &r, &status, &counted, weakened, id, claims))
		row = make_row(section, &r, &status, &counted, id);
	functions_release(&counted);
	free(id);
	return row;
}

json_t *output_sections(struct survey *s, const json_t *weakened, json_t *claims)
{
	json_t *out = json_array();

	for (size_t i = 0; out && i < s->sections_count; i++)
		if (json_array_append_new(out, section_row(s, &s->sections[i], weakened, claims))) {
			json_decref(out);
			return NULL;
		}
	return out;
}
