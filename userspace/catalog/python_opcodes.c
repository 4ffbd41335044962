/* probes/python/NAME.json, object `code`: code objects in memory, and their bytecode. */
#include "catalog/python_opcodes.h"

#include <string.h>

#define OFFSET_MAX 65535
#define OPCODES 256

struct code_offset {
	const char *name; /* as in struct python_code */
	int align;
	bool may_lack;
};

static const struct code_offset code_offsets[] = {
	{ "code_argcount", 4, false },
	{ "code_posonlyargcount", 4, true },
	{ "code_kwonlyargcount", 4, true },
	{ "code_stacksize", 4, false },
	{ "code_consts", 8, false },
	{ "code_names", 8, false },
	{ "code_localsplusnames", 8, true },
	{ "code_localspluskinds", 8, true },
	{ "code_varnames", 8, true },
	{ "code_freevars", 8, true },
	{ "code_cellvars", 8, true },
	{ "code_exceptiontable", 8, true },
	{ "var_size", 8, false },
	{ "tuple_items", 8, false },
	{ "bytes_data", 1, false },
	{ "float_value", 8, false },
	{ "complex_value", 8, false },
	{ "long_tag", 8, true },
	{ "long_digits", 2, false },
	{ "set_used", 8, false },
	{ "set_mask", 8, false },
	{ "set_table", 8, false },
};

#define OFFSETS_COUNT (sizeof(code_offsets) / sizeof(code_offsets[0]))

#define OFFSET_ONE(name) +1
_Static_assert((0 PYTHON_CODE_OFFSETS(OFFSET_ONE)) == OFFSETS_COUNT, "one rule for each offset");

