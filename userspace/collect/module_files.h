/*
 * What the files of modules are, found by a worker thread of low priority, and again at the end of
 * the window. Records: identity, pyc, function_source.
 */
#ifndef DAYLIGHT_COLLECT_MODULE_FILES_H
#define DAYLIGHT_COLLECT_MODULE_FILES_H

#include "collect/modules.h"

struct identity;
struct module_files;
struct pyc;
struct python_layout;

struct module_files *module_files_new(struct session *s, struct err *err);
void module_files_free(struct module_files *f);

/* Hands a file to the worker. device, inode: 0, or what the mapping says. */
void module_files_add(struct module_files *f, uint64_t module, const struct process *p,
		      const char *path, enum language language, uint64_t device, uint64_t inode);
/* A function of this module was seen running. */
void module_files_ran(struct module_files *f, uint64_t module);
/* The same, once for each function: its source digest is wanted after the window. */
void module_files_function(struct module_files *f, uint64_t module, uint64_t function,
			   const char *name, const char *qualname, uint64_t line);

/* Is the file at its path, below root, another one than when this was last asked, or at first? */
bool module_files_became_another(struct module_files *f, uint64_t module, pid_t root);

bool module_files_has_run(const struct module_files *f, uint64_t module);
/* Does a package own it, as it is? -1: not looked at yet. */
int module_files_as_packaged(struct module_files *f, uint64_t module);

/* As modules_tick, modules_settle, modules_finish, modules_stats. */
void module_files_tick(struct module_files *f);
bool module_files_settle(struct module_files *f, uint64_t timeout_ns);
void module_files_finish(struct module_files *f, bool thorough);
void module_files_stats(const struct module_files *f, struct modules_stats *out);

/* What is known of a module's file. Pointers live as long as f. */
struct module_file {
	pid_t root; /* whose root it was looked at below; 0: our own */
	const char *path;
	const char *interpreter; /* that may compile it again */
	const struct python_layout *layout;
	const struct identity *identity;
	int changed; /* after `since`: 1, 0, -1: cannot be told */
	uint64_t since;
	const struct pyc *pyc; /* NULL: none was looked for */
	bool elsewhere; /* its compiled file is not beside it, or cannot be told */
};
/* False when the worker has not looked at it. After module_files_finish. */
bool module_files_get(const struct module_files *f, uint64_t module, struct module_file *out);

#endif
