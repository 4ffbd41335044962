/*
 * Finds the CPython runtime of a live process, its version and its layout, and proves the layout
 * in that process before anything is walked with it. What cannot be proven is refused.
 */
#ifndef DAYLIGHT_COLLECT_PYTHON_H
#define DAYLIGHT_COLLECT_PYTHON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "catalog/catalog.h"

enum python_state {
	PYTHON_NONE, /* no interpreter is mapped */
	PYTHON_STARTING, /* mapped, not initialised yet: ask again */
	PYTHON_READY,
	PYTHON_REFUSED, /* `why` says so */
};

struct python_runtime {
	enum python_state state;
	const struct python_layout *layout;
	uint64_t address; /* of _PyRuntime */
	char version[32]; /* "3.11.2"; "" unknown */
	char why[160];
	char library[512]; /* file that holds it, as the process sees it */
};

void python_find(pid_t pid, const struct catalog *catalog, struct python_runtime *out);

#endif
