/*
 * How a CPython version keeps code objects and constants in memory, and how its bytecode is brought
 * back to what the compiler wrote: the object `code` of probes/python/NAME.json
 * (docs/probe-schema.md; written by tools/python-opcodes).
 */
#ifndef DAYLIGHT_CATALOG_PYTHON_OPCODES_H
#define DAYLIGHT_CATALOG_PYTHON_OPCODES_H

#include <stdbool.h>
#include <stdint.h>

#include "catalog/probe_json.h"

/*
 * Offsets in bytes; -1: this version has no such field. Those of the bytecode itself and of the
 * names are in the layout.
 */
/* clang-format off */
#define PYTHON_CODE_OFFSETS(O)                                                                     \
	O(code_argcount) O(code_posonlyargcount) O(code_kwonlyargcount) O(code_stacksize)          \
	O(code_consts) O(code_names) O(code_localsplusnames)                                       \
	O(code_localspluskinds) O(code_varnames) O(code_freevars) O(code_cellvars)                 \
	O(code_exceptiontable) O(var_size) O(tuple_items) O(bytes_data) O(float_value)             \
	O(complex_value) O(long_tag) O(long_digits) O(set_used) O(set_mask) O(set_table)
/* clang-format on */

struct python_code {
#define PYTHON_CODE_MEMBER(name) int32_t name;
	PYTHON_CODE_OFFSETS(PYTHON_CODE_MEMBER)
	int32_t digit_size; /* bytes of a digit of an int: 4 (30 bits) or 2 (15 bits) */
	int32_t setentry_size;
	bool specialises; /* writes into its bytecode; if not, the three below say nothing */
	uint8_t base[256]; /* the opcode that this one stands for */
	uint8_t caches[256]; /* code units behind a base opcode that hold no instructions */
	bool unreadable[256]; /* the instruction is kept in another place */
};

/*
 * Reads member `code` of a layout file; NULL *out when there is none. In r's arena. 0, or -1 with
 * r->err set.
 */
int python_opcodes_read(const struct probe_reader *r, const json_t *root,
			const struct python_code **out);

#endif
