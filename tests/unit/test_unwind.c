/*
 * Unwinding: a walk over stacks and rows of our own, hostile ones among them; what a walk hangs on;
 * rows and functions of real and of damaged ELF files; Python and native frames in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <dwarf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "collect/unwind_file.h"
#include "collect/unwind_mix.h"
#include "collect/unwind_walk.h"

/* ---- a walk ---- */

#define SP 0x7ffc00001000ULL
#define WORDS 64

static uint64_t words[WORDS];
static struct unwind_stack stack;
static struct unwind_result result;

/* Functions of 256 bytes at 0x10000, 0x10100, ...; each has one row. */
static struct unwind_row rows[16];

static const struct unwind_row *find(void *ctx, uint64_t address, uint32_t *module)
{
	size_t at = (address - 0x10000) / 256;

	(void)ctx;
	*module = 7;
	return address >= 0x10000 && at < 16 && rows[at].function ? &rows[at] : NULL;
}

static const struct unwind_finder finder = { find, NULL };

static struct unwind_row *row(size_t i, uint8_t reg, int64_t offset)
{
	struct unwind_row *r = &rows[i];

	memset(r, 0, sizeof(*r));
	r->function = 0x10000 + 256 * i;
	r->name = "";
	r->cfa.how = UNWIND_VALUE;
	r->cfa.reg = reg;
	r->cfa.offset = offset;
	r->rip.how = UNWIND_AT;
	r->rip.offset = -8;
	return r;
}

static uint64_t in(size_t i)
{
	return 0x10000 + 256 * i + 5;
}

static int prepare(void **state)
{
	(void)state;
	memset(words, 0, sizeof(words));
	memset(rows, 0, sizeof(rows));
	memset(&stack, 0, sizeof(stack));
	stack.bytes = (const uint8_t *)words;
	stack.length = sizeof(words);
	stack.registers[UNWIND_RSP] = SP;
	stack.registers[UNWIND_RIP] = in(0);
	stack.valid = 1u << UNWIND_RSP | 1u << UNWIND_RIP | 1u << UNWIND_RBP;
	return 0;
}

static void walk(size_t frames, bool complete)
{
	unwind_walk(&stack, &finder, &result);
	assert_int_equal(result.count, frames);
	assert_int_equal(result.complete, complete);
	for (size_t i = 0; i < result.count; i++)
		assert_int_equal(result.frames[i].module, 7);
}

static void to_the_end(void **state)
{
	(void)state;
	row(0, UNWIND_RSP, 8);
	row(1, UNWIND_RSP, 24);
	row(2, UNWIND_RSP, 8)->rip.how = UNWIND_UNDEFINED;
	words[0] = in(1);
	words[3] = in(2);
	walk(3, true);
	assert_int_equal(result.frames[1].function, 0x10100);
	assert_true(result.site_ok);
	assert_int_equal(result.site.count, 2);
	assert_int_equal(result.site.slots[0], 0);
	assert_int_equal(result.site.slots[1], 3);
	assert_int_equal(result.site.hash, wire_site_mix(wire_site_mix(0, in(1)), in(2)));
}

/* A function that ends in a call: its return address is the next function's first byte. */
static void last_call(void **state)
{
	(void)state;
	row(0, UNWIND_RSP, 8);
	row(1, UNWIND_RSP, 8)->rip.how = UNWIND_UNDEFINED;
	row(2, UNWIND_RSP, 8);
	words[0] = 0x10200;
	walk(2, true);
	assert_int_equal(result.frames[1].function, 0x10100);
}

/* The frame above a signal's was interrupted where it says. */
static void after_signal(void **state)
{
	(void)state;
	row(0, UNWIND_RSP, 8);
	row(1, UNWIND_RSP, 8)->signal = true;
	row(2, UNWIND_RSP, 8)->rip.how = UNWIND_UNDEFINED;
	words[0] = in(1);
	words[1] = 0x10200;
	walk(3, true);
	assert_int_equal(result.frames[2].function, 0x10200);
}

