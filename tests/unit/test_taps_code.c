/*
 * Machine code up to a tap: the shapes that compilers make, and code that is cut off, loops, hides
 * the store or is jumped into.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/taps_code.h"
#include "wire.h"

#define AT 0x401000u /* where the code lies */
#define FRAME 56

static uint8_t buffer[4096];
static struct taps_code code;
static struct taps_code_site site;
static const char *why;

/* "4c 89 7b 38 ..." becomes the code, without slack, so that ASan sees a read behind it. */
static void assemble(const char *text)
{
	static uint8_t *exact;
	size_t size = 0;

	for (char *end; *text; text = end) {
		unsigned long byte = strtoul(text, &end, 16);

		assert_true(end != text && byte < 256 && size < sizeof(buffer));
		buffer[size++] = (uint8_t)byte;
		end += strspn(end, " ");
	}
	free(exact);
	exact = malloc(size ? size : 1);
	assert_non_null(exact);
	memcpy(exact, buffer, size);
	code = (struct taps_code){ .span = { { exact, size, AT } }, .count = 1 };
	why = NULL;
}

/* ---- which instructions ---- */

static bool emulated(const char *text)
{
	assemble(text);
	return taps_code_emulated(code.span[0].bytes, code.span[0].size);
}

static void test_emulated(void **state)
{
	static const char *const yes[] = { "50",
					   "57",
					   "55",
					   "41 50",
					   "41 57",
					   "74 00",
					   "7f 80",
					   "0f 84 0 0 0 0",
					   "0f 8f 0 0 0 80",
					   "eb fe",
					   "e9 0 0 0 0" };
	/* Single-stepped, too short, or emulated on some kernels only; the call is not used. */
	static const char *const no[] = { "4f",
					  "58",
					  "41 58",
					  "41",
					  "49 50",
					  "40 50",
					  "66 50",
					  "74",
					  "0f 84 0 0 0",
					  "0f 7f 0 0 0 0",
					  "0f 90 c0 0 0 0",
					  "eb",
					  "e9 0 0 0",
					  "e8 0 0 0 0",
					  "e3 00",
					  "e2 00",
					  "ff e0",
					  "c3",
					  "cc",
					  "90",
					  "f3 0f 1e fa",
					  "66 0f 84 0 0 0 0",
					  "2e 74 00",
					  "f2 e9 0 0 0 0",
					  "4c 89 7b 38",
					  "0f",
					  "" };

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(emulated(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(emulated(no[i]));
}

/* ---- entries ---- */

#define ARGUMENTS (1U << WIRE_RSI | 1U << WIRE_RDX)

/* The distance of the tap from the entry, or -1. */
static int entry(const char *text)
{
	assemble(text);
	if (taps_code_entry(&code, AT, ARGUMENTS, &site, &why)) {
		assert_non_null(why);
		return -1;
	}
	assert_int_equal(site.pieces, 1);
	assert_int_equal(site.piece[0].from, AT);
	assert_int_equal(site.piece[0].to, site.address + site.size);
	return (int)(site.address - AT);
}

static void test_entry(void **state)
{
	(void)state;
	assert_int_equal(entry("41 57 41 56"), 0);
	assert_int_equal(site.size, 2);
	assert_int_equal(entry("55 48 89 e5"), 0);
	assert_int_equal(entry("f3 0f 1e fa 55"), 4);
	assert_int_equal(entry("0f 1f 44 00 00 41 57"), 5);
	/* sub $8,%rsp; test %rdi,%rdi; je */
	assert_int_equal(entry("48 83 ec 08 48 85 ff 74 10"), 7);
	assert_int_equal(entry("48 83 ec 08 e9 00 00 00 00"), 4);
	/* mov %rsi,%rbx reads the argument only */
	assert_int_equal(entry("48 89 f3 53"), 3);
}

static void test_entry_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"48 89 fe 55", /* mov %rdi,%rsi */
		"31 d2 55", /* xor %edx,%edx */
		"b2 01 55", /* mov $1,%dl */
		"0f a2 55", /* cpuid: not an operand */
		"e8 00 00 00 00 55", /* call */
		"ff d0 55", /* call *%rax */
		"ff e0 55", /* jmp *%rax */
		"c3 55",
		"cc 55",
		"0f 0b 55", /* ud2 */
		"f4 55", /* hlt */
		"e3 02 55", /* jrcxz */
		"e2 02 55", /* loop */
		"0f 05 55", /* syscall */
		"48 83 ec 08", /* ends */
		"48 83 ec", /* cut off */
		"0f 84 00 00 00", /* cut off */
		"41", /* cut off */
		"06 55", /* no instruction */
	};
	char nops[TAPS_CODE_STEPS * 3 + 4] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (entry(bad[i]) != -1)
			fail_msg("'%s' has an entry", bad[i]);
	for (size_t i = 0; i < TAPS_CODE_STEPS; i++)
		memcpy(nops + 3 * i, "90 ", 4);
	memcpy(nops + sizeof(nops) - 4, "55", 3);
	assert_int_equal(entry(nops), -1);
	/* One instruction less is not too far. */
	assert_int_equal(entry(nops + 3), TAPS_CODE_STEPS - 1);
	/* An address that is not in the code. */
	assert_int_equal(taps_code_entry(&code, AT - 1, 0, &site, &why), -1);
	assert_int_equal(taps_code_entry(&code, AT + 4096, 0, &site, &why), -1);
	assert_int_equal(taps_code_entry(&code, UINT64_MAX, 0, &site, &why), -1);
}

