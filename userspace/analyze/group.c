/* Gathers and judges the code of a section or of a route. */
#include "analyze/group.h"

#include <string.h>

int group_init(struct group *g)
{
	*g = (struct group){ 0 };
	g->file_index = json_object();
	g->functions = json_object();
	return g->file_index && g->functions ? 0 : -1;
}

void group_release(struct group *g)
{
	for (size_t i = 0; i < g->files_count; i++) {
		for (size_t j = 0; j < g->files[i].instances_count; j++) {
			free(g->files[i].instances[j]->processes);
			free(g->files[i].instances[j]->functions);
			free(g->files[i].instances[j]);
		}
		free(g->files[i].instances);
		free(g->files[i].relative);
	}
	free(g->files);
	json_decref(g->file_index);
	json_decref(g->functions);
	*g = (struct group){ 0 };
}

/* relative is valid UTF-8, or it could not be a key. */
static struct group_file *get_file(struct group *g, const char *relative)
{
	const json_t *at = json_object_get(g->file_index, relative);
	struct group_file *all;

	if (at)
		return &g->files[json_integer_value(at)];
	all = realloc(g->files, (g->files_count + 1) * sizeof(*all));
	if (!all)
		return NULL;
	g->files = all;
	all[g->files_count] = (struct group_file){ .relative = strdup(relative) };
	if (!all[g->files_count].relative ||
	    json_object_set_new(g->file_index, relative, json_integer((json_int_t)g->files_count)))
		return NULL;
	return &all[g->files_count++];
}

struct group_instance *group_add(struct group *g, const char *relative, struct evidence *evidence,
				 const struct evidence_module *module)
{
	struct group_file *file = get_file(g, relative);
	struct group_instance **all, *instance;

	if (!file)
		return NULL;
	all = realloc(file->instances, (file->instances_count + 1) * sizeof(*all));
	instance = calloc(1, sizeof(*instance));
	if (all)
		file->instances = all;
	if (!all || !instance) {
		free(instance);
		return NULL;
	}
	instance->evidence = evidence;
	instance->module = module;
	all[file->instances_count++] = instance;
	return instance;
}

int group_add_reference(struct group *g, const struct reference *r,
			bool (*wanted)(void *ctx, const char *relative), void *ctx)
{
	const char *relative;
	json_t *digest;

	json_object_foreach(r->files, relative, digest) {
		struct group_file *file;

		if (!wanted(ctx, relative))
			continue;
		file = get_file(g, relative);
		if (!file)
			return -1;
		file->in_reference = true;
	}
	return 0;
}

/* Adds a number to a rising list. 1: it is new; 0: known; -1: no memory. */
static int add_number(uint64_t **list, size_t *count, uint64_t number)
{
	size_t lo = 0, hi = *count;
	uint64_t *all;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if ((*list)[mid] < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < *count && (*list)[lo] == number)
		return 0;
	all = realloc(*list, (*count + 1) * sizeof(*all));
	if (!all)
		return -1;
	memmove(&all[lo + 1], &all[lo], (*count - lo) * sizeof(*all));
	all[lo] = number;
	*list = all;
	++*count;
	return 1;
}

static int add_function(struct group *g, struct group_instance *instance, uint32_t row)
{
	const struct evidence *e = instance->evidence;
	const struct rec_function *f = e->functions[row].rec;
	const char *qualname = trace_text(e->trace, f->qualname);
	char *key = NULL;
	int rc;

	rc = add_number(&instance->functions, &instance->functions_count, row);
	if (rc <= 0)
		return rc;
	if (!qualname)
		qualname = trace_text(e->trace, f->name);
	if (asprintf(&key, "%s\n%s\n%llu", instance->module->path, qualname ? qualname : "?",
		     (unsigned long long)f->line) < 0)
		return -1;
	/* A name that is no UTF-8 is counted under its place in the file alone. */
	rc = json_object_set_new(g->functions, key, json_true());
	if (rc) {
		char place[32];

		snprintf(place, sizeof(place), "\n%llu", (unsigned long long)f->line);
		rc = json_object_set_new(g->functions, place, json_true());
	}
	free(key);
	return rc;
}

int group_see(struct group *g, struct group_instance *instance, const struct evidence_seen *seen,
	      const struct rec_call *call, bool complete, uint64_t serial)
{
	const struct group_example example = {
		call->id, seen->binding->id, seen->sighting->id, seen->stack->id,
		instance->evidence->functions[seen->function].rec->id
	};

	if (!complete || !seen->sure) {
		g->incomplete += !complete;
		g->ambiguous += complete;
		if (!instance->example.call)
			instance->example = example;
		return 0;
	}
	if (!instance->ran)
		instance->example = example;
	instance->ran = true;
	if (seen->sighting->last > instance->last)
		instance->last = seen->sighting->last;
	if (g->call_stamp != serial) {
		g->call_stamp = serial;
		g->calls++;
	}
	if (add_number(&instance->processes, &instance->processes_count, seen->context->process) <
	    0)
		return -1;
	return add_function(g, instance, seen->function);
}

