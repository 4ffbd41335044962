/* The canonical form of code objects: what counts, what does not, what gives no digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "catalog/catalog.h"
#include "catalog/python_opcodes.h"
#include "collect/pycode.h"

static struct catalog *catalog;
static const struct python_layout *new_one, *old_one; /* 3.11, 3.8 */

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	catalog = catalog_load(NULL, &err);
	if (!catalog)
		return -1;
	new_one = catalog_python(catalog, 3, 11);
	old_one = catalog_python(catalog, 3, 8);
	return new_one && new_one->code && old_one && old_one->code ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	catalog_free(catalog);
	return 0;
}

/* Opcodes of 3.11: see probes/python/cpython-3.11.json. */
enum { CACHE = 0, LOAD_GLOBAL = 116, LOAD_GLOBAL_QUICK = 47, LOAD_FAST = 124, RETURN = 83 };

static struct pycode plain(const uint8_t *code, size_t len)
{
	struct pycode c;

	pycode_begin(&c);
	c.code = code;
	c.code_len = len;
	return c;
}

static void digest(const struct python_layout *l, const struct pycode *c, uint8_t *out)
{
	assert_null(pycode_digest(l->code, l->pyc_magic, c, out));
}

static bool same(const struct pycode *a, const struct pycode *b)
{
	uint8_t x[DIGEST_SIZE], y[DIGEST_SIZE];

	digest(new_one, a, x);
	digest(new_one, b, y);
	return !memcmp(x, y, sizeof(x));
}

/* ---- bytecode ---- */

static const uint8_t written[] = { LOAD_GLOBAL, 3,     CACHE, 0,     CACHE, 0,	    CACHE,
				   0,		CACHE, 0,     CACHE, 0,	    RETURN, 0 };

static void test_specialised_code_is_what_it_was(void **state)
{
	static const uint8_t run[] = {
		LOAD_GLOBAL_QUICK, 3, 9, 9, 255, 1, 2, 3, 4, 5, 6, 7, RETURN, 0
	};
	struct pycode a = plain(written, sizeof(written)), b = plain(run, sizeof(run));

	(void)state;
	assert_true(same(&a, &b));
}

static void test_other_code_is_other(void **state)
{
	struct pycode a = plain(written, sizeof(written));

	(void)state;
	/* Each byte that is no cache counts. */
	for (size_t i = 0; i < sizeof(written); i++) {
		uint8_t copy[sizeof(written)];
		struct pycode b = plain(copy, sizeof(copy));
		bool cache = i > 1 && i < 12;

		if (i == 0)
			continue; /* another opcode has other caches */
		memcpy(copy, written, sizeof(copy));
		copy[i] ^= 1;
		assert_int_equal(same(&a, &b), cache);
	}
}

static void test_no_digest(void **state)
{
	static const uint8_t watched[] = { 255, 0, RETURN, 0 };
	struct pycode odd = plain(written, 13), cut = plain(written, 6),
		      w = plain(watched, sizeof(watched));
	uint8_t out[DIGEST_SIZE];

	(void)state;
	assert_string_equal(pycode_digest(new_one->code, 1, &odd, out), "damaged");
	assert_string_equal(pycode_digest(new_one->code, 1, &cut, out), "damaged");
	assert_string_equal(pycode_digest(new_one->code, 1, &w, out), "instrumented");
	/* Older versions write nothing into their code. */
	assert_null(pycode_digest(old_one->code, 1, &w, out));
	assert_null(pycode_digest(old_one->code, 1, &odd, out));
}

static void test_each_field_counts(void **state)
{
	struct pycode a = plain(written, sizeof(written)), b = a;
	uint32_t *const numbers[] = { &b.argcount, &b.posonlyargcount, &b.kwonlyargcount,
				      &b.stacksize, &b.flags };
	struct pycode_value *const values[] = { &b.consts,	 &b.names,	 &b.exceptiontable,
						&b.name,	 &b.qualname,	 &b.variables[0],
						&b.variables[1], &b.variables[2] };
	uint8_t seen[16][DIGEST_SIZE];
	size_t count = 0;

	(void)state;
	digest(new_one, &a, seen[count++]);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		b = a;
		*numbers[i] = 1;
		digest(new_one, &b, seen[count++]);
	}
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		b = a;
		assert_int_equal(pycode_value(values[i], PYCODE_NONE, NULL, 0), 0);
		digest(new_one, &b, seen[count++]);
	}
	assert_null(pycode_digest(new_one->code, new_one->pyc_magic + 1, &a, seen[count++]));
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(memcmp(seen[i], seen[k], DIGEST_SIZE), 0);
	/* types.coroutine() sets this flag; it is not of the source. */
	b = a;
	b.flags = 0x100;
	assert_true(same(&a, &b));
}

/* ---- values ---- */

static struct pycode_value value(enum pycode_type type, const void *data, size_t len)
{
	struct pycode_value v;

