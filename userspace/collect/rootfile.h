/*
 * Files below the root folder of another process. What stands there is hostile: every path is
 * resolved inside that root (symbolic links too), nothing but a regular file is opened for reading,
 * no size is believed.
 */
#ifndef DAYLIGHT_COLLECT_ROOTFILE_H
#define DAYLIGHT_COLLECT_ROOTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/bytes.h"

/* What can be said of a file; the first is success. Also the values of identity.how. */
#define ROOTFILE_OPEN "open"
#define ROOTFILE_NOT_REGULAR "not-regular" /* a folder, FIFO, socket, device or kernel file */
#define ROOTFILE_TOO_LARGE "too-large"
#define ROOTFILE_MISSING "missing" /* nothing is reached by that path */
#define ROOTFILE_BEHIND "behind-file" /* the path goes on behind a file: into an archive */
#define ROOTFILE_DENIED "denied"
#define ROOTFILE_CHANGED "changed" /* while it was read, or not the file that was asked for */
#define ROOTFILE_GONE "gone" /* the process ended */
#define ROOTFILE_FAILED "failed" /* an I/O error, or memory is short */

/* The root of a process (0: our own) as an O_PATH descriptor, or -1 and *how. */
int rootfile_root(pid_t pid, const char **how);

/*
 * Names a file without opening it: an O_PATH descriptor and *st, or -1 and *how. path must be
 * absolute. follow: resolve a symbolic link at the end.
 */
int rootfile_find(int root, const char *path, bool follow, struct stat *st, const char **how);

/* True when path leads to the file that st describes. */
bool rootfile_same(int root, const char *path, const struct stat *st);

/*
 * Goes along an absolute path as the resolver does, links included (at most 40 links and 256
 * names): each entry is shown with the folder that it stands in, a link before what it leads to,
 * the root folder itself not at all. Stops with what `each` returns when that is not 0. 0: *st is
 * what the path leads to. -1 and *how: it leads nowhere or cannot be followed; when *how is
 * ROOTFILE_MISSING, *st is the last folder or file that is there.
 */
int rootfile_walk(int root, const char *path,
		  int (*each)(void *ctx, const struct stat *entry, const struct stat *folder),
		  void *ctx, struct stat *st, const char **how);

/* Opens the regular file that an O_PATH descriptor names (and *st describes), else as below. */
int rootfile_reopen(int named, uint64_t max, const struct stat *st, const char **how);

/* Opens a regular file of at most max bytes for reading: a descriptor and *st, or -1 and *how. */
int rootfile_open(int root, const char *path, uint64_t max, struct stat *st, const char **how);

/*
 * The path of the opened file without symbolic links, below the root; 0, or -1 when it has none.
 * fd may be O_PATH or not.
 */
int rootfile_real_path(int root, int fd, const struct stat *st, char *out, size_t cap);

/*
 * Reads a whole file. Each piece goes to `piece` (0 goes on), in order. Returns ROOTFILE_OPEN, or
 * ROOTFILE_CHANGED when the file was not the same before and after (the pieces are then worth
 * nothing), or ROOTFILE_FAILED.
 */
const char *rootfile_read(int fd, const struct stat *st,
			  int (*piece)(void *ctx, const uint8_t *data, size_t len), void *ctx);

/* Reads a whole file of at most max bytes into out (emptied first). Returns a how. */
const char *rootfile_slurp(int root, const char *path, uint64_t max, struct bytes *out,
			   struct stat *st);

uint64_t rootfile_ns(const struct timespec *t);

#endif
