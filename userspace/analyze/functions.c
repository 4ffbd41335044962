/* Counts the functions of a group. */
#include "analyze/functions.h"

#include <string.h>

#include "analyze/claim.h"
#include "analyze/memory.h"
#include "base/bytes.h"

/* What is known of one function, over all bundles and processes. */
enum {
	FUNCTION_DEEP = 1,
	FUNCTION_MEMORY_UNKNOWN = 2,
	FUNCTION_MEMORY_DIFFERS = 4,
	FUNCTION_NOT_COMPARED = 8,
	FUNCTION_DOCSTRING_DIFFERS = 16,
	FUNCTION_UNLISTED = 32,
	FUNCTION_DIFFERS = 64,
};

struct counting {
	const struct reference *reference;
	struct functions *out;
	json_t *bits; /* key of a function -> bits */
	json_t *deep; /* "path\nqualname" that was seen in a deep call */
	bool failed;
};

static bool hex_of(const struct evidence *e, uint64_t string, char hex[65])
{
	const struct bundle_string *s = trace_string(e->trace, string);

	if (!s || s->hidden || s->len != 32)
		return false;
	bytes_to_hex(s->data, 32, hex);
	return true;
}

static const char *name_of(const struct evidence *e, const struct rec_function *f)
{
	const char *name = trace_text(e->trace, f->qualname);

	return name && *name ? name : trace_text(e->trace, f->name);
}

/* Several functions of a file may have one name: it is enough to be one of them. */
static int compare_source(const struct counting *c, const struct group_file *file,
			  const struct evidence *e, const struct rec_function *f,
			  const struct rec_function_source *source)
{
	const char *name = name_of(e, f);
	int result = FUNCTION_DIFFERS;
	char tokens[65], docstring[65];
	const json_t *entries, *entry;
	size_t i;

	/* A file that may have changed since says nothing of what ran. */
	if (file->verdict.rank == VERDICT_UNKNOWN)
		return FUNCTION_NOT_COMPARED;
	if (!source || !name || !hex_of(e, source->tokens, tokens) ||
	    !reference_lists(c->reference, file->relative))
		return file->verdict.rank == VERDICT_UNMODIFIED ? 0 : FUNCTION_NOT_COMPARED;
	entries = reference_functions(c->reference, file->relative, name);
	if (!entries)
		return FUNCTION_UNLISTED;
	if (!hex_of(e, source->docstring, docstring))
		docstring[0] = 0;
	json_array_foreach(entries, i, entry) {
		const char *other = json_string_value(json_object_get(entry, "docstring"));

		if (strcmp(json_string_value(json_object_get(entry, "tokens")), tokens) != 0)
			continue;
		if (!strcmp(other ? other : "", docstring))
			return 0;
		result = FUNCTION_DOCSTRING_DIFFERS;
	}
	return result;
}

static void list_differing(struct counting *c, const struct group_file *file,
			   const struct evidence *e, const struct rec_function *f,
			   const struct rec_function_source *source, int what)
{
	const char *text = what & FUNCTION_DIFFERS	       ? "tokens"
			   : what & FUNCTION_UNLISTED	       ? "not in the reference"
			   : what & FUNCTION_DOCSTRING_DIFFERS ? "docstring"
							       : NULL;

	if (!text || json_array_size(c->out->differing) == FUNCTIONS_LISTED_MAX)
		return;
	if (json_array_append_new(
		    c->out->differing,
		    json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:I}", "path", file->relative,
			      "qualname", claim_text(name_of(e, f)), "line",
			      f->line > INT64_MAX ? json_null() : json_integer((json_int_t)f->line),
			      "what", text, "bundle", trace_sha256(e->trace), "kind",
			      "function_source", "id", claim_number(source->id))))
		c->failed = true;
}

static void count_deep(struct counting *c, const struct group_file *file, const struct evidence *e,
		       const struct rec_function *f)
{
	const char *name = name_of(e, f);
	char *key;

	if (!name)
		return;
	if (asprintf(&key, "%s\n%s", file->relative, name) < 0) {
		c->failed = true;
		return;
	}
	json_object_set_new(c->deep, key, json_true()); /* no UTF-8: no reference lists it */
	free(key);
}

