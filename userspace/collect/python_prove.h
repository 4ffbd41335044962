/*
 * The self-check of a layout in a live process, for collect/python.c: what the offsets lead to must
 * fit together in the process's own memory. The process runs on meanwhile, so what does not fit is
 * looked at a few times.
 */
#ifndef DAYLIGHT_COLLECT_PYTHON_PROVE_H
#define DAYLIGHT_COLLECT_PYTHON_PROVE_H

#include "collect/python.h"

/* Addresses in the process; 0: not known. */
struct python_places {
	uint64_t code_type, type_type;
};

/*
 * Sets out->state to PYTHON_READY, PYTHON_STARTING or PYTHON_REFUSED; out->live, address and
 * evaluator are set.
 */
void python_prove(pid_t pid, const struct python_places *places, struct python_runtime *out);

#endif
