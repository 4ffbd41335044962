/* Python source as logical lines of tokens. */
#include "collect/pytext.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 200 /* open brackets, as the interpreter has it */
#define NESTED_MAX 8 /* strings in f-strings */
#define TOKENS_MAX 4000000

void pytext_open(struct pytext *p, const void *text, size_t len)
{
	*p = (struct pytext){ .text = text, .len = len, .line = 1 };
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		p->at = 3;
}

void pytext_line_release(struct pytext_line *line)
{
	free(line->tokens);
	memset(line, 0, sizeof(*line));
}

static char peek(const struct pytext *p, size_t ahead)
{
	return p->len - p->at > ahead ? p->text[p->at + ahead] : '\0';
}

static void step(struct pytext *p)
{
	if (p->text[p->at++] == '\n')
		p->line++;
}

static bool starts_name(char c)
{
	return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool continues_name(char c)
{
	return starts_name(c) || isdigit((unsigned char)c);
}

static int add(struct pytext_line *line, const struct pytext_token *t)
{
	if (line->count == line->cap) {
		size_t cap = line->cap ? 2 * line->cap : 256;
		struct pytext_token *grown;

		if (cap > TOKENS_MAX || !(grown = realloc(line->tokens, cap * sizeof(*grown))))
			return -1;
		line->tokens = grown;
		line->cap = cap;
	}
	line->tokens[line->count++] = *t;
	return 0;
}

/* ---- strings ---- */

static bool at_quotes(const struct pytext *p, char quote, bool triple)
{
	return peek(p, 0) == quote && (!triple || (peek(p, 1) == quote && peek(p, 2) == quote));
}

static int string(struct pytext *p, bool formatted, int nested);

/* The letters in front of a quote; SIZE_MAX: this is no string. */
static size_t prefix(const struct pytext *p, bool *formatted)
{
	size_t n = 0;

	*formatted = false;
	while (n < 2 && peek(p, n) && strchr("rRbBuUfFtT", peek(p, n))) {
		*formatted |= strchr("fFtT", peek(p, n)) != NULL;
		n++;
	}
	return peek(p, n) == '"' || peek(p, n) == '\'' ? n : SIZE_MAX;
}

/* Behind a '{' of an f-string, up to behind its '}'. */
static int replacement(struct pytext *p, int nested)
{
	int depth = 0;
	bool inner, format = false, word = false;

	while (p->at < p->len) {
		char c = peek(p, 0);
		size_t n = format || word ? SIZE_MAX : prefix(p, &inner);

		if (n != SIZE_MAX) {
			p->at += n;
			if (string(p, inner, nested + 1))
				return -1;
			word = false;
			continue;
		}
		word = continues_name(c);
		if (c == '{' && format) {
			p->at++;
			if (nested >= NESTED_MAX || replacement(p, nested + 1))
				return -1;
			continue;
		}
		if (c == '}' && !depth) {
			p->at++;
			return 0;
		}
		if (!format && strchr("([{", c) && c)
			depth++;
		else if (!format && strchr(")]}", c) && c)
			depth--;
		else if (c == ':' && !depth)
			format = true;
		if (depth < 0 || depth > DEPTH_MAX)
			return -1;
		step(p);
	}
	return -1;
}

/* At the first quote; ends behind the last one. */
static int string(struct pytext *p, bool formatted, int nested)
{
	char quote = peek(p, 0);
	bool triple = peek(p, 1) == quote && peek(p, 2) == quote;

	if (nested > NESTED_MAX)
		return -1;
	p->at += triple ? 3 : 1;
	while (p->at < p->len) {
		if (at_quotes(p, quote, triple)) {
			p->at += triple ? 3 : 1;
			return 0;
		}
		if (peek(p, 0) == '\\' && p->at + 1 < p->len) {
			step(p);
			if (peek(p, 0) == '\r' && peek(p, 1) == '\n')
				p->at++;
			step(p);
		} else if (formatted && peek(p, 0) == '{' && peek(p, 1) == '{') {
			p->at += 2;
		} else if (formatted && peek(p, 0) == '{') {
			p->at++;
			if (replacement(p, nested))
				return -1;
		} else if (peek(p, 0) == '\n' && !triple) {
			return -1;
		} else {
			step(p);
		}
	}
	return -1;
}

/* ---- the rest ---- */

static size_t operator_length(const struct pytext *p)
{
	static const char *const three[] = { "**=", "//=", ">>=", "<<=", "..." };
	static const char *const two[] = { "==", "!=", "<=", ">=", "->", "+=", "-=",
					   "*=", "/=", "%=", "@=", "&=", "|=", "^=",
					   ":=", "**", "//", "<<", ">>", "<>" };

	for (size_t i = 0; p->len - p->at >= 3 && i < sizeof(three) / sizeof(three[0]); i++)
		if (!memcmp(p->text + p->at, three[i], 3))
			return 3;
	for (size_t i = 0; p->len - p->at >= 2 && i < sizeof(two) / sizeof(two[0]); i++)
		if (!memcmp(p->text + p->at, two[i], 2))
			return 2;
	return 1;
}

/* One token at the current place, which is no blank. */
static int take(struct pytext *p, struct pytext_line *line, uint32_t *depth)
{
	struct pytext_token t = { .text = p->text + p->at, .line = p->line, .depth = *depth };
	size_t start = p->at, n;
	bool formatted;
	char c = peek(p, 0);

	n = prefix(p, &formatted);
	if (n != SIZE_MAX) {
		t.kind = PYTEXT_STRING;
		p->at += n;
		if (string(p, formatted, 0))
			return -1;
	} else if (starts_name(c)) {
		t.kind = PYTEXT_NAME;
		while (continues_name(peek(p, 0)))
			p->at++;
	} else if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)peek(p, 1)))) {
		t.kind = PYTEXT_NUMBER;
		while (continues_name(peek(p, 0)) || peek(p, 0) == '.' ||
		       ((peek(p, 0) == '+' || peek(p, 0) == '-') &&
			(p->text[p->at - 1] | 0x20) == 'e' && (p->text[start + 1] | 0x20) != 'x'))
			p->at++;
	} else {
		t.kind = PYTEXT_OP;
		if (strchr("([{", c)) {
			if (++*depth > DEPTH_MAX)
				return -1;
		} else if (strchr(")]}", c)) {
			if (!*depth)
				return -1;
			t.depth = --*depth;
		}
		p->at += operator_length(p);
	}
	t.len = p->at - start;
	return add(line, &t);
}

