/* Tokens of Python text: written as a line of letters and texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "catalog/pystring.h"
#include "catalog/pytext.h"
#include "catalog/pytokens.h"

static char got[8192];

static void say(const char *text, size_t len)
{
	size_t at = strlen(got);

	assert_true(at + len + 2 < sizeof(got));
	if (at)
		got[at++] = ' ';
	memcpy(got + at, text, len);
	got[at + len] = 0;
}

/* "n:x o:= d:1 L": kinds and texts; what cannot be read ends in "BAD". */
static const char *tokens_of(const char *text, size_t len)
{
	static const char letters[] = "ndsoLID";
	uint8_t *copy = malloc(len ? len : 1); /* of the exact size */
	struct pytokens t;
	struct pytoken token;
	uint32_t line = 1;

	assert_non_null(copy);
	memcpy(copy, text, len);
	got[0] = 0;
	pytokens_begin(&t, copy, len);
	while (pytokens_next(&t, &token) < PYTOKEN_END) {
		char one[256];

		assert_true(token.line >= line);
		line = token.line;
		if (token.kind < PYTOKEN_NEWLINE)
			snprintf(one, sizeof(one), "%c:%.*s", letters[token.kind], (int)token.len,
				 (const char *)token.text);
		else
			snprintf(one, sizeof(one), "%c", letters[token.kind]);
		say(one, strlen(one));
	}
	if (token.kind == PYTOKEN_BAD) {
		say("BAD", 3);
		assert_int_equal(pytokens_next(&t, &token), PYTOKEN_BAD);
	} else {
		assert_int_equal(pytokens_next(&t, &token), PYTOKEN_END);
	}
	free(copy);
	return got;
}

#define TOKENS(text, want) assert_string_equal(tokens_of(text, sizeof(text) - 1), want)
#define BAD(text)                                                     \
	do {                                                          \
		const char *said = tokens_of(text, sizeof(text) - 1); \
		assert_true(strlen(said) >= 3);                       \
		assert_string_equal(said + strlen(said) - 3, "BAD");  \
	} while (0)

static void test_lines(void **state)
{
	(void)state;
	TOKENS("", "");
	TOKENS("\n\n  # only this\n\t\f\n", "");
	TOKENS("x", "n:x L");
	TOKENS("x # c", "n:x L");
	TOKENS("x\n# c", "n:x L");
	TOKENS("x = \\\n 1\n", "n:x o:= d:1 L");
	TOKENS("x = 1 \\\n\ny", "n:x o:= d:1 L n:y L");
	TOKENS("(1,\n\n # c\n 2)\n", "o:( d:1 o:, d:2 o:) L");
	TOKENS("a;b", "n:a o:; n:b L");
	TOKENS("x\f = 1", "n:x o:= d:1 L");
	BAD("x = 1 \\");
	BAD("x = 1 \\\n");
	BAD("x = 1 \\ \n");
	BAD("\\\nx = 1\n");
	BAD("if x:\n  \\\n  y\n");
	BAD("x = (1");
	BAD("x = 1)");
	BAD("x = (1]");
	BAD("x = 1\0\n");
	BAD("a ? b");
	BAD("a ! b");
	BAD("$a");
}

static void test_indentation(void **state)
{
	(void)state;
	TOKENS("if a:\n  b\nc\n", "n:if n:a o:: L I n:b L D n:c L");
	TOKENS("if a:\n  if b:\n    c", "n:if n:a o:: L I n:if n:b o:: L I n:c L D D");
	TOKENS("if a:\n  b\n # less\n      # more\n  c\n", "n:if n:a o:: L I n:b L n:c L D");
	TOKENS("if a:\n\tb\n\tc\n", "n:if n:a o:: L I n:b L n:c L D");
	TOKENS("if a:\n  b\n\f  c\n", "n:if n:a o:: L I n:b L n:c L D");
	TOKENS("if a:\n  b\n    \f  c\n", "n:if n:a o:: L I n:b L n:c L D");
	TOKENS("if a:\n  b\n  ", "n:if n:a o:: L I n:b L D");
	BAD("if a:\n    b\n  c\n");
	/* Equal or deeper only for one width of a tab. */
	BAD("if a:\n        b\n\tc\n");
	BAD("if a:\n  b\n\tif c:\n");
	BAD("if a:\n\tif b:\n            c\n        d\n");
}

