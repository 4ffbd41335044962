/*
 * Python source as logical lines of tokens, by the rules that all versions share: brackets and
 * backslashes join lines, comments and empty lines are nothing, strings are one token (f-strings
 * with what is nested in them). Nothing is decoded: names are bytes.
 */
#ifndef DAYLIGHT_COLLECT_PYTEXT_H
#define DAYLIGHT_COLLECT_PYTEXT_H

#include <stddef.h>
#include <stdint.h>

enum pytext_kind { PYTEXT_END, PYTEXT_NAME, PYTEXT_NUMBER, PYTEXT_STRING, PYTEXT_OP };

struct pytext_token {
	enum pytext_kind kind;
	const char *text; /* in the source */
	size_t len;
	uint32_t line; /* from 1 */
	uint32_t depth; /* brackets open around it; a bracket is outside itself */
};

struct pytext_line {
	struct pytext_token *tokens;
	size_t count, cap;
	uint32_t indent; /* columns; a tab goes to the next multiple of 8 */
};

struct pytext {
	const char *text;
	size_t len, at;
	uint32_t line;
};

/* The text must outlive the tokens. */
void pytext_open(struct pytext *p, const void *text, size_t len);
/* The next line into *line (zero-initialised before its first use). 1, 0 at the end, or -1: the
 * text is no Python, or memory is short. */
int pytext_next(struct pytext *p, struct pytext_line *line);
void pytext_line_release(struct pytext_line *line);

#endif
