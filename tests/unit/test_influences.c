/* Lists of libraries as the loader splits them; .pth files that run code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collect/influences.h"

static void test_libraries(void **state)
{
	static const char text[] = " a.so:/lib/b.so  c.so\n\t:";
	static const char *const wanted[] = { "a.so", "/lib/b.so", "c.so" };
	const char *at = text, *end = text + sizeof(text) - 1, *name;
	size_t len, count = 0;

	(void)state;
	while ((name = influences_next_library(&at, end, &len))) {
		assert_int_equal(len, strlen(wanted[count]));
		assert_memory_equal(name, wanted[count++], len);
	}
	assert_int_equal(count, 3);
	at = text;
	assert_null(influences_next_library(&at, text, &len));
	at = "x";
	assert_non_null(influences_next_library(&at, at + 1, &len));
	assert_int_equal(len, 1);
}

static void test_pth(void **state)
{
	static const char text[] = "# import x\n/a/folder\nimport os\n important\nimport\tsys";
	size_t first;

	(void)state;
	assert_int_equal(influences_pth_lines(text, sizeof(text) - 1, &first), 2);
	assert_int_equal(first, 3);
	assert_int_equal(influences_pth_lines("import", 6, &first), 0);
	assert_int_equal(influences_pth_lines("imports x", 9, &first), 0);
	assert_int_equal(influences_pth_lines("", 0, &first), 0);
	assert_int_equal(influences_pth_lines("\n\nimport x", 10, &first), 1);
	assert_int_equal(first, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libraries),
		cmocka_unit_test(test_pth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