static void frame_pointer(void **state)
{
	struct unwind_row *r;

	(void)state;
	row(0, UNWIND_RSP, 8);
	r = row(1, UNWIND_RBP, 16);
	r->saved[1].how = UNWIND_AT;
	r->saved[1].offset = -16;
	row(2, UNWIND_RBP, 16)->saved[1].how = UNWIND_AT;
	row(3, UNWIND_RSP, 8)->rip.how = UNWIND_UNDEFINED;
	stack.registers[UNWIND_RBP] = SP + 8 * 4;
	words[0] = in(1);
	words[4] = SP + 8 * 10; /* rbp of the caller */
	words[5] = in(2);
	words[11] = in(3);
	walk(4, true);
	/* What rbp was is part of what the walk hangs on. */
	assert_int_equal(result.site.count, 5);
	assert_int_equal(result.site.slots[1], WIRE_SLOT_BP << WIRE_SLOT_BITS);
	assert_int_equal(result.site.slots[3], WIRE_SLOT_RELATIVE << WIRE_SLOT_BITS | 4);
	stack.valid &= ~(1u << UNWIND_RBP);
	walk(2, false);
}

static void expressions(void **state)
{
	/* As in a PLT: sp + 8 + 8 * (rip % 16 >= 11). */
	struct unwind_operation plt[] = {
		{ DW_OP_breg7, 8, 0 }, { DW_OP_breg16, 0, 0 }, { DW_OP_lit15, 0, 0 },
		{ DW_OP_and, 0, 0 },   { DW_OP_lit11, 0, 0 },  { DW_OP_ge, 0, 0 },
		{ DW_OP_lit3, 0, 0 },  { DW_OP_shl, 0, 0 },    { DW_OP_plus, 0, 0 },
	};
	struct unwind_operation context[] = { { DW_OP_breg7, 16, 0 }, { DW_OP_deref, 0, 0 } };
	struct unwind_row *r = row(0, 0, 0);

	(void)state;
	r->cfa = (struct unwind_rule){ .how = UNWIND_COMPUTED, .count = 9, .operations = plt };
	row(1, UNWIND_RSP, 8)->rip.how = UNWIND_UNDEFINED;
	words[0] = in(1);
	walk(2, true);
	stack.registers[UNWIND_RIP] = 0x1000b;
	words[0] = 0;
	words[1] = in(1);
	walk(2, true);
	/* As in a signal's frame: the stack pointer lies in memory. */
	r->cfa = (struct unwind_rule){ .how = UNWIND_COMPUTED, .count = 2, .operations = context };
	words[2] = SP + 8 * 6;
	words[5] = in(1);
	walk(2, true);
	assert_int_equal(result.site.slots[0], WIRE_SLOT_RELATIVE << WIRE_SLOT_BITS | 2);
	words[2] = SP + 8 * 6000;
	walk(1, false);
}

static void hostile_expressions(void **state)
{
	struct unwind_operation ops[UNWIND_OPERATIONS];
	struct unwind_row *r = row(0, 0, 0);
	uint32_t random = 12345;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		for (int i = 0; i < UNWIND_OPERATIONS; i++) {
			random = random * 1664525 + 1013904223;
			ops[i].atom = (uint8_t)(random >> 24);
			ops[i].first = (int64_t)(random >> 3) * (random & 1 ? -1 : 1);
			ops[i].second = (int64_t)random << 20;
		}
		r->cfa = (struct unwind_rule){ .how = UNWIND_COMPUTED,
					       .count = (uint8_t)(random % UNWIND_OPERATIONS),
					       .operations = ops };
		r->rip.how = random & 2 ? UNWIND_PLACE : UNWIND_AT;
		r->rip.count = r->cfa.count;
		r->rip.operations = ops;
		unwind_walk(&stack, &finder, &result);
		assert_int_equal(result.count, 1);
	}
}

static void inward(void **state)
{
	(void)state;
	row(0, UNWIND_RSP, 0); /* no step at all */
	words[0] = in(0);
	walk(1, false);
	row(0, UNWIND_RSP, -8);
	walk(1, false);
	row(0, UNWIND_RSP, 12);
	walk(1, false);
	row(0, UNWIND_RSP, INT64_MIN);
	walk(1, false);
	row(0, UNWIND_RSP, INT64_MAX);
	walk(1, false);
	row(0, UNWIND_RSP, 8)->rip.offset = 8 * WORDS;
	walk(1, false);
	row(0, UNWIND_RSP, 8)->rip.offset = -16;
	walk(1, false);
	row(0, UNWIND_RSP, 8)->rip.how = UNWIND_SAME;
	walk(1, false);
}

