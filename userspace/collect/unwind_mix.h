/*
 * One stack of native and Python functions, in true order. Each activation of the interpreter's
 * evaluation function stands for the Python frames up to and including the next one that C code
 * began; its own native frame lies outside of them.
 */
#ifndef DAYLIGHT_COLLECT_UNWIND_MIX_H
#define DAYLIGHT_COLLECT_UNWIND_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unwind_part {
	uint64_t function; /* id */
	bool mark; /* native: the evaluation function; Python: C code began it */
};

/*
 * Both innermost first; out has room for both. Returns the number of frames, or 0 when the two do
 * not agree: then their order is not known.
 */
size_t unwind_mix(const struct unwind_part *native, size_t native_count,
		  const struct unwind_part *python, size_t python_count, uint64_t *out);

#endif
