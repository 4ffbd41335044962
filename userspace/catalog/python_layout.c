/* probes/python/NAME.json: the layout of one CPython version (docs/probe-schema.md). */
#include <string.h>

#include "catalog/probes.h"
#include "catalog/python_opcodes.h"

#define OFFSET_MAX 65535

static const char *const strategy_names[] = {
	[PYTHON_CFRAME_ON_STACK] = "cframe-on-stack",
	[PYTHON_ENTRY_FRAME_ON_STACK] = "entry-frame-on-stack",
	[PYTHON_THREAD_ID_UNIQUE] = "thread-id-unique",
};

#define ON(strategy) (1 << (strategy))

/* What a field holds decides how it is aligned. */
struct offset_rule {
	const char *name; /* as in struct python_layout */
	int align;
	bool may_lack; /* there are versions without this field */
	int strategies; /* bits of those that cannot do without */
};

static const struct offset_rule offset_rules[] = {
	{ "runtime_interpreters_head", 8, false, 0 },
	{ "interp_next", 8, false, 0 },
	{ "interp_threads_head", 8, false, 0 },
	{ "interp_eval_frame", 8, true, 0 },
	{ "tstate_next", 8, false, 0 },
	{ "tstate_interp", 8, false, 0 },
	{ "tstate_frame", 8, true, ON(PYTHON_ENTRY_FRAME_ON_STACK) | ON(PYTHON_THREAD_ID_UNIQUE) },
	{ "tstate_cframe", 8, true, ON(PYTHON_CFRAME_ON_STACK) },
	{ "tstate_thread_id", 8, false, 0 },
	{ "tstate_native_thread_id", 8, true, 0 },
	{ "cframe_current_frame", 8, true, 0 },
	{ "frame_code", 8, false, 0 },
	{ "frame_previous", 8, false, 0 },
	{ "frame_owner", 1, true, ON(PYTHON_ENTRY_FRAME_ON_STACK) },
	{ "frame_is_entry", 1, true, 0 },
	{ "object_type", 8, false, 0 },
	{ "code_code", 8, true, 0 },
	{ "code_code_adaptive", 2, true, 0 },
	{ "code_firstlineno", 4, false, 0 },
	{ "code_filename", 8, false, 0 },
	{ "code_name", 8, false, 0 },
	{ "code_qualname", 8, true, 0 },
	{ "code_flags", 4, false, 0 },
	{ "unicode_length", 8, false, 0 },
	{ "unicode_hash", 8, false, 0 },
	{ "unicode_state", 4, true, 0 },
	{ "unicode_ascii_data", 1, false, 0 },
	{ "unicode_compact_data", 1, true, 0 },
};

#define OFFSETS_COUNT (sizeof(offset_rules) / sizeof(offset_rules[0]))

/* The same list once more, from the header: a field without a rule does not compile. */
#define OFFSET_ONE(name) +1
_Static_assert((0 PYTHON_OFFSETS(OFFSET_ONE)) == OFFSETS_COUNT, "one rule for each offset");

