/* Reads probes/tls/NAME.json. */
#include "catalog/tls_library.h"

#include <string.h>

#include "catalog/probes.h"

#define FILES_MAX 16
#define ARGUMENTS 6 /* that are passed in registers */
#define METHOD_MAX 4096

static const char *check_file(const char *text)
{
	return strpbrk(text, "/[]\\")
		       ? "must be a glob on a file's name, without '/', '[', ']', '\\'"
		       : NULL;
}

static const char *check_arch(const char *text)
{
	return strcmp(text, "x86_64") ? "must be \"x86_64\" (this program reads no other code)"
				      : NULL;
}

static int read_role(const struct probe_reader *r, const struct probe_place *at, const json_t *json,
		     enum tls_role *out)
{
	static const char *const names[TLS_ROLES] = {
		[TLS_READ] = "read",	 [TLS_WRITE] = "write", [TLS_HANDSHAKE] = "handshake",
		[TLS_INSIDE] = "inside", [TLS_NEW] = "new",	[TLS_CLEAR] = "clear",
		[TLS_REBIND] = "rebind", [TLS_FREE] = "free",
	};
	const struct probe_place here = { at, "role", 0 };
	const char *text = probe_string(r, at, json, "role", NULL);

	for (size_t i = 0; text && i < TLS_ROLES; i++) {
		if (!strcmp(names[i], text)) {
			*out = (enum tls_role)i;
			return 0;
		}
	}
	return text ? probe_fail(r, &here,
				 "is '%s' (use read, write, handshake, inside, new, clear, rebind "
				 "or free)",
				 probe_show(text))
		    : -1;
}

/* A missing key is 0. */
static int read_argument(const struct probe_reader *r, const struct probe_place *at,
			 const json_t *json, const char *key, unsigned int *out)
{
	json_int_t value;

	if (!json_object_get(json, key))
		return 0;
	if (probe_integer(r, at, json, key, 1, ARGUMENTS, &value))
		return -1;
	*out = (unsigned int)value;
	return 0;
}

static int read_function(const struct probe_reader *r, const struct probe_place *at,
			 const json_t *json, struct tls_function *out)
{
	static const char *const keys[] = { "symbol", "role",	   "session", "?buffer",
					    "?count", "?optional", NULL };
	const struct probe_place optional = { at, "optional", 0 };
	const json_t *flag;
	json_int_t session;

	memset(out, 0, sizeof(*out));
	if (probe_object(r, at, json, keys) ||
	    !(out->symbol = probe_string(r, at, json, "symbol", probe_symbol)) ||
	    read_role(r, at, json, &out->role) ||
	    probe_integer(r, at, json, "session", out->role == TLS_NEW ? 0 : 1, ARGUMENTS,
			  &session) ||
	    read_argument(r, at, json, "buffer", &out->buffer) ||
	    read_argument(r, at, json, "count", &out->count))
		return -1;
	out->session = (unsigned int)session;
	flag = json_object_get(json, "optional");
	if (flag && !json_is_boolean(flag))
		return probe_fail(r, &optional, "must be true or false");
	out->optional = json_is_true(flag);
	if ((out->buffer || out->count) && out->role != TLS_READ && out->role != TLS_WRITE)
		return probe_fail(r, at, "has a buffer or a count, but moves no plaintext");
	if (out->session == out->buffer || out->session == out->count ||
	    (out->buffer && out->buffer == out->count))
		if (out->session)
			return probe_fail(r, at,
					  "session, buffer and count must be different "
					  "arguments");
	return 0;
}

static int read_functions(const struct probe_reader *r, const json_t *root, struct tls_library *out)
{
	const struct probe_place list_at = { NULL, "functions", 0 };
	const json_t *list = probe_list(r, NULL, root, "functions", 1, TLS_FUNCTIONS_MAX);
	unsigned int roles = 0;

	if (!list)
		return -1;
	out->functions = arena_alloc(r->arena, json_array_size(list) * sizeof(*out->functions));
	if (!out->functions)
		return probe_no_memory(r);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const struct probe_place at = { &list_at, NULL, i };
		struct tls_function *f = &out->functions[i];

		if (read_function(r, &at, json_array_get(list, i), f))
			return -1;
		for (size_t n = 0; n < i; n++)
			if (!strcmp(out->functions[n].symbol, f->symbol))
				return probe_fail(r, &at, "'%s' stands twice (remove one)",
						  probe_show(f->symbol));
		roles |= 1U << f->role;
	}
	out->functions_count = json_array_size(list);
	/* Without the last one a tie would outlive its session. */
	if (!(roles & 1U << TLS_READ) || !(roles & 1U << TLS_WRITE) || !(roles & 1U << TLS_FREE))
		return probe_fail(r, &list_at, "needs a 'read', a 'write' and a 'free' at least");
	return 0;
}

static int read_methods(const struct probe_reader *r, const json_t *root, struct tls_library *out)
{
	static const char *const keys[] = { "function", "at", NULL };
	const struct probe_place at = { NULL, "methods", 0 }, list_at = { &at, "at", 0 };
	const json_t *methods = json_object_get(root, "methods"), *list;

	if (!methods)
		return 0;
	if (probe_object(r, &at, methods, keys) ||
	    !(out->methods = probe_string(r, &at, methods, "function", probe_symbol)) ||
	    !(list = probe_list(r, &at, methods, "at", 1, TLS_METHODS_MAX)))
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const struct probe_place element = { &list_at, NULL, i };
		const json_t *json = json_array_get(list, i);
		json_int_t value = json_integer_value(json);

		if (!json_is_integer(json) || value < 0 || value > METHOD_MAX || value % 8)
			return probe_fail(r, &element,
					  "must be a multiple of 8, 0 to %d (it is a pointer)",
					  METHOD_MAX);
		out->methods_at[i] = (unsigned int)value;
	}
	out->methods_count = json_array_size(list);
	return 0;
}

int tls_library_read(const struct probe_reader *r, const char *stem, const void *data, size_t size,
		     struct tls_library *out)
{
	static const char *const keys[] = { "schema", "name",	  "source",    "arch",
					    "files",  "?methods", "functions", NULL };
	json_t *root = probe_parse(r, data, size);
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (!root)
		return -1;
	if (!probe_object(r, NULL, root, keys) && (out->name = probe_header(r, root, stem)) &&
	    probe_string(r, NULL, root, "source", NULL) &&
	    probe_string(r, NULL, root, "arch", check_arch) &&
	    !probe_strings(r, NULL, root, "files", 1, FILES_MAX, check_file, &out->files,
			   &out->files_count) &&
	    !read_methods(r, root, out) && !read_functions(r, root, out))
		ret = 0;
	json_decref(root);
	return ret;
}