/* ---- handlers ---- */

static int handler(const char *text)
{
	assemble(text);
	if (taps_code_handler(&code, AT, FRAME, &site, &why)) {
		assert_non_null(why);
		return -1;
	}
	assert_in_range(site.pieces, 1, TAPS_CODE_PIECES);
	assert_int_equal(site.piece[site.pieces - 1].to, site.address + site.size);
	return (int)(site.address - AT);
}

static void test_handler(void **state)
{
	/* mov 8(%rsp),%rax; mov %r15,56(%rbx); lea 2(%r15),%r10; mov 100(%rax),%eax; cmp; jg */
	static const char debian[] =
		"48 8b 44 24 08 4c 89 7b 38 4d 8d 57 02 8b 40 64 41 83 f9 01 7f 08";

	(void)state;
	assert_int_equal(handler(debian), 20);
	assert_int_equal(site.frame_reg, WIRE_RBX);
	assert_int_equal(site.store, AT + 5);
	assert_int_equal(site.size, 2);
	/* mov %r14,56(%rbp); jmp: the jump is the tap, wherever it leads. */
	assert_int_equal(handler("4c 89 75 38 e9 00 00 00 7f"), 4);
	assert_int_equal(site.frame_reg, WIRE_RBP);
	/* The same with a displacement of 4 bytes. */
	assert_int_equal(handler("4c 89 b5 38 00 00 00 74 00"), 7);
	/* A jump before the store is followed: jmp +2; ud2; mov; je */
	assert_int_equal(handler("eb 02 0f 0b 4c 89 75 38 0f 84 00 00 00 00"), 8);
	assert_int_equal(site.pieces, 2);
	assert_int_equal(site.piece[0].from, AT);
	assert_int_equal(site.piece[0].to, AT + 2);
	assert_int_equal(site.piece[1].from, AT + 4);
	/* endbr64 and nops do no harm. */
	assert_int_equal(handler("f3 0f 1e fa 90 4c 89 75 38 74 00"), 9);
	/* A write to another register, a read of this one. */
	assert_int_equal(handler("4c 89 7b 38 48 89 d8 31 c9 74 00"), 9);
}

/* Each register as the base, with its own encoding. */
static void test_handler_registers(void **state)
{
	static const char *const stores[WIRE_REGISTERS] = {
		[WIRE_R15] = "4d 89 77 38", [WIRE_R14] = "4d 89 7e 38",
		[WIRE_R13] = "4d 89 7d 38", [WIRE_R12] = "4d 89 7c 24 38",
		[WIRE_RBP] = "4c 89 7d 38", [WIRE_RBX] = "4c 89 7b 38",
		[WIRE_R11] = "4d 89 7b 38", [WIRE_R10] = "4d 89 7a 38",
		[WIRE_R9] = "4d 89 79 38",  [WIRE_R8] = "4d 89 78 38",
		[WIRE_RAX] = "4c 89 78 38", [WIRE_RCX] = "4c 89 79 38",
		[WIRE_RDX] = "4c 89 7a 38", [WIRE_RSI] = "4c 89 7e 38",
		[WIRE_RDI] = "4c 89 7f 38",
	};
	/* mov $1 to the lowest byte of the same register. */
	static const char *const parts[WIRE_REGISTERS] = {
		"41 b7 01", "41 b6 01", "41 b5 01", "41 b4 01", "40 b5 01",
		"b3 01",    "41 b3 01", "41 b2 01", "41 b1 01", "41 b0 01",
		"b0 01",    "b1 01",	"b2 01",    "40 b6 01", "40 b7 01",
	};

	(void)state;
	for (unsigned int i = 0; i < WIRE_REGISTERS; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s 74 00", stores[i]);
		assert_true(handler(text) > 0);
		assert_int_equal(site.frame_reg, i);
		for (unsigned int k = 0; k < WIRE_REGISTERS; k++) {
			snprintf(text, sizeof(text), "%s %s 74 00", stores[i], parts[k]);
			assert_int_equal(handler(text) == -1, i == k);
		}
	}
}

