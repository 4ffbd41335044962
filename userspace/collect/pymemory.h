/*
 * Reads a code object from the memory of a live process, and digests it (pycode.h). The process
 * runs on meanwhile, and may lie: all reads are bounded, each object's type must be the
 * interpreter's own, and a digest counts only if two reads in a row give it.
 */
#ifndef DAYLIGHT_COLLECT_PYMEMORY_H
#define DAYLIGHT_COLLECT_PYMEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"

struct python_layout; /* catalog/catalog.h */

/* ---- the interpreter's own objects ---- */

/* Addresses in the process; 0: not there. T(member, symbol): */
/* clang-format off */
#define PYMEMORY_TYPES(T)                                                                          \
	T(code, "PyCode_Type") T(tuple, "PyTuple_Type") T(text, "PyUnicode_Type")                  \
	T(bytes, "PyBytes_Type") T(integer, "PyLong_Type") T(real, "PyFloat_Type")                 \
	T(imaginary, "PyComplex_Type") T(frozenset, "PyFrozenSet_Type")                            \
	T(none, "_Py_NoneStruct") T(ellipsis, "_Py_EllipsisObject") T(yes, "_Py_TrueStruct")       \
	T(no, "_Py_FalseStruct") T(optimize, "Py_OptimizeFlag")
/* clang-format on */

struct pymemory_types {
#define PYMEMORY_TYPE_MEMBER(name, symbol) uint64_t name;
	PYMEMORY_TYPES(PYMEMORY_TYPE_MEMBER)
};

/*
 * Finds them in the interpreter's file `library` (as the process sees it) and its mapping. Returns
 * 0, or -1 when it cannot be read or one of them is missing.
 */
int pymemory_types(pid_t pid, const char *library, struct pymemory_types *out);

/* ---- code objects ---- */

/* What the object must show, before and after it is read. UTF-8, as in pycode.h. */
struct pymemory_expected {
	const char *filename, *name;
	size_t filename_len, name_len;
	bool filename_cut, name_cut; /* these are the beginning of it */
	uint32_t line;
};

/* NULL, or why the objects of this process are not read: "no-opcodes". */
const char *pymemory_supported(const struct python_layout *layout);

/*
 * Digests the code object at `address`. Returns NULL, or why there is none: "gone" (the process
 * has ended, or another object is there), "unsupported-constant" (of no type that compilers make),
 * "too-large", "unsteady" (two reads differ, again and again), or as pycode_digest.
 */
const char *pymemory_read(pid_t pid, const struct python_layout *layout,
			  const struct pymemory_types *types, uint64_t address,
			  const struct pymemory_expected *expected, uint8_t out[DIGEST_SIZE]);

#endif
