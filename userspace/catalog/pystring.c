/* Where a Python string literal ends. */
#include "catalog/pystring.h"

#include <string.h>

#define DEEP_MAX 64 /* strings in fields of strings */

struct scan {
	const uint8_t *text;
	size_t len, at;
	unsigned int deep;
};

struct quote {
	uint8_t byte;
	size_t count; /* 1 or 3 */
	bool formatted, raw;
};

static bool skip_string(struct scan *s, const struct pystring_prefix *prefix);

bool pystring_prefix(const uint8_t *text, size_t len, struct pystring_prefix *out)
{
	static const char *const known[] = { "r", "b",	"br", "rb", "u",  "ur",
					     "f", "fr", "rf", "t",  "tr", "rt" };
	char low[3] = "";

	memset(out, 0, sizeof(*out));
	if (!len || len > 2)
		return false;
	for (size_t i = 0; i < len; i++)
		low[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(low, known[i]))
			continue;
		out->formatted = strpbrk(low, "ft");
		out->raw = strchr(low, 'r');
		out->bytes = strchr(low, 'b');
		return true;
	}
	return false;
}

static uint8_t peek(const struct scan *s, size_t ahead)
{
	/* No text holds a zero byte (pytokens.c), so it can stand for the end. */
	return s->len - s->at > ahead ? s->text[s->at + ahead] : 0;
}

static bool at_quote(const struct scan *s, const struct quote *q)
{
	for (size_t i = 0; i < q->count; i++)
		if (peek(s, i) != q->byte)
			return false;
	return true;
}

static bool word_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c >= 0x80;
}

/* A word in a field, and the string that it may be the prefix of. */
static bool skip_word(struct scan *s)
{
	struct pystring_prefix prefix;
	size_t from = s->at;

	while (word_byte(peek(s, 0)))
		s->at++;
	if (peek(s, 0) != '"' && peek(s, 0) != '\'')
		return true;
	if (!pystring_prefix(s->text + from, s->at - from, &prefix))
		memset(&prefix, 0, sizeof(prefix));
	return skip_string(s, &prefix);
}

static bool skip_literal(struct scan *s, const struct quote *q, bool format);

/* From behind the '{' to behind its '}'. */
static bool skip_field(struct scan *s, const struct quote *q)
{
	unsigned int level = 0;

	for (;;) {
		uint8_t c = peek(s, 0);

		if (word_byte(c) || c == '"' || c == '\'') {
			if (!skip_word(s))
				return false;
			continue;
		}
		switch (c) {
		case 0:
			return false;
		case '(':
		case '[':
		case '{':
			level++;
			break;
		case ')':
		case ']':
			if (!level)
				return false;
			level--;
			break;
		case '}':
			if (!level) {
				s->at++;
				return true;
			}
			level--;
			break;
		case ':':
			if (level)
				break;
			s->at++;
			/* The format ends before the '}'. */
			if (!skip_literal(s, q, true))
				return false;
			continue;
		case '\\':
			if (peek(s, 1) != '\n')
				return false;
			break;
		case '#':
			while (peek(s, 0) && peek(s, 0) != '\n')
				s->at++;
			continue;
		default:
			break;
		}
		s->at++;
	}
}

static bool skip_nested_field(struct scan *s, const struct quote *q)
{
	bool good;

	if (s->deep >= DEEP_MAX)
		return false;
	s->deep++;
	good = skip_field(s, q);
	s->deep--;
	return good;
}

/* The characters of a string up to behind its closing quote, or of a format up to its '}'. */
static bool skip_literal(struct scan *s, const struct quote *q, bool format)
{
	bool name = false; /* inside \N{...} */

	for (;;) {
		uint8_t c = peek(s, 0);

		if (!c || (c == '\n' && q->count == 1))
			return false;
		if (at_quote(s, q)) {
			s->at += q->count;
			return !format;
		}
		if (c == '\\') {
			bool brace = peek(s, 1) == '{' || peek(s, 1) == '}';

			if (!peek(s, 1))
				return false;
			if (q->formatted && !q->raw && peek(s, 1) == 'N' && peek(s, 2) == '{') {
				name = true;
				s->at++;
			}
			s->at += q->formatted && brace ? 1 : 2;
		} else if (q->formatted && c == '{') {
			bool twice = !format && peek(s, 1) == '{';

			s->at += twice ? 2 : 1;
			if (!twice && !skip_nested_field(s, q))
				return false;
		} else if (q->formatted && c == '}') {
			if (!name && format)
				return true;
			if (!name && peek(s, 1) != '}')
				return false;
			s->at += name ? 1 : 2;
			name = false;
		} else {
			s->at++;
		}
	}
}

static bool skip_string(struct scan *s, const struct pystring_prefix *prefix)
{
	struct quote q = {
		.byte = peek(s, 0), .count = 1, .formatted = prefix->formatted, .raw = prefix->raw
	};

	if (peek(s, 1) == q.byte && peek(s, 2) == q.byte)
		q.count = 3;
	s->at += q.count;
	return skip_literal(s, &q, false);
}

size_t pystring_length(const uint8_t *text, size_t len, const struct pystring_prefix *prefix)
{
	struct scan s = { .text = text, .len = len };

	return skip_string(&s, prefix) ? s.at : 0;
}
