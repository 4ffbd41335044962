/*
 * Reading a probe file's JSON strictly. Each get checks kind, range and content and puts what it
 * found into the arena; the first problem becomes one line with the file, the place and a remedy.
 */
#ifndef DAYLIGHT_CATALOG_PROBE_JSON_H
#define DAYLIGHT_CATALOG_PROBE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "catalog/arena.h"

#define PROBE_FILE_MAX ((size_t)1 << 20)
#define PROBE_DEPTH_MAX 8
#define PROBE_STRING_MAX 4096
#define PROBE_LIST_MAX 1000

struct probe_reader {
	struct arena *arena;
	const char *file; /* as it is named in errors */
	struct err *err;
};

/* A place in the document: a member (key) or an element (key NULL) of what `up` is. */
struct probe_place {
	const struct probe_place *up; /* NULL: the document itself */
	const char *key;
	size_t index;
};

/* Parses a whole file; NULL with the line and column of what is wrong. Release with json_decref. */
json_t *probe_parse(const struct probe_reader *r, const void *data, size_t size);

/* Sets "FILE: PLACE: message" (ERR_USAGE) and returns -1. at NULL: the whole document. */
int probe_fail(const struct probe_reader *r, const struct probe_place *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for memory that is short (ERR_INTERNAL). */
int probe_no_memory(const struct probe_reader *r);

/*
 * text for an error line: at most a few dozen characters, without anything unprintable. Uses one
 * of four static slots in turn.
 */
const char *probe_show(const char *text);

/*
 * That json is an object with all of the keys but those that start with '?', and no others.
 * keys ends with NULL.
 */
int probe_object(const struct probe_reader *r, const struct probe_place *at, const json_t *json,
		 const char *const *keys);

/* Looks at a string; returns NULL when it is right, or the complaint with its remedy. */
typedef const char *probe_check(const char *text);

/* Member `key` of object: a string in the arena, or NULL with the error set. */
const char *probe_string(const struct probe_reader *r, const struct probe_place *at,
			 const json_t *object, const char *key, probe_check *check);
/* A list of different strings; a missing key is an empty list (probe_object asks for keys). */
int probe_strings(const struct probe_reader *r, const struct probe_place *at, const json_t *object,
		  const char *key, size_t min, size_t max, probe_check *check, const char ***out,
		  size_t *count);
int probe_integer(const struct probe_reader *r, const struct probe_place *at, const json_t *object,
		  const char *key, json_int_t min, json_int_t max, json_int_t *out);
/* The list itself, its length checked; NULL with the error set. */
const json_t *probe_list(const struct probe_reader *r, const struct probe_place *at,
			 const json_t *object, const char *key, size_t min, size_t max);

/* The checks that several kinds of file share. */
const char *probe_check_id(const char *text);
/* "schema" is 1 and "name" is what the file is called; returns the name or NULL. */
const char *probe_header(const struct probe_reader *r, const json_t *root, const char *stem);

/* A check for probe_string(): the name of a C function, at most 63 characters. */
const char *probe_symbol(const char *text);

#endif
