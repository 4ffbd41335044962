/*
 * Finds the CPython runtime of a live process, its version and its layout, and proves the layout
 * in that process before anything is walked with it. What cannot be proven is refused.
 *
 * A candidate is a mapped file that defines CPython's code and type objects. Its version is read
 * from memory: Py_Version (3.11 on), else the one constant that Py_GetVersion() prints. The name of
 * a file proves nothing. Refused are: a version without a layout; a build for debugging, one that
 * traces references, one without the GIL; an evaluator that was replaced (PEP 523); more than one
 * running CPython in a process.
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
	const struct python_layout *layout; /* of this version, the catalog's */
	/* The same with the offsets that the interpreter's own table has (struct python_table). */
	struct python_layout live;
	uint64_t address; /* of the layout's anchor: runtime_interpreters_head counts from here */
	uint64_t own_from, own_to; /* where the file that holds it is mapped */
	uint64_t evaluator; /* _PyEval_EvalFrameDefault; 0: not known */
	char version[32]; /* "3.11.2"; "" unknown */
	char why[160];
	char library[512]; /* file that holds it, as the process sees it */
};

void python_find(pid_t pid, const struct catalog *catalog, struct python_runtime *out);

#define PYTHON_EVALUATOR_REPLACED "the evaluator was replaced (PEP 523)"
#define PYTHON_NOT_SEEN "its Python code is not seen"

/* Does an interpreter of a ready runtime use another evaluator now? It may be set at any time. */
bool python_evaluator_replaced(pid_t pid, const struct python_runtime *runtime);

#endif