/* A function that seems to have called itself from every word. */
static void endless(void **state)
{
	(void)state;
	row(0, UNWIND_RSP, 8);
	for (size_t i = 0; i < WORDS; i++)
		words[i] = in(0);
	walk(WORDS + 1, false);
	assert_true(result.site_ok);
	stack.length = 12;
	walk(2, false);
	stack.length = 0;
	walk(1, false);
}

static void too_many_words(void **state)
{
	static uint64_t many[2 * UNWIND_FRAMES];

	(void)state;
	row(0, UNWIND_RSP, 8);
	for (size_t i = 0; i < 2 * UNWIND_FRAMES; i++)
		many[i] = in(0);
	stack.bytes = (const uint8_t *)many;
	stack.length = sizeof(many);
	walk(UNWIND_FRAMES, false);
	assert_false(result.site_ok);
	assert_int_equal(result.site.count, WIRE_SITE_SLOTS);
}

static void nothing_known(void **state)
{
	(void)state;
	walk(0, false);
	stack.registers[UNWIND_RIP] = 0;
	walk(0, false);
}

/* ---- files ---- */

__attribute__((noinline)) int test_unwind_landmark(int a);

int test_unwind_landmark(int a)
{
	char text[64];

	snprintf(text, sizeof(text), "%d", a);
	return (int)strlen(text);
}

static uint64_t bias;

static int own_bias(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	(void)data;
	bias = info->dlpi_addr;
	return 1; /* the program comes first */
}

static void own_file(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct unwind_file *f = unwind_file_open(fd);
	const struct unwind_row *found;
	uint64_t address, at;
	const uint8_t *notes;

	(void)state;
	close(fd);
	assert_non_null(f);
	dl_iterate_phdr(own_bias, NULL);
	address = (uint64_t)(uintptr_t)test_unwind_landmark - bias;
	found = unwind_file_row(f, address);
	assert_non_null(found);
	/* At its first byte the return address is on top of the stack. */
	assert_int_equal(found->cfa.how, UNWIND_VALUE);
	assert_int_equal(found->cfa.reg, UNWIND_RSP);
	assert_int_equal(found->cfa.offset, 8);
	assert_int_equal(found->rip.how, UNWIND_AT);
	assert_int_equal(found->rip.offset, -8);
	for (size_t i = 0; i < UNWIND_SAVED; i++)
		assert_int_equal(found->saved[i].how, UNWIND_SAME);
	assert_int_equal(found->function, address);
	assert_string_equal(found->name, "test_unwind_landmark");
	assert_int_equal(unwind_file_cached(f), 1);
	assert_ptr_equal(unwind_file_row(f, address), found);
	assert_int_equal(unwind_file_cached(f), 1);
	/* Not code. */
	assert_null(unwind_file_row(f, 0));
	assert_null(unwind_file_row(f, UINT64_MAX));
	assert_null(unwind_file_row(f, UINT64_MAX));
	assert_int_equal(unwind_file_cached(f), 3);
	assert_int_equal(unwind_file_address(f, UINT64_MAX), UINT64_MAX);
	assert_int_equal(unwind_file_address(f, 0), UINT64_MAX);
	unwind_file_notes(f, &at, &notes);
	unwind_file_close(f);
}

static void cache_is_bounded(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct unwind_file *f = unwind_file_open(fd);

	(void)state;
	close(fd);
	assert_non_null(f);
	for (uint64_t i = 0; i < 40000; i++)
		assert_null(unwind_file_row(f, 0x7f0000000000 + i));
	assert_true(unwind_file_cached(f) <= 32768);
	unwind_file_close(f);
}

static int memory_file(const uint8_t *data, size_t len)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	return fd;
}

static void not_a_file(void **state)
{
	int fd = memory_file((const uint8_t *)"#!/bin/sh\n", 10);

	(void)state;
	assert_null(unwind_file_open(fd));
	close(fd);
	assert_null(unwind_file_open(-1));
	fd = memory_file((const uint8_t *)"\177ELF\2\1\1", 7);
	assert_null(unwind_file_open(fd));
	close(fd);
}

