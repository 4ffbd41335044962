/* The functions of Python source, what changes their digests, and how they are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "catalog/pysource.h"

static struct pysource *read_source(const char *text, const char **how)
{
	size_t len = strlen(text);
	uint8_t *copy = malloc(len ? len : 1); /* gone before anything is asked */
	struct pysource *p;

	assert_non_null(copy);
	memcpy(copy, text, len);
	p = pysource_read(copy, len, how);
	assert_non_null(*how);
	assert_int_equal(!p, !!strcmp(*how, PYSOURCE_OK));
	free(copy);
	return p;
}

static struct pysource *good(const char *text)
{
	const char *how;
	struct pysource *p = read_source(text, &how);

	assert_string_equal(how, PYSOURCE_OK);
	return p;
}

static void refused(const char *text)
{
	const char *how;

	assert_null(read_source(text, &how));
	assert_string_equal(how, PYSOURCE_NOT_TOKENIZED);
}

/* The first function of both texts: the same tokens, the same docstring? */
static void compare(const char *a, const char *b, bool tokens, bool docstring)
{
	struct pysource *p = good(a), *q = good(b);
	const struct pysource_function *f = pysource_at(p, 0), *g = pysource_at(q, 0);

	assert_non_null(f);
	assert_non_null(g);
	assert_int_equal(!memcmp(f->tokens, g->tokens, DIGEST_SIZE), tokens);
	assert_int_equal(f->has_docstring == g->has_docstring &&
				 !memcmp(f->docstring, g->docstring, DIGEST_SIZE),
			 docstring);
	pysource_free(p);
	pysource_free(q);
}

/* The bytes that docs/evidence.md gives as its example. */
static void test_definition(void **state)
{
	static const char bytes[] = "ndef\0nf\0o(\0o)\0o:\0nreturn\0d1\0L";
	static const char strings[] = "s\"a\"\0s'b'";
	static const char block[] = "ndef\0nf\0o(\0o)\0o:\0L\0I\0nreturn\0L\0D";
	struct pysource *p = good("def f(): return 1\n");
	uint8_t want[DIGEST_SIZE];

	(void)state;
	assert_int_equal(pysource_count(p), 1);
	assert_int_equal(digest_sha256(bytes, sizeof(bytes), want), 0);
	assert_memory_equal(pysource_at(p, 0)->tokens, want, DIGEST_SIZE);
	assert_memory_equal(want, "\x1c\x9a\x7a\x6f", 4);
	pysource_free(p);
	p = good("def f():\n  \"a\" 'b'\n  return");
	assert_int_equal(digest_sha256(block, sizeof(block), want), 0);
	assert_memory_equal(pysource_at(p, 0)->tokens, want, DIGEST_SIZE);
	assert_true(pysource_at(p, 0)->has_docstring);
	assert_int_equal(digest_sha256(strings, sizeof(strings), want), 0);
	assert_memory_equal(pysource_at(p, 0)->docstring, want, DIGEST_SIZE);
	pysource_free(p);
}

static void test_layout(void **state)
{
	static const char plain[] = "def f(a, b=1):\n    if a:\n        return b\n    return a\n";

	(void)state;
	compare(plain,
		"# c\n\n\ndef f( a,b = 1 ) : # c\n\n\t#c\n\tif a:\n\t\treturn b\n\n\treturn a",
		true, true);
	compare(plain,
		"def f(a,\n\n      b\\\n=1):\r\n    if a:\r        return b\r\n    return a\r\n",
		true, true);
	compare(plain, "class A: pass\n", false, true);
	/* What follows or precedes the definition is not of it. */
	compare(plain, "def f(a, b=1):\n if a:\n  return b\n return a\nx = 1\n@d\nclass A: pass\n",
		true, true);
	/* What is meant, not how it looks. */
	compare(plain, "def f(a, b=2):\n    if a:\n        return b\n    return a\n", false, true);
	compare(plain, "def f(a, b=1):\n    if a:\n        return b\n        return a\n", false,
		true);
	compare(plain, "def f(a, b=1):\n    if a: return b\n    return a\n", false, true);
	compare(plain, "@d\ndef f(a, b=1):\n    if a:\n        return b\n    return a\n", false,
		true);
	compare(plain, "async def f(a, b=1):\n    if a:\n        return b\n    return a\n", false,
		true);
	compare("@d(\n1)\n\n# c\n@e\ndef f(): pass", "@d(1)\n@e\ndef f(): pass", true, true);
	compare("def f(): x = 'a' 'b'", "def f(): x = 'a''b'", true, true);
	compare("def f(): x = 'a'", "def f(): x = \"a\"", false, true);
	/* A name is not a string or a number with the same text. */
	compare("def f(): ab", "def f(): a; b", false, true);
}

