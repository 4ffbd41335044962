/*
 * What an ELF file says about unwinding and about names: call-frame rows from its .eh_frame (or
 * .debug_frame), functions from its symbol tables and its table of frame descriptions. The file is
 * hostile; it is read, never mapped. Addresses are as linked. Rows and functions are cached by
 * address: call sites come again. x86-64 only. Used by one thread at a time.
 */
#ifndef DAYLIGHT_COLLECT_UNWIND_FILE_H
#define DAYLIGHT_COLLECT_UNWIND_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DWARF numbers of x86-64 registers. The first 16 are the general ones. */
enum unwind_register {
	UNWIND_RBX = 3,
	UNWIND_RBP = 6,
	UNWIND_RSP = 7,
	UNWIND_R12 = 12,
	UNWIND_R13,
	UNWIND_R14,
	UNWIND_R15,
	UNWIND_RIP,
	UNWIND_REGISTERS,
};

/* Registers that a function gives back as it found them. */
#define UNWIND_SAVED 6
extern const uint8_t unwind_saved[UNWIND_SAVED];

enum unwind_how {
	UNWIND_SAME, /* the caller's value is this frame's */
	UNWIND_UNDEFINED, /* of rip: nobody called */
	UNWIND_AT, /* lies at CFA + offset */
	UNWIND_VALUE, /* is CFA + offset; of the CFA itself: register + offset */
	UNWIND_OTHER, /* is in another register */
	UNWIND_PLACE, /* lies where the expression says */
	UNWIND_COMPUTED, /* is what the expression says */
	UNWIND_UNKNOWN,
};

/* An operation of a DWARF expression. */
struct unwind_operation {
	uint8_t atom;
	int64_t first, second;
};

#define UNWIND_OPERATIONS 24

struct unwind_rule {
	uint8_t how;
	uint8_t reg;
	uint8_t count; /* of operations */
	int64_t offset;
	struct unwind_operation *operations;
};

struct unwind_row {
	struct unwind_rule cfa, rip, saved[UNWIND_SAVED];
	bool signal; /* the frame of a signal: its caller was interrupted, not calling */
	uint64_t function; /* first byte of the function */
	const char *name; /* its symbol, "" for none; lives as long as the file */
};

struct unwind_file;

/* Takes a copy of the descriptor. NULL: not a file whose code can be unwound. */
struct unwind_file *unwind_file_open(int fd);
void unwind_file_close(struct unwind_file *f);

/* The row that holds at this address, NULL: none. Lives until the next call for this file. */
const struct unwind_row *unwind_file_row(struct unwind_file *f, uint64_t address);

/* The address as linked of a byte of the file that is mapped executable; UINT64_MAX: none. */
uint64_t unwind_file_address(const struct unwind_file *f, uint64_t offset);

/* The notes with the build id: their place as linked, and their bytes; length 0: there are none. */
size_t unwind_file_notes(const struct unwind_file *f, uint64_t *address, const uint8_t **bytes);

/* Rows in the cache. */
size_t unwind_file_cached(const struct unwind_file *f);

#endif