static void test_handler_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"74 00 4c 89 7b 38 74 00", /* a branch first */
		"48 8b 44 24 08 74 00", /* no store */
		"4c 89 7b 40 74 00", /* another member */
		"44 89 7b 38 74 00", /* 4 bytes */
		"66 44 89 7b 38 74 00", /* 2 bytes */
		"4c 89 7c 24 38 74 00", /* on the C stack */
		"4c 89 7c 0b 38 74 00", /* with an index */
		"64 4c 89 7b 38 74 00", /* in another segment */
		"4c 89 3d 38 00 00 00 74 00", /* relative to the instruction */
		"48 c7 43 38 00 00 00 00 74 00", /* a constant */
		"4c 8b 7b 38 74 00", /* a load */
		"0f 11 43 38 74 00", /* two members at once */
		"4c 89 7b 38 4c 89 7b 38 74 00", /* twice */
		"4c 89 7b 38 4c 89 7d 38 74 00", /* to two frames */
		"4c 89 7b 38 48 89 c3 74 00", /* mov %rax,%rbx */
		"4c 89 7b 38 31 db 74 00", /* xor %ebx,%ebx */
		"4c 89 7b 38 b7 01 74 00", /* mov $1,%bh */
		"4c 89 7b 38 5b 74 00", /* pop %rbx */
		"4c 89 7b 38 48 87 d8 74 00", /* xchg %rbx,%rax */
		"4c 89 7b 38 0f a2 74 00", /* cpuid */
		"4c 89 7b 38 e8 00 00 00 00 74 00", /* call */
		"4c 89 7b 38 ff e0 74 00", /* jmp *%rax */
		"4c 89 7b 38 c3 74 00",
		"4c 89 7b 38 cc 74 00",
		"4c 89 7b 38 0f 0b 74 00",
		"4c 89 7b 38 e3 00 74 00", /* jrcxz: not emulated */
		"4c 89 7b 38 2e 74 00", /* with a prefix */
		"4c 89 7b 38 66 0f 84 00 00 00 00",
		"4c 89 7b 38", /* ends */
		"4c 89 7b", /* cut off */
		"4c 89 7b 38 0f 84 00 00", /* cut off */
		"4c 89 7b 38 06 74 00", /* no instruction */
		"eb fe", /* jumps to itself */
		"eb 00 eb fc", /* in circles */
		"eb 00 eb 00 eb 00 eb 00 4c 89 7b 38 74 00", /* too often */
		"e9 00 00 00 80", /* far away */
		"eb 80", /* before the code */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (handler(bad[i]) != -1)
			fail_msg("'%s' has a tap", bad[i]);
}

/* Whatever the bytes are: it ends, stays inside, and what it finds is emulated. */
static void test_random(void **state)
{
	uint32_t seed = 1;
	int found = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char text[3 * 24 + 1];
		int size = 8 + round % 16;

		for (int i = 0; i < size; i++) {
			seed = seed * 1103515245 + 12345;
			snprintf(text + 3 * i, 4, "%02x ", seed >> 16 & 0xff);
		}
		/* Now and then the start of a handler. */
		if (round % 2)
			memcpy(text, "4c 89 7b 38", 11);
		if (handler(text) != -1) {
			size_t left = site.size;
			const uint8_t *bytes = taps_code_at(&code, site.address, &left);

			assert_non_null(bytes);
			assert_int_equal(left, site.size);
			assert_true(taps_code_emulated(bytes, left));
			assert_true(site.store < site.address);
			found++;
		}
		entry(text);
		site = (struct taps_code_site){ .store = AT, .address = AT + 7 };
		taps_code_closed(&code, &site, 1, 0, &why);
	}
	assert_true(found > 20);
}

