/*
 * Modules and functions: who they are, once each; and, from a thread of its own, what their files
 * are. Records: module, function, identity, pyc.
 */
#ifndef DAYLIGHT_COLLECT_MODULES_H
#define DAYLIGHT_COLLECT_MODULES_H

#include "collect/session.h"
#include "wire.h"

struct process;

struct modules *modules_new(struct session *s, struct err *err);
void modules_free(struct modules *m);

/* Id of a native module mapped in the process; "" path or pseudo paths give kind memory. */
uint64_t modules_native(struct modules *m, struct process *p, const char *path, uint64_t device,
			uint64_t inode);
/* Paths of a distribution are public; others, a user's folder perhaps, may be hidden later. */
enum string_class modules_path_class(const char *path);
/* Takes a code object as the kernel read it; remembers code -> function. */
void modules_code(struct modules *m, struct process *p, const struct wire_code *code);
/* Function id of a code id, or REC_NULL when its record was lost. */
uint64_t modules_function(const struct modules *m, uint32_t code);

/* Id of the module of a Python file name (co_filename), seen running or not; or REC_NULL. */
uint64_t modules_python(struct modules *m, struct process *p, const char *filename);
/* Was code of this file seen running? path: absolute. */
bool modules_seen(const struct modules *m, const struct process *p, const char *path);
/* Does a package own the module's file, and is it as the package recorded it? -1: not known yet. */
int modules_as_packaged(const struct modules *m, uint64_t module);
/* Function id of native code: its first byte as linked, its symbol or "". REC_NULL: no memory. */
uint64_t modules_native_function(struct modules *m, uint64_t module, uint64_t offset,
				 const char *name);

/* Writes the records of files that the worker has identified since. */
void modules_tick(struct modules *m);
/* Waits until the worker is done with all it was given, at most timeout_ns. False: timed out. */
bool modules_settle(struct modules *m, uint64_t timeout_ns);
/*
 * After the window: looks once more at every file (changed meanwhile?), and proves the compiled
 * files of the Python modules that were seen running. Not thorough: neither; what the worker has
 * not done is lost.
 */
void modules_finish(struct modules *m, bool thorough);

/* Ledger of stage `modules`. */
struct modules_stats {
	uint64_t attempted, delivered, lost; /* lost: not looked at in time */
	struct {
		const char *how; /* identity.how other than "open" */
		uint64_t count;
	} skipped[8];
};
void modules_stats(const struct modules *m, struct modules_stats *out);
uint64_t modules_count(const struct modules *m);

#endif
