/* What a Python source defines, and which names are not certain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collect/pydefs.h"

static struct pydefs *read_text(const char *text)
{
	return pydefs_read(text, strlen(text));
}

static const struct pydefs_name *find(const struct pydefs *d, const char *scope, const char *name)
{
	for (size_t i = 0; i < d->names_count; i++)
		if (!strcmp(d->names[i].name, name) &&
		    !strcmp(d->scopes[d->names[i].scope].qualname, scope))
			return &d->names[i];
	return NULL;
}

static void test_names(void **state)
{
	static const char text[] = "\"\"\"def no(): pass\"\"\"\n"
				   "import os\n"
				   "def one(a,\n"
				   "        b=')'):\n"
				   "    def inner(): pass\n"
				   "    class Hidden:\n"
				   "        def gone(self): pass\n"
				   "class Outer(Base):\n"
				   "    @property\n"
				   "    def shown(self): return f'{x!r:>{w}}'\n"
				   "    @a.b(1)\n"
				   "    @staticmethod\n"
				   "    def twice(): pass\n"
				   "    class Inner: x = 1\n"
				   "    async def wait(self): pass\n"
				   "if os.name:\n"
				   "    def two(): pass\n"
				   "def three(): pass\n";
	struct pydefs *d = read_text(text);
	const struct pydefs_name *n;

	(void)state;
	assert_non_null(d);
	assert_int_equal(d->names_count, 8);
	assert_int_equal(find(d, "", "one")->line, 3);
	assert_int_equal(find(d, "", "two")->line, 17);
	assert_int_equal(find(d, "", "three")->line, 18);
	assert_null(find(d, "", "inner"));
	n = find(d, "Outer", "shown");
	assert_int_equal(n->line, 9);
	assert_int_equal(n->decorator, PYDEFS_PROPERTY);
	n = find(d, "Outer", "twice");
	assert_int_equal(n->line, 11);
	assert_int_equal(n->decorator, PYDEFS_DECORATED);
	assert_string_equal(n->decorators, "a.b");
	assert_string_equal(n->decorators + 4, "staticmethod");
	assert_int_equal(n->decorators[17], '\0');
	assert_non_null(find(d, "Outer", "wait"));
	n = find(d, "Outer", "Inner");
	assert_string_equal(d->scopes[n->own_scope].qualname, "Outer.Inner");
	for (size_t i = 0; i < d->names_count; i++)
		assert_false(d->names[i].again);
	assert_false(d->dynamic || d->generates || d->sets_attributes);
	pydefs_free(d);
}

/* Each of these binds `f` (of class C, or of the module) once more. */
static void test_again(void **state)
{
	static const char *const module[] = {
		"def f(): pass\nf = 1\n",
		"def f(): pass\nx = f = 1\n",
		"def f(): pass\nx, (y, f) = 1\n",
		"def f(): pass\nf: int = 1\n",
		"def f(): pass\nf += 1\n",
		"def f(): pass\ndel f\n",
		"def f(): pass\nimport f\n",
		"def f(): pass\nimport f.g\n",
		"def f(): pass\nimport a.b as f\n",
		"def f(): pass\nfrom a import (b,\n f)\n",
		"def f(): pass\nfrom a import *\n",
		"def f(): pass\nfor f in x: pass\n",
		"def f(): pass\nwith a as f: pass\n",
		"def f(): pass\ntry: pass\nexcept E as f: pass\n",
		"def f(): pass\nx = (f := 1)\n",
		"def f(): pass\ndef g():\n    global f\n    f = 1\n",
		"def f(): pass\nif x: f = 1\n",
		"def f(): pass\nx = 1; f = 2\n",
		"if x:\n    def f(): pass\nelse:\n    def f(): pass\n",
		"def f(): pass\nclass f: pass\n",
		"def f(): pass\nmatch x:\n    case f: pass\n",
	};
	static const char *const class[] = {
		"class C:\n    def f(self): pass\n    f = wrap(f)\n",
		"class C:\n    def f(self): pass\nC.f = 1\n",
		"class C:\n    def f(self): pass\ndef g(cls): cls.f = 1\n",
		"class C:\n    def f(self): pass\n    def g(cls):\n        cls.f = 1\n",
	};
	static const char *const once[] = {
		"def f(): pass\nx = f\n",	    "def f(): pass\nf()\nx[f] = 1\n",
		"def f(): pass\nx = y == f\n",	    "def f(): pass\ndef g():\n    f = 1\n",
		"def f(): pass\nx = g(f=1)\n",	    "def f(): pass\nclass D:\n    f = 1\n",
		"from a import *\ndef f(): pass\n", "def f(): pass\nimport a.f\n",
		"def f(): pass\nx = lambda f: f\n", "def f(): pass\nif f: x = 1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(module) / sizeof(module[0]); i++) {
		struct pydefs *d = read_text(module[i]);

		assert_non_null(d);
		if (!find(d, "", "f")->again)
			fail_msg("not seen: %s", module[i]);
		pydefs_free(d);
	}
	for (size_t i = 0; i < sizeof(class) / sizeof(class[0]); i++) {
		struct pydefs *d = read_text(class[i]);

		assert_non_null(d);
		if (!find(d, "C", "f")->again)
			fail_msg("not seen: %s", class[i]);
		pydefs_free(d);
	}
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
		struct pydefs *d = read_text(once[i]);

		assert_non_null(d);
		if (find(d, "", "f")->again)
			fail_msg("seen: %s", once[i]);
		pydefs_free(d);
	}
}

static void test_text(void **state)
{
	struct pydefs *d = read_text("globals().update(x)\nclass C:\n    locals()['f'] = 1\n");

	(void)state;
	assert_true(d->dynamic);
	assert_true(d->scopes[0].by_text);
	assert_true(d->scopes[1].by_text);
	assert_false(d->sets_attributes);
	pydefs_free(d);
	d = read_text("def f():\n    exec(x)\n    setattr(a, b, c)\n");
	assert_true(d->dynamic);
	assert_true(d->generates);
	assert_false(d->scopes[0].by_text);
	assert_false(d->sets_attributes);
	pydefs_free(d);
	d = read_text("class C:\n    __module__ = 'x'\n");
	assert_true(d->scopes[1].names_module);
	pydefs_free(d);
}

static void test_unreadable(void **state)
{
	static const char *const texts[] = { "x = (1\n", "x = '''\n", "def \n", "x = 'a\n",
					     "  x = 1\n y = 1\n" };
	char deep[4096] = "";
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_null(read_text(texts[i]));
	for (int i = 0; i < 60; i++) {
		memset(deep + at, ' ', (size_t)i);
		memcpy(deep + at + i, "class C:\n", 9);
		at += (size_t)i + 9;
	}
	memset(deep + at, ' ', 61);
	memcpy(deep + at + 61, "x = 1\n", 7);
	pydefs_free(read_text(deep));
	for (at = 0; at + 6 < sizeof(deep); at += 6)
		memcpy(deep + at, "if x: ", 7);
	assert_null(read_text(deep));
	pydefs_free(pydefs_read("", 0));
	pydefs_free(pydefs_read("def f(): pass", 13));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