static void test_numbers(void **state)
{
	(void)state;
	TOKENS("0 00 0777 0777L 10l", "d:0 d:00 d:0777 d:0777L d:10l L");
	TOKENS("0xFFl 0o17 0b1_0 0x_f", "d:0xFFl d:0o17 d:0b1_0 d:0x_f L");
	TOKENS("1. .5 1.5e-3j 1e5 1J 1_000.000_1",
	       "d:1. d:.5 d:1.5e-3j d:1e5 d:1J d:1_000.000_1 L");
	TOKENS("1if 1else 0xfor 1.e 1..real 1jif",
	       "d:1 n:if d:1 n:else d:0xf n:or d:1. n:e d:1. o:. n:real d:1j n:if L");
	TOKENS("1.l", "d:1. n:l L");
	TOKENS("0b2 0x", "d:0 n:b2 d:0 n:x L");
}

static void test_operators(void **state)
{
	(void)state;
	TOKENS("a**=b//c>>=d<>e->f:=g@=h", "n:a o:**= n:b o:// n:c o:>>= n:d o:<> n:e o:-> n:f "
					   "o::= n:g o:@= n:h L");
	TOKENS("...", "o:. o:. o:. L");
	TOKENS("`a`", "o:` n:a o:` L");
	TOKENS("a!=b", "n:a o:!= n:b L");
	TOKENS("print >>f, 1", "n:print o:>> n:f o:, d:1 L");
}

static void test_names(void **state)
{
	(void)state;
	TOKENS("match _x1 \xc3\xa9t\xc3\xa9", "n:match n:_x1 n:\xc3\xa9t\xc3\xa9 L");
	TOKENS("print\"x\"", "n:print s:\"x\" L");
	TOKENS("bu'x' rf'x' TR'x' Ur'x' x'y'", "n:bu s:'x' s:rf'x' s:TR'x' s:Ur'x' n:x s:'y' L");
}

static void test_strings(void **state)
{
	(void)state;
	TOKENS("'' \"\" '''''' \"\"\"\"\"\"", "s:'' s:\"\" s:'''''' s:\"\"\"\"\"\" L");
	TOKENS("'a\\'b' r'\\' '", "s:'a\\'b' s:r'\\' ' L");
	TOKENS("'a\\\nb'", "s:'a\\\nb' L");
	TOKENS("'''a\n'b''c\\''''x", "s:'''a\n'b''c\\'''' n:x L");
	TOKENS("'# no comment'", "s:'# no comment' L");
	BAD("'a\nb'");
	BAD("'a");
	BAD("'a\\");
	BAD("'''a''");
}

static void test_formatted(void **state)
{
	(void)state;
	TOKENS("f'{{' + f'{a}'", "s:f'{{' o:+ s:f'{a}' L");
	TOKENS("f'{a[\"b\"]}'", "s:f'{a[\"b\"]}' L");
	TOKENS("f'{a['b']}'", "s:f'{a['b']}' L");
	TOKENS("f\"{f\"{f\"{1}\"}\"}\" x", "s:f\"{f\"{f\"{1}\"}\"}\" n:x L");
	TOKENS("f'{a!r:>{w}.{p}}' x", "s:f'{a!r:>{w}.{p}}' n:x L");
	TOKENS("f\"{a:'>10}\" x", "s:f\"{a:'>10}\" n:x L");
	TOKENS("f'{ {1: 2}[1] }{(lambda x: x)(1)}'", "s:f'{ {1: 2}[1] }{(lambda x: x)(1)}' L");
	TOKENS("f'{a:%H:%M}'", "s:f'{a:%H:%M}' L");
	TOKENS("f'\\N{DIGIT ONE}\\{a}'", "s:f'\\N{DIGIT ONE}\\{a}' L");
	TOKENS("f'{a # }\n}' x", "s:f'{a # }\n}' n:x L");
	TOKENS("f'''{a\n}\n{b['''c''']}'''", "s:f'''{a\n}\n{b['''c''']}''' L");
	TOKENS("f'{a:{b:{c}}}'", "s:f'{a:{b:{c}}}' L");
	TOKENS("t'{a}' rb'{' '{'", "s:t'{a}' s:rb'{' s:'{' L");
	TOKENS("f'{'\\'}'}'", "s:f'{'\\'}'}' L");
	BAD("f'{a'");
	BAD("f'}'");
	BAD("f'{a:\n}'");
	BAD("f'{a:'}'");
	BAD("f'{a)}'");
	BAD("rf'\\N{a'");
}