/* Goes to the first token of the next line that has one; false at the end. */
static bool begin_line(struct pytext *p, struct pytext_line *line)
{
	while (p->at < p->len) {
		uint32_t column = 0;

		for (;; p->at++) {
			char c = peek(p, 0);

			if (c == ' ')
				column++;
			else if (c == '\t')
				column = (column / 8 + 1) * 8;
			else if (c == '\f')
				column = 0;
			else
				break;
		}
		line->indent = column;
		if (peek(p, 0) == '#')
			while (p->at < p->len && peek(p, 0) != '\n')
				p->at++;
		if (peek(p, 0) == '\r')
			p->at++;
		if (p->at < p->len && peek(p, 0) != '\n')
			return true;
		if (p->at < p->len)
			step(p);
	}
	return false;
}

int pytext_next(struct pytext *p, struct pytext_line *line)
{
	uint32_t depth = 0;

	line->count = 0;
	if (!begin_line(p, line))
		return 0;
	while (p->at < p->len) {
		char c = peek(p, 0);

		if (c == '\n') {
			step(p);
			if (!depth)
				return line->count ? 1 : pytext_next(p, line);
		} else if (c == ' ' || c == '\t' || c == '\f' || c == '\r') {
			p->at++;
		} else if (c == '#') {
			while (p->at < p->len && peek(p, 0) != '\n')
				p->at++;
		} else if (c == '\\' &&
			   (peek(p, 1) == '\n' || (peek(p, 1) == '\r' && peek(p, 2) == '\n'))) {
			p->at += peek(p, 1) == '\r' ? 2 : 1;
			step(p);
		} else if (!c) {
			return -1;
		} else if (take(p, line, &depth)) {
			return -1;
		}
	}
	if (depth)
		return -1;
	return line->count > 0;
}
