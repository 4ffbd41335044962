/*
 * Layouts as the walk in the kernel takes them (struct wire_layout), in the order of its table.
 * Equal ones share an entry.
 */
#ifndef DAYLIGHT_COLLECT_LAYOUTS_H
#define DAYLIGHT_COLLECT_LAYOUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "catalog/catalog.h"
#include "wire.h"

struct layouts {
	struct wire_layout at[WIRE_LAYOUTS];
	size_t count;
};

/* False: the walk's reads cannot be made with this layout. */
bool layouts_convert(const struct python_layout *layout, struct wire_layout *out);

/* The layout's place in the table, or -1: it cannot be used, or the table is full. */
int layouts_place(struct layouts *table, const struct python_layout *layout);

#endif
