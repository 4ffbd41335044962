/*
 * Unwinds a copy of a thread's stack by call-frame rows. Pure: memory and rows are given. The copy
 * is hostile: every step goes outward, stays inside the copy, and their number is bounded.
 */
#ifndef DAYLIGHT_COLLECT_UNWIND_WALK_H
#define DAYLIGHT_COLLECT_UNWIND_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collect/unwind_file.h"
#include "wire.h"

#define UNWIND_FRAMES 1024

struct unwind_stack {
	const uint8_t *bytes; /* from the stack pointer */
	size_t length;
	uint64_t registers[UNWIND_REGISTERS];
	uint32_t valid; /* bit per register: its value is known */
};

struct unwind_frame {
	uint32_t module; /* as the finder says */
	uint64_t function; /* its first byte as linked */
	const char *name; /* symbol or "" */
};

/*
 * Finds the row of an address in the process and says whose it is. NULL: nothing is known there.
 * The row is used before the next call.
 */
struct unwind_finder {
	const struct unwind_row *(*find)(void *ctx, uint64_t address, uint32_t *module);
	void *ctx;
};

struct unwind_result {
	struct unwind_frame frames[UNWIND_FRAMES]; /* innermost first */
	size_t count;
	bool complete; /* came to a frame that says that nobody called it */
	/*
	 * All that the walk hung on besides ip, as the kernel side checks it (bpf/wire.h). Words
	 * that did not fit: site_ok is false.
	 */
	struct wire_site site;
	bool site_ok;
};

void unwind_walk(const struct unwind_stack *stack, const struct unwind_finder *finder,
		 struct unwind_result *out);

#endif