/* libelf forgets some of what it read of a damaged file. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:__libelf_set_rawdata_wrlock";
}

/* Bytes of a small library are changed, or its end is missing: whatever comes of it, it ends. */
static void damaged_files(void **state)
{
	void *libm = dlopen("libdl.so.2", RTLD_NOW);
	struct link_map *map = NULL;
	struct bytes file = BYTES_INIT;
	uint32_t random = 99;
	size_t opened = 0;
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(libm);
	assert_int_equal(dlinfo(libm, RTLD_DI_LINKMAP, &map), 0);
	fd = open(map->l_name, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(bytes_reserve(&file, (size_t)st.st_size), 0);
	assert_int_equal(read(fd, file.data, (size_t)st.st_size), st.st_size);
	close(fd);
	dlclose(libm);
	for (int round = 0; round < 600; round++) {
		uint8_t *copy = malloc((size_t)st.st_size);
		size_t len = (size_t)st.st_size;
		struct unwind_file *f;

		assert_non_null(copy);
		memcpy(copy, file.data, len);
		for (int i = 0; i < 1 + round % 64; i++) {
			random = random * 1664525 + 1013904223;
			copy[(random >> 8) % (round % 3 ? len : 1024)] = (uint8_t)random;
		}
		if (round % 5 == 4)
			len = (random >> 4) % len;
		/* Else few would still be taken for ELF. */
		memcpy(copy, file.data, 20);
		fd = memory_file(copy, len);
		f = unwind_file_open(fd);
		close(fd);
		free(copy);
		if (!f)
			continue;
		opened++;
		for (uint64_t at = 0; at < (uint64_t)st.st_size; at += 97) {
			const struct unwind_row *r = unwind_file_row(f, unwind_file_address(f, at));

			if (r) {
				rows[0] = *r;
				assert_true(strlen(r->name) <= 1024);
				unwind_walk(&stack, &finder, &result);
			}
		}
		unwind_file_close(f);
	}
	assert_true(opened > 50);
	bytes_release(&file);
}

/* ---- order ---- */

static void mixed(void **state)
{
	static const struct unwind_part native[] = { { 1, false }, { 2, true }, { 3, false },
						     { 4, false }, { 5, true }, { 6, false } };
	static const struct unwind_part python[] = { { 11, false }, { 12, true }, { 13, true } };
	static const uint64_t want[] = { 1, 11, 12, 2, 3, 4, 13, 5, 6 };
	uint64_t out[16];

	(void)state;
	assert_int_equal(unwind_mix(native, 6, python, 3, out), 9);
	assert_memory_equal(out, want, sizeof(want));
	/* Python frames are left, or there are too few: nothing is guessed. */
	assert_int_equal(unwind_mix(native, 4, python, 3, out), 0);
	assert_int_equal(unwind_mix(native, 6, python, 2, out), 0);
	assert_int_equal(unwind_mix(native, 6, python, 1, out), 0);
	assert_int_equal(unwind_mix(native, 6, NULL, 0, out), 0);
	assert_int_equal(unwind_mix(NULL, 0, python, 3, out), 0);
	assert_int_equal(unwind_mix(native, 1, NULL, 0, out), 1);
	assert_int_equal(unwind_mix(NULL, 0, NULL, 0, out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(to_the_end, prepare),
		cmocka_unit_test_setup(last_call, prepare),
		cmocka_unit_test_setup(after_signal, prepare),
		cmocka_unit_test_setup(frame_pointer, prepare),
		cmocka_unit_test_setup(expressions, prepare),
		cmocka_unit_test_setup(hostile_expressions, prepare),
		cmocka_unit_test_setup(inward, prepare),
		cmocka_unit_test_setup(endless, prepare),
		cmocka_unit_test_setup(too_many_words, prepare),
		cmocka_unit_test_setup(nothing_known, prepare),
		cmocka_unit_test(own_file),
		cmocka_unit_test(cache_is_bounded),
		cmocka_unit_test(not_a_file),
		cmocka_unit_test_setup(damaged_files, prepare),
		cmocka_unit_test(mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
