/*
 * Reads live Python objects of another process from outside, while it runs: nothing is stopped,
 * nothing is written. Every address, count and size comes from the target and may change while it
 * is read: all reads are bounded, and what cannot be read, or is not of the kind that was asked
 * for, is absent. Two looks that agree are worth more than one: the callers look twice.
 */
#ifndef DAYLIGHT_COLLECT_PYOBJECTS_H
#define DAYLIGHT_COLLECT_PYOBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "catalog/catalog.h"

enum pyobject_kind {
	PYOBJECT_NONE, /* cannot be read */
	PYOBJECT_OTHER,
	PYOBJECT_FUNCTION,
	PYOBJECT_CODE,
	PYOBJECT_CELL,
	PYOBJECT_TUPLE,
	PYOBJECT_LIST,
	PYOBJECT_DICT,
	PYOBJECT_TEXT,
	PYOBJECT_TYPE,
	PYOBJECT_MODULE,
	PYOBJECT_METHOD,
	PYOBJECT_CLASSMETHOD,
	PYOBJECT_STATICMETHOD,
	PYOBJECT_PROPERTY,
};

#define PYOBJECTS_TEXT 1024 /* bytes of a text that is read, its NUL with them */
#define PYOBJECTS_TYPES 256
#define PYOBJECTS_PAGE 4096
#define PYOBJECTS_PAGES 4096 /* remembered at a time */

struct pyobjects_page {
	uint64_t address; /* 0: none */
	uint8_t bytes[PYOBJECTS_PAGE];
};

struct pyobjects {
	pid_t pid;
	const struct python_layout *layout; /* its objects are known */
	struct pyobjects_page *pages; /* as they were when they were first read */
	uint64_t reads; /* of the process's memory, since pyobjects_begin */
	struct {
		uint64_t type;
		enum pyobject_kind kind;
	} types[PYOBJECTS_TYPES]; /* what static types are; some of them */
};

/* Begins a look. 0, or -1: memory is short. */
int pyobjects_begin(struct pyobjects *o, pid_t pid, const struct python_layout *layout);
void pyobjects_end(struct pyobjects *o);
/* What is asked for next is read anew. */
void pyobjects_refresh(struct pyobjects *o);

/* The word at address + at. False: it cannot be read. */
bool pyobjects_word(struct pyobjects *o, uint64_t address, int32_t at, uint64_t *out);
/* What an object is, by its type. Static types are known by name; no class of a program is one. */
enum pyobject_kind pyobjects_kind(struct pyobjects *o, uint64_t object);
/* The type of an object; 0: unreadable. */
uint64_t pyobjects_type(struct pyobjects *o, uint64_t object);
/* The name of a type, as tp_name has it. False when it has none that is printable. */
bool pyobjects_type_name(struct pyobjects *o, uint64_t type, char *out, size_t size);

/* A str's text as UTF-8, NUL-terminated. False: no str, or too long for out. */
bool pyobjects_text(struct pyobjects *o, uint64_t object, char *out, size_t size);

/*
 * Calls back for each (key, value) of a dict, in its order, until that returns other than 0. -1: it
 * is no dict, is too large, or cannot be read.
 */
#define PYOBJECTS_ENTRIES 131072
int pyobjects_dict(struct pyobjects *o, uint64_t dict,
		   int (*each)(void *ctx, uint64_t key, uint64_t value), void *ctx);
/* The value of a name; 0: none. */
uint64_t pyobjects_get(struct pyobjects *o, uint64_t dict, const char *name);
/* The items of a tuple or list, at most max; returns how many. */
size_t pyobjects_items(struct pyobjects *o, uint64_t object, uint64_t *out, size_t max);

struct pyobjects_function {
	uint64_t code, globals, closure, dict, qualname;
};
bool pyobjects_function(struct pyobjects *o, uint64_t object, struct pyobjects_function *out);

struct pyobjects_code {
	uint64_t filename, name, qualname; /* qualname 0: this version has none */
	uint32_t line;
};
bool pyobjects_code(struct pyobjects *o, uint64_t object, struct pyobjects_code *out);

#endif
