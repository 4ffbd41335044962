/* The guideline parser on any bytes. */
#include <stdint.h>

#include "analyze/guideline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct guideline g;

	if (!guideline_parse(data, size, "input", &g, &err)) {
		for (size_t i = 0; i < g.sections_count; i++)
			if (!g.sections[i].component || !g.sections[i].section ||
			    !g.sections[i].list)
				__builtin_trap();
		guideline_release(&g);
	} else if (err.kind == ERR_NONE) {
		__builtin_trap();
	}
	return 0;
}
