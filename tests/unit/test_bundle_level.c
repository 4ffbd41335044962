/* The level of compression follows the load. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "bundle/append_level.h"

#define SECOND 1000000000ULL

static void burn(uint64_t ns)
{
	struct timespec from, now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	do {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	} while ((uint64_t)(now.tv_sec - from.tv_sec) * SECOND + (uint64_t)now.tv_nsec -
			 (uint64_t)from.tv_nsec <
		 ns);
}

/* A frame a second that costs nothing, n times; returns the level of the next one. */
static int idle(struct append_level *l, uint64_t *opened, int n)
{
	while (n--) {
		append_level_start(l, 1000);
		append_level_adapt(l, *opened += SECOND, 0, 100);
	}
	return append_level_start(l, 1000);
}

static void by_load(void **state)
{
	uint64_t opened = SECOND;
	struct append_level l;

	(void)state;
	append_level_init(&l, 0);
	assert_int_equal(append_level_start(&l, 1000), 3);
	assert_int_equal(idle(&l, &opened, 20), 19);
	/* A large frame would take long. */
	assert_int_equal(append_level_start(&l, 1 << 20), 9);
	/* Between the two limits it stays; above, it falls step by step, or at once. */
	append_level_start(&l, 1000);
	burn(SECOND / 200);
	append_level_adapt(&l, opened += SECOND, 0, 100);
	assert_int_equal(append_level_start(&l, 1000), 19);
	burn(SECOND / 50);
	append_level_adapt(&l, opened += SECOND, 0, 100);
	assert_int_equal(append_level_start(&l, 1000), 16);
	burn(SECOND / 50);
	append_level_adapt(&l, opened += SECOND / 100, 0, 100);
	assert_int_equal(append_level_start(&l, 1000), 3);
	/* Frames wait: as fast as can be, until they do not. */
	idle(&l, &opened, 20);
	append_level_adapt(&l, opened += SECOND, 26, 100);
	assert_int_equal(append_level_start(&l, 1000), 1);
	assert_int_equal(idle(&l, &opened, 1), 3);
}

static void fixed(void **state)
{
	uint64_t opened = SECOND;
	struct append_level l;

	(void)state;
	append_level_init(&l, 7);
	assert_int_equal(idle(&l, &opened, 20), 7);
	append_level_adapt(&l, opened += SECOND, 100, 100);
	assert_int_equal(append_level_start(&l, 1 << 20), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(by_load), cmocka_unit_test(fixed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
