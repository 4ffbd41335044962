/*
 * What a Python source defines: its functions and classes outside functions, with their first
 * lines, and which of these names the source itself may bind more than once. Reads the text alone,
 * by the rules of tokens and indentation that all versions share. Where a text leaves a doubt a
 * name counts as bound again: such a name is not judged.
 */
#ifndef DAYLIGHT_COLLECT_PYDEFS_H
#define DAYLIGHT_COLLECT_PYDEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pydefs_decorator {
	PYDEFS_PLAIN,
	PYDEFS_CLASSMETHOD,
	PYDEFS_STATICMETHOD,
	PYDEFS_PROPERTY,
	PYDEFS_DECORATED, /* anything else, or several */
};

struct pydefs_name {
	const char *name;
	uint32_t scope; /* of which it is a name; 0: the module */
	uint32_t line; /* its first: of its first decorator, if any */
	uint32_t own_scope; /* of a class; 0: it is a function */
	enum pydefs_decorator decorator;
	bool again; /* bound a second time, or deleted */
	const char *decorators; /* dotted names, each ended by NUL, then an empty one */
};

struct pydefs_scope {
	const char *name; /* "" for the module */
	const char *qualname; /* "Outer.Inner" */
	uint32_t parent;
	bool names_module; /* binds __module__ or __qualname__ itself */
	bool by_text; /* its own statements may bind names by their text: globals(), exec() */
};

struct pydefs {
	const struct pydefs_name *names;
	size_t names_count;
	const struct pydefs_scope *scopes;
	size_t scopes_count;
	bool dynamic; /* names may be bound by globals(), setattr() and the like, anywhere */
	bool sets_attributes; /* setattr() outside functions */
	bool generates; /* it runs code made of text */
};

/* NULL: memory is short, or the text cannot be read as Python (an open string or bracket). */
struct pydefs *pydefs_read(const void *text, size_t len);
void pydefs_free(struct pydefs *d);

#endif
