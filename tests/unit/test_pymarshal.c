/* Marshal data: what the interpreter writes is read whole; what is cut or wrong is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "catalog/catalog.h"
#include "collect/pymarshal.h"

#define PYTHON "/usr/bin/python3"

static struct catalog *catalog;
static const struct python_layout *layout; /* 3.11 */

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	catalog = catalog_load(NULL, &err);
	layout = catalog ? catalog_python(catalog, 3, 11) : NULL;
	return layout && layout->code ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	catalog_free(catalog);
	return 0;
}

static const char *read_data(const void *data, size_t len, struct pymarshal *out)
{
	return pymarshal_read(layout->code, layout->pyc_magic, data, len, out);
}

/* What a Python expression gives; false when the interpreter is missing or another version. */
static bool python(const char *expression, struct bytes *out)
{
	char command[2048];
	size_t n;
	FILE *f;

	if (access(PYTHON, X_OK))
		return false;
	snprintf(command, sizeof(command),
		 PYTHON " -I -c 'import marshal, sys\n"
			"if sys.version_info[:2] != (3, 11): sys.exit(0)\n"
			"sys.stdout.buffer.write(%s)'",
		 expression);
	f = popen(command, "r");
	assert_non_null(f);
	out->len = 0;
	do {
		assert_int_equal(bytes_reserve(out, 65536), 0);
		n = fread(out->data + out->len, 1, 65536, f);
		out->len += n;
	} while (n);
	assert_int_equal(pclose(f), 0);
	return out->len > 0;
}

#define COMPILED(source) "marshal.dumps(compile(\"\"\"" source "\"\"\", \"/m.py\", \"exec\"))"

static const struct pymarshal_code *find(const struct pymarshal *m, const char *qualname,
					 unsigned int line)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->codes[i].line == line && m->codes[i].qualname_len == strlen(qualname) &&
		    !memcmp(m->codes[i].qualname, qualname, strlen(qualname)))
			return &m->codes[i];
	return NULL;
}

static void test_functions_are_found(void **state)
{
	struct bytes data = BYTES_INIT;
	struct pymarshal m;

	(void)state;
	if (!python(COMPILED("def f(a):\\n  def g(): return a\\n  return g\\n"
			     "class K:\\n  def m(self): pass\\n"),
		    &data))
		skip();
	assert_null(read_data(data.data, data.len, &m));
	assert_int_equal(m.count, 5);
	assert_non_null(find(&m, "f", 1));
	assert_non_null(find(&m, "f.<locals>.g", 2));
	assert_non_null(find(&m, "K", 4));
	assert_non_null(find(&m, "K.m", 5));
	assert_ptr_equal(find(&m, "<module>", 1), &m.codes[m.count - 1]);
	pymarshal_release(&m);
	bytes_release(&data);
}

/* Lines and file names do not count, all else does; functions inside count by their names. */
static void test_what_counts(void **state)
{
	static const char *const others[] = {
		"def f(a, b=1):\\n  return a + 2\\n",
		"def f(a, b=1):\\n  return a - 1\\n",
		"def f(a, c=1):\\n  return a + 1\\n",
		"def f(a, *, b=1):\\n  return a + 1\\n",
		"def f(a, b=1):\\n  return a + 1.0\\n",
		"def f(a, b=1):\\n  return a + True\\n",
		"def f(a, b=1):\\n  \\\"x\\\"\\n  return a + 1\\n",
		"async def f(a, b=1):\\n  return a + 1\\n",
	};
	struct bytes data = BYTES_INIT, other = BYTES_INIT;
	struct pymarshal m, n;
	char text[512];

	(void)state;
	if (!python(COMPILED("def f(a, b=1):\\n  return a + 1\\n"), &data))
		skip();
	assert_null(read_data(data.data, data.len, &m));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(text, sizeof(text), "marshal.dumps(compile(\"%s\", \"/m.py\", \"exec\"))",
			 others[i]);
		assert_true(python(text, &other));
		assert_null(read_data(other.data, other.len, &n));
		assert_int_not_equal(
			memcmp(find(&m, "f", 1)->digest, find(&n, "f", 1)->digest, DIGEST_SIZE), 0);
		pymarshal_release(&n);
	}
	/* A comment, another line, another file. */
	assert_true(python("marshal.dumps(compile(\"# x\\n\\ndef f(a,\\n      b=1):\\n\\n  return "
			   "(a + 1)\\n\", \"/other.py\", \"exec\"))",
			   &other));
	assert_null(read_data(other.data, other.len, &n));
	assert_memory_equal(find(&m, "f", 1)->digest, find(&n, "f", 3)->digest, DIGEST_SIZE);
	pymarshal_release(&n);
	pymarshal_release(&m);
	bytes_release(&data);
	bytes_release(&other);
}

static void test_cut_anywhere(void **state)
{
	struct bytes data = BYTES_INIT;
	struct pymarshal m;

	(void)state;
	if (!python(COMPILED("def f(a): return {1, 2, (3, 10**50, 1j)}, a, None, b\\\"x\\\"\\n"),
		    &data))
		skip();
	for (size_t i = 0; i < data.len; i++) {
		/* Of its own, so that a read behind its end is seen. */
		uint8_t *copy = malloc(i ? i : 1);

		assert_non_null(copy);
		memcpy(copy, data.data, i);
		assert_non_null(read_data(copy, i, &m));
		assert_null(m.codes);
		free(copy);
	}
	bytes_release(&data);
}

static void refused(const void *data, size_t len, const char *want)
{
	struct pymarshal m;
	const char *why = read_data(data, len, &m);

	assert_non_null(why);
	assert_string_equal(why, want);
	assert_null(m.codes);
}

static void test_hostile(void **state)
{
	static uint8_t deep[5 * 4000];
	struct bytes bomb = BYTES_INIT;

	(void)state;
	refused("", 0, "damaged");
	refused("N", 1, "damaged"); /* no code */
	refused("(\xff\xff\xff\x7f", 5, "damaged");
	refused("s\xff\xff\xff\xff", 5, "damaged");
	refused("l\xff\xff\xff\x7f", 5, "damaged");
	refused("l\x01\0\0\0\xff\xff", 7, "damaged"); /* a digit of more than 15 bits */
	refused("r\0\0\0\0", 5, "damaged");
	refused("\xa8\x01\0\0\0r\0\0\0\0", 10, "damaged"); /* holds itself */
	refused("z\x01\x80", 3, "damaged");
	refused("{NN0", 4, "unsupported-constant");
	refused("\x80", 1, "damaged");
	for (size_t i = 0; i < sizeof(deep); i += 5)
		memcpy(deep + i, "(\x01\0\0\0", 5);
	refused(deep, sizeof(deep), "too-large");
	/* Each level twice the one below: 2^40 items, if they were counted out. */
	assert_int_equal(bytes_put(&bomb, "(\x28\0\0\0\xa9\0", 7), 0);
	for (uint32_t i = 0; i < 39; i++) {
		assert_int_equal(bytes_put(&bomb, "\xa9\x02r", 3), 0);
		assert_int_equal(bytes_put_le32(&bomb, i), 0);
		assert_int_equal(bytes_put(&bomb, "r", 1), 0);
		assert_int_equal(bytes_put_le32(&bomb, i), 0);
	}
	refused(bomb.data, bomb.len, "damaged");
	bytes_release(&bomb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_functions_are_found),
		cmocka_unit_test(test_what_counts),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
