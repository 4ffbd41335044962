/* Reading a probe file's JSON strictly, with errors that name the place. */
#include "catalog/probe_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_SCHEMA 1

const char *probe_show(const char *text)
{
	static char slots[4][64];
	static unsigned int next;
	char *out = slots[next++ % 4];
	size_t n = 0;

	while (n < sizeof(slots[0]) - 4 && text[n]) {
		out[n] = text[n] < 32 || text[n] > 126 ? '?' : text[n];
		n++;
	}
	memcpy(out + n, text[n] ? "..." : "", text[n] ? 4 : 1);
	return out;
}

/* "routes[3].path" */
static void place_text(const struct probe_place *at, char *out, size_t size)
{
	size_t used;

	if (!at) {
		out[0] = '\0';
		return;
	}
	place_text(at->up, out, size);
	used = strlen(out);
	if (!at->key)
		snprintf(out + used, size - used, "[%zu]", at->index);
	else
		snprintf(out + used, size - used, "%s%s", used ? "." : "", probe_show(at->key));
}

int probe_fail(const struct probe_reader *r, const struct probe_place *at, const char *fmt, ...)
{
	char place[256], message[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	place_text(at, place, sizeof(place));
	return err_set(r->err, ERR_USAGE, "%s: %s%s%s", r->file, place, place[0] ? ": " : "",
		       message);
}

int probe_no_memory(const struct probe_reader *r)
{
	return err_set(r->err, ERR_INTERNAL, "%s: out of memory (free some and try again)",
		       r->file);
}

/* Nesting is checked before parsing: a parser's own limit is far too deep for these files. */
static int check_depth(const struct probe_reader *r, const char *data, size_t size)
{
	size_t depth = 0, line = 1;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n')
			line++;
		if (in_string) {
			if (data[i] == '\\')
				i++;
			else if (data[i] == '"')
				in_string = false;
		} else if (data[i] == '"') {
			in_string = true;
		} else if (data[i] == '{' || data[i] == '[') {
			if (++depth > PROBE_DEPTH_MAX)
				return probe_fail(r, NULL,
						  "line %zu: nested more than %d deep "
						  "(see docs/probe-schema.md)",
						  line, PROBE_DEPTH_MAX);
		} else if ((data[i] == '}' || data[i] == ']') && depth) {
			depth--;
		}
	}
	return 0;
}

json_t *probe_parse(const struct probe_reader *r, const void *data, size_t size)
{
	json_error_t error;
	json_t *json;

	if (size > PROBE_FILE_MAX) {
		probe_fail(r, NULL, "%zu bytes, more than %zu (split the definition)", size,
			   PROBE_FILE_MAX);
		return NULL;
	}
	if (check_depth(r, data, size))
		return NULL;
	json = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
	if (json)
		return json;
	/* The parser's text may quote the file: keep it printable. */
	for (char *p = error.text; *p; p++)
		if (*p < 32 || *p > 126)
			*p = '?';
	probe_fail(r, NULL, "line %d, column %d: %s (correct the JSON)", error.line, error.column,
		   error.text);
	return NULL;
}

static bool key_listed(const char *const *keys, const char *key)
{
	for (; *keys; keys++)
		if (!strcmp(*keys + (**keys == '?'), key))
			return true;
	return false;
}

int probe_object(const struct probe_reader *r, const struct probe_place *at, const json_t *json,
		 const char *const *keys)
{
	const char *key;
	json_t *value;

	if (!json_is_object(json))
		return probe_fail(r, at, "must be an object (see docs/probe-schema.md)");
	json_object_foreach((json_t *)json, key, value) {
		if (!key_listed(keys, key))
			return probe_fail(r, at,
					  "unknown key '%s' (remove it; docs/probe-schema.md "
					  "lists the keys)",
					  probe_show(key));
	}
	for (; *keys; keys++)
		if (**keys != '?' && !json_object_get(json, *keys))
			return probe_fail(r, at,
					  "'%s' is missing (add it; docs/probe-schema.md "
					  "says what it means)",
					  *keys);
	return 0;
}

static const char *string_complaint(const json_t *json, probe_check *check)
{
	const char *text = json_string_value(json);

	if (!text)
		return "must be a string";
	if (!*text)
		return "must not be empty (remove it or fill it in)";
	if (json_string_length(json) > PROBE_STRING_MAX)
		return "is longer than 4096 bytes (shorten it)";
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 32 || *p == 127)
			return "has a control character (remove it)";
	return check ? check(text) : NULL;
}

static const char *string_copy(const struct probe_reader *r, const json_t *json)
{
	size_t len = json_string_length(json);
	char *copy = arena_alloc(r->arena, len + 1);

	if (!copy)
		probe_no_memory(r);
	else
		memcpy(copy, json_string_value(json), len);
	return copy;
}

