/*
 * What the sources of loaded modules define. A file is read once, as long as it is shown not to
 * have changed since a process may have loaded it.
 */
#ifndef DAYLIGHT_COLLECT_PATCH_SOURCES_H
#define DAYLIGHT_COLLECT_PATCH_SOURCES_H

#include "collect/processes.h"
#include "collect/pydefs.h"

enum patch_source_state {
	PATCH_SOURCE_READ,
	PATCH_SOURCE_MISSING, /* no file, or one that cannot be read */
	PATCH_SOURCE_CHANGED, /* the file changed after it may have been loaded */
	PATCH_SOURCE_NOT_PYTHON, /* the text cannot be understood */
	PATCH_SOURCE_STATES
};

struct patch_sources;

struct patch_sources *patch_sources_new(void);
void patch_sources_free(struct patch_sources *p);
/* *out lives until the next call; set only when the source is read. path: as the process has it. */
enum patch_source_state patch_sources_find(struct patch_sources *p, const struct process *process,
					   const char *path, const struct pydefs **out);

#endif
