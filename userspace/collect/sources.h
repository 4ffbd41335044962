/*
 * The source digests of the functions that ran (docs/evidence.md, "Source digests"). The session's
 * thread names functions and writes records; after the window a thread of low priority reads each
 * file once and finds them in it. Records: function_source.
 */
#ifndef DAYLIGHT_COLLECT_SOURCES_H
#define DAYLIGHT_COLLECT_SOURCES_H

#include "base/bytes.h"
#include "collect/identity.h"
#include "collect/session.h"

/* The functions of one file. Zero-initialised is empty. */
struct source_list {
	struct bytes functions; /* sources.c: struct function */
	struct bytes names;
};

/* Memory short: the function is left out. */
void source_add(struct source_list *source, uint64_t function, const char *name,
		const char *qualname, uint64_t line);
void source_release(struct source_list *source);

/* A Python source file when the window is over. All of it must stay until sources_put. */
struct source_file {
	struct source_list *source;
	pid_t root; /* the process below whose root it is; may be gone */
	const char *path;
	const struct identity *identity; /* only a file with this digest is read */
	bool changed; /* after it was loaded: it is not what ran */
};

struct sources;

/* Starts the thread. Takes over `files` (malloc). NULL, with `files` freed: it cannot be started.
 */
struct sources *sources_start(struct source_file *files, size_t count);
/* Waits for the thread, writes the records, frees. */
void sources_put(struct sources *sources, struct session *s);

#endif
