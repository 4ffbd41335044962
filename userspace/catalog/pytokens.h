/*
 * The tokens of Python text, of any version from 2.7 on: what docs/evidence.md ("Source digests")
 * says a token is. No tables of keywords: a keyword is a name. The text is hostile: nesting is
 * bounded, time is linear, what cannot be read is PYTOKEN_BAD and stays so.
 */
#ifndef DAYLIGHT_CATALOG_PYTOKENS_H
#define DAYLIGHT_CATALOG_PYTOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PYTOKENS_TEXT_MAX (256u * 1024 * 1024)
#define PYTOKENS_INDENTS 100 /* as the interpreters allow */
#define PYTOKENS_BRACKETS 200

enum pytoken_kind {
	PYTOKEN_NAME,
	PYTOKEN_NUMBER,
	PYTOKEN_STRING,
	PYTOKEN_OP,
	PYTOKEN_NEWLINE, /* the end of a logical line; the last three have no text */
	PYTOKEN_INDENT,
	PYTOKEN_DEDENT,
	PYTOKEN_END,
	PYTOKEN_BAD,
};

struct pytoken {
	enum pytoken_kind kind;
	const uint8_t *text; /* in the text that was given; "" for those without */
	size_t len;
	uint32_t line; /* of its first byte; lines count from 1 */
	bool docstring; /* a string that may be (part of) a docstring: no b, f or t in its prefix */
};

struct pytokens {
	const uint8_t *text;
	size_t len, at;
	uint32_t line;
	bool fresh; /* at the start of a physical line that begins a logical one */
	bool inside; /* the logical line has tokens */
	bool bad;
	unsigned int indent; /* how many indents are open */
	unsigned int dedents; /* to be told before the next token */
	unsigned int brackets; /* how many are open, the last token included */
	struct {
		uint32_t tabbed, plain; /* width with tabs to multiples of 8, and with tabs as 1 */
	} indents[PYTOKENS_INDENTS + 1];
	uint8_t closing[PYTOKENS_BRACKETS]; /* what closes each open bracket */
};

/* text: UTF-8 with line feeds (pytext.h), and must stay. */
void pytokens_begin(struct pytokens *t, const uint8_t *text, size_t len);

/* The next token. After PYTOKEN_END or PYTOKEN_BAD the same again. Returns the kind. */
enum pytoken_kind pytokens_next(struct pytokens *t, struct pytoken *out);

bool pytoken_is(const struct pytoken *token, enum pytoken_kind kind, const char *text);

#endif
