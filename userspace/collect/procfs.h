/* Bounded readers of /proc. What cannot be read is absent, never an error: processes come and go.
 */
#ifndef DAYLIGHT_COLLECT_PROCFS_H
#define DAYLIGHT_COLLECT_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"

/* /proc/PID/FILE as bytes, NUL-terminated behind len; at most max. Returns 0 or -1. */
int procfs_read(pid_t pid, const char *file, size_t max, struct bytes *out);

struct procfs_stat {
	char comm[64];
	pid_t parent;
	uint64_t start; /* boot-time ns, in clock ticks' steps */
};
int procfs_stat(pid_t pid, struct procfs_stat *out);

/* Target of /proc/PID/FILE (exe, cwd, ns/mnt ...). Returns 0 or -1. */
int procfs_link(pid_t pid, const char *file, char *out, size_t size);
/* Inode of /proc/PID/ns/NAME, or 0. */
uint64_t procfs_namespace(pid_t pid, const char *name);
uint64_t procfs_uid(pid_t pid); /* effective; UINT64_MAX: unknown */

struct procfs_mapping {
	uint64_t start, end, offset;
	uint64_t device, inode;
	bool executable;
	const char *path; /* "" for none; lives during the callback */
};
/* What the kernel puts behind a path that nothing is reached by any more. */
#define PROCFS_DELETED " (deleted)"
/* The length of the path without it; 0: it does not end so. */
size_t procfs_deleted(const char *path);

/* Calls back for each line of maps until it returns non-zero (which is returned). -1: unreadable.
 */
int procfs_maps(pid_t pid, int (*each)(void *ctx, const struct procfs_mapping *m), void *ctx);

/* Calls back for every process, by rising pid. */
int procfs_each(int (*each)(void *ctx, pid_t pid), void *ctx);
/* Calls back with the inode of every socket that the process has open. */
int procfs_sockets(pid_t pid, int (*each)(void *ctx, uint64_t inode), void *ctx);

struct procfs_listener {
	bool v6;
	char address[64]; /* text */
	uint8_t raw[16]; /* network order; IPv4 in the first four bytes */
	uint16_t port;
	uint64_t inode;
};
/* Calls back for every listening TCP socket of the process's network namespace. */
int procfs_listeners(pid_t pid, int (*each)(void *ctx, const struct procfs_listener *l), void *ctx);

/* A name longer than that is cut; the kernel's longest are of 108 bytes. */
struct procfs_unix_listener {
	char path[112]; /* an abstract one begins with @; "": it has none */
	uint64_t inode;
};
/* The same for Unix stream sockets that listen. Their names are any bytes. */
int procfs_unix_listeners(pid_t pid, int (*each)(void *ctx, const struct procfs_unix_listener *l),
			  void *ctx);

/* Reads target memory; returns 0 only when all of it was read. */
int procfs_memory(pid_t pid, uint64_t address, void *out, size_t size);

#endif
