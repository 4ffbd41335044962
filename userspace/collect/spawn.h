/* `collect ... -- COMMAND`: a child that waits until it is watched, then runs the command. */
#ifndef DAYLIGHT_COLLECT_SPAWN_H
#define DAYLIGHT_COLLECT_SPAWN_H

#include <sys/types.h>

#include "base/err.h"

struct spawn {
	pid_t pid; /* 0: none */
	int go; /* write end of the pipe that holds it back */
	int failed; /* read end of the pipe on which it says why it cannot run the command */
	const char *command;
};

/* Forks; the child waits. */
int spawn_prepare(struct spawn *spawn, char **command, struct err *err);
/* Lets it run. ERR_USAGE when the command cannot be executed. */
int spawn_release(struct spawn *spawn, struct err *err);
/* Passes SIGTERM on and waits a little; then SIGKILL. */
void spawn_end(struct spawn *spawn);

#endif
