/* Starts, asks and stops the fenced interpreter that compares compiled Python files. */
#include "collect/pyc_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define NOBODY 65534
#define MEMORY_MAX (1024UL * 1024 * 1024)
#define OPEN_MAX_FILES 64 /* while the interpreter starts; the script then sets 0 */
#define NS 1000000000ULL

static int limit(int what, rlim_t value)
{
	struct rlimit now, want = { value, value };

	/* Never above what is allowed already. */
	if (!getrlimit((__rlimit_resource_t)what, &now) && now.rlim_max < value)
		want.rlim_cur = want.rlim_max = now.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &want);
}

/* In the child, between fork and exec: system calls only. Returns only when the fence fails. */
static void run_fenced(const char *exe, int fd, int null, rlim_t seconds)
{
	/* -X utf8: paths are bytes and must come through in any locale. */
	char *argv[] = { (char *)exe, "-I", "-S",	    "-B", "-W",
			 "ignore",    "-X", (char *)"utf8", "-c", (char *)pyc_script,
			 NULL };
	char *envp[] = { NULL };
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		sigaction(i, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(fd, 0) < 0 || dup2(fd, 1) < 0 || dup2(null, 2) < 0)
		return;
	if (syscall(SYS_close_range, 3U, ~0U, 0U))
		return;
	setsid();
	if (chdir("/"))
		return;
	if (limit(RLIMIT_CORE, 0) || limit(RLIMIT_FSIZE, 0) || limit(RLIMIT_AS, MEMORY_MAX) ||
	    limit(RLIMIT_NOFILE, OPEN_MAX_FILES) || limit(RLIMIT_CPU, seconds))
		return;
	if (geteuid() == 0) {
		/* No network where that is possible; without it the limits below still hold. */
		if (unshare(CLONE_NEWNET))
			errno = 0;
		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY) || geteuid() == 0)
			return;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return;
	/* After the change of user: a limit of 0 would already fail that. */
	if (limit(RLIMIT_NPROC, 0))
		return;
	execve(exe, argv, envp);
}

void pyc_helper_stop(struct pyc_helper *h)
{
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
	if (h->pid > 0) {
		/* Without CAP_KILL another user's process cannot be killed: then do not wait. */
		int flags = kill(h->pid, SIGKILL) ? WNOHANG : 0;

		while (waitpid(h->pid, NULL, flags) < 0 && errno == EINTR)
			;
	}
	h->pid = 0;
}

/* 1: ready for the events, 0: the deadline passed. */
static int wait_ready(int fd, short events, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		uint64_t now = clock_monotonic();
		uint64_t left = deadline > now ? (deadline - now) / 1000000 + 1 : 0;
		int n;

		if (now >= deadline)
			return 0;
		n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return 1;
		if (n < 0 && errno != EINTR)
			return 0;
	}
}

static int get_bytes(struct pyc_helper *h, void *out, size_t len, uint64_t deadline)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = recv(h->fd, (uint8_t *)out + at, len - at, MSG_DONTWAIT);

		if (n > 0)
			at += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return PYC_ASK_DIED;
		else if (!wait_ready(h->fd, POLLIN, deadline))
			return PYC_ASK_TIMEOUT;
	}
	return 0;
}

static int get_byte(struct pyc_helper *h, uint64_t deadline)
{
	uint8_t byte;
	int ret = get_bytes(h, &byte, 1, deadline);

	return ret ? ret : byte;
}

static int put_bytes(struct pyc_helper *h, const void *data, size_t len, uint64_t deadline)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = send(h->fd, (const uint8_t *)data + at, len - at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return PYC_ASK_DIED;
		else if (!wait_ready(h->fd, POLLOUT, deadline))
			return PYC_ASK_TIMEOUT;
	}
	return 0;
}

int pyc_helper_start(struct pyc_helper *h, const char *exe, uint64_t deadline, uint64_t life,
		     struct err *err)
{
	int pair[2], null, answer;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return err_errno(err, ERR_INTERNAL, "cannot make a socket pair for %s", exe);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	h->pid = null < 0 ? -1 : fork();
	if (h->pid == 0) {
		run_fenced(exe, pair[1], null, (rlim_t)(life / NS) + 2);
		_exit(127);
	}
	if (null >= 0)
		close(null);
	close(pair[1]);
	h->fd = pair[0];
	if (h->pid < 0) {
		err_errno(err, ERR_MACHINE, "cannot start %s to compare compiled files", exe);
		pyc_helper_stop(h);
		return -1;
	}
	answer = get_byte(h, deadline);
	if (answer == PYC_READY)
		return 0;
	pyc_helper_stop(h);
	return err_set(err, ERR_MACHINE,
		       "the interpreter %s %s; check that user id 65534 may run it, compiled files "
		       "stay unproven",
		       exe, answer == PYC_ASK_TIMEOUT ? "did not start in time" : "did not start");
}

int pyc_helper_ask(struct pyc_helper *h, const struct bytes *path, const struct bytes *source,
		   const struct bytes *pyc, uint64_t deadline)
{
	struct bytes head = BYTES_INIT;
	int ret = PYC_ASK_DIED;

	if (!bytes_put_le32(&head, (uint32_t)path->len) &&
	    !bytes_put_le32(&head, (uint32_t)source->len) &&
	    !bytes_put_le32(&head, (uint32_t)pyc->len)) {
		ret = put_bytes(h, head.data, head.len, deadline);
		if (!ret)
			ret = put_bytes(h, path->data, path->len, deadline);
		if (!ret)
			ret = put_bytes(h, source->data, source->len, deadline);
		if (!ret)
			ret = put_bytes(h, pyc->data, pyc->len, deadline);
		if (!ret)
			ret = get_byte(h, deadline);
	}
	bytes_release(&head);
	return ret;
}

int pyc_helper_take(struct pyc_helper *h, struct bytes *out, size_t max, uint64_t deadline)
{
	uint8_t head[4];
	struct bytes_reader r = { .data = head, .len = sizeof(head) };
	int ret = get_bytes(h, head, sizeof(head), deadline);
	uint32_t len = bytes_get_le32(&r);

	if (ret)
		return ret;
	out->len = 0;
	if (len > max || bytes_reserve(out, (size_t)len + 1))
		return PYC_ASK_DIED;
	ret = get_bytes(h, out->data, len, deadline);
	out->len = ret ? 0 : len;
	return ret;
}
