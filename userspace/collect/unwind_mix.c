/* Native and Python frames of one stack. */
#include "collect/unwind_mix.h"

size_t unwind_mix(const struct unwind_part *native, size_t native_count,
		  const struct unwind_part *python, size_t python_count, uint64_t *out)
{
	size_t count = 0, next = 0;

	for (size_t i = 0; i < native_count; i++) {
		bool began = !native[i].mark;

		while (!began) {
			if (next == python_count)
				return 0;
			began = python[next].mark;
			out[count++] = python[next++].function;
		}
		out[count++] = native[i].function;
	}
	return next == python_count ? count : 0;
}
