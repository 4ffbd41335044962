/*
 * Compares the file of a module that ran with what it should be: a reference's digest, else the
 * host's package database. The comparison is of the file on disk, so it also asks whether the file
 * is still what the process loaded, and, for Python, whether the compiled file stands for it.
 */
#ifndef DAYLIGHT_ANALYZE_COMPARE_H
#define DAYLIGHT_ANALYZE_COMPARE_H

#include "analyze/evidence.h"

/* From the strongest statement to the one that overrules all others. */
enum verdict_rank {
	VERDICT_UNMODIFIED, /* equal to the reference */
	VERDICT_AS_PACKAGED, /* equal to the package database */
	VERDICT_UNREFERENCED, /* unchanged since it was loaded; nothing to compare it with */
	VERDICT_UNKNOWN, /* `reason` says why no comparison holds */
	VERDICT_MODIFIED, /* `level` says where: the file, its .pyc or the memory */
};

struct verdict {
	enum verdict_rank rank;
	const char *level; /* "file", "pyc", "memory" or NULL */
	const char *reason; /* of VERDICT_UNKNOWN; static */
	bool compared; /* the comparison holds (equal or not) */
	bool with_pyc; /* and the compiled file was part of it */
	bool with_memory; /* and so were all functions that ran, as they were in memory */
	bool no_pyc; /* there was no compiled file beside the source */
	bool differs; /* what lies on disk differs, whether or not it is what was loaded */
	const struct rec_identity *identity; /* what was compared; NULL: none */
	const struct rec_pyc *pyc;
	const struct rec_function_memory *memory; /* of a function that differs; NULL: none */
};

/*
 * The weakest verdict over the processes that ran the module. A process is judged by the newest
 * records that were taken for it; if it has none, by those of all other processes. digest: the
 * reference's, 64 hex digits, or NULL when no reference names the file.
 */
void compare_module(const struct evidence *e, const struct evidence_module *module,
		    const char *digest, const uint64_t *processes, size_t count,
		    struct verdict *out);

/* The same without a process: what is on disk. Only `differs`, `identity` and `pyc` are set. */
void compare_disk(const struct evidence *e, const struct evidence_module *module,
		  const char *digest, struct verdict *out);

#endif