/* ---- ways in ---- */

/* 16 bytes before; mov %r15,56(%rbx) at 16; cmp at 20; je at 24; 16 bytes behind. */
static int closed(const char *before, const char *behind)
{
	char text[512];

	snprintf(text, sizeof(text), "%s 4c 89 7b 38 41 83 f9 01 74 00 %s", before, behind);
	assemble(text);
	assert_int_equal(taps_code_handler(&code, AT + 16, FRAME, &site, &why), 0);
	assert_int_equal(site.address, AT + 24);
	return taps_code_closed(&code, &site, 1, 0, &why);
}

#define NOP8 "90 90 90 90 90 90 90 90"
#define NOP16 NOP8 " " NOP8

static void test_closed(void **state)
{
	(void)state;
	assert_int_equal(closed(NOP16, NOP16), 0);
	/* To the store itself, to before it and to behind the tap. */
	assert_int_equal(closed(NOP8 " 90 90 90 90 90 90 eb 00", NOP16), 0);
	assert_int_equal(closed(NOP8 " eb 00 90 90 90 90 90 90", NOP16), 0);
	assert_int_equal(closed(NOP8 " 90 90 90 90 90 90 eb 0a", NOP16), 0);
	/* To behind the store, and to the tap. */
	assert_int_equal(closed(NOP8 " 90 90 90 90 90 90 eb 04", NOP16), -1);
	assert_int_equal(closed(NOP8 " 90 90 90 90 90 90 74 08", NOP16), -1);
	assert_int_equal(closed(NOP8 " 90 90 90 e9 04 00 00 00", NOP16), -1);
	assert_int_equal(closed(NOP8 " 90 90 90 e8 04 00 00 00", NOP16), -1);
	assert_int_equal(closed(NOP8 " 90 90 0f 85 08 00 00 00", NOP16), -1);
	assert_int_equal(closed(NOP16, "eb f8"), -1);
	assert_int_equal(closed(NOP16, "e9 f5 ff ff ff"), -1);
	assert_int_equal(closed(NOP16, "90 90 0f 8f f2 ff ff ff"), -1);
	/* The same byte in the middle of an instruction is no jump: mov $0xf8eb9090,%eax */
	assert_int_equal(closed(NOP16, "b8 90 90 eb f4 90"), 0);
	/* The site's own tap, jumping back into it. */
	assemble("4c 89 7b 38 41 83 f9 01 74 fa");
	assert_int_equal(taps_code_handler(&code, AT, FRAME, &site, &why), 0);
	assert_int_equal(taps_code_closed(&code, &site, 1, 0, &why), 0);
}

/* From as far as a short jump reaches. */
static void test_closed_from_afar(void **state)
{
	char text[1024] = "eb 7f";

	(void)state;
	for (int i = 0; i < 123; i++)
		memcpy(text + strlen(text), " 90", 4);
	memcpy(text + strlen(text), " 4c 89 7b 38 74 00", 19);
	assemble(text);
	assert_int_equal(taps_code_handler(&code, AT + 125, FRAME, &site, &why), 0);
	assert_int_equal(taps_code_closed(&code, &site, 1, 0, &why), -1);
	memcpy(text, "4c 89 7b 38 74 00", 18);
	for (int i = 0; i < 122; i++)
		memcpy(text + strlen(text), " 90", 4);
	memcpy(text + strlen(text), " eb 80", 7);
	assemble(text);
	assert_int_equal(taps_code_handler(&code, AT, FRAME, &site, &why), 0);
	assert_int_equal(taps_code_closed(&code, &site, 1, 0, &why), -1);
}

/* As in 3.13: one handler's tap leads into another one, behind its store. */
static void test_closed_known(void **state)
{
	struct taps_code_site sites[2];

	(void)state;
	/* mov %r15,56(%rbp); add; je +0 | mov %r15,56(%rbp); cmp; jne -> the add above */
	assemble("4c 89 7d 38 49 83 c7 02 74 00 4c 89 7d 38 48 39 c2 75 f1");
	assert_int_equal(taps_code_handler(&code, AT, FRAME, &sites[0], &why), 0);
	assert_int_equal(taps_code_handler(&code, AT + 10, FRAME, &sites[1], &why), 0);
	assert_int_equal(sites[1].address, AT + 17);
	assert_int_equal(taps_code_closed(&code, sites, 2, 0, &why), 0);
	assert_int_equal(taps_code_closed(&code, sites, 2, 1, &why), 0);
	/* Not a tap; or with the frame in another register. */
	assert_int_equal(taps_code_closed(&code, sites, 1, 0, &why), -1);
	sites[1].frame_reg = WIRE_RBX;
	assert_int_equal(taps_code_closed(&code, sites, 2, 0, &why), -1);
}

