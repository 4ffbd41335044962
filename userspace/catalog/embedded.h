/* The probe files inside the binary: written by tools/embed.py into build/gen/probes_embedded.c. */
#ifndef DAYLIGHT_CATALOG_EMBEDDED_H
#define DAYLIGHT_CATALOG_EMBEDDED_H

#include <stddef.h>

struct catalog_embedded {
	const char *name; /* relative to probes/: "python/cpython-3.11.json" */
	const unsigned char *data;
	size_t size;
};

/* Sorted by name. */
extern const struct catalog_embedded catalog_embedded[];
extern const size_t catalog_embedded_count;

#endif
