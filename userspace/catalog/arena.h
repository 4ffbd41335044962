/* Memory that is taken piece by piece and given back at once. */
#ifndef DAYLIGHT_CATALOG_ARENA_H
#define DAYLIGHT_CATALOG_ARENA_H

#include <stddef.h>

struct arena_block;

/* Zero-initialised is empty. */
struct arena {
	struct arena_block *blocks;
	size_t left; /* bytes free in the first block */
};

/* Zeroed memory, aligned for any type, or NULL when memory is short. */
void *arena_alloc(struct arena *a, size_t size);
void arena_release(struct arena *a);

#endif
