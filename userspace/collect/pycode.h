/*
 * The canonical form of a Python code object, and its digest: equal for the object in the memory of
 * a process and for the same code in a compiled file. Fed by pymemory.c and pymarshal.c.
 *
 * In the digest are the pyc magic, the counts of arguments, the stack size, the flags, the bytecode
 * as the compiler wrote it, the constants with their types, the names, the names and kinds of the
 * variables, the exception table, name and qualified name. Not in it: file name and lines. A code
 * object among the constants counts by its names alone: it is a function of its own.
 * docs/evidence.md says the same to readers of a report.
 */
#ifndef DAYLIGHT_COLLECT_PYCODE_H
#define DAYLIGHT_COLLECT_PYCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct python_code; /* catalog/python_opcodes.h */

enum pycode_type {
	PYCODE_ABSENT = '-', /* this version has no such field */
	PYCODE_NONE = 'N',
	PYCODE_ELLIPSIS = 'E',
	PYCODE_TRUE = 'T',
	PYCODE_FALSE = 'F',
	PYCODE_INT = 'i', /* '+' or '-', then the magnitude, little endian, shortest form */
	PYCODE_FLOAT = 'f', /* as in memory: 8 bytes */
	PYCODE_COMPLEX = 'c', /* 16 bytes */
	PYCODE_BYTES = 'b',
	PYCODE_TEXT = 'u', /* UTF-8; lone surrogates are encoded like other code points */
	PYCODE_TUPLE = 't',
	PYCODE_FROZENSET = 's',
	PYCODE_CODE = 'k',
};

#define PYCODE_INLINE 64 /* longer contents are kept as their digest */

/* A value in canonical form. Two are the same only if they are the same bytes. */
struct pycode_value {
	uint64_t length; /* of the content; items of a tuple or frozenset */
	uint8_t type; /* enum pycode_type */
	uint8_t data[PYCODE_INLINE]; /* the rest zeros */
};

/* A code point as UTF-8, lone surrogates too; returns its bytes. */
size_t pycode_utf8(uint8_t out[4], uint32_t c);

/* Each returns 0, or -1 when memory or libcrypto fails. */
int pycode_value(struct pycode_value *out, enum pycode_type type, const void *data, size_t len);
int pycode_int(struct pycode_value *out, bool negative, const uint32_t *digits, size_t count,
	       unsigned int digit_bits);
/* items is sorted by it when type is PYCODE_FROZENSET. */
int pycode_items(struct pycode_value *out, enum pycode_type type, struct pycode_value *items,
		 size_t count);
/* A code object that is a constant. */
int pycode_constant(struct pycode_value *out, const struct pycode_value *name,
		    const struct pycode_value *qualname);

struct pycode {
	uint32_t argcount, posonlyargcount, kwonlyargcount, stacksize, flags;
	const uint8_t *code; /* not specialised or specialised */
	size_t code_len;
	struct pycode_value consts, names, exceptiontable, name, qualname;
	/* localsplusnames, localspluskinds, absent; or varnames, freevars, cellvars */
	struct pycode_value variables[3];
};

/* Everything 0 and absent. */
void pycode_begin(struct pycode *c);

/*
 * The digest for this magic. Returns NULL, or why there is none: "instrumented" (a tool watches the
 * code, and the original instructions are kept elsewhere), "damaged" (cut in the middle of an
 * instruction), "failed" (no memory).
 */
const char *pycode_digest(const struct python_code *how, unsigned int magic,
			  const struct pycode *code, uint8_t out[DIGEST_SIZE]);

#endif
