/* Files below the root folder of another process: find, open, read without trust. */
#include "collect/rootfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PIECE (128 * 1024)
#define RACE_TRIES 8
#define PATH_SIZE 4096
#define LINKS_MAX 40 /* as the kernel */
#define NAMES_MAX 256

static const char *how_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case ENXIO:
		return ROOTFILE_MISSING;
	case EACCES:
	case EPERM:
		return ROOTFILE_DENIED;
	case ESRCH:
		return ROOTFILE_GONE;
	default:
		return ROOTFILE_FAILED;
	}
}

uint64_t rootfile_ns(const struct timespec *t)
{
	return t->tv_sec < 0 ? 0 : (uint64_t)t->tv_sec * 1000000000ULL + (uint64_t)t->tv_nsec;
}

int rootfile_root(pid_t pid, const char **how)
{
	char path[64];
	int fd;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	else
		snprintf(path, sizeof(path), "/");
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		*how = errno == ENOENT && pid ? ROOTFILE_GONE : how_of(errno);
	return fd;
}

int rootfile_find(int root, const char *path, bool follow, struct stat *st, const char **how)
{
	struct open_how ask = {
		.flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	if (path[0] != '/') {
		*how = ROOTFILE_MISSING;
		return -1;
	}
	/* EAGAIN: a rename somewhere raced with a ".." of the path. */
	for (int i = 0; i < RACE_TRIES; i++) {
		fd = syscall(SYS_openat2, root, path, &ask, sizeof(ask));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	if (fd < 0) {
		*how = how_of(errno);
		return -1;
	}
	if (fstat((int)fd, st)) {
		*how = ROOTFILE_FAILED;
		close((int)fd);
		return -1;
	}
	return (int)fd;
}

bool rootfile_same(int root, const char *path, const struct stat *st)
{
	const char *how;
	struct stat other;
	cleanup_close int fd = rootfile_find(root, path, true, &other, &how);

	return fd >= 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

/* Files of these kernel file systems are "regular", but opening or reading one may do things. */
static bool kernel_file(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return true;
	switch ((unsigned long)fs.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case BPF_FS_MAGIC:
		return true;
	default:
		return false;
	}
}

/* ---- going along a path ---- */

struct walk {
	char done[PATH_SIZE]; /* the entries so far, without links; "": the root */
	char todo[2 * PATH_SIZE];
	unsigned int links, names;
};

/* Takes the next name off todo; NULL at the end. */
static char *next_name(char **todo)
{
	char *name = *todo + strspn(*todo, "/");

	if (!*name)
		return NULL;
	*todo = name + strcspn(name, "/");
	if (**todo)
		*(*todo)++ = 0;
	return name;
}

static void step_back(char *done)
{
	char *slash = strrchr(done, '/');

	if (slash)
		*slash = 0;
}

/* The stat of the folder that was reached. */
static int folder_reached(int root, const struct walk *w, struct stat *st, const char **how)
{
	int fd = rootfile_find(root, *w->done ? w->done : "/", false, st, how);

	return fd < 0 ? -1 : close(fd);
}

/* Puts a link's target before what is left of the path. */
static int follow(struct walk *w, int fd, const char *left, const char **how)
{
	char target[PATH_SIZE], todo[sizeof(w->todo)];
	ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);
	int len;

	/* The text of a link of /proc is not what it leads to. */
	if (n <= 0 || kernel_file(fd)) {
		*how = ROOTFILE_FAILED;
		return -1;
	}
	target[n] = 0;
	len = snprintf(todo, sizeof(todo), "%s/%s", target, left);
	if (++w->links > LINKS_MAX || (size_t)len >= sizeof(todo)) {
		*how = ROOTFILE_FAILED;
		return -1;
	}
	memcpy(w->todo, todo, (size_t)len + 1);
	if (target[0] == '/')
		w->done[0] = 0;
	else
		step_back(w->done);
	return 0;
}

int rootfile_walk(int root, const char *path,
		  int (*each)(void *ctx, const struct stat *entry, const struct stat *folder),
		  void *ctx, struct stat *st, const char **how)
{
	struct walk w = { 0 };
	char *left = w.todo, *name;

	*how = ROOTFILE_FAILED;
	if (path[0] != '/' || strlen(path) >= PATH_SIZE)
		return -1;
	memcpy(w.todo, path, strlen(path) + 1);
	if (fstat(root, st))
		return -1;
	while ((name = next_name(&left))) {
		size_t len = strlen(w.done);
		cleanup_close int fd = -1;
		struct stat entry;
		int result;

		if (++w.names > NAMES_MAX || len + strlen(name) + 2 > sizeof(w.done)) {
			*how = ROOTFILE_FAILED;
			return -1;
		}
		if (!S_ISDIR(st->st_mode)) {
			*how = ROOTFILE_MISSING;
			return -1;
		}
		if (!strcmp(name, "."))
			continue;
		if (!strcmp(name, "..")) {
			step_back(w.done);
			if (folder_reached(root, &w, st, how))
				return -1;
			continue;
		}
		snprintf(w.done + len, sizeof(w.done) - len, "/%s", name);
		fd = rootfile_find(root, w.done, false, &entry, how);
		if (fd < 0)
			return -1;
		result = each(ctx, &entry, st);
		if (result)
			return result;
		if (!S_ISLNK(entry.st_mode)) {
			*st = entry;
			continue;
		}
		if (follow(&w, fd, left, how) || folder_reached(root, &w, st, how))
			return -1;
		left = w.todo;
	}
	return 0;
}

int rootfile_reopen(int named, uint64_t max, const struct stat *st, const char **how)
{
	char again[64];
	int fd;

	if (!S_ISREG(st->st_mode) || kernel_file(named)) {
		*how = ROOTFILE_NOT_REGULAR;
		return -1;
	}
	if (st->st_size < 0 || (uint64_t)st->st_size > max) {
		*how = ROOTFILE_TOO_LARGE;
		return -1;
	}
	/* Through the descriptor, so that it is this very file whatever the path names by now. */
	snprintf(again, sizeof(again), "/proc/self/fd/%d", named);
	fd = open(again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		*how = how_of(errno);
		return -1;
	}
	*how = ROOTFILE_OPEN;
	return fd;
}

int rootfile_open(int root, const char *path, uint64_t max, struct stat *st, const char **how)
{
	cleanup_close int named = rootfile_find(root, path, true, st, how);

	if (named >= 0)
		return rootfile_reopen(named, max, st, how);
	if (!strcmp(*how, ROOTFILE_MISSING) && errno == ENOTDIR)
		*how = ROOTFILE_BEHIND;
	return -1;
}

static int link_of(int fd, char *out, size_t cap)
{
	char self[64];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, out, cap - 1);
	if (n <= 0 || (size_t)n >= cap - 1)
		return -1;
	out[n] = 0;
	return 0;
}

int rootfile_real_path(int root, int fd, const struct stat *st, char *out, size_t cap)
{
	char base[4096], full[4096];
	const char *below = full;
	size_t n;

	if (link_of(root, base, sizeof(base)) || link_of(fd, full, sizeof(full)))
		return -1;
	n = strlen(base);
	if (n > 1 && !strncmp(full, base, n) && full[n] == '/')
		below = full + n;
	/* The kernel's text may be stale or end in " (deleted)": only what leads back counts. */
	if (!rootfile_same(root, below, st) || strlen(below) >= cap)
		return -1;
	memcpy(out, below, strlen(below) + 1);
	return 0;
}

static bool same_state(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       rootfile_ns(&a->st_mtim) == rootfile_ns(&b->st_mtim) &&
	       rootfile_ns(&a->st_ctim) == rootfile_ns(&b->st_ctim);
}

const char *rootfile_read(int fd, const struct stat *st,
			  int (*piece)(void *ctx, const uint8_t *data, size_t len), void *ctx)
{
	cleanup_free uint8_t *buf = malloc(PIECE);
	struct stat now;
	off_t at = 0;

	if (!buf)
		return ROOTFILE_FAILED;
	if (fstat(fd, &now))
		return ROOTFILE_FAILED;
	if (!same_state(st, &now))
		return ROOTFILE_CHANGED;
	while (at < st->st_size) {
		size_t want = st->st_size - at < PIECE ? (size_t)(st->st_size - at) : PIECE;
		ssize_t n = pread(fd, buf, want, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ROOTFILE_FAILED;
		if (n == 0)
			return ROOTFILE_CHANGED;
		if (piece(ctx, buf, (size_t)n))
			return ROOTFILE_FAILED;
		at += n;
	}
	if (fstat(fd, &now))
		return ROOTFILE_FAILED;
	return same_state(st, &now) ? ROOTFILE_OPEN : ROOTFILE_CHANGED;
}

static int keep_piece(void *ctx, const uint8_t *data, size_t len)
{
	return bytes_put(ctx, data, len);
}

const char *rootfile_slurp(int root, const char *path, uint64_t max, struct bytes *out,
			   struct stat *st)
{
	const char *how = ROOTFILE_FAILED;

	for (int i = 0; i < 2; i++) {
		cleanup_close int fd = rootfile_open(root, path, max, st, &how);

		out->len = 0;
		if (fd < 0)
			return how;
		if (bytes_reserve(out, (size_t)st->st_size + 1))
			return ROOTFILE_FAILED;
		how = rootfile_read(fd, st, keep_piece, out);
		if (strcmp(how, ROOTFILE_CHANGED))
			break;
	}
	return how;
}
