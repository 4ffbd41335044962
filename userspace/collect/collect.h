/*
 * One collection window: options in, one bundle out. The only entry point of this part for the
 * verbs; everything else in collect/ is private to it.
 */
#ifndef DAYLIGHT_COLLECT_COLLECT_H
#define DAYLIGHT_COLLECT_COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum collect_how {
	COLLECT_PID,
	COLLECT_PORT,
	COLLECT_EXE,
	COLLECT_UNIT,
	COLLECT_CGROUP,
	COLLECT_SERVICE,
	COLLECT_COMMAND,
};

/* "pid", "port", ... as options and records call them. */
const char *collect_how_name(enum collect_how how);

struct collect_target {
	enum collect_how how;
	const char *text; /* as given */
	uint64_t number; /* pid or port */
};

struct collect_label {
	const char *key, *value;
};

/* Which boundary source: by the kernel's abilities, or forced (tests). */
enum collect_boundary { BOUNDARY_AUTO, BOUNDARY_TRACEPOINTS, BOUNDARY_SYSCALLS };

struct collect_options {
	struct collect_target targets[64];
	size_t targets_count;
	char **command; /* NULL-terminated, or NULL */
	const char *output;
	const char *probes; /* folder, or NULL: the embedded ones */
	uint64_t duration; /* ns; 0: until a signal or the last target's end */
	uint64_t until; /* realtime ns; 0: not given */
	uint8_t challenge[64];
	size_t challenge_len;
	struct collect_label labels[64];
	size_t labels_count;
	int status_fd; /* -1: none */
	bool force, quiet;
	enum collect_boundary boundary;
	uint64_t syscall_phase; /* ns of the window's start during which the system-call link is
				   held */
	uint64_t syscall_period, syscall_share; /* afterwards: so many ns of each period */
};

void collect_options_init(struct collect_options *options);

/*
 * Runs the window. Returns the exit code (0, or ERR_INCOMPLETE when the bundle was written but
 * something was lost), or -1 with err (ERR_USAGE, ERR_MACHINE: no bundle was started).
 */
int collect_run(const struct collect_options *options, struct err *err);

#endif
