/* Bounded readers of /proc. */
#include "collect/procfs.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "base/cleanup.h"

#define MAPS_MAX (32u << 20)

int procfs_read(pid_t pid, const char *file, size_t max, struct bytes *out)
{
	char path[320];
	cleanup_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	out->len = 0;
	do {
		if (bytes_reserve(out, 65536 + 1))
			return -1;
		n = read(fd, out->data + out->len, 65536);
		if (n < 0)
			return -1;
		out->len += (size_t)n;
	} while (n > 0 && out->len < max);
	out->data[out->len] = '\0';
	return 0;
}

int procfs_stat(pid_t pid, struct procfs_stat *out)
{
	struct bytes text = BYTES_INIT;
	unsigned long long start = 0;
	int parent = 0, result = -1;
	char *open_paren, *close_paren;
	long hz = sysconf(_SC_CLK_TCK);

	if (procfs_read(pid, "stat", 4096, &text))
		goto out;
	open_paren = strchr((char *)text.data, '(');
	close_paren = strrchr((char *)text.data, ')');
	if (!open_paren || !close_paren || close_paren < open_paren)
		goto out;
	/* Field 4 is the parent, field 22 the start in ticks since boot. */
	if (sscanf(close_paren + 1,
		   " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%llu",
		   &parent, &start) != 2 ||
	    hz <= 0)
		goto out;
	snprintf(out->comm, sizeof(out->comm), "%.*s", (int)(close_paren - open_paren - 1),
		 open_paren + 1);
	out->parent = parent;
	out->start = start * (1000000000ULL / (uint64_t)hz);
	result = 0;
out:
	bytes_release(&text);
	return result;
}

int procfs_link(pid_t pid, const char *file, char *out, size_t size)
{
	char path[128];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	n = readlink(path, out, size - 1);
	if (n < 0)
		return -1;
	out[n] = '\0';
	return 0;
}

uint64_t procfs_namespace(pid_t pid, const char *name)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	return stat(path, &st) ? 0 : st.st_ino;
}

uint64_t procfs_uid(pid_t pid)
{
	struct bytes text = BYTES_INIT;
	unsigned int uid = 0;
	uint64_t result = UINT64_MAX;
	const char *line;

	if (!procfs_read(pid, "status", 16384, &text)) {
		line = strstr((char *)text.data, "\nUid:");
		if (line && sscanf(line + 5, " %*u %u", &uid) == 1)
			result = uid;
	}
	bytes_release(&text);
	return result;
}

size_t procfs_deleted(const char *path)
{
	size_t len = strlen(path), end = sizeof(PROCFS_DELETED) - 1;

	return len > end && !strcmp(path + len - end, PROCFS_DELETED) ? len - end : 0;
}

int procfs_maps(pid_t pid, int (*each)(void *ctx, const struct procfs_mapping *m), void *ctx)
{
	struct bytes text = BYTES_INIT;
	int result = 0;
	char *line, *end;

	if (procfs_read(pid, "maps", MAPS_MAX, &text)) {
		bytes_release(&text);
		return -1;
	}
	for (line = (char *)text.data; *line && !result; line = end + 1) {
		unsigned long long start, stop, offset, inode;
		unsigned int major_nr, minor_nr;
		struct procfs_mapping m = { 0 };
		char perms[8];
		int at = 0;

		end = strchr(line, '\n');
		if (!end)
			break;
		*end = '\0';
		if (sscanf(line, "%llx-%llx %7s %llx %x:%x %llu %n", &start, &stop, perms, &offset,
			   &major_nr, &minor_nr, &inode, &at) < 7)
			continue;
		m.start = start;
		m.end = stop;
		m.offset = offset;
		m.device = makedev(major_nr, minor_nr);
		m.inode = inode;
		m.executable = perms[2] == 'x';
		m.path = at ? line + at : "";
		result = each(ctx, &m);
	}
	bytes_release(&text);
	return result;
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

int procfs_each(int (*each)(void *ctx, pid_t pid), void *ctx)
{
	cleanup_closedir DIR *dir = opendir("/proc");
	struct bytes pids = BYTES_INIT;
	struct dirent *e;
	int result = 0;

	if (!dir)
		return -1;
	while ((e = readdir(dir))) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);
		pid_t value = (pid_t)pid;

		if (!*end && pid > 0 && bytes_put(&pids, &value, sizeof(value)))
			break;
	}
	if (pids.len)
		qsort(pids.data, pids.len / sizeof(pid_t), sizeof(pid_t), compare_pids);
	for (size_t i = 0; i < pids.len / sizeof(pid_t) && !result; i++) {
		pid_t pid;

		memcpy(&pid, pids.data + i * sizeof(pid), sizeof(pid));
		result = each(ctx, pid);
	}
	bytes_release(&pids);
	return result;
}

