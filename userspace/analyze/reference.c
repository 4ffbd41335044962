/* Loads reference files. */
#include "analyze/reference.h"

#include <string.h>

#include "analyze/input.h"

static bool is_digest(const char *text)
{
	return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* A relative path that stays below its root and is written in one way only. */
static bool is_relative(const char *path)
{
	if (!input_is_name(path) || path[0] == '/' || path[strlen(path) - 1] == '/')
		return false;
	for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL) {
		size_t len = strcspn(p, "/");

		if (!len || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return false;
	}
	return true;
}

static int take_files(struct reference *r, json_t *files, struct err *err)
{
	const char *path;
	json_t *digest;

	if (!json_is_object(files) || !json_object_size(files))
		return err_set(err, ERR_USAGE, "'files' must name at least one file");
	json_object_foreach(files, path, digest) {
		if (!is_relative(path))
			return err_set(err, ERR_USAGE,
				       "files: '%.128s' is not a path below the component's root",
				       path);
		if (!is_digest(json_string_value(digest)))
			return err_set(err, ERR_USAGE,
				       "files: %.128s: not a SHA-256 of 64 lower-case hex digits",
				       path);
	}
	r->files = json_incref(files);
	return 0;
}

/* The member of an object, made when it is the first. NULL: no memory. */
static json_t *get_member(json_t *object, const char *key, json_t *(*make)(void))
{
	json_t *member = json_object_get(object, key);

	if (!member && !json_object_set_new(object, key, make()))
		member = json_object_get(object, key);
	return member;
}

static int take_function(struct reference *r, json_t *entry, struct err *err)
{
	const char *path = json_string_value(json_object_get(entry, "path"));
	const char *qualname = json_string_value(json_object_get(entry, "qualname"));
	json_t *docstring = json_object_get(entry, "docstring"), *names;

	if (!path || !json_object_get(r->files, path))
		return err_set(err, ERR_USAGE, "functions: 'path' must be one of 'files'");
	if (!qualname || !input_is_name(qualname))
		return err_set(err, ERR_USAGE, "functions: %.128s: 'qualname' must be a name",
			       path);
	if (!is_digest(json_string_value(json_object_get(entry, "tokens"))) ||
	    (!json_is_null(docstring) && !is_digest(json_string_value(docstring))))
		return err_set(err, ERR_USAGE,
			       "functions: %.128s, %.128s: 'tokens' must be a SHA-256 of 64 "
			       "lower-case hex digits, 'docstring' one or null",
			       path, qualname);
	names = get_member(r->function_index, path, json_object);
	if (!names || json_array_append(get_member(names, qualname, json_array), entry))
		return err_set(err, ERR_INTERNAL, "out of memory");
	return 0;
}

/* They may be left out. */
static int take_functions(struct reference *r, json_t *functions, struct err *err)
{
	json_t *entry;
	size_t i;

	if (!functions)
		return 0;
	if (!json_is_array(functions))
		return err_set(err, ERR_USAGE, "'functions' must be a list");
	r->functions = json_incref(functions);
	r->function_index = json_object();
	if (!r->function_index)
		return err_set(err, ERR_INTERNAL, "out of memory");
	json_array_foreach(functions, i, entry)
		if (take_function(r, entry, err))
			return -1;
	return 0;
}

static int take_reference(struct reference *r, json_t *root, struct err *err)
{
	const char *schema = input_text(root, "schema", "top", err), *component, *package, *version;
	const char *kind;

	if (!schema)
		return -1;
	if (strcmp(schema, "daylight.reference/0"))
		return err_set(err, ERR_USAGE,
			       "schema '%.64s' is not known: must be \"daylight.reference/0\"",
			       schema);
	component = input_text(root, "component", "top", err);
	package = component ? input_text(root, "package", "top", err) : NULL;
	version = package ? input_text(root, "version", "top", err) : NULL;
	kind = version ? input_text(root, "kind", "top", err) : NULL;
	if (!kind)
		return -1;
	if (strcmp(kind, "none") && strcmp(kind, "signed"))
		return err_set(err, ERR_USAGE, "kind '%.64s' is not known: must be none or signed",
			       kind);
	r->says_signed = !strcmp(kind, "signed");
	r->component = strdup(component);
	r->package = strdup(package);
	r->version = strdup(version);
	if (!r->component || !r->package || !r->version)
		return err_set(err, ERR_INTERNAL, "out of memory");
	if (take_files(r, json_object_get(root, "files"), err))
		return -1;
	return take_functions(r, json_object_get(root, "functions"), err);
}

int reference_load(const char *path, struct reference *out, struct err *err)
{
	json_t *root;
	int rc;

	*out = (struct reference){ 0 };
	root = input_load(path, "reference", out->sha256, err);
	if (!root)
		return -1;
	rc = take_reference(out, root, err);
	json_decref(root);
	if (rc) {
		reference_release(out);
		err_prefix(err, "reference '%s' (docs/evidence.md says what one holds)", path);
	}
	return rc;
}

void reference_release(struct reference *r)
{
	free(r->component);
	free(r->package);
	free(r->version);
	json_decref(r->files);
	json_decref(r->functions);
	json_decref(r->function_index);
	*r = (struct reference){ 0 };
}

const char *reference_file(const struct reference *r, const char *relative)
{
	return json_string_value(json_object_get(r->files, relative));
}

bool reference_lists(const struct reference *r, const char *relative)
{
	return json_object_get(r->function_index, relative) != NULL;
}

const json_t *reference_functions(const struct reference *r, const char *relative,
				  const char *qualname)
{
	return json_object_get(json_object_get(r->function_index, relative), qualname);
}
