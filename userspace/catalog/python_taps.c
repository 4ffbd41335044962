/* Object `taps` of probes/python/NAME.json: where a CPython version starts its functions. */
#include "catalog/python_taps.h"

#include <string.h>

#include "catalog/probes.h"

#define FRAME_MAX 65535

static int read_opcodes(const struct probe_reader *r, const struct probe_place *at,
			const json_t *taps, struct python_taps *out)
{
	const struct probe_place here = { at, "opcodes", 0 };
	const json_t *list = probe_list(r, at, taps, "opcodes", 1, PYTHON_TAPS_OPCODES);

	if (!list)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const struct probe_place element = { &here, NULL, i };
		const json_t *value = json_array_get(list, i);
		json_int_t opcode = json_integer_value(value);

		if (!json_is_integer(value) || opcode < 1 || opcode > 255)
			return probe_fail(r, &element, "must be an opcode, 1 to 255");
		if (memchr(out->opcodes, (int)opcode, out->opcodes_count))
			return probe_fail(r, &element, "stands twice (remove one)");
		out->opcodes[out->opcodes_count++] = (uint8_t)opcode;
	}
	return 0;
}

static int read_resume(const struct probe_reader *r, const struct probe_place *at,
		       const json_t *taps, struct python_taps *out)
{
	static const char *const keys[] = { "kind",	      "function",
					    "opcodes",	      "frame.instruction",
					    "?unless_symbol", NULL };
	const struct probe_place here = { at, "frame.instruction", 0 };
	json_int_t value;

	if (probe_object(r, at, taps, keys) || read_opcodes(r, at, taps, out) ||
	    probe_integer(r, at, taps, "frame.instruction", 0, FRAME_MAX, &value))
		return -1;
	if (value % 8)
		return probe_fail(r, &here, "is %lld, not a multiple of 8 (it is a pointer)",
				  (long long)value);
	if (json_object_get(taps, "unless_symbol")) {
		out->unless_symbol = probe_string(r, at, taps, "unless_symbol", probe_symbol);
		if (!out->unless_symbol)
			return -1;
	}
	out->kind = PYTHON_TAPS_RESUME;
	out->frame_at = (int32_t)value;
	return 0;
}

static int read_entry(const struct probe_reader *r, const struct probe_place *at,
		      const json_t *taps, struct python_taps *out)
{
	static const char *const keys[] = { "kind",	      "function",    "frame_argument",
					    "throw_argument", "frame.lasti", NULL };
	const struct probe_place here = { at, "frame.lasti", 0 };
	json_int_t value, frame, throw;

	if (probe_object(r, at, taps, keys) ||
	    probe_integer(r, at, taps, "frame_argument", 1, 6, &frame) ||
	    probe_integer(r, at, taps, "throw_argument", 1, 6, &throw) ||
	    probe_integer(r, at, taps, "frame.lasti", 0, FRAME_MAX, &value))
		return -1;
	if (value % 4)
		return probe_fail(r, &here, "is %lld, not a multiple of 4 (it is an int)",
				  (long long)value);
	if (frame == throw)
		return probe_fail(r, at, "frame_argument and throw_argument must differ");
	out->kind = PYTHON_TAPS_ENTRY;
	out->frame_argument = (unsigned int)frame;
	out->throw_argument = (unsigned int) throw;
	out->frame_at = (int32_t)value;
	return 0;
}

int python_taps_read(const struct probe_reader *r, const json_t *root, struct python_taps *out)
{
	const struct probe_place at = { NULL, "taps", 0 }, here = { &at, "kind", 0 };
	const json_t *taps = json_object_get(root, "taps");
	const char *kind;

	memset(out, 0, sizeof(*out));
	if (!taps)
		return 0;
	if (!json_is_object(taps))
		return probe_fail(r, &at, "must be an object");
	kind = probe_string(r, &at, taps, "kind", NULL);
	if (!kind)
		return -1;
	out->function = probe_string(r, &at, taps, "function", probe_symbol);
	if (!out->function)
		return -1;
	if (!strcmp(kind, "resume-handlers"))
		return read_resume(r, &at, taps, out);
	if (!strcmp(kind, "function-entry"))
		return read_entry(r, &at, taps, out);
	return probe_fail(r, &here, "'%s' is unknown (use resume-handlers or function-entry)",
			  probe_show(kind));
}