static void repeat(struct bytes *b, const char *text, size_t times)
{
	for (size_t i = 0; i < times; i++)
		assert_int_equal(bytes_put(b, text, strlen(text)), 0);
}

static enum pytoken_kind last_of(const struct bytes *b)
{
	struct pytokens t;
	struct pytoken token;

	pytokens_begin(&t, b->data, b->len);
	while (pytokens_next(&t, &token) < PYTOKEN_END)
		;
	return token.kind;
}

/* Just at the bounds, and one beyond. */
static void test_bounds(void **state)
{
	(void)state;
	for (size_t more = 0; more < 2; more++) {
		enum pytoken_kind want = more ? PYTOKEN_BAD : PYTOKEN_END;
		struct bytes b = BYTES_INIT;

		repeat(&b, "(", PYTOKENS_BRACKETS + more);
		repeat(&b, ")", PYTOKENS_BRACKETS + more);
		assert_int_equal(last_of(&b), want);
		b.len = 0;
		for (size_t i = 0; i <= PYTOKENS_INDENTS + more; i++) {
			repeat(&b, " ", i);
			repeat(&b, "if x:\n", 1);
		}
		assert_int_equal(last_of(&b), want);
		b.len = 0;
		repeat(&b, "f'{", 64 + more);
		repeat(&b, "}'", 64 + more);
		assert_int_equal(last_of(&b), want);
		bytes_release(&b);
	}
}

static int text_of(const char *data, size_t len, struct bytes *out)
{
	return pytext_read((const uint8_t *)data, len, out);
}

#define TEXT(from, want)                                                  \
	do {                                                              \
		assert_int_equal(text_of(from, sizeof(from) - 1, &b), 0); \
		assert_int_equal(b.len, sizeof(want) - 1);                \
		assert_memory_equal(b.data, want, sizeof(want) - 1);      \
	} while (0)
#define NO_TEXT(from) assert_int_equal(text_of(from, sizeof(from) - 1, &b), 1)

static void test_text(void **state)
{
	struct bytes b = BYTES_INIT;

	(void)state;
	assert_int_equal(text_of("", 0, &b), 0);
	TEXT("a\r\nb\rc\n\r", "a\nb\nc\n\n");
	TEXT("\xef\xbb\xbfx", "x");
	TEXT("\xef\xbb\xbf# coding: utf8\nx", "# coding: utf8\nx");
	TEXT("# coding: latin-1\n\xe9", "# coding: latin-1\n\xc3\xa9");
	TEXT("#!/x\r\n# -*- coding:ISO_8859-1-unix -*-\r\n\xe9",
	     "#!/x\n# -*- coding:ISO_8859-1-unix -*-\n\xc3\xa9");
	TEXT("\n\f# coding= latin1\n\xe9", "\n\f# coding= latin1\n\xc3\xa9");
	TEXT("# coding: , coding:latin-1\n\xe9", "# coding: , coding:latin-1\n\xc3\xa9");
	TEXT("x\n# coding: koi8-r\n", "x\n# coding: koi8-r\n");
	TEXT("#\n#\n# coding: koi8-r\n", "#\n#\n# coding: koi8-r\n");
	TEXT("x = 'coding: koi8-r'\n", "x = 'coding: koi8-r'\n");
	TEXT("# coding: utf-8\n\xf0\x9f\x90\x8d", "# coding: utf-8\n\xf0\x9f\x90\x8d");
	NO_TEXT("# coding: koi8-r\n");
	NO_TEXT("# coding: coding:latin-1\n");
	NO_TEXT("# coding: iso-8859-15\n");
	NO_TEXT("# coding: utf-7\n");
	NO_TEXT("# coding: utf-8xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n");
	NO_TEXT("\xef\xbb\xbf# coding: latin-1\nx");
	NO_TEXT("# coding: ascii\n\xc3\xa9");
	NO_TEXT("\xe9");
	NO_TEXT("\xc3");
	NO_TEXT("\xc0\x80");
	NO_TEXT("\xe0\x80\x80");
	NO_TEXT("\xed\xa0\x80");
	NO_TEXT("\xf4\x90\x80\x80");
	bytes_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	  cmocka_unit_test(test_indentation),
		cmocka_unit_test(test_numbers),	  cmocka_unit_test(test_operators),
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_strings),
		cmocka_unit_test(test_formatted), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
