/*
 * What the collector reads out of an interpreter's code: the variable that a function returns, and
 * the constants that it takes. Every byte is hostile: no answer is better than a wrong one.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/python_elf.h"

#define AT 0x10000ULL
#define CODE(text) (const uint8_t *)(text), sizeof(text) - 1

static void test_returned_variable(void **state)
{
	(void)state;
	/* mov rax, [rip + 0x100]; ret */
	assert_int_equal(python_code_returns(CODE("\x48\x8b\x05\x00\x01\0\0\xc3"), AT), AT + 0x107);
	/* Backwards, with endbr64, with a frame, with more code behind. */
	assert_int_equal(python_code_returns(CODE("\x48\x8b\x05\xf0\xff\xff\xff\xc3\x90"), AT),
			 AT + 7 - 16);
	assert_int_equal(
		python_code_returns(CODE("\xf3\x0f\x1e\xfa\x48\x8b\x05\0\x01\0\0\xc3"), AT),
		AT + 0x10b);
	assert_int_equal(
		python_code_returns(CODE("\x55\x48\x89\xe5\x48\x8b\x05\0\x01\0\0\x5d\xc3"), AT),
		AT + 0x10b);
	/* Anything else: two loads, no return, another register, cut anywhere. */
	assert_int_equal(
		python_code_returns(CODE("\x48\x8b\x05\0\x01\0\0\x48\x8b\x40\x18\xc3"), AT), 0);
	assert_int_equal(python_code_returns(CODE("\x48\x8b\x05\0\x01\0\0\x90"), AT), 0);
	assert_int_equal(python_code_returns(CODE("\x48\x8b\x0d\0\x01\0\0\xc3"), AT), 0);
	assert_int_equal(
		python_code_returns(CODE("\x55\x48\x89\xe5\x48\x8b\x05\0\x01\0\0\xc3"), AT), 0);
	for (size_t i = 0; i < 13; i++)
		assert_int_equal(
			python_code_returns((const uint8_t *)"\x55\x48\x89\xe5\x48\x8b\x05\0\x01\0"
							     "\0\x5d\xc3",
					    i, AT),
			0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(
			python_code_returns((const uint8_t *)"\x48\x8b\x05\0\x01\0\0\xc3", i, AT),
			0);
}

struct seen {
	uint64_t at[16];
	int count, stop;
};

static int each(void *ctx, uint64_t constant)
{
	struct seen *s = ctx;

	assert_true(s->count < 16);
	s->at[s->count++] = constant;
	return s->count == s->stop;
}

static void test_constants(void **state)
{
	struct seen s = { 0 };

	(void)state;
	/* lea rdx, [rip + 0x20]; lea r8, [rip - 1]; mov ecx, 0x512345; mov esi, 250 */
	const char code[] = "\x48\x8d\x15\x20\0\0\0\x4c\x8d\x05\xff\xff\xff\xff\xb9\x45\x23\x51\0"
			    "\xbe\xfa\0\0\0";

	assert_int_equal(python_code_addresses(CODE(code), AT, each, &s), 0);
	assert_int_equal(s.count, 4);
	assert_int_equal(s.at[0], AT + 7 + 0x20);
	assert_int_equal(s.at[1], AT + 14 - 1);
	assert_int_equal(s.at[2], 0x512345);
	assert_int_equal(s.at[3], 250);
	s = (struct seen){ .stop = 2 };
	assert_int_equal(python_code_addresses(CODE(code), AT, each, &s), 1);
	assert_int_equal(s.count, 2);
	/* Never past the end. */
	for (size_t i = 0; i < sizeof(code); i++) {
		uint8_t copy[sizeof(code)];

		s = (struct seen){ 0 };
		memcpy(copy + sizeof(copy) - i, code, i);
		python_code_addresses(copy + sizeof(copy) - i, i, AT, each, &s);
		assert_true(s.count <= 4);
	}
}

int here_is_a_function(void);
int here_is_a_function(void)
{
	return 1;
}

static void test_own_file(void **state)
{
	struct python_symbol symbols[] = { { .name = "here_is_a_function" },
					   { .name = "here_is_none" } };
	struct python_image image;
	int fd = open("/proc/self/exe", O_RDONLY);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(python_elf_read(fd, symbols, 2, &image), 0);
	close(fd);
	assert_true(symbols[0].address && symbols[0].size && symbols[0].function);
	assert_int_equal(symbols[1].address, 0);
	assert_true(here_is_a_function());
	fd = open("/etc/passwd", O_RDONLY);
	assert_int_equal(python_elf_read(fd, symbols, 2, &image), -1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_returned_variable),
		cmocka_unit_test(test_constants),
		cmocka_unit_test(test_own_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
