/*
 * One record as it is in the bundle, any kind: its fields by the schema, strings resolved, digests
 * in hex. A time T is given as RFC 3339 under its name and as raw nanoseconds under NAME_ns. A
 * stack also gets `functions`, its frames with names.
 */
#include "inspect/rows.h"

#include <string.h>

static json_t *record_numbers(struct inspect_source *s, const struct rec_list *list)
{
	json_t *out = json_array();

	for (uint32_t i = 0; i < list->count; i++)
		inspect_append(s, out, inspect_number(list->items[i]));
	return out;
}

static json_t *record_value(struct inspect_source *s, const struct rec_field *f, const void *at)
{
	uint64_t v = 0;

	if (f->type == REC_TYPE_L)
		return record_numbers(s, at);
	if (f->type == REC_TYPE_M)
		return inspect_strings(s, at);
	memcpy(&v, at, sizeof(v));
	switch (f->type) {
	case REC_TYPE_B:
		return inspect_bool(v);
	case REC_TYPE_T:
		return inspect_monotonic(s, v);
	case REC_TYPE_W:
		return inspect_realtime(v);
	case REC_TYPE_S:
		return inspect_string(s, v);
	case REC_TYPE_X:
		return inspect_hex(s, v);
	case REC_TYPE_E:
		return v == REC_NULL	    ? json_null()
		       : v < f->names_count ? json_string(f->names[v])
					    : inspect_number(v);
	default:
		return inspect_number(v);
	}
}

json_t *inspect_record(struct inspect_source *s, enum rec_kind kind, const void *rec)
{
	const struct rec_schema *schema = &rec_schemas[kind];
	json_t *out = json_object();

	inspect_set(s, out, "record", json_string(schema->name));
	for (uint16_t i = 0; i < schema->fields_count; i++) {
		const struct rec_field *f = &schema->fields[i];
		const uint8_t *at = (const uint8_t *)rec + f->offset;
		char raw[64];
		uint64_t ns;

		inspect_set(s, out, f->name, record_value(s, f, at));
		if (f->type != REC_TYPE_T)
			continue;
		memcpy(&ns, at, sizeof(ns));
		snprintf(raw, sizeof(raw), "%s_ns", f->name);
		inspect_set(s, out, raw, inspect_number(ns));
	}
	if (kind == REC_STACK_KIND)
		inspect_set(s, out, "functions",
			    inspect_frames(s, &((const struct rec_stack *)rec)->frames));
	return out;
}
