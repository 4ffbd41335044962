/*
 * What a module's file is: digest, build id, owner. Files of other processes are hostile: opened
 * below the process's root, never following out of it, regular files only, non-blocking, with a
 * size limit; a FIFO, a device or a huge file is named, not read.
 *
 * Nothing here writes records: identity results are plain structs; collect/modules.c keeps them.
 */
#ifndef DAYLIGHT_COLLECT_IDENTITY_H
#define DAYLIGHT_COLLECT_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define IDENTITY_FILE_MAX (1024ULL * 1024 * 1024) /* larger: "too-large" */

struct identity {
	/*
	 * "open", or why not: "not-regular", "too-large", "missing", "behind-file" (in an
	 * archive), "denied", "changed", "gone" (the process ended), "failed" (I/O error): see
	 * collect/rootfile.h.
	 */
	const char *how;
	/* device is st_dev as stat(2) gives it (makedev(3)), not the kernel's own encoding. */
	uint64_t device, inode, size;
	uint64_t mtime, ctime; /* realtime ns */
	bool has_sha256;
	uint8_t sha256[32];
	uint8_t build_id[64];
	size_t build_id_len; /* 0: none */
	char package_manager[16]; /* "" when no package owns it; "dpkg", "rpm", "python" */
	char package[128];
	char package_version[128];
	int digest_matches; /* 1, 0, or -1: the database records no digest for this path */
};

struct identity_store; /* package databases, indexed once per root; cache by (device, inode, ctime)
			*/

struct identity_store *identity_store_new(void);
void identity_store_free(struct identity_store *s);

/*
 * Identifies `path` as seen by process `pid` (through /proc/PID/root; 0: the collector's own
 * root). Safe to call from one thread at a time per store. When device and inode are not 0 they
 * must agree with what is opened, else how is "changed"; on overlayfs and btrfs, where mappings
 * name another device than stat(2), the inode alone. Returns 0 always; `how` tells. A result is
 * remembered by (device, inode, size, mtime, ctime), so a file that many processes map is read
 * once.
 */
int identity_file(struct identity_store *s, pid_t pid, const char *path, uint64_t device,
		  uint64_t inode, struct identity *out);

/*
 * Opens as above and returns a descriptor, or -1 with *how set. For those who need the bytes
 * (ELF symbols). fstat'ed into *st. A path of maps that ends in " (deleted)" leads to the file that
 * the process still maps, where the kernel lets us (CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE).
 */
struct stat;
int identity_open(pid_t pid, const char *path, struct stat *st, const char **how);

/*
 * 1 when the file or anything that its path leads through may have changed after `since`
 * (realtime ns): the file's ctime or mtime; the ctime of a symbolic link anywhere on the way; a
 * folder that was moved (its ctime is later and is not its mtime), or that was written to when the
 * folder above was written to as well; the nearest folder that is left when the file is missing.
 * Also when it is another file than `id` (may be NULL) describes. 0: shown to be unchanged. -1: it
 * cannot be looked at (the process, and its root with it, may be gone). A chmod or chown of a
 * folder on the way, and the first write below a folder of an overlayfs' lower layer, look like a
 * move and count as one. A name made in one folder of the way alone does not count. Not seen: a
 * file system mounted over a folder. File times are coarse, so what happened up to 10 ms before
 * `since` counts as later.
 */
int identity_changed_since(pid_t pid, const char *path, const struct identity *id, uint64_t since);

/* ---- compiled Python files (collect/pyc.c) ---- */

struct pyc {
	/* "open", "absent", "unsupported-magic", what pyc_elsewhere gives, or as identity.how */
	const char *how;
	char path[4096]; /* where it was looked for: __pycache__/NAME.TAG.pyc beside the source */
	bool has_sha256;
	uint8_t sha256[32];
	uint64_t size, mtime, ctime;
	int header_matches; /* 1, 0, -1: cannot tell */
	int changed_after; /* it, or the folder that would hold it, changed after `since`; 1, 0, -1
			    */
};

/* tag, magic and header are the interpreter's (struct python_layout). since: process start,
 * realtime ns. */
int pyc_look(pid_t pid, const char *source_path, const struct identity *source, const char *tag,
	     unsigned int magic, unsigned int header, uint64_t since, struct pyc *out);

/*
 * Does the process keep its compiled files elsewhere than beside their sources? NULL: no. Else how:
 * "elsewhere" when its environment (PYTHONPYCACHEPREFIX) or its command line (-X pycache_prefix)
 * names a folder for them; "gone" or "denied" when these cannot be read. Both are read in memory
 * only and wiped; nothing of them is kept. An interpreter that ignores its environment (-E, -I) and
 * a program's own argument of that name are taken for a yes.
 */
const char *pyc_elsewhere(pid_t pid);

/*
 * The bytes of a source or a compiled file that must have this digest; "" or why not: a value of
 * identity.how, or "other-root". When the process is gone the file is taken from the collector's
 * own root: it counts only with the digest that was seen in the process's time. ours: only if the
 * process's root is the collector's.
 */
struct bytes;
const char *pyc_fetch(pid_t pid, bool ours, const char *path, const uint8_t *sha256,
		      struct bytes *out);

/*
 * Proves compiled files after the window: for each item, the source is compiled by the
 * interpreter `exe` (run with -I -S -B, as an unprivileged user, without privileges, network or
 * inherited descriptors, bounded in time and memory) and its code compared with the .pyc's.
 * The files are opened and passed in by the caller's side of the fence; the helper opens nothing.
 * Sets item.proven: 1 same code, 0 other code, -1 not compared (`why` says so): "absent",
 * "changed" and the other values of identity.how, "other-root" (the process has another root than
 * the collector, whose interpreter this is), "interpreter-missing", "interpreter-failed",
 * "unsupported-magic" (compiled by another version), "source-not-compiled", "damaged" (not a
 * compiled file), "timeout", "failed" (the helper crashed or ran out of memory on it).
 * Files of a process that is gone are taken from the collector's own root, by their digests.
 * Returns 0, or -1 with err when the interpreter cannot be run; every item is set in any case.
 * Needs CAP_SETUID, CAP_SETGID and CAP_KILL when run as root.
 */
struct pyc_item {
	pid_t pid; /* whose root; may be gone (0: own root) */
	const char *source_path;
	const char *pyc_path; /* NULL: there is none */
	const uint8_t *source_sha256; /* what must be compiled: 32 bytes, checked again */
	const uint8_t *pyc_sha256;
	unsigned int header; /* bytes before its code; 0: as from 3.7 on, 16 */
	int proven;
	const char *why; /* "" when proven is 0 or 1 */
};
int pyc_prove(const char *exe, struct pyc_item *items, size_t count, uint64_t timeout_ns,
	      struct err *err);

/*
 * Compiles sources after the window, behind the same fence, for as long as it is not released or
 * its time is over. Zero-initialised but for the helper (PYC_COMPILER_INIT in
 * collect/pyc_helper.h).
 */
struct pyc_compiler;
/*
 * What marshal.dumps() gives for the code of a source, compiled by `exe`, whose magic this must be,
 * at this level of optimisation. Returns "" or why not: as pyc_item.why.
 */
const char *pyc_compile(struct pyc_compiler *c, const char *exe, unsigned int magic,
			unsigned int optimize, const char *path, const struct bytes *source,
			struct bytes *out);
void pyc_compiler_release(struct pyc_compiler *c);

#endif
