/*
 * Finds where a function of a library returns, by disassembling it: its instructions one after the
 * other, as far as the table of frame descriptions says that it goes, and the same of the parts and
 * functions that it jumps to. Only looks at buffers; every byte of them may be hostile.
 */
#ifndef DAYLIGHT_COLLECT_TLS_CODE_H
#define DAYLIGHT_COLLECT_TLS_CODE_H

#include <stdbool.h>

#include "collect/taps_code.h"

#define TLS_CODE_RETURNS 96 /* of one function */
#define TLS_CODE_PARTS 32 /* that a function may have or jump to */
#define TLS_CODE_JUMPS 8 /* out of the file */
#define TLS_CODE_PART_MAX ((uint64_t)1 << 20) /* bytes */

/* Where functions begin, as the frame descriptions say; sorted. */
struct tls_code_starts {
	const uint64_t *at;
	size_t count;
};

struct tls_code_ends {
	uint64_t returns[TLS_CODE_RETURNS];
	size_t count;
	/* Places of pointers that it jumps through; the address of the function is not here. */
	uint64_t jumps[TLS_CODE_JUMPS];
	size_t jumps_count;
	bool computed; /* it jumps to an address in a register: a switch, or another function */
};

/*
 * From the functions at `entries` on (the first one is the function itself). 0, or -1 and *why.
 */
int tls_code_ends(const struct taps_code *code, const struct tls_code_starts *starts,
		  const uint64_t *entries, size_t entries_count, struct tls_code_ends *out,
		  const char **why);

/* The constant address that a function returns, when it does nothing else; or 0. */
uint64_t tls_code_constant(const struct taps_code *code, uint64_t function);

#endif