static int32_t *offset_member(struct python_code *code, const char *name)
{
#define OFFSET_FIND(member)         \
	if (!strcmp(name, #member)) \
		return &code->member;
	PYTHON_CODE_OFFSETS(OFFSET_FIND)
	return NULL;
}

static int read_offset(const struct probe_reader *r, const struct probe_place *at,
		       const json_t *offsets, const char *key, const struct code_offset *rule,
		       struct python_code *out)
{
	struct probe_place here = { at, key, 0 };
	int32_t *member = offset_member(out, rule->name);
	json_int_t value;

	if (!member)
		return probe_fail(r, &here, "has no place (report this defect)");
	if (json_is_null(json_object_get(offsets, key))) {
		if (!rule->may_lack)
			return probe_fail(r, &here, "must be a number (every version has it)");
		*member = -1;
		return 0;
	}
	if (probe_integer(r, at, offsets, key, 0, OFFSET_MAX, &value))
		return -1;
	if (value % rule->align)
		return probe_fail(r, &here,
				  "is %lld, not a multiple of %d (take it from the interpreter "
				  "with tools/python-opcodes)",
				  (long long)value, rule->align);
	*member = (int32_t)value;
	return 0;
}

/* A version keeps its variables either in one list with kinds, or in three. */
static int check_shape(const struct probe_reader *r, const struct probe_place *at,
		       const struct python_code *c)
{
	bool one = c->code_localsplusnames >= 0;

	if (one != (c->code_localspluskinds >= 0) || one == (c->code_varnames >= 0) ||
	    one == (c->code_freevars >= 0) || one == (c->code_cellvars >= 0))
		return probe_fail(r, at,
				  "must have localsplusnames and localspluskinds, or varnames, "
				  "freevars and cellvars (not some of both)");
	return 0;
}

/* Member names become "<struct>.<field>": the first '_' is the dot. */
static int read_offsets(const struct probe_reader *r, const struct probe_place *up,
			const json_t *json, struct python_code *out)
{
	const struct probe_place at = { up, "offsets", 0 };
	const json_t *offsets = json_object_get(json, "offsets");
	char names[OFFSETS_COUNT][48];
	const char *keys[OFFSETS_COUNT + 1] = { NULL };

	for (size_t i = 0; i < OFFSETS_COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "%s", code_offsets[i].name);
		names[i][strcspn(names[i], "_")] = '.';
		keys[i] = names[i];
	}
	if (probe_object(r, &at, offsets, keys))
		return -1;
	for (size_t i = 0; i < OFFSETS_COUNT; i++)
		if (read_offset(r, &at, offsets, keys[i], &code_offsets[i], out))
			return -1;
	return check_shape(r, &at, out);
}

static int read_sizes(const struct probe_reader *r, const struct probe_place *up,
		      const json_t *json, struct python_code *out)
{
	static const char *const keys[] = { "digit", "setentry", NULL };
	const struct probe_place at = { up, "sizes", 0 }, here = { &at, "digit", 0 };
	const json_t *sizes = json_object_get(json, "sizes");
	json_int_t digit, setentry;

	if (probe_object(r, &at, sizes, keys) ||
	    probe_integer(r, &at, sizes, "digit", 2, 4, &digit) ||
	    probe_integer(r, &at, sizes, "setentry", 8, 64, &setentry))
		return -1;
	if (digit == 3)
		return probe_fail(r, &here, "must be 2 or 4");
	out->digit_size = (int32_t)digit;
	out->setentry_size = (int32_t)setentry;
	return 0;
}

/* Opcode numbers of a list; each may be named once in the whole object. */
static int read_numbers(const struct probe_reader *r, const struct probe_place *at,
			const json_t *object, const char *key, bool taken[OPCODES],
			void (*each)(struct python_code *out, unsigned int opcode, uint8_t base),
			struct python_code *out, uint8_t base)
{
	const json_t *list = probe_list(r, at, object, key, 0, OPCODES);
	const struct probe_place up = { at, key, 0 };

	for (size_t i = 0; list && i < json_array_size(list); i++) {
		const struct probe_place here = { &up, NULL, i };
		const json_t *item = json_array_get(list, i);
		json_int_t value = json_integer_value(item);

		if (!json_is_integer(item) || value < 1 || value >= OPCODES)
			return probe_fail(r, &here, "must be a number from 1 to 255");
		if (taken[value])
			return probe_fail(r, &here, "is opcode %lld, which has a place already",
					  (long long)value);
		taken[value] = true;
		each(out, (unsigned int)value, base);
	}
	return list ? 0 : -1;
}

static void set_base(struct python_code *out, unsigned int opcode, uint8_t base)
{
	out->base[opcode] = base;
}

static void set_unreadable(struct python_code *out, unsigned int opcode, uint8_t base)
{
	(void)base;
	out->unreadable[opcode] = true;
}

static int read_instruction(const struct probe_reader *r, const struct probe_place *at,
			    const json_t *item, bool taken[OPCODES], struct python_code *out)
{
	static const char *const keys[] = { "name", "opcode", "caches", "variants", NULL };
	const struct probe_place here = { at, "opcode", 0 };
	json_int_t opcode, caches;

	if (probe_object(r, at, item, keys) || !probe_string(r, at, item, "name", NULL) ||
	    probe_integer(r, at, item, "opcode", 1, OPCODES - 1, &opcode) ||
	    probe_integer(r, at, item, "caches", 0, 64, &caches))
		return -1;
	if (taken[opcode])
		return probe_fail(r, &here, "is %lld, which has a place already",
				  (long long)opcode);
	taken[opcode] = true;
	out->caches[opcode] = (uint8_t)caches;
	return read_numbers(r, at, item, "variants", taken, set_base, out, (uint8_t)opcode);
}

static int read_instructions(const struct probe_reader *r, const struct probe_place *up,
			     const json_t *json, struct python_code *out)
{
	const struct probe_place at = { up, "instructions", 0 };
	bool taken[OPCODES] = { false };
	const json_t *list;

	for (unsigned int i = 0; i < OPCODES; i++)
		out->base[i] = (uint8_t)i;
	if (read_numbers(r, up, json, "unreadable", taken, set_unreadable, out, 0))
		return -1;
	out->specialises = !json_is_null(json_object_get(json, "instructions"));
	if (!out->specialises)
		return 0;
	list = probe_list(r, up, json, "instructions", 1, OPCODES);
	for (size_t i = 0; list && i < json_array_size(list); i++) {
		const struct probe_place here = { &at, NULL, i };

		if (read_instruction(r, &here, json_array_get(list, i), taken, out))
			return -1;
	}
	return list ? 0 : -1;
}

int python_opcodes_read(const struct probe_reader *r, const json_t *root,
			const struct python_code **out)
{
	static const char *const keys[] = { "offsets", "sizes", "instructions", "unreadable",
					    NULL };
	const struct probe_place at = { NULL, "code", 0 };
	const json_t *json = json_object_get(root, "code");
	struct python_code *code;

	*out = NULL;
	if (!json)
		return 0;
	code = arena_alloc(r->arena, sizeof(*code));
	if (!code)
		return probe_no_memory(r);
	if (probe_object(r, &at, json, keys) || read_offsets(r, &at, json, code) ||
	    read_sizes(r, &at, json, code) || read_instructions(r, &at, json, code))
		return -1;
	*out = code;
	return 0;
}
