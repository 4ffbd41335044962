/* Parses guideline files of schema 1.6 and 2.0. */
#include "analyze/guideline.h"

#include <string.h>

#include "analyze/input.h"

static const char *const lists[] = { "required", "advisory", "deprecated", "removed",
				     "informational" };

static const char *find_list(const char *name)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (!strcmp(lists[i], name))
			return lists[i];
	return NULL;
}

static int add_section(struct guideline *g, const char *component, const char *section,
		       const char *list, bool designated, struct err *err)
{
	struct guideline_section *all = g->sections, *s;

	if (g->sections_count == GUIDELINE_SECTIONS_MAX)
		return err_set(err, ERR_USAGE, "more than %d sections", GUIDELINE_SECTIONS_MAX);
	for (size_t i = 0; i < g->sections_count; i++)
		if (!strcmp(all[i].component, component) && !strcmp(all[i].section, section))
			return err_set(err, ERR_USAGE, "section '%s' of '%s' stands in two lists",
				       section, component);
	all = realloc(all, (g->sections_count + 1) * sizeof(*all));
	if (!all)
		return err_set(err, ERR_INTERNAL, "out of memory");
	g->sections = all;
	s = &all[g->sections_count];
	s->component = strdup(component);
	s->section = strdup(section);
	s->list = list;
	s->designated = designated;
	g->sections_count++;
	return s->component && s->section ? 0 : err_set(err, ERR_INTERNAL, "out of memory");
}

static int add_bare(struct guideline *g, const char *component, struct err *err)
{
	char **all;

	if (g->bare_count == GUIDELINE_SECTIONS_MAX)
		return err_set(err, ERR_USAGE, "more than %d components", GUIDELINE_SECTIONS_MAX);
	all = realloc(g->bare, (g->bare_count + 1) * sizeof(*all));
	if (!all)
		return err_set(err, ERR_INTERNAL, "out of memory");
	g->bare = all;
	all[g->bare_count] = strdup(component);
	if (!all[g->bare_count])
		return err_set(err, ERR_INTERNAL, "out of memory");
	g->bare_count++;
	return 0;
}

/* {"guidance": ..., "sections": {NAME: {"designated": true, ...}}} */
static int take_component(struct guideline *g, const char *component, const char *list,
			  json_t *value, struct err *err)
{
	json_t *sections = json_object_get(value, "sections"), *section;
	const char *name;

	if (!json_is_object(sections))
		return err_set(err, ERR_USAGE, "%s.%s: 'sections' must be an object", component,
			       list);
	if (!json_object_size(sections))
		return add_bare(g, component, err);
	json_object_foreach(sections, name, section) {
		json_t *designated = json_object_get(section, "designated");

		if (!input_is_name(name))
			return err_set(err, ERR_USAGE,
				       "%s.%s: a section's name is not a plain text", component,
				       list);
		if (!json_is_boolean(designated))
			return err_set(err, ERR_USAGE,
				       "%s.%s.sections.%s: 'designated' must be true or false",
				       component, list, name);
		if (add_section(g, component, name, list, json_is_true(designated), err))
			return -1;
	}
	return 0;
}

/* outer and inner are a list and a component, in the order that the schema has them. */
static int take_tree(struct guideline *g, json_t *tree, bool list_first, struct err *err)
{
	const char *outer, *inner;
	json_t *branch, *leaf;

	json_object_foreach(tree, outer, branch) {
		if (!json_is_object(branch))
			return err_set(err, ERR_USAGE, "'%s' must be an object", outer);
		if (list_first && !find_list(outer))
			return err_set(err, ERR_USAGE, "'%s' is not a known list", outer);
		json_object_foreach(branch, inner, leaf) {
			const char *list = find_list(list_first ? outer : inner);
			const char *component = list_first ? inner : outer;

			if (!list)
				return err_set(err, ERR_USAGE, "%s: '%s' is not a known list",
					       outer, inner);
			if (!input_is_name(component) || find_list(component))
				return err_set(err, ERR_USAGE, "'%s' is not a component's name",
					       input_is_name(component) ? component : "?");
			if (take_component(g, component, list, leaf, err))
				return -1;
		}
	}
	return 0;
}

static int take_guideline(struct guideline *g, json_t *root, struct err *err)
{
	json_t *metadata = json_object_get(root, "metadata"), *tree;
	const char *schema, *id, *key;
	bool list_first;

	/* 2.0 moved id and schema into metadata. */
	if (!json_is_object(metadata))
		metadata = root;
	schema = input_text(metadata, "schema", "metadata", err);
	if (!schema)
		return -1;
	if (strcmp(schema, "2.0") && strcmp(schema, "1.6"))
		return err_set(err, ERR_USAGE,
			       "schema '%.64s' is not known: give a guideline of schema 2.0 or 1.6",
			       schema);
	list_first = schema[0] == '1';
	if (list_first != (metadata == root))
		return err_set(err, ERR_USAGE,
			       "'schema' stands at a place that schema %s does not have", schema);
	id = input_text(metadata, "id", "metadata", err);
	if (!id)
		return -1;
	key = list_first ? "designated-sections" : "designated_sections";
	tree = json_object_get(root, key);
	if (!json_is_object(tree))
		return err_set(err, ERR_USAGE, "'%s' must be an object", key);
	g->id = strdup(id);
	g->schema = strdup(schema);
	if (!g->id || !g->schema)
		return err_set(err, ERR_INTERNAL, "out of memory");
	if (take_tree(g, tree, list_first, err))
		return err_prefix(err, "%s", key);
	return 0;
}

static int take_root(struct guideline *out, json_t *root, const char *name, struct err *err)
{
	int rc = take_guideline(out, root, err);

	json_decref(root);
	if (rc) {
		guideline_release(out);
		err_prefix(err, "guideline '%s' (give one as it was published, schema 2.0 or 1.6)",
			   name);
	}
	return rc;
}

int guideline_parse(const void *data, size_t len, const char *name, struct guideline *out,
		    struct err *err)
{
	json_t *root = input_parse(data, len, "guideline", name, err);

	*out = (struct guideline){ 0 };
	return root ? take_root(out, root, name, err) : -1;
}

int guideline_load(const char *path, struct guideline *out, struct err *err)
{
	char sha256[65];
	json_t *root = input_load(path, "guideline", sha256, err);

	*out = (struct guideline){ 0 };
	if (!root || take_root(out, root, path, err))
		return -1;
	memcpy(out->sha256, sha256, sizeof(sha256));
	return 0;
}

void guideline_release(struct guideline *g)
{
	for (size_t i = 0; i < g->sections_count; i++) {
		free(g->sections[i].component);
		free(g->sections[i].section);
	}
	for (size_t i = 0; i < g->bare_count; i++)
		free(g->bare[i]);
	free(g->sections);
	free(g->bare);
	free(g->id);
	free(g->schema);
	*g = (struct guideline){ 0 };
}