static int32_t *offset_member(struct python_layout *layout, const char *name)
{
#define OFFSET_FIND(member)         \
	if (!strcmp(name, #member)) \
		return &layout->member;
	PYTHON_OFFSETS(OFFSET_FIND)
	return NULL;
}

static int32_t *table_member(struct python_table *table, const char *name)
{
#define TABLE_FIND(member)          \
	if (!strcmp(name, #member)) \
		return &table->member;
	PYTHON_OFFSETS(TABLE_FIND)
	return NULL;
}

/* Member names become "<struct>.<field>": the first '_' is the dot. */
struct offset_keys {
	char names[OFFSETS_COUNT][48];
	const char *keys[OFFSETS_COUNT + 1];
};

static void offset_keys(struct offset_keys *out, const char *mark)
{
	for (size_t i = 0; i < OFFSETS_COUNT; i++) {
		char *name = out->names[i];

		snprintf(name, sizeof(out->names[i]), "%s%s", mark, offset_rules[i].name);
		name[strcspn(name, "_")] = '.';
		out->keys[i] = name;
	}
	out->keys[OFFSETS_COUNT] = NULL;
}

static int read_offset(const struct probe_reader *r, const struct probe_place *at,
		       const json_t *offsets, const char *key, const struct offset_rule *rule,
		       struct python_layout *out)
{
	struct probe_place here = { at, key, 0 };
	int32_t *member = offset_member(out, rule->name);
	json_int_t value;

	if (!member)
		return probe_fail(r, &here, "has no place in the layout (report this defect)");
	if (json_is_null(json_object_get(offsets, key))) {
		if (!rule->may_lack)
			return probe_fail(r, &here, "must be a number (every version has it)");
		if (rule->strategies & ON(out->strategy))
			return probe_fail(r, &here, "must be a number (strategy %s needs it)",
					  strategy_names[out->strategy]);
		*member = -1;
		return 0;
	}
	if (probe_integer(r, at, offsets, key, 0, OFFSET_MAX, &value))
		return -1;
	if (value % rule->align)
		return probe_fail(r, &here,
				  "is %lld, not a multiple of %d (take it from the "
				  "interpreter with tools/python-layout)",
				  (long long)value, rule->align);
	*member = (int32_t)value;
	return 0;
}

/* What goes together, or of which there is one. */
static const char *offsets_conflict(const struct python_layout *l)
{
	if (l->strategy == PYTHON_CFRAME_ON_STACK && l->cframe_current_frame < 0 &&
	    l->tstate_frame < 0)
		return "'cframe.current_frame' or 'tstate.frame' must be a number";
	if ((l->code_code < 0) == (l->code_code_adaptive < 0))
		return "one of 'code.code' and 'code.code_adaptive' must be null";
	if ((l->unicode_state < 0) != (l->unicode_compact_data < 0))
		return "'unicode.state' and 'unicode.compact_data' must both be null or none";
	if ((l->frame_owner < 0) != (l->owner_generator < 0))
		return "'frame.owner' must be null as 'owners.generator' is, or a number as it is";
	return NULL;
}

static int read_offsets(const struct probe_reader *r, const json_t *root, struct python_layout *out)
{
	const struct probe_place at = { NULL, "offsets", 0 };
	const json_t *offsets = json_object_get(root, "offsets");
	const char *conflict;
	struct offset_keys k;

	offset_keys(&k, "");
	if (probe_object(r, &at, offsets, k.keys))
		return -1;
	for (size_t i = 0; i < OFFSETS_COUNT; i++)
		if (read_offset(r, &at, offsets, k.keys[i], &offset_rules[i], out))
			return -1;
	conflict = offsets_conflict(out);
	return conflict ? probe_fail(r, &at, "%s (see docs/probe-schema.md)", conflict) : 0;
}

/* A value of frame.owner, or null. */
static int read_owner(const struct probe_reader *r, const json_t *owners, const char *key, int *out)
{
	const struct probe_place at = { NULL, "owners", 0 };
	json_int_t value = -1;

	if (!json_is_null(json_object_get(owners, key)) &&
	    probe_integer(r, &at, owners, key, 0, 255, &value))
		return -1;
	*out = (int)value;
	return 0;
}

static int read_owners(const struct probe_reader *r, const json_t *root, struct python_layout *out)
{
	static const char *const keys[] = { "generator", "c_stack", NULL };
	const struct probe_place at = { NULL, "owners", 0 };
	const json_t *owners = json_object_get(root, "owners");

	if (probe_object(r, &at, owners, keys) ||
	    read_owner(r, owners, "generator", &out->owner_generator) ||
	    read_owner(r, owners, "c_stack", &out->owner_c_stack))
		return -1;
	if (out->strategy == PYTHON_ENTRY_FRAME_ON_STACK && out->owner_c_stack < 0)
		return probe_fail(r, &at, "'c_stack' must be a number (strategy %s needs it)",
				  strategy_names[out->strategy]);
	return 0;
}

static const char *check_cookie(const char *text)
{
	return strlen(text) == PYTHON_COOKIE_MAX ? NULL
						 : "must have 8 characters (as in the interpreter)";
}

/* A place in the interpreter's own table: one of its 8-byte words. */
static int read_table_place(const struct probe_reader *r, const struct probe_place *at,
			    const json_t *object, const char *key, int32_t *out)
{
	const struct probe_place here = { at, key, 0 };
	json_int_t value;

	if (probe_integer(r, at, object, key, PYTHON_COOKIE_MAX, PYTHON_TABLE_MAX - 8, &value))
		return -1;
	if (value % 8)
		return probe_fail(r, &here, "is %lld, not a multiple of 8", (long long)value);
	*out = (int32_t)value;
	return 0;
}

static int read_table_fields(const struct probe_reader *r, const json_t *table,
			     struct python_layout *out)
{
	const struct probe_place up = { NULL, "debug_offsets", 0 }, at = { &up, "fields", 0 };
	const json_t *fields = json_object_get(table, "fields");
	struct offset_keys k;

	offset_keys(&k, "?");
	if (probe_object(r, &at, fields, k.keys))
		return -1;
	for (size_t i = 0; i < OFFSETS_COUNT; i++) {
		const char *key = k.keys[i] + 1, *name = offset_rules[i].name;
		const struct probe_place here = { &at, key, 0 };
		int32_t *to = table_member(&out->table, name);
		const int32_t *offset = offset_member(out, name);

		if (!to || !offset)
			return probe_fail(r, &here,
					  "has no place in the layout (report this defect)");
		*to = -1;
		if (!json_object_get(fields, key))
			continue;
		if (*offset < 0)
			return probe_fail(r, &here, "stands in the table but is null in 'offsets'");
		if (read_table_place(r, &at, fields, key, to))
			return -1;
	}
	return 0;
}

static int read_table(const struct probe_reader *r, const json_t *root, struct python_layout *out)
{
	static const char *const keys[] = { "cookie", "version", "free_threaded", "fields", NULL };
	const struct probe_place at = { NULL, "debug_offsets", 0 };
	const json_t *table = json_object_get(root, "debug_offsets");
	const char *cookie;

	if (!table)
		return 0;
	if (probe_object(r, &at, table, keys) ||
	    !(cookie = probe_string(r, &at, table, "cookie", check_cookie)) ||
	    read_table_place(r, &at, table, "version", &out->table.version) ||
	    read_table_place(r, &at, table, "free_threaded", &out->table.free_threaded) ||
	    read_table_fields(r, table, out))
		return -1;
	memcpy(out->table.cookie, cookie, PYTHON_COOKIE_MAX);
	out->table.present = true;
	return 0;
}

size_t python_table_size(const struct python_layout *layout)
{
	struct python_table table = layout->table;
	int32_t last = table.version > table.free_threaded ? table.version : table.free_threaded;

	if (!table.present)
		return 0;
	for (size_t i = 0; i < OFFSETS_COUNT; i++) {
		const int32_t *place = table_member(&table, offset_rules[i].name);

		if (place && *place > last)
			last = *place;
	}
	return (size_t)last + 8;
}

static uint64_t table_number(const uint8_t *table, int32_t at)
{
	uint64_t number;

	memcpy(&number, table + at, sizeof(number));
	return number;
}

int python_table_apply(const struct python_layout *layout, const uint8_t *table, size_t size,
		       uint32_t version, struct python_layout *out, char *why, size_t why_size)
{
	struct python_table places = layout->table;
	const char *conflict;

	if (size < python_table_size(layout) ||
	    memcmp(table, places.cookie, sizeof(places.cookie)) != 0) {
		snprintf(why, why_size, "its table of offsets does not begin as it should");
		return -1;
	}
	if (table_number(table, places.version) != version) {
		snprintf(why, why_size, "its table of offsets is of another version");
		return -1;
	}
	if (table_number(table, places.free_threaded)) {
		snprintf(why, why_size, "a free-threaded build of CPython");
		return -1;
	}
	*out = *layout;
	for (size_t i = 0; i < OFFSETS_COUNT; i++) {
		const int32_t *place = table_member(&places, offset_rules[i].name);
		int32_t *member = offset_member(out, offset_rules[i].name);
		uint64_t value;

		if (!place || !member || *place < 0)
			continue;
		value = table_number(table, *place);
		if (value > OFFSET_MAX || value % (unsigned int)offset_rules[i].align) {
			snprintf(why, why_size, "its table of offsets has an impossible one");
			return -1;
		}
		*member = (int32_t)value;
	}
	conflict = offsets_conflict(out);
	if (conflict)
		snprintf(why, why_size, "its table of offsets does not fit: %s", conflict);
	return conflict ? -1 : 0;
}

static int read_version(const struct probe_reader *r, const json_t *root, struct python_layout *out)
{
	static const char *const keys[] = { "major", "minor", NULL };
	const struct probe_place at = { NULL, "version", 0 };
	const json_t *version = json_object_get(root, "version");
	json_int_t major, minor;

	if (probe_object(r, &at, version, keys) ||
	    probe_integer(r, &at, version, "major", 2, 99, &major) ||
	    probe_integer(r, &at, version, "minor", 0, 999, &minor))
		return -1;
	out->major = (unsigned int)major;
	out->minor = (unsigned int)minor;
	return 0;
}

static int read_pyc(const struct probe_reader *r, const json_t *root, struct python_layout *out)
{
	static const char *const keys[] = { "magic", "tag", "header", NULL };
	const struct probe_place at = { NULL, "pyc", 0 };
	const json_t *pyc = json_object_get(root, "pyc");
	json_int_t magic, header;

	if (probe_object(r, &at, pyc, keys) ||
	    probe_integer(r, &at, pyc, "magic", 1, 65535, &magic) ||
	    probe_integer(r, &at, pyc, "header", 8, 64, &header))
		return -1;
	out->pyc_magic = (unsigned int)magic;
	out->pyc_header = (unsigned int)header;
	if (json_is_null(json_object_get(pyc, "tag")))
		return 0;
	out->pyc_tag = probe_string(r, &at, pyc, "tag", probe_check_id);
	return out->pyc_tag ? 0 : -1;
}

static const char *check_arch(const char *text)
{
	return strcmp(text, "x86_64") ? "must be 'x86_64' (no other is supported)" : NULL;
}

static int read_strategy(const struct probe_reader *r, const json_t *root,
			 struct python_layout *out)
{
	const struct probe_place at = { NULL, "strategy", 0 };
	const char *name = probe_string(r, NULL, root, "strategy", NULL);

	if (!name)
		return -1;
	for (size_t i = 0; i < sizeof(strategy_names) / sizeof(strategy_names[0]); i++) {
		if (!strcmp(name, strategy_names[i])) {
			out->strategy = (enum python_strategy)i;
			return 0;
		}
	}
	return probe_fail(r, &at,
			  "'%s' is unknown (use cframe-on-stack, entry-frame-on-stack or "
			  "thread-id-unique)",
			  probe_show(name));
}

static const char *check_symbol(const char *text)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	return text[strspn(text, allowed)] || strlen(text) > 128
		       ? "must be the name of a symbol (letters, digits and '_')"
		       : NULL;
}

int python_layout_read(const struct probe_reader *r, const char *stem, const void *data,
		       size_t size, struct python_layout *out)
{
	static const char *const keys[] = {
		"schema",	  "name",     "source", "arch",	    "version",
		"anchor",	  "strategy", "pyc",	"owners",   "offsets",
		"?debug_offsets", "?taps",    "?code",	"?objects", NULL
	};
	json_t *root = probe_parse(r, data, size);
	int ret = -1;

	if (!root)
		return -1;
	memset(out, 0, sizeof(*out));
	if (!probe_object(r, NULL, root, keys) && (out->name = probe_header(r, root, stem)) &&
	    probe_string(r, NULL, root, "source", NULL) &&
	    probe_string(r, NULL, root, "arch", check_arch) && !read_version(r, root, out) &&
	    (out->anchor = probe_string(r, NULL, root, "anchor", check_symbol)) &&
	    !read_strategy(r, root, out) && !read_pyc(r, root, out) && !read_owners(r, root, out) &&
	    !read_offsets(r, root, out) && !read_table(r, root, out) &&
	    !python_taps_read(r, root, &out->taps) && !python_objects_read(r, root, &out->objects))
		ret = python_opcodes_read(r, root, &out->code);
	json_decref(root);
	return ret;
}
