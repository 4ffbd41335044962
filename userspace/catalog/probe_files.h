/* Probe files on disk: read with care, for a folder may hold anything. */
#ifndef DAYLIGHT_CATALOG_PROBE_FILES_H
#define DAYLIGHT_CATALOG_PROBE_FILES_H

#include <stddef.h>

#include "base/err.h"

#define PROBE_FILES_MAX 1000 /* in one folder */

struct probe_file {
	char *name; /* "keystone.json" */
	char *path; /* as given: "DIR/services/keystone.json" */
	unsigned char *data;
	size_t size;
};

struct probe_files {
	struct probe_file *items; /* sorted by name */
	size_t count;
};

/*
 * Reads every *.json of DIR/sub (sub NULL: of DIR itself) whose name does not start with a dot.
 * Errors (ERR_USAGE): a folder that is missing or not readable, a *.json that is no regular file or
 * too large or not readable, too many files. out is released on error.
 */
int probe_files_read(const char *dir, const char *sub, struct probe_files *out, struct err *err);
void probe_files_release(struct probe_files *files);

#endif