static int compare_files(const void *a, const void *b)
{
	const struct group_file *x = a, *y = b;

	return strcmp(x->relative, y->relative);
}

/* The weakest instance that ran speaks for the file; without one, what lies on disk. */
static void judge_file(struct group_file *file, const char *digest, struct group_result *out)
{
	file->ran = file->loaded = false;
	file->judged = NULL;
	file->verdict = (struct verdict){ 0 };
	for (size_t i = 0; i < file->instances_count; i++) {
		struct group_instance *instance = file->instances[i];
		struct verdict v;
		bool differs = file->ran && file->verdict.differs;
		bool no_pyc = file->ran && file->verdict.no_pyc;

		file->loaded |= instance->module->serving;
		out->seen |= instance->module->seen;
		if (instance->ran) {
			compare_module(instance->evidence, instance->module, digest,
				       instance->processes, instance->processes_count, &v);
			/* At the end of a window files are looked at again; a cut one has no end.
			 */
			if (!instance->evidence->complete && v.identity &&
			    (v.identity->when == REC_NULL || v.identity->when < instance->last))
				out->early = true;
			if (!file->ran || v.rank > file->verdict.rank) {
				file->verdict = v;
				file->judged = instance;
			} else if (v.rank == file->verdict.rank) {
				file->verdict.with_pyc &= v.with_pyc;
			}
			file->verdict.differs = differs || v.differs;
			file->verdict.no_pyc = no_pyc || v.no_pyc;
			file->ran = true;
		} else if (!file->ran) {
			compare_disk(instance->evidence, instance->module, digest, &v);
			if (!file->judged || instance->module->serving)
				file->judged = instance;
			file->verdict.differs |= v.differs;
			file->verdict.identity = v.identity;
			file->verdict.pyc = v.pyc;
		}
	}
}

static void add_ran(struct group_result *out, const struct group_file *file)
{
	const struct verdict *v = &file->verdict;

	out->files_ran++;
	out->files_differ += v->differs;
	out->compared = (out->files_ran == 1 || out->compared) && v->compared;
	out->no_pyc |= v->no_pyc;
	out->with_pyc = (out->files_ran == 1 || out->with_pyc) && v->with_pyc;
	if (out->files_ran == 1 || v->rank > out->rank) {
		out->rank = v->rank;
		out->reason = v->reason;
		out->level = v->level;
		out->decides = file;
	} else if (v->rank == out->rank && v->level && !strcmp(v->level, "file")) {
		out->level = v->level;
	}
}

void group_judge(struct group *g, const struct reference *reference, struct group_result *out)
{
	const struct group_file *loaded = NULL;

	*out = (struct group_result){ .reference = reference };
	if (g->files_count)
		qsort(g->files, g->files_count, sizeof(*g->files), compare_files);
	for (size_t i = 0; i < g->files_count; i++) {
		struct group_file *file = &g->files[i];

		judge_file(file, reference ? reference_file(reference, file->relative) : NULL, out);
		if (file->ran)
			add_ran(out, file);
		if (file->loaded) {
			out->files_loaded++;
			out->loaded_differ += !file->ran && file->verdict.differs;
			if (!loaded)
				loaded = file;
		}
	}
	out->ambiguous = g->ambiguous > 0;
	out->incomplete = g->incomplete > 0;
	if (!out->decides)
		out->decides = loaded;
	if (!out->files_ran)
		out->compared = out->with_pyc = false;
}

static bool names_ran(const struct group *g, const struct reference *r)
{
	for (size_t i = 0; i < g->files_count; i++)
		if (g->files[i].ran && reference_file(r, g->files[i].relative))
			return true;
	return false;
}

void group_judge_best(struct group *g, const char *component, const struct reference *references,
		      size_t count, struct group_result *out)
{
	const struct reference *best = NULL;
	struct group_result result;

	group_judge(g, NULL, out);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(references[i].component, component) || !names_ran(g, &references[i]))
			continue;
		group_judge(g, &references[i], &result);
		if (!best || result.files_differ < out->files_differ ||
		    (result.files_differ == out->files_differ && result.rank < out->rank)) {
			best = &references[i];
			*out = result;
		}
	}
	/* The files carry the verdicts of the comparison that was chosen. */
	group_judge(g, best, out);
}
