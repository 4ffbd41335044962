/* Puts the report together. */
#include "analyze/output.h"

#include <string.h>

#include "analyze/interpose.h"
#include "analyze/ways.h"

#define OTHER_MODULES_MAX 16 /* names of modules that are listed of one owner */

static int compare_others(const void *a, const void *b)
{
	const struct survey_other *x = *(struct survey_other *const *)a;
	const struct survey_other *y = *(struct survey_other *const *)b;

	if (x->calls != y->calls)
		return x->calls > y->calls ? -1 : 1;
	return strcmp(x->key, y->key);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The first names of the set, in order. */
static json_t *some_names(json_t *set)
{
	size_t n = 0, count = json_object_size(set);
	const char **names = calloc(count + 1, sizeof(*names)), *name;
	json_t *out = names ? json_array() : NULL, *value;

	if (out) {
		json_object_foreach(set, name, value)
			names[n++] = name;
		qsort(names, n, sizeof(*names), compare_names);
		for (size_t i = 0; i < n && i < OTHER_MODULES_MAX; i++)
			json_array_append_new(out, json_string(names[i]));
	}
	free(names);
	return out;
}

static json_t *other_row(const struct survey_other *o)
{
	struct claim c = { .records = json_array() };
	int rc = c.records ? 0 : -1;
	json_t *row = NULL;

	rc = rc || claim_example(&c, o->evidence, &o->example) ||
	     claim_record(&c, o->evidence, REC_MODULE_KIND, o->module);
	if (!rc)
		row = json_pack(
			"{s:s?, s:s, s:s, s:s?, s:I, s:I, s:I, s:o, s:O}", "component",
			o->component, "owner", o->owner, "owner_kind", o->owner_kind, "version",
			o->version, "files", (json_int_t)json_object_size(o->modules), "functions",
			(json_int_t)json_object_size(o->functions), "calls", (json_int_t)o->calls,
			"some", some_names(o->modules), "records", c.records);
	json_decref(c.records);
	return row;
}

static json_t *output_others(struct survey *s)
{
	json_t *out = json_array();

	if (s->others_count)
		qsort(s->others, s->others_count, sizeof(*s->others), compare_others);
	for (size_t i = 0; out && i < s->others_count; i++)
		if (json_array_append_new(out, other_row(s->others[i]))) {
			json_decref(out);
			return NULL;
		}
	return out;
}

/* Parts of the guideline that no section row speaks of. */
static json_t *not_compared(const struct survey *s)
{
	json_t *out = json_array();

	for (size_t i = 0; out && i < s->guideline.bare_count; i++)
		if (json_array_append_new(out, json_pack("{s:s, s:s}", "component",
							 s->guideline.bare[i], "reason",
							 "the guideline names no section of it"))) {
			json_decref(out);
			return NULL;
		}
	return out;
}

json_t *output_report(struct survey *s)
{
	json_t *weakened = claim_weaknesses(s), *claims = json_array(), *sections, *routes, *out;

	if (!weakened || !claims) {
		json_decref(weakened);
		json_decref(claims);
		return NULL;
	}
	sections = output_sections(s, weakened, claims);
	routes = output_routes(s, weakened, claims);
	/* A member that is NULL makes the whole NULL, and json_pack releases the others. */
	out = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			"schema", ANALYZE_SCHEMA, "inputs", output_inputs(s), "sections", sections,
			"routes", routes, "claims", claims, "other_code", output_others(s),
			"interpositions", interpose_rows(s), "outside_packages",
			interpose_outside_rows(s), "ways", ways_rows(s), "hops", ways_hops(s),
			"not_compared", not_compared(s), "weakened_by", weakened, "loss",
			output_loss(s), "visibility", output_visibility(s));
	return out;
}
