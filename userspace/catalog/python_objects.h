/*
 * Where a CPython version keeps its objects: object `objects` of probes/python/NAME.json. What is
 * read with it from a live process is docs/architecture.md's "Objects". A version without it is
 * not looked into, and that is said.
 */
#ifndef DAYLIGHT_CATALOG_PYTHON_OBJECTS_H
#define DAYLIGHT_CATALOG_PYTHON_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Places in bytes; -1: the version has no such field. Names are "<struct>.<field>" in the file,
 * those of dict entries "entry.<field>" and "unicode_entry.<field>".
 */
/* clang-format off */
#define PYTHON_OBJECTS(O)                                                                          \
	O(interp, sysdict) O(var, size) O(tuple, items) O(list, items) O(dict, keys)               \
	O(dict, values) O(keys, size) O(keys, log2_index_bytes) O(keys, kind) O(keys, nentries)    \
	O(keys, indices) O(values, values) O(entry, key) O(entry, value) O(entry, size)            \
	O(unicode_entry, key) O(unicode_entry, value) O(unicode_entry, size) O(module, dict)       \
	O(type, name) O(type, flags) O(type, base) O(type, dict) O(type, qualname)                 \
	O(function, code) O(function, globals) O(function, closure) O(function, dict)              \
	O(function, qualname) O(cell, value) O(method, function) O(classmethod, callable)          \
	O(staticmethod, callable) O(property, get)
/* clang-format on */

/*
 * Code that by custom stands in another's place, by names of modules (globs). It is passed over
 * only when its file is as a package recorded it.
 */
struct python_normal {
	const char *place, *by;
};

struct python_objects {
	bool known;
#define PYTHON_OBJECTS_MEMBER(of, field) int32_t of##_##field;
	PYTHON_OBJECTS(PYTHON_OBJECTS_MEMBER)
	struct python_normal *normal;
	size_t normal_count;
};

#endif
