/* Gathers and judges the code of a section or of a route. */
#include "analyze/group.h"

#include <string.h>

#include "analyze/input.h"
#include "analyze/interpose.h"
#include "analyze/memory.h"

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

bool group_has_module(const struct group *g, const struct evidence *e, uint64_t module)
{
	for (size_t i = 0; i < g->files_count; i++)
		for (size_t j = 0; j < g->files[i].instances_count; j++)
			if (g->files[i].instances[j]->evidence == e &&
			    g->files[i].instances[j]->module->rec->id == module)
				return true;
	return false;
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

static int compare_ran(const struct group_ran *a, const struct group_ran *b)
{
	if (a->process != b->process)
		return a->process < b->process ? -1 : 1;
	return a->function < b->function ? -1 : a->function > b->function;
}

/* As add_number, for a function in a process. */
static int add_ran_in(struct group_instance *instance, const struct group_ran *ran)
{
	size_t lo = 0, hi = instance->functions_count;
	struct group_ran *all;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare_ran(&instance->functions[mid], ran) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < instance->functions_count && !compare_ran(&instance->functions[lo], ran)) {
		instance->functions[lo].deep |= ran->deep;
		return 0;
	}
	all = realloc(instance->functions, (instance->functions_count + 1) * sizeof(*all));
	if (!all)
		return -1;
	memmove(&all[lo + 1], &all[lo], (instance->functions_count - lo) * sizeof(*all));
	all[lo] = *ran;
	instance->functions = all;
	instance->functions_count++;
	return 1;
}

char *group_function_key(const struct group_instance *instance, uint32_t row)
{
	const struct evidence *e = instance->evidence;
	const struct rec_function *f = e->functions[row].rec;
	const char *qualname = trace_text(e->trace, f->qualname);
	char *key = NULL;
	int rc;

	if (!qualname)
		qualname = trace_text(e->trace, f->name);
	/* A native function without a name is known by its place. */
	if (e->modules[e->functions[row].module].rec->language == LANGUAGE_NATIVE)
		rc = asprintf(&key, "%s\n%s\n+%llu", instance->module->path,
			      qualname ? qualname : "?", (unsigned long long)f->offset);
	else
		rc = asprintf(&key, "%s\n%s\n%llu", instance->module->path,
			      qualname ? qualname : "?", (unsigned long long)f->line);
	/* A name that is no UTF-8 is counted under its place in the file alone. */
	if (rc >= 0 && !input_is_utf8(key)) {
		free(key);
		rc = asprintf(&key, "\n%llu", (unsigned long long)f->line);
	}
	return rc < 0 ? NULL : key;
}

static int add_function(struct group *g, struct group_instance *instance,
			const struct evidence_seen *seen)
{
	const struct group_ran ran = { seen->context->process, seen->function, seen->deep };
	int rc = add_ran_in(instance, &ran);
	char *key;

	if (rc <= 0)
		return rc;
	key = group_function_key(instance, seen->function);
	rc = key ? json_object_set_new(g->functions, key, json_true()) : -1;
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
		g->calls_deep += seen->deep;
	}
	if (add_number(&instance->processes, &instance->processes_count, seen->context->process) <
	    0)
		return -1;
	return add_function(g, instance, seen);
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
			memory_judge(instance, &v);
			if (v.memory && !out->memory) {
				out->memory = v.memory;
				out->memory_in = instance->evidence;
			}
			if (instance->evidence->looked_from && v.identity &&
			    (v.identity->when == REC_NULL ||
			     (v.identity->when < instance->evidence->looked_from &&
			      v.identity->when < instance->last)))
				out->early = true;
			if (!file->ran || v.rank > file->verdict.rank) {
				file->verdict = v;
				file->judged = instance;
			} else if (v.rank == file->verdict.rank) {
				file->verdict.with_pyc &= v.with_pyc;
				file->verdict.with_memory &= v.with_memory;
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

/* A file that differs says most; memory that differs shows it of what ran. */
static int level_rank(const char *level)
{
	return !strcmp(level, "file") ? 0 : !strcmp(level, "pyc") ? 1 : 2;
}

static void add_ran(struct group_result *out, const struct group_file *file)
{
	const struct verdict *v = &file->verdict;

	out->files_ran++;
	out->files_differ += v->differs;
	out->compared = (out->files_ran == 1 || out->compared) && v->compared;
	out->no_pyc |= v->no_pyc;
	out->with_pyc = (out->files_ran == 1 || out->with_pyc) && v->with_pyc;
	out->with_memory = (out->files_ran == 1 || out->with_memory) && v->with_memory;
	if (out->files_ran == 1 || v->rank > out->rank) {
		out->rank = v->rank;
		out->reason = v->reason;
		out->level = v->level;
		out->decides = file;
	} else if (v->rank == out->rank && v->level &&
		   level_rank(v->level) < level_rank(out->level)) {
		out->level = v->level;
		out->decides = file;
	}
}

/*
 * Other code stands in the place of an attribute, a function's code or a function of the group's
 * module. What the file on the disk holds is then not what runs under its name.
 */
static void judge_places(const struct group_instance *instance, struct group_result *out)
{
	const struct evidence *e = instance->evidence;
	size_t first, n = trace_related(e->trace, TRACE_INTERPOSITION_MODULE,
					instance->module->rec->id, &first);

	for (size_t i = 0; i < n; i++) {
		const struct rec_interposition *in =
			trace_related_at(e->trace, TRACE_INTERPOSITION_MODULE, first + i);
		bool concerns = !instance->processes_count;

		for (size_t j = 0; j < instance->processes_count && !concerns; j++)
			concerns = evidence_family(e, in->process, instance->processes[j]);
		if (!concerns || !interpose_replaces(e, in))
			continue;
		if (!out->replaced++) {
			out->place = in;
			out->place_in = e;
		}
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
		for (size_t j = 0; j < file->instances_count; j++)
			judge_places(file->instances[j], out);
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
		out->compared = out->with_pyc = out->with_memory = false;
	if (out->files_ran && out->replaced && out->rank != VERDICT_MODIFIED) {
		out->rank = VERDICT_MODIFIED;
		out->level = "memory";
		out->reason = NULL;
	}
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