/* ---- tables ---- */

#define FUNCTION_SIZE 2048

static uint64_t words[1024];

/* The function with, at 16, a lea of what lies at `table`; words full of pointers into it. */
static void with_table(uint64_t table)
{
	int32_t distance = (int32_t)(table - (AT + 16 + 7));

	assemble("90");
	memset(buffer, 0x90, sizeof(buffer));
	memcpy(buffer + 16, "\x48\x8d\x1d", 3);
	memcpy(buffer + 19, &distance, sizeof(distance));
	code.span[0].bytes = buffer;
	code.span[0].size = sizeof(buffer);
	memset(words, 0, sizeof(words));
	for (size_t i = 300; i < 300 + TAPS_CODE_OPCODES; i++)
		words[i] = AT + (i * 7) % FUNCTION_SIZE;
}

static size_t tables(uint64_t address, size_t count, size_t *first)
{
	*first = SIZE_MAX;
	return taps_code_tables(&code, AT, FUNCTION_SIZE, words, count, address, first);
}

static void test_tables(void **state)
{
	const uint64_t data = 0x700000;
	size_t first;

	(void)state;
	with_table(data + 300 * 8);
	assert_int_equal(tables(data, 1024, &first), 1);
	assert_int_equal(first, 300);
	/* It ends with the words. */
	assert_int_equal(tables(data, 556, &first), 1);
	assert_int_equal(tables(data, 555, &first), 0);
	assert_int_equal(tables(data, 255, &first), 0);
	assert_int_equal(tables(data, 0, &first), 0);
	/* It lies elsewhere than the code says. */
	assert_int_equal(tables(data + 8, 1024, &first), 0);
	assert_int_equal(tables(data + 4, 1024, &first), 0);
	assert_int_equal(tables(UINT64_MAX - 4096, 512, &first), 0);
	/* By its address: mov 0x700960(,%rax,8),%rax */
	with_table(0);
	memcpy(buffer + 64, "\x48\x8b\x04\xc5\x60\x09\x70\x00", 8);
	assert_int_equal(tables(data, 1024, &first), 1);
	assert_int_equal(first, 300);
	/* Pointers around it do not matter. */
	words[299] = words[556] = AT;
	assert_int_equal(tables(data, 1024, &first), 1);
	/* Two of them. */
	memcpy(buffer + 80, "\x48\x8b\x04\xc5\x58\x09\x70\x00", 8);
	assert_int_equal(tables(data, 1024, &first), 2);
	/* The same one twice is one. */
	memcpy(buffer + 80, "\x48\x8b\x04\xc5\x60\x09\x70\x00", 8);
	assert_int_equal(tables(data, 1024, &first), 1);
}

static void test_tables_refused(void **state)
{
	const uint64_t data = 0x700000;
	size_t first;

	(void)state;
	/* One pointer leads out of the code. */
	with_table(data + 300 * 8);
	words[400] = AT + sizeof(buffer);
	assert_int_equal(tables(data, 1024, &first), 0);
	words[400] = AT - 1;
	assert_int_equal(tables(data, 1024, &first), 0);
	words[400] = UINT64_MAX;
	assert_int_equal(tables(data, 1024, &first), 0);
	/* More than half lead out of the function. */
	with_table(data + 300 * 8);
	for (size_t i = 300; i < 300 + 128; i++)
		words[i] = AT + FUNCTION_SIZE;
	assert_int_equal(tables(data, 1024, &first), 1);
	words[428] = AT + FUNCTION_SIZE;
	assert_int_equal(tables(data, 1024, &first), 0);
	/* The function is not in the code, or longer than it. */
	with_table(data + 300 * 8);
	assert_int_equal(taps_code_tables(&code, AT - 1, 16, words, 1024, data, &first), 0);
	assert_int_equal(taps_code_tables(&code, AT, UINT32_MAX, words, 1024, data, &first), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_emulated),
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_entry_refused),
		cmocka_unit_test(test_handler),
		cmocka_unit_test(test_handler_registers),
		cmocka_unit_test(test_handler_refused),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_closed_from_afar),
		cmocka_unit_test(test_closed_known),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_tables_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
