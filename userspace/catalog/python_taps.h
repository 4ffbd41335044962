/*
 * Where a CPython version starts its functions: object `taps` of probes/python/NAME.json
 * (docs/probe-schema.md). Knowledge only; userspace/collect/taps.h finds the places in a process.
 */
#ifndef DAYLIGHT_CATALOG_PYTHON_TAPS_H
#define DAYLIGHT_CATALOG_PYTHON_TAPS_H

#include <stddef.h>
#include <stdint.h>

#define PYTHON_TAPS_OPCODES 4

enum python_taps_kind {
	PYTHON_TAPS_NONE, /* nothing is known of this version */
	PYTHON_TAPS_RESUME, /* the handlers of opcodes that every start and every resume executes */
	PYTHON_TAPS_ENTRY, /* the entry of the evaluation function */
};

struct python_taps {
	enum python_taps_kind kind;
	const char *function; /* the evaluation function's symbol */
	/* A symbol of builds that also run functions in a way that passes no tap; NULL: none. */
	const char *unless_symbol;
	/* RESUME: opcodes whose handlers are tapped; with oparg 0 they are a function's start. */
	uint8_t opcodes[PYTHON_TAPS_OPCODES];
	size_t opcodes_count;
	/* RESUME: in the frame, a pointer to the code word that runs: the handler stores it first.
	 * ENTRY: in the frame, the index of the last instruction, 4 bytes; -1 at a function's
	 * start.
	 */
	int32_t frame_at;
	/* ENTRY: which argument of the function, from 1, is the frame; which one says (not 0, 4
	 * bytes) that an exception is thrown in, so that nothing starts.
	 */
	unsigned int frame_argument, throw_argument;
};

#endif