static void count_function(struct counting *c, const struct group_file *file,
			   const struct group_instance *instance, const struct group_ran *ran)
{
	const struct evidence *e = instance->evidence;
	const struct rec_function *f = e->functions[ran->function].rec;
	const struct rec_function_source *source = trace_function_source(e->trace, f->id);
	const struct rec_function_memory *differs;
	char *key = group_function_key(instance, ran->function);
	json_int_t bits, old = key ? json_integer_value(json_object_get(c->bits, key)) : 0;

	bits = ran->deep ? FUNCTION_DEEP : 0;
	switch (memory_of_function(e, ran->function, ran->process, &differs)) {
	case MEMORY_DIFFERS:
		bits |= FUNCTION_MEMORY_DIFFERS;
		break;
	case MEMORY_UNKNOWN:
		bits |= FUNCTION_MEMORY_UNKNOWN;
		break;
	case MEMORY_EQUAL:
		break;
	}
	if (c->reference)
		bits |= compare_source(c, file, e, f, source);
	if (source && bits & ~old)
		list_differing(c, file, e, f, source, (int)(bits & ~old));
	if (ran->deep)
		count_deep(c, file, e, f);
	if (!key || json_object_set_new(c->bits, key, json_integer(bits | old)))
		c->failed = true;
	free(key);
}

/* What the reference lists of the group's files, and which of it no deep call showed. */
static void count_listed(struct counting *c, const struct group *g)
{
	json_t *wanted = json_object(), *entry;
	size_t i;

	for (size_t j = 0; wanted && j < g->files_count; j++)
		json_object_set_new(wanted, g->files[j].relative, json_true());
	json_array_foreach(c->reference->functions, i, entry) {
		const char *path = json_string_value(json_object_get(entry, "path"));
		char *key;

		if (!json_object_get(wanted, path))
			continue;
		c->out->listed = true;
		c->out->mapped++;
		if (asprintf(&key, "%s\n%s", path,
			     json_string_value(json_object_get(entry, "qualname"))) < 0) {
			c->failed = true;
			break;
		}
		c->out->not_entered += !json_object_get(c->deep, key);
		free(key);
	}
	c->failed |= !wanted;
	json_decref(wanted);
}

static void add_up(struct counting *c)
{
	const char *key;
	json_t *value;

	json_object_foreach(c->bits, key, value) {
		json_int_t bits = json_integer_value(value);

		c->out->ran++;
		c->out->deep += (bits & FUNCTION_DEEP) != 0;
		c->out->memory_differ += (bits & FUNCTION_MEMORY_DIFFERS) != 0;
		c->out->memory_unknown += (bits & FUNCTION_MEMORY_DIFFERS) == 0 &&
					  (bits & FUNCTION_MEMORY_UNKNOWN) != 0;
		if (bits & FUNCTION_DIFFERS)
			c->out->differ++;
		else if (bits & FUNCTION_UNLISTED)
			c->out->unlisted++;
		else if (bits & FUNCTION_NOT_COMPARED)
			c->out->not_compared++;
		else if (bits & FUNCTION_DOCSTRING_DIFFERS)
			c->out->docstring_differ++;
	}
	c->out->memory_equal = c->out->ran - c->out->memory_differ - c->out->memory_unknown;
}

void functions_count(const struct group *g, const struct reference *reference,
		     struct functions *out)
{
	struct counting c = { .reference = reference, .out = out };

	*out = (struct functions){ .differing = json_array() };
	c.bits = json_object();
	c.deep = json_object();
	c.failed = !c.bits || !c.deep || !out->differing;
	for (size_t i = 0; i < g->files_count && !c.failed; i++)
		for (size_t j = 0; j < g->files[i].instances_count; j++) {
			const struct group_instance *instance = g->files[i].instances[j];

			for (size_t k = 0; k < instance->functions_count && !c.failed; k++)
				count_function(&c, &g->files[i], instance, &instance->functions[k]);
		}
	if (!c.failed && reference && reference->functions)
		count_listed(&c, g);
	add_up(&c);
	json_decref(c.bits);
	json_decref(c.deep);
	if (c.failed)
		functions_release(out);
}

void functions_release(struct functions *f)
{
	json_decref(f->differing);
	f->differing = NULL;
}
