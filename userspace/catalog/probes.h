/* The readers of each kind of probe file, for catalog.c and the tests. */
#ifndef DAYLIGHT_CATALOG_PROBES_H
#define DAYLIGHT_CATALOG_PROBES_H

#include "catalog/catalog.h"
#include "catalog/probe_json.h"

/*
 * Read one file into *out, everything in r's arena. stem is the file's name without ".json".
 * 0, or -1 with r->err set.
 */
int python_layout_read(const struct probe_reader *r, const char *stem, const void *data,
		       size_t size, struct python_layout *out);
/* Object `taps` of a layout's document: PYTHON_TAPS_NONE when there is none. */
int python_taps_read(const struct probe_reader *r, const json_t *root, struct python_taps *out);
/* Object `objects` of a layout's document; out->known says whether there is one. */
int python_objects_read(const struct probe_reader *r, const json_t *root,
			struct python_objects *out);
int service_definition_read(const struct probe_reader *r, const char *stem, const void *data,
			    size_t size, struct service_definition *out);
int tls_library_read(const struct probe_reader *r, const char *stem, const void *data, size_t size,
		     struct tls_library *out);

#endif
