/* probes/python/NAME.json: the layout of one CPython version (docs/probe-schema.md). */
#include <stdlib.h>
#include <string.h>

#include "catalog/probes.h"
#include "catalog/python_opcodes.h"

#define OFFSET_MAX 65535

static const char *const strategy_names[] = {
	[PYTHON_CFRAME_ON_STACK] = "cframe-on-stack",
	[PYTHON_ENTRY_FRAME_ON_STACK] = "entry-frame-on-stack",
	[PYTHON_THREAD_ID_UNIQUE] = "thread-id-unique",
};

/* What a field holds decides how it is aligned. */
struct offset_rule {
	const char *name; /* as in struct python_layout */
	int align;
	bool may_lack; /* there are versions without this field */
	int strategy; /* the strategy that cannot do without, or -1 */
};

static const struct offset_rule offset_rules[] = {
	{ "runtime_interpreters_head", 8, false, -1 },
	{ "interp_next", 8, false, -1 },
	{ "interp_threads_head", 8, false, -1 },
	{ "tstate_next", 8, false, -1 },
	{ "tstate_interp", 8, false, -1 },
	{ "tstate_cframe", 8, true, PYTHON_CFRAME_ON_STACK },
	{ "tstate_native_thread_id", 8, true, PYTHON_THREAD_ID_UNIQUE },
	{ "cframe_current_frame", 8, true, PYTHON_CFRAME_ON_STACK },
	{ "frame_code", 8, false, -1 },
	{ "frame_previous", 8, false, -1 },
	{ "frame_owner", 1, true, PYTHON_ENTRY_FRAME_ON_STACK },
	{ "frame_is_entry", 1, true, -1 },
	{ "object_type", 8, false, -1 },
	{ "code_code_adaptive", 2, false, -1 },
	{ "code_firstlineno", 4, false, -1 },
	{ "code_filename", 8, false, -1 },
	{ "code_name", 8, false, -1 },
	{ "code_qualname", 8, true, -1 },
	{ "code_flags", 4, false, -1 },
	{ "unicode_length", 8, false, -1 },
	{ "unicode_hash", 8, false, -1 },
	{ "unicode_state", 4, false, -1 },
	{ "unicode_ascii_data", 1, false, -1 },
	{ "unicode_compact_data", 1, false, -1 },
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
		if (rule->strategy == (int)out->strategy)
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

/* Member names become "<struct>.<field>": the first '_' is the dot. */
static int read_offsets(const struct probe_reader *r, const json_t *root, struct python_layout *out)
{
	const struct probe_place at = { NULL, "offsets", 0 };
	const json_t *offsets = json_object_get(root, "offsets");
	char names[OFFSETS_COUNT][48];
	const char *keys[OFFSETS_COUNT + 1] = { NULL };

	for (size_t i = 0; i < OFFSETS_COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "%s", offset_rules[i].name);
		names[i][strcspn(names[i], "_")] = '.';
		keys[i] = names[i];
	}
	if (probe_object(r, &at, offsets, keys))
		return -1;
	for (size_t i = 0; i < OFFSETS_COUNT; i++)
		if (read_offset(r, &at, offsets, keys[i], &offset_rules[i], out))
			return -1;
	return 0;
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
	static const char *const keys[] = { "magic", "tag", NULL };
	const struct probe_place at = { NULL, "pyc", 0 };
	const json_t *pyc = json_object_get(root, "pyc");
	json_int_t magic;

	if (probe_object(r, &at, pyc, keys) ||
	    probe_integer(r, &at, pyc, "magic", 1, 65535, &magic))
		return -1;
	out->pyc_magic = (unsigned int)magic;
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

int python_layout_read(const struct probe_reader *r, const char *stem, const void *data,
		       size_t size, struct python_layout *out)
{
	static const char *const keys[] = { "schema",  "name",	   "source", "arch",
					    "version", "strategy", "pyc",    "offsets",
					    "?taps",   "?code",	   NULL };
	json_t *root = probe_parse(r, data, size);
	int ret = -1;

	if (!root)
		return -1;
	memset(out, 0, sizeof(*out));
	if (!probe_object(r, NULL, root, keys) && (out->name = probe_header(r, root, stem)) &&
	    probe_string(r, NULL, root, "source", NULL) &&
	    probe_string(r, NULL, root, "arch", check_arch) && !read_version(r, root, out) &&
	    !read_strategy(r, root, out) && !read_pyc(r, root, out) &&
	    !python_taps_read(r, root, &out->taps) && !python_opcodes_read(r, root, &out->code))
		ret = read_offsets(r, root, out);
	json_decref(root);
	return ret;
}
