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
#include "bundle/seal_key.h"

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
#define COLLECT_AUTO UINT64_MAX
#define COLLECT_WALK_BUDGET 2 /* percent of each CPU, by default */

enum collect_boundary { BOUNDARY_AUTO, BOUNDARY_TRACEPOINTS, BOUNDARY_SYSCALLS };

struct collect_options {
	struct collect_target targets[64];
	size_t targets_count;
	char **command; /* NULL-terminated, or NULL */
	const char *output;
	const char *resume; /* an interrupted bundle to go on with; the rest comes from it. NULL */
	const char *probes; /* folder, or NULL: the embedded ones */
	uint64_t duration; /* ns; 0: until a signal or the last target's end */
	uint64_t until; /* realtime ns; 0: not given */
	uint8_t challenge[64];
	size_t challenge_len;
	struct collect_label labels[64];
	size_t labels_count;
	int status_fd; /* -1: none */
	bool force, quiet;
	const struct seal_key *sign; /* signs the bundle at the end; NULL: not signed */
	enum collect_boundary boundary;
	/*
	 * The system-call link is held for syscall_phase ns of the window's start, afterwards for
	 * syscall_share percent of each second; COLLECT_AUTO: as long as it takes to see what
	 * function starts do not show.
	 */
	uint64_t syscall_phase, syscall_share;
	uint64_t samples; /* of the CPU clock, a second; 0: none */
	uint64_t walk_budget; /* percent of each CPU that stack walks may take */
	uint64_t deep; /* first calls of each route that are traced function by function; 0: none */
	uint64_t deep_duty; /* and percent of the window */
};

void collect_options_init(struct collect_options *options);

/*
 * Runs the window. Returns the exit code (0, or ERR_INCOMPLETE when the bundle was written but
 * something was lost), or -1 with err (ERR_USAGE, ERR_MACHINE: no bundle was started).
 */
int collect_run(const struct collect_options *options, struct err *err);

#endif
