/*
 * Reads machine code for taps.c: follows the straight-line start of a function or of an opcode's
 * handler to the first instruction that the kernel emulates at a uprobe, and finds tables of
 * handlers. Only looks at buffers; every byte of them may be hostile.
 */
#ifndef DAYLIGHT_COLLECT_TAPS_CODE_H
#define DAYLIGHT_COLLECT_TAPS_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAPS_CODE_SPANS 4
#define TAPS_CODE_PIECES 4
#define TAPS_CODE_STEPS 48 /* instructions that are followed */
#define TAPS_CODE_PIECE_MAX (TAPS_CODE_STEPS * 15) /* bytes */
#define TAPS_CODE_OPCODES 256 /* entries of a table of handlers */

/* The executable parts of one file; addresses as in the process, or any other, all the same way. */
struct taps_code {
	struct taps_code_span {
		const uint8_t *bytes;
		size_t size;
		uint64_t address;
	} span[TAPS_CODE_SPANS];
	size_t count;
};

/* Up to size bytes at an address, or NULL. *size becomes what is there. */
const uint8_t *taps_code_at(const struct taps_code *code, uint64_t address, size_t *size);

/*
 * True when bytes start with an instruction that the kernel emulates at a uprobe instead of
 * single-stepping a copy of it (arch/x86/kernel/uprobes.c, branch_setup_xol_ops and
 * push_setup_xol_ops, Linux 6.1 and later): jumps to a fixed place, with a condition or without,
 * and pushes of a register. What it emulates besides (calls, nops) is not used as a tap.
 */
bool taps_code_emulated(const uint8_t *bytes, size_t size);

/* Where to tap, and the code that shows it. */
struct taps_code_site {
	uint64_t address; /* of the tap */
	unsigned int size; /* of the tap's instruction */
	unsigned int frame_reg; /* enum wire_register */
	uint64_t store; /* handlers: the instruction that stores into the frame; else the start */
	/* The bytes that were followed, the tap among them. */
	struct taps_code_piece {
		uint64_t from, to;
	} piece[TAPS_CODE_PIECES];
	size_t pieces;
};

/*
 * From the entry of a function: the first emulated instruction that every call executes, with the
 * registers of the mask `kept` (1 << enum wire_register) unchanged until then. 0, or -1 and *why.
 */
int taps_code_entry(const struct taps_code *code, uint64_t address, uint32_t kept,
		    struct taps_code_site *out, const char **why);

/*
 * From the start of an opcode's handler: the first emulated branch behind the one store of a
 * pointer to frame_at(register), with that register unchanged in between. 0, or -1 and *why.
 */
int taps_code_handler(const struct taps_code *code, uint64_t address, int32_t frame_at,
		      struct taps_code_site *out, const char **why);

/*
 * That no jump or call to a fixed place leads behind sites[n]'s store and up to its tap, but jumps
 * that are themselves the tap of one of the sites and have the frame in the same register.
 */
int taps_code_closed(const struct taps_code *code, const struct taps_code_site *sites, size_t count,
		     size_t n, const char **why);

/*
 * Tables of handlers among `count` words that lie at `address`: 256 pointers into the code, at
 * least half of them into the function, to which the function's code refers. Returns how many there
 * are; *first is the index of the first one.
 */
size_t taps_code_tables(const struct taps_code *code, uint64_t function, uint64_t size,
			const uint64_t *words, size_t count, uint64_t address, size_t *first);

#endif
