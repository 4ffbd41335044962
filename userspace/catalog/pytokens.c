/* The tokens of Python text. */
#include "catalog/pytokens.h"

#include <string.h>

#include "catalog/pystring.h"

void pytokens_begin(struct pytokens *t, const uint8_t *text, size_t len)
{
	memset(t, 0, sizeof(*t));
	t->text = text;
	t->len = len;
	t->line = 1;
	t->fresh = true;
	t->bad = len > PYTOKENS_TEXT_MAX || (len && memchr(text, 0, len));
}

bool pytoken_is(const struct pytoken *token, enum pytoken_kind kind, const char *text)
{
	return token->kind == kind && token->len == strlen(text) &&
	       !memcmp(token->text, text, token->len);
}

/* The byte that far ahead; 0, which is nowhere in the text, behind its end. */
static uint8_t peek(const struct pytokens *t, size_t ahead)
{
	return t->len - t->at > ahead ? t->text[t->at + ahead] : 0;
}

static bool digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Every character beyond ASCII counts as one of a name. */
static bool name_start(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static void skip_comment(struct pytokens *t)
{
	while (t->at < t->len && t->text[t->at] != '\n')
		t->at++;
}

/* ---- the start of a line ---- */

/* Passes blank lines, and the white space before the first token: its width. */
static void skip_to_line(struct pytokens *t, uint32_t *tabbed, uint32_t *plain)
{
	*tabbed = *plain = 0;
	for (;;) {
		switch (peek(t, 0)) {
		case ' ':
			++*tabbed;
			++*plain;
			break;
		case '\t':
			*tabbed = (*tabbed / 8 + 1) * 8;
			++*plain;
			break;
		case '\f':
			*tabbed = *plain = 0;
			break;
		case '#':
			skip_comment(t);
			continue;
		case '\n':
			*tabbed = *plain = 0;
			t->line++;
			break;
		default:
			return;
		}
		t->at++;
	}
}

/* Interpreters differ in what a line is indented by that begins with a continuation: refused. */
static bool begin_line(struct pytokens *t, bool *indent)
{
	uint32_t tabbed, plain;

	*indent = false;
	skip_to_line(t, &tabbed, &plain);
	t->fresh = false;
	if (t->at == t->len)
		return true;
	if (peek(t, 0) == '\\')
		return false;
	if (tabbed > t->indents[t->indent].tabbed) {
		if (plain <= t->indents[t->indent].plain || t->indent == PYTOKENS_INDENTS)
			return false;
		t->indent++;
		t->indents[t->indent].tabbed = tabbed;
		t->indents[t->indent].plain = plain;
		*indent = true;
		return true;
	}
	while (tabbed < t->indents[t->indent].tabbed) {
		t->indent--;
		t->dedents++;
	}
	return tabbed == t->indents[t->indent].tabbed && plain == t->indents[t->indent].plain;
}

/* ---- tokens with text: each returns a length, 0 when it cannot be read ---- */

static size_t digits(const struct pytokens *t, size_t from, bool (*good)(uint8_t))
{
	size_t n = from;

	while (good(peek(t, n)) || (n > from && peek(t, n) == '_' && good(peek(t, n + 1))))
		n++;
	return n - from;
}

static bool hex_digit(uint8_t c)
{
	return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool octal_digit(uint8_t c)
{
	return c >= '0' && c <= '7';
}

static bool binary_digit(uint8_t c)
{
	return c == '0' || c == '1';
}

static uint8_t low(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* 0x, 0o or 0b and digits, the first of which may have an underscore before it. */
static size_t based_number(const struct pytokens *t)
{
	uint8_t base = low(peek(t, 1));
	bool (*good)(uint8_t) = base == 'x'   ? hex_digit
				: base == 'o' ? octal_digit
				: base == 'b' ? binary_digit
					      : NULL;
	size_t from, n;

	if (peek(t, 0) != '0' || !good)
		return 0;
	from = peek(t, 2) == '_' ? 3 : 2;
	n = digits(t, from, good);
	return n ? from + n : 0;
}

static size_t number(const struct pytokens *t)
{
	size_t n = based_number(t), whole, more;

	if (n)
		return n + (low(peek(t, n)) == 'l');
	n = whole = digits(t, 0, digit);
	if (peek(t, n) == '.') {
		n++;
		n += digits(t, n, digit);
	}
	if (low(peek(t, n)) == 'e') {
		more = peek(t, n + 1) == '+' || peek(t, n + 1) == '-' ? 2 : 1;
		if (digit(peek(t, n + more)))
			n += more + digits(t, n + more, digit);
	}
	return n + (low(peek(t, n)) == 'j' || (n == whole && low(peek(t, n)) == 'l'));
}

static size_t operator(const struct pytokens *t)
{
	static const char *const three[] = { "**=", "//=", "<<=", ">>=" };
	static const char *const two[] = {
		"**", "//", "<<", ">>", "<=", ">=", "==", "!=", "<>", "->",
		":=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@="
	};
	uint8_t c = peek(t, 0);

	if (t->len - t->at >= 3)
		for (size_t i = 0; i < sizeof(three) / sizeof(three[0]); i++)
			if (!memcmp(t->text + t->at, three[i], 3))
				return 3;
	if (t->len - t->at >= 2)
		for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i++)
			if (!memcmp(t->text + t->at, two[i], 2))
				return 2;
	return c && strchr("()[]{}:,;.+-*/%&|^~<>=@`", c) ? 1 : 0;
}

/* Brackets must pair. */
static bool bracket(struct pytokens *t, uint8_t c)
{
	if (c == '(' || c == '[' || c == '{') {
		if (t->brackets == PYTOKENS_BRACKETS)
			return false;
		t->closing[t->brackets++] = c == '(' ? ')' : c == '[' ? ']' : '}';
	} else if (c == ')' || c == ']' || c == '}') {
		if (!t->brackets || t->closing[t->brackets - 1] != c)
			return false;
		t->brackets--;
	}
	return true;
}

/* A name, or a string with a prefix. */
static size_t word(const struct pytokens *t, struct pytoken *out)
{
	struct pystring_prefix prefix;
	size_t n = 0, quoted;

	while (name_start(peek(t, n)) || digit(peek(t, n)))
		n++;
	out->kind = PYTOKEN_NAME;
	if (peek(t, n) != '"' && peek(t, n) != '\'')
		return n;
	if (n && !pystring_prefix(t->text + t->at, n, &prefix))
		return n; /* print"text" */
	if (!n)
		memset(&prefix, 0, sizeof(prefix));
	out->kind = PYTOKEN_STRING;
	out->docstring = !prefix.formatted && !prefix.bytes;
	quoted = pystring_length(t->text + t->at + n, t->len - t->at - n, &prefix);
	return quoted ? n + quoted : 0;
}

static bool token_with_text(struct pytokens *t, struct pytoken *out)
{
	uint8_t c = peek(t, 0);

	if (name_start(c) || c == '"' || c == '\'') {
		out->len = word(t, out);
	} else if (digit(c) || (c == '.' && digit(peek(t, 1)))) {
		out->kind = PYTOKEN_NUMBER;
		out->len = number(t);
	} else {
		out->kind = PYTOKEN_OP;
		out->len = operator(t);
		if (!bracket(t, c))
			return false;
	}
	if (!out->len)
		return false;
	out->text = t->text + t->at;
	if (out->kind == PYTOKEN_STRING)
		for (size_t i = 0; i < out->len; i++)
			t->line += out->text[i] == '\n';
	t->at += out->len;
	t->inside = true;
	return true;
}

/* ---- all tokens ---- */

static enum pytoken_kind fail(struct pytokens *t, struct pytoken *out)
{
	t->bad = true;
	return out->kind = PYTOKEN_BAD;
}

/* White space between tokens; false: a continuation of nothing. */
static bool skip_space(struct pytokens *t)
{
	for (;;) {
		switch (peek(t, 0)) {
		case ' ':
		case '\t':
		case '\f':
			t->at++;
			break;
		case '#':
			skip_comment(t);
			break;
		case '\\':
			if (peek(t, 1) != '\n' || !peek(t, 2))
				return false;
			t->at += 2;
			t->line++;
			break;
		case '\n':
			if (!t->brackets)
				return true;
			t->at++;
			t->line++;
			break;
		default:
			return true;
		}
	}
}

static enum pytoken_kind end(struct pytokens *t, struct pytoken *out)
{
	if (t->brackets)
		return fail(t, out);
	if (t->inside) { /* the last line may lack its end */
		t->inside = false;
		return out->kind = PYTOKEN_NEWLINE;
	}
	if (t->indent) {
		t->indent--;
		return out->kind = PYTOKEN_DEDENT;
	}
	return out->kind = PYTOKEN_END;
}

enum pytoken_kind pytokens_next(struct pytokens *t, struct pytoken *out)
{
	bool indent;

	*out = (struct pytoken){ .text = (const uint8_t *)"", .line = t->line };
	if (t->bad)
		return fail(t, out);
	if (t->fresh) {
		if (!begin_line(t, &indent))
			return fail(t, out);
		out->line = t->line;
		if (indent)
			return out->kind = PYTOKEN_INDENT;
	}
	if (t->dedents) {
		t->dedents--;
		return out->kind = PYTOKEN_DEDENT;
	}
	if (!skip_space(t))
		return fail(t, out);
	out->line = t->line;
	if (t->at == t->len)
		return end(t, out);
	if (peek(t, 0) == '\n') {
		t->at++;
		t->line++;
		t->fresh = true;
		t->inside = false;
		return out->kind = PYTOKEN_NEWLINE;
	}
	return token_with_text(t, out) ? out->kind : fail(t, out);
}