int procfs_sockets(pid_t pid, int (*each)(void *ctx, uint64_t inode), void *ctx)
{
	cleanup_closedir DIR *dir = NULL;
	struct dirent *e;
	char path[64];
	int result = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (!result && (e = readdir(dir))) {
		unsigned long long inode;
		char target[64];
		ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);

		if (n < 0)
			continue;
		target[n] = '\0';
		if (sscanf(target, "socket:[%llu]", &inode) == 1)
			result = each(ctx, inode);
	}
	return result;
}

static int listeners_of(pid_t pid, bool v6, int (*each)(void *, const struct procfs_listener *),
			void *ctx)
{
	struct bytes text = BYTES_INIT;
	int result = 0;
	char *line, *end;

	if (procfs_read(pid, v6 ? "net/tcp6" : "net/tcp", MAPS_MAX, &text)) {
		bytes_release(&text);
		return -1;
	}
	line = strchr((char *)text.data, '\n');
	for (line = line ? line + 1 : (char *)text.data; *line && !result; line = end + 1) {
		struct procfs_listener l = { .v6 = v6 };
		unsigned long long inode;
		unsigned int port, state;
		uint32_t words[4];
		char hex[40];

		end = strchr(line, '\n');
		if (!end)
			break;
		*end = '\0';
		if (sscanf(line, " %*d: %32[0-9A-F]:%x %*s %x %*s %*s %*s %*u %*u %llu", hex, &port,
			   &state, &inode) != 4 ||
		    state != 10 || strlen(hex) != (v6 ? 32 : 8))
			continue;
		for (int i = 0; i < (v6 ? 4 : 1); i++) {
			char word[9];

			memcpy(word, hex + 8 * i, 8);
			word[8] = '\0';
			words[i] = (uint32_t)strtoul(word, NULL, 16);
		}
		inet_ntop(v6 ? AF_INET6 : AF_INET, words, l.address, sizeof(l.address));
		memcpy(l.raw, words, v6 ? 16 : 4);
		l.port = (uint16_t)port;
		l.inode = inode;
		result = each(ctx, &l);
	}
	bytes_release(&text);
	return result;
}

int procfs_listeners(pid_t pid, int (*each)(void *ctx, const struct procfs_listener *l), void *ctx)
{
	int result = listeners_of(pid, false, each, ctx);

	return result > 0 ? result : listeners_of(pid, true, each, ctx);
}

int procfs_unix_listeners(pid_t pid, int (*each)(void *ctx, const struct procfs_unix_listener *l),
			  void *ctx)
{
	struct bytes text = BYTES_INIT;
	int result = 0;
	char *line, *end;

	if (procfs_read(pid, "net/unix", MAPS_MAX, &text)) {
		bytes_release(&text);
		return -1;
	}
	line = strchr((char *)text.data, '\n');
	for (line = line ? line + 1 : (char *)text.data; *line && !result; line = end + 1) {
		struct procfs_unix_listener l = { "", 0 };
		unsigned long long inode;
		unsigned int flags, type;
		int path = -1;

		end = strchr(line, '\n');
		if (!end)
			break;
		*end = '\0';
		/* SO_ACCEPTCON in the flags; SOCK_STREAM. */
		if (sscanf(line, "%*x: %*x %*x %x %x %*x %llu %n", &flags, &type, &inode, &path) <
			    3 ||
		    !(flags & 1 << 16) || type != 1)
			continue;
		l.inode = inode;
		if (path >= 0)
			snprintf(l.path, sizeof(l.path), "%s", line + path);
		result = each(ctx, &l);
	}
	bytes_release(&text);
	return result;
}

int procfs_memory(pid_t pid, uint64_t address, void *out, size_t size)
{
	struct iovec local = { out, size }, remote = { (void *)(uintptr_t)address, size };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size ? 0 : -1;
}