const char *probe_string(const struct probe_reader *r, const struct probe_place *at,
			 const json_t *object, const char *key, probe_check *check)
{
	struct probe_place here = { at, key, 0 };
	const json_t *json = json_object_get(object, key);
	const char *complaint = string_complaint(json, check);

	if (complaint) {
		probe_fail(r, &here, "%s", complaint);
		return NULL;
	}
	return string_copy(r, json);
}

const json_t *probe_list(const struct probe_reader *r, const struct probe_place *at,
			 const json_t *object, const char *key, size_t min, size_t max)
{
	struct probe_place here = { at, key, 0 };
	const json_t *list = json_object_get(object, key);
	size_t n = json_array_size(list);

	if (!json_is_array(list)) {
		probe_fail(r, &here, "must be a list");
		return NULL;
	}
	if (n < min || n > max) {
		probe_fail(r, &here, "has %zu entries, %zu to %zu are allowed (%s)", n, min, max,
			   n < min ? "add what is missing" : "split the definition");
		return NULL;
	}
	return list;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Finds a string that stands twice: NULL when there is none. */
static int find_twice(const struct probe_reader *r, const char **list, size_t n, const char **twice)
{
	const char **sorted;

	*twice = NULL;
	if (n < 2)
		return 0;
	sorted = malloc(n * sizeof(*sorted));
	if (!sorted)
		return probe_no_memory(r);
	memcpy(sorted, list, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare_strings);
	for (size_t i = 1; i < n; i++)
		if (!strcmp(sorted[i - 1], sorted[i]))
			*twice = sorted[i];
	free(sorted);
	return 0;
}

int probe_strings(const struct probe_reader *r, const struct probe_place *at, const json_t *object,
		  const char *key, size_t min, size_t max, probe_check *check, const char ***out,
		  size_t *count)
{
	struct probe_place list_at = { at, key, 0 }, here = { &list_at, NULL, 0 };
	const char **strings, *twice;
	const json_t *list;

	*out = NULL;
	*count = 0;
	if (!json_object_get(object, key))
		return 0;
	list = probe_list(r, at, object, key, min, max);
	if (!list)
		return -1;
	strings = arena_alloc(r->arena, (json_array_size(list) + 1) * sizeof(*strings));
	if (!strings)
		return probe_no_memory(r);
	for (; here.index < json_array_size(list); here.index++) {
		const json_t *json = json_array_get(list, here.index);
		const char *complaint = string_complaint(json, check);

		if (complaint)
			return probe_fail(r, &here, "%s", complaint);
		strings[here.index] = string_copy(r, json);
		if (!strings[here.index])
			return -1;
	}
	if (find_twice(r, strings, here.index, &twice))
		return -1;
	if (twice)
		return probe_fail(r, &list_at, "'%s' stands twice (remove one)", probe_show(twice));
	*out = strings;
	*count = here.index;
	return 0;
}

int probe_integer(const struct probe_reader *r, const struct probe_place *at, const json_t *object,
		  const char *key, json_int_t min, json_int_t max, json_int_t *out)
{
	struct probe_place here = { at, key, 0 };
	const json_t *json = json_object_get(object, key);

	if (!json_is_integer(json))
		return probe_fail(r, &here, "must be a whole number");
	*out = json_integer_value(json);
	if (*out < min || *out > max)
		return probe_fail(r, &here, "is %lld, out of range (%lld to %lld)", (long long)*out,
				  (long long)min, (long long)max);
	return 0;
}

const char *probe_check_id(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";

	if (text[strspn(text, allowed)])
		return "has a character that an id may not have (use a-z A-Z 0-9 . _ -)";
	return NULL;
}

const char *probe_header(const struct probe_reader *r, const json_t *root, const char *stem)
{
	struct probe_place at = { NULL, "schema", 0 };
	json_int_t schema = json_integer_value(json_object_get(root, "schema"));
	const char *name;

	if (!json_is_integer(json_object_get(root, "schema")) || schema != PROBE_SCHEMA) {
		probe_fail(r, &at, "must be %d (this program reads no other)", PROBE_SCHEMA);
		return NULL;
	}
	name = probe_string(r, NULL, root, "name", probe_check_id);
	at.key = "name";
	if (name && strcmp(name, stem) != 0) {
		probe_fail(r, &at, "is '%s', but the file is called '%s.json' (make them equal)",
			   probe_show(name), probe_show(stem));
		return NULL;
	}
	return name;
}

const char *probe_symbol(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

	if (!strspn(text, letters) || strlen(text) > 63)
		return "must be the symbol of a C function";
	for (; *text; text++)
		if (!strchr(letters, *text) && (*text < '0' || *text > '9'))
			return "must be the symbol of a C function";
	return NULL;
}