static void test_docstring(void **state)
{
	static const char none[] = "def f():\n    return 1\n";

	(void)state;
	compare(none, "def f():\n    'doc'\n    return 1\n", true, false);
	compare(none, "def f():\n    # c\n    u'''doc\n'''  r\"x\" # c\n    return 1\n", true,
		false);
	compare(none, "def f():\n    'doc'; return 1\n", true, false);
	compare("def f(): return 1", "def f(): 'doc'; return 1", true, false);
	compare("def f(): 'a'", "def f(): 'b'", true, false);
	compare("def f(): 'a'", "def f(): \"a\"", true, false);
	compare("def f():\n 'a'\n g()\n", "def f():\n '''a'''\n g()\n", true, false);
	/* Not docstrings. */
	compare(none, "def f():\n    b'doc'\n    return 1\n", false, true);
	compare(none, "def f():\n    f'doc'\n    return 1\n", false, true);
	compare(none, "def f():\n    'a' f'doc'\n    return 1\n", false, true);
	compare(none, "def f():\n    ('doc')\n    return 1\n", false, true);
	compare(none, "def f():\n    'doc'.x()\n    return 1\n", false, true);
	compare(none, "def f():\n    'doc', 1\n    return 1\n", false, true);
	compare(none, "def f():\n    pass; 'doc'\n    return 1\n", false, true);
	compare(none, "def f():\n    return 1\n    'doc'\n", false, true);
	/* A nested one stays in what is around it, and is a docstring of its own. */
	compare("def f():\n def g():\n  'a'\n", "def f():\n def g():\n  'b'\n", false, true);
	compare("def f():\n class A:\n  'a'\n", "def f():\n class A:\n  'b'\n", false, true);
	compare("def f(a='x'): 'doc'", "def f(a='x'): 'other'", true, false);
}

struct want {
	const char *qualname;
	uint32_t line, line_last;
	bool is_class;
};

static void listing(const char *text, const struct want *want, size_t count)
{
	struct pysource *p = good(text);

	assert_int_equal(pysource_count(p), count);
	for (size_t i = 0; i < count; i++) {
		const struct pysource_function *f = pysource_at(p, i);

		assert_string_equal(f->qualname, want[i].qualname);
		assert_int_equal(f->line, want[i].line);
		assert_int_equal(f->line_last, want[i].line_last);
		assert_int_equal(f->is_class, want[i].is_class);
		assert_ptr_equal(pysource_find(p, f->name, f->qualname, f->line), f);
		assert_ptr_equal(pysource_find(p, f->name, f->name, f->line_last), f);
		assert_null(pysource_find(p, f->name, f->qualname, f->line_last + 1));
		assert_null(pysource_find(p, "other", f->qualname, f->line));
	}
	assert_null(pysource_at(p, count));
	pysource_free(p);
}

static void test_names(void **state)
{
	static const struct want nested[] = {
		{ "A", 1, 1, true },
		{ "A.m", 2, 2, false },
		{ "A.m.<locals>.g", 3, 3, false },
		{ "A.m.<locals>.B", 5, 5, true },
		{ "A.m.<locals>.B.k", 6, 6, false },
		{ "A.n", 8, 8, false },
		{ "f", 9, 9, false },
	};
	static const struct want decorated[] = {
		{ "f", 1, 1, false },  { "g", 4, 5, false },	 { "h", 8, 8, false },
		{ "C", 13, 13, true }, { "C.m", 15, 15, false },
	};
	static const struct want headers[] = {
		{ "f", 1, 1, false }, { "g", 2, 2, false }, { "h", 3, 3, false },
		{ "A", 4, 4, true },  { "i", 5, 5, false }, { "j", 7, 7, false },
	};

	(void)state;
	listing("class A:\n def m(self):\n  def g(): pass\n  x = 1\n  class B:\n   def k(): "
		"pass\n\n"
		" def n(): pass\ndef f(): pass\n",
		nested, 7);
	listing("@a\n@b\ndef f(): pass\n@(\n  a\n)\ndef g(): pass\n@a(1,\n   2)\n# c\n@b\n"
		"async def h(): pass\n@a\nclass C:\n @a\n def m(): pass\n",
		decorated, 5);
	listing("def f(a=lambda: 1, *, b: {1: 2}): pass\ndef g() -> lambda x: lambda: 1: pass\n"
		"def h[T: (int, str)](x: T): pass\nclass A[T](B, k=lambda: 0): x = 1; y = {1: 2}\n"
		"def i(a): 'doc'; b = a[1:2]\nif x:\n def j(): pass\n",
		headers, 6);
	/* Names of old code; `async` was none. */
	listing("async = 1\nasync.x()\nprint 'x'\nexec 'y'\nx = `1` <> 0777\n", NULL, 0);
}

