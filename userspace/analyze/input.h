/*
 * The input files of an analysis that are JSON: read whole, bounded, from regular files only.
 */
#ifndef DAYLIGHT_ANALYZE_INPUT_H
#define DAYLIGHT_ANALYZE_INPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define INPUT_MAX (32U << 20)
#define INPUT_TEXT_MAX 1024 /* a name: longer is refused */

/*
 * Reads the file and parses it: an object, each key once, at most INPUT_MAX bytes. sha256 (65
 * bytes) receives the digest of its bytes in hex. NULL with ERR_USAGE that names the file (`what`:
 * "guideline", ...). The caller owns the result.
 */
json_t *input_load(const char *path, const char *what, char sha256[65], struct err *err);
/* The same from memory; `name` stands for the file in errors. */
json_t *input_parse(const void *data, size_t len, const char *what, const char *name,
		    struct err *err);

/*
 * The member that is a string of 1 to INPUT_TEXT_MAX bytes without control characters, or NULL with
 * an error that names `where`.
 */
const char *input_text(const json_t *object, const char *key, const char *where, struct err *err);
/* True for a text that is fit to be a name: UTF-8, not empty or too long, no control characters. */
int input_is_name(const char *text);
bool input_is_utf8(const char *text);

#endif
