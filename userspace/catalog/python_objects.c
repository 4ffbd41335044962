/* Object `objects` of probes/python/NAME.json: where a CPython version keeps its objects. */
#include "catalog/python_objects.h"

#include <string.h>

#include "catalog/probes.h"

#define PLACE_MAX 65535
#define NORMAL_MAX 100

/* What a dict's table needs, by the form that the version has. */
static const char *const may_lack[] = { "keys.size",	     "keys.log2_index_bytes",
					"keys.kind",	     "values.values",
					"unicode_entry.key", "unicode_entry.value",
					"unicode_entry.size" };
static const char *const bytes_wide[] = { "keys.log2_index_bytes", "keys.kind" };

static bool is_in(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(name, list[i]))
			return true;
	return false;
}

#define IS_IN(name, list) is_in(name, list, sizeof(list) / sizeof((list)[0]))

static int read_place(const struct probe_reader *r, const struct probe_place *at,
		      const json_t *objects, const char *key, int32_t *out)
{
	struct probe_place here = { at, key, 0 };
	json_int_t value;

	if (json_is_null(json_object_get(objects, key))) {
		if (!IS_IN(key, may_lack))
			return probe_fail(r, &here, "must be a number (every version has it)");
		*out = -1;
		return 0;
	}
	if (probe_integer(r, at, objects, key, 0, PLACE_MAX, &value))
		return -1;
	if (value % (IS_IN(key, bytes_wide) ? 1 : 8))
		return probe_fail(r, &here,
				  "is %lld, not a multiple of 8 (take it from the interpreter with "
				  "tools/python-objects)",
				  (long long)value);
	*out = (int32_t)value;
	return 0;
}

static int read_normal(const struct probe_reader *r, const struct probe_place *at,
		       const json_t *objects, struct python_objects *out)
{
	static const char *const keys[] = { "place", "by", "reason", NULL };
	const struct probe_place here = { at, "normal", 0 };
	const json_t *list = probe_list(r, at, objects, "normal", 0, NORMAL_MAX);

	if (!list)
		return -1;
	out->normal = arena_alloc(r->arena, (json_array_size(list) + 1) * sizeof(*out->normal));
	if (!out->normal)
		return probe_no_memory(r);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const struct probe_place element = { &here, NULL, i };
		const json_t *value = json_array_get(list, i);
		struct python_normal *normal = &out->normal[i];

		if (probe_object(r, &element, value, keys) ||
		    !(normal->place = probe_string(r, &element, value, "place", NULL)) ||
		    !(normal->by = probe_string(r, &element, value, "by", NULL)) ||
		    !probe_string(r, &element, value, "reason", NULL))
			return -1;
	}
	out->normal_count = json_array_size(list);
	return 0;
}

int python_objects_read(const struct probe_reader *r, const json_t *root,
			struct python_objects *out)
{
#define KEY(of, field) #of "." #field,
	static const char *const keys[] = { PYTHON_OBJECTS(KEY) "normal", NULL };
	const struct probe_place at = { NULL, "objects", 0 };
	const json_t *objects = json_object_get(root, "objects");

	memset(out, 0, sizeof(*out));
	if (!objects)
		return 0;
	if (probe_object(r, &at, objects, keys))
		return -1;
#define PLACE(of, field)                                                     \
	if (read_place(r, &at, objects, #of "." #field, &out->of##_##field)) \
		return -1;
	PYTHON_OBJECTS(PLACE)
	/* Either form of a dict's table, but whole. */
	if ((out->keys_size < 0) == (out->keys_log2_index_bytes < 0))
		return probe_fail(r, &at,
				  "needs one of keys.size and keys.log2_index_bytes, not both");
	if ((out->keys_log2_index_bytes < 0) != (out->keys_kind < 0) ||
	    (out->keys_kind < 0) != (out->unicode_entry_key < 0) ||
	    (out->keys_kind < 0) != (out->unicode_entry_value < 0) ||
	    (out->keys_kind < 0) != (out->unicode_entry_size < 0))
		return probe_fail(
			r, &at, "keys.log2_index_bytes, keys.kind and unicode_entry.* go together");
	if (read_normal(r, &at, objects, out))
		return -1;
	out->known = true;
	return 0;
}