static void test_find(void **state)
{
	struct pysource *p = good("class A:\n  def m(self):\n    global g\n    def g():\n"
				  "      def h(): pass\n");

	(void)state;
	/* With `global g` an interpreter leaves out what is around g. */
	assert_non_null(pysource_find(p, "h", "g.<locals>.h", 5));
	assert_non_null(pysource_find(p, "h", "h", 5));
	assert_null(pysource_find(p, "h", "<locals>.h2", 5));
	assert_null(pysource_find(p, "h", "x.A.m.<locals>.g.<locals>.h", 5));
	assert_null(pysource_find(p, "h", "m.<locals>.h", 5));
	assert_null(pysource_find(p, "h", "", 5));
	assert_null(pysource_find(p, "h", "h", 4));
	assert_null(pysource_find(p, "h", "h", 0));
	assert_null(pysource_find(p, "h", "h", UINT64_MAX));
	assert_true(pysource_find(p, "A", "A", 1)->is_class);
	pysource_free(p);
}

static void test_refused(void **state)
{
	const char *how;

	(void)state;
	refused("def f():\npass\n");
	refused("def f():\n");
	refused("def f()\n  pass\n");
	refused("def f(:\n  pass\n");
	refused("def 1(): pass\n");
	refused("def");
	refused("@a\n");
	refused("@a\nx = 1\n");
	refused("@a\nasync with x: pass\n");
	refused("class A:\n  @a\ndef f(): pass\n");
	refused("@a\n  def f(): pass\n");
	refused("if x: def f(): pass\n");
	refused("x = 1; def f(): pass\n");
	refused("class A: class B: pass\n");
	refused("def f(): 'a\n");
	assert_null(read_source("# coding: koi8-r\ndef f(): pass\n", &how));
	assert_string_equal(how, PYSOURCE_ENCODING);
}

static void repeat(struct bytes *b, const char *text, size_t times)
{
	for (size_t i = 0; i < times; i++)
		assert_int_equal(bytes_put(b, text, strlen(text)), 0);
}

static void test_bounds(void **state)
{
	struct bytes b = BYTES_INIT;
	const char *how;
	struct pysource *p;

	(void)state;
	/* Functions in functions. */
	for (size_t deep = 32; deep <= 33; deep++) {
		b.len = 0;
		for (size_t i = 0; i < deep; i++) {
			repeat(&b, " ", i);
			repeat(&b, "def f():\n", 1);
		}
		repeat(&b, " ", deep);
		repeat(&b, "pass\n", 1);
		p = pysource_read(b.data, b.len, &how);
		assert_string_equal(how, deep == 32 ? PYSOURCE_OK : PYSOURCE_NOT_TOKENIZED);
		assert_int_equal(pysource_count(p ? p : (p = good(""))), deep == 32 ? 32 : 0);
		pysource_free(p);
	}
	/* Too many functions. */
	b.len = 0;
	repeat(&b, "def f():0\n", 65537);
	assert_null(pysource_read(b.data, b.len, &how));
	assert_string_equal(how, PYSOURCE_NOT_TOKENIZED);
	p = pysource_read(b.data, b.len - 10, &how);
	assert_int_equal(pysource_count(p), 65536);
	pysource_free(p);
	/* A name that is too long is nobody's qualified name; a file that is too large is not read.
	 */
	b.len = 0;
	repeat(&b, "class ", 1);
	repeat(&b, "A", 2000);
	repeat(&b, ":\n def f(): pass\n", 1);
	p = pysource_read(b.data, b.len, &how);
	assert_string_equal(pysource_at(p, 1)->name, "f");
	assert_string_equal(pysource_at(p, 1)->qualname, "");
	assert_null(pysource_find(p, "f", "f", 2));
	pysource_free(p);
	b.len = 0;
	assert_int_equal(bytes_reserve(&b, PYSOURCE_FILE_MAX + 1), 0);
	memset(b.data, '\n', PYSOURCE_FILE_MAX + 1);
	assert_null(pysource_read(b.data, PYSOURCE_FILE_MAX + 1, &how));
	assert_string_equal(how, PYSOURCE_TOO_LARGE);
	p = pysource_read(b.data, PYSOURCE_FILE_MAX, &how);
	assert_non_null(p);
	pysource_free(p);
	bytes_release(&b);
}

/* Twice the text takes about twice the time, whatever it is made of. */
static void test_linear(void **state)
{
	static const char *const pieces[] = { "f'{",  "f'''{a:",
					      "'",    "\"\"\"",
					      "#",    "(",
					      "@a\n", "x ",
					      "\\\n", "class A:pass\n",
					      "\n ",  "f'{{' ",
					      "0x_",  "def f(a,b):'x'\n" };
	const char *how;

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct bytes b = BYTES_INIT;
		clock_t start = clock();

		repeat(&b, "def f():\n ", 1);
		repeat(&b, pieces[i], 2 * 1024 * 1024 / strlen(pieces[i]));
		pysource_free(pysource_read(b.data, b.len, &how));
		bytes_release(&b);
		assert_true(clock() - start < 20 * CLOCKS_PER_SEC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_definition), cmocka_unit_test(test_layout),
		cmocka_unit_test(test_docstring),  cmocka_unit_test(test_names),
		cmocka_unit_test(test_find),	   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds),	   cmocka_unit_test(test_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
