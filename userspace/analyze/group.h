/*
 * A group of code: the files of a section, or the handlers of a route. It gathers which of its
 * files and functions worked for calls, where that can be seen, and what kept it from being shown.
 */
#ifndef DAYLIGHT_ANALYZE_GROUP_H
#define DAYLIGHT_ANALYZE_GROUP_H

#include <jansson.h>

#include "analyze/compare.h"
#include "analyze/evidence.h"
#include "analyze/reference.h"

/* One sighting of code, as record ids. call 0: none. */
struct group_example {
	uint64_t call, binding, sighting, stack, function;
};

/* A function that ran in a process. */
struct group_ran {
	uint64_t process;
	uint32_t function; /* row */
	bool deep; /* in a deep call */
};

/* A file of the group in one bundle. */
struct group_instance {
	struct evidence *evidence;
	const struct evidence_module *module;
	bool ran; /* in a completed call, by a binding that is not ambiguous */
	uint64_t *processes; /* that it ran in, rising */
	size_t processes_count;
	struct group_ran *functions; /* that ran, by process and row */
	size_t functions_count;
	uint64_t last; /* time of its last such sighting */
	struct group_example example; /* of a running, or of what came closest to it */
};

struct group_file {
	char *relative; /* behind a root: "keystone/api/auth.py" */
	struct group_instance **instances;
	size_t instances_count;
	bool in_reference;
	/* Set by group_judge. */
	bool ran, loaded;
	struct verdict verdict;
	struct group_instance *judged; /* the instance that the verdict is of */
};

struct group {
	struct group_file *files; /* ordered by path after group_judge */
	size_t files_count;
	json_t *file_index; /* relative -> position in files */
	json_t *functions; /* set of "path\nqualname\nline" that ran */
	uint64_t calls; /* completed calls that its code worked for */
	uint64_t calls_deep; /* those of them that are deep */
	uint64_t call_stamp; /* the last one that was counted */
	uint64_t ambiguous, incomplete; /* sightings that could not be used */
};

int group_init(struct group *g);
void group_release(struct group *g);

/* Adds a file (once) and, with a module, its instance. NULL on no memory. */
struct group_instance *group_add(struct group *g, const char *relative, struct evidence *evidence,
				 const struct evidence_module *module);
/* Adds the files of a reference for which `wanted` is true, as known ones. */
int group_add_reference(struct group *g, const struct reference *r,
			bool (*wanted)(void *ctx, const char *relative), void *ctx);

/*
 * Code of the instance was seen in a call. usable: the call completed and the binding is not
 * ambiguous. serial: a number that is different for each call of the analysis.
 */
int group_see(struct group *g, struct group_instance *instance, const struct evidence_seen *seen,
	      const struct rec_call *call, bool complete, uint64_t serial);

/* Is the module (its id) one of the group's files in that bundle? */
bool group_has_module(const struct group *g, const struct evidence *e, uint64_t module);

/*
 * What names a function in all bundles: its file's path, its qualified name and first line, or, of
 * native code, its offset. The caller frees it; NULL: no memory.
 */
char *group_function_key(const struct group_instance *instance, uint32_t row);

/* What the files of the group that ran add up to. */
struct group_result {
	size_t files_ran, files_differ, files_loaded, loaded_differ;
	bool ambiguous, incomplete, seen; /* what is known when nothing ran */
	/* Of the files that ran: the weakest verdict decides. */
	enum verdict_rank rank;
	const char *level, *reason;
	bool with_pyc; /* every file that ran was compared together with its .pyc */
	bool with_memory; /* and with the memory of each function that ran */
	bool compared; /* every file that ran was compared */
	bool no_pyc; /* of one of them no compiled file was found */
	bool early; /* a file was looked at before it was last seen running */
	const struct reference *reference; /* that was used, or NULL */
	const struct group_file *decides; /* the file whose verdict it is, or one that says most */
	/* A function that differs in memory, and where. */
	const struct rec_function_memory *memory;
	const struct evidence *memory_in;
	/* Other code stands in the place of code of the group: how often, the first, and where. */
	size_t replaced;
	const struct rec_interposition *place;
	const struct evidence *place_in;
};

/* Compares with one reference (or none); may be called again with another one. Add nothing after.
 */
void group_judge(struct group *g, const struct reference *reference, struct group_result *out);

/*
 * The same with the references of a component: the one that names files which ran and fits best is
 * used. One reference for all files: a mixture of two releases is neither of them.
 */
void group_judge_best(struct group *g, const char *component, const struct reference *references,
		      size_t count, struct group_result *out);

#endif
