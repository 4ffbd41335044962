/*
 * Symbols of an interpreter's file, for collect/python.c: dynamic ones, and local ones where the
 * file was not stripped. Addresses are as linked.
 */
#ifndef DAYLIGHT_COLLECT_PYTHON_ELF_H
#define DAYLIGHT_COLLECT_PYTHON_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct python_symbol {
	const char *name;
	uint64_t address; /* 0: the file does not define it */
	uint64_t size;
	bool function;
};

/* How the file is mapped: of its first executable segment. */
struct python_image {
	bool fixed; /* not position independent */
	uint64_t load_offset, load_address;
};

/* Looks up all names at once. 0, or -1: not an ELF file with code. */
int python_elf_read(int fd, struct python_symbol *symbols, size_t count, struct python_image *out);

/* What to add to addresses of a file whose code is mapped at `start` from `offset` on. */
uint64_t python_elf_bias(const struct python_image *image, uint64_t start, uint64_t offset);

#define PYTHON_CODE_MAX 256 /* bytes of a function that are looked at */

/*
 * The variable that a function returns, or 0: code (size bytes) runs at `address` and must be one
 * load of a fixed place and the return, nothing else.
 */
uint64_t python_code_returns(const uint8_t *code, size_t size, uint64_t address);

/*
 * Calls back with each constant address that a function's code takes; returns the first result
 * that is not 0. Bytes that only look like such an instruction are called back too.
 */
int python_code_addresses(const uint8_t *code, size_t size, uint64_t address,
			  int (*each)(void *ctx, uint64_t constant), void *ctx);

#endif
