/* A child that waits until it is watched, then runs the command. */
#include "collect/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int spawn_prepare(struct spawn *spawn, char **command, struct err *err)
{
	int go[2], failed[2], pid;

	spawn->pid = 0;
	if (pipe2(go, O_CLOEXEC))
		return err_errno(err, ERR_INTERNAL, "pipe");
	if (pipe2(failed, O_CLOEXEC)) {
		close(go[0]);
		close(go[1]);
		return err_errno(err, ERR_INTERNAL, "pipe");
	}
	pid = fork();
	if (pid < 0) {
		close(go[0]);
		close(go[1]);
		close(failed[0]);
		close(failed[1]);
		return err_errno(err, ERR_MACHINE, "the command cannot be started");
	}
	if (!pid) {
		sigset_t none;
		char byte;

		close(go[1]);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		if (read(go[0], &byte, 1) != 1)
			_exit(0); /* never released */
		execvp(command[0], command);
		(void)!write(failed[1], &errno, sizeof(errno));
		_exit(127);
	}
	close(go[0]);
	close(failed[1]);
	spawn->pid = pid;
	spawn->go = go[1];
	spawn->failed = failed[0];
	spawn->command = command[0];
	return 0;
}

int spawn_release(struct spawn *spawn, struct err *err)
{
	ssize_t n = write(spawn->go, "g", 1);
	int code = 0;

	close(spawn->go);
	spawn->go = -1;
	if (n != 1)
		return err_errno(err, ERR_MACHINE, "the command cannot be released");
	/* Closed by a successful exec. */
	n = read(spawn->failed, &code, sizeof(code));
	close(spawn->failed);
	if (n != sizeof(code))
		return 0;
	errno = code;
	return err_errno(err, ERR_USAGE,
			 "command '%s' cannot be run (give a program's path, or a name in PATH)",
			 spawn->command);
}

void spawn_end(struct spawn *spawn)
{
	const struct timespec step = { 0, 20000000 };

	if (!spawn->pid)
		return;
	if (spawn->go >= 0)
		close(spawn->go);
	kill(spawn->pid, SIGTERM);
	for (int i = 0; i < 100; i++) {
		if (waitpid(spawn->pid, NULL, WNOHANG) != 0)
			goto done;
		nanosleep(&step, NULL);
	}
	kill(spawn->pid, SIGKILL);
	waitpid(spawn->pid, NULL, 0);
done:
	spawn->pid = 0;
}