	assert_int_equal(pycode_value(&v, type, data, len), 0);
	return v;
}

static struct pycode_value number(bool negative, const uint32_t *digits, size_t count,
				  unsigned int bits)
{
	struct pycode_value v;

	assert_int_equal(pycode_int(&v, negative, digits, count, bits), 0);
	return v;
}

static bool equal(struct pycode_value a, struct pycode_value b)
{
	return !memcmp(&a, &b, sizeof(a));
}

static void test_ints_in_any_digits(void **state)
{
	/* 10**20 in digits of 30 and of 15 bits. */
	static const uint32_t big30[] = { 663076864, 790515922, 86 };
	static const uint32_t big15[] = { 32768 * 0 + 663076864 % 32768,
					  663076864 / 32768,
					  790515922 % 32768,
					  790515922 / 32768,
					  86,
					  0,
					  0 };
	static const uint32_t one = 1, zero[2] = { 0, 0 };

	(void)state;
	assert_true(equal(number(false, big30, 3, 30), number(false, big15, 5, 15)));
	assert_true(equal(number(false, big30, 3, 30), number(false, big15, 7, 15)));
	assert_false(equal(number(false, big30, 3, 30), number(true, big30, 3, 30)));
	assert_false(equal(number(false, big30, 3, 30), number(false, big30, 2, 30)));
	assert_true(equal(number(false, &one, 1, 32), number(false, &one, 1, 30)));
	assert_true(equal(number(true, zero, 2, 30), number(false, NULL, 0, 15)));
}

static void test_values_of_other_types_are_other(void **state)
{
	static const uint32_t one = 1;
	static const double zeros[2] = { 0.0, -0.0 };
	struct pycode_value t = value(PYCODE_TRUE, NULL, 0);

	(void)state;
	assert_false(equal(number(false, &one, 1, 32), t));
	assert_false(equal(value(PYCODE_TEXT, "a", 1), value(PYCODE_BYTES, "a", 1)));
	assert_false(equal(value(PYCODE_FLOAT, &zeros[0], 8), value(PYCODE_FLOAT, &zeros[1], 8)));
	assert_false(equal(value(PYCODE_TEXT, "a\0", 2), value(PYCODE_TEXT, "a", 1)));
}

static void test_long_values(void **state)
{
	char a[1000], b[1000];

	(void)state;
	memset(a, 'x', sizeof(a));
	memcpy(b, a, sizeof(b));
	assert_true(equal(value(PYCODE_TEXT, a, sizeof(a)), value(PYCODE_TEXT, b, sizeof(b))));
	b[999] = 'y';
	assert_false(equal(value(PYCODE_TEXT, a, sizeof(a)), value(PYCODE_TEXT, b, sizeof(b))));
	assert_false(equal(value(PYCODE_TEXT, a, 998), value(PYCODE_TEXT, b, 999)));
}

static struct pycode_value items(enum pycode_type type, const char *texts)
{
	struct pycode_value list[16], out;
	size_t count = strlen(texts);

	for (size_t i = 0; i < count; i++)
		list[i] = value(PYCODE_TEXT, &texts[i], 1);
	assert_int_equal(pycode_items(&out, type, list, count), 0);
	return out;
}

static void test_sets_have_no_order(void **state)
{
	(void)state;
	assert_true(equal(items(PYCODE_FROZENSET, "abc"), items(PYCODE_FROZENSET, "cab")));
	assert_false(equal(items(PYCODE_TUPLE, "abc"), items(PYCODE_TUPLE, "cab")));
	assert_false(equal(items(PYCODE_TUPLE, "abc"), items(PYCODE_FROZENSET, "abc")));
	assert_false(equal(items(PYCODE_TUPLE, "ab"), items(PYCODE_TUPLE, "abc")));
	assert_true(equal(items(PYCODE_TUPLE, ""), items(PYCODE_TUPLE, "")));
}

static void test_utf8(void **state)
{
	uint8_t out[4];

	(void)state;
	assert_int_equal(pycode_utf8(out, 'a'), 1);
	assert_int_equal(pycode_utf8(out, 0xfc), 2);
	assert_memory_equal(out, "\xc3\xbc", 2);
	assert_int_equal(pycode_utf8(out, 0xdc80), 3);
	assert_memory_equal(out, "\xed\xb2\x80", 3);
	assert_int_equal(pycode_utf8(out, 0x1f600), 4);
	assert_memory_equal(out, "\xf0\x9f\x98\x80", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_specialised_code_is_what_it_was),
		cmocka_unit_test(test_other_code_is_other),
		cmocka_unit_test(test_no_digest),
		cmocka_unit_test(test_each_field_counts),
		cmocka_unit_test(test_ints_in_any_digits),
		cmocka_unit_test(test_values_of_other_types_are_other),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_sets_have_no_order),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
