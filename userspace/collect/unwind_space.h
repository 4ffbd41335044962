/*
 * What is mapped where in a process, for the unwinder: which file an address belongs to, and the
 * address as linked. Files are opened below the process's root, once; they must be the inodes that
 * are mapped and have the build id that the process's memory shows. Used by one thread.
 */
#ifndef DAYLIGHT_COLLECT_UNWIND_SPACE_H
#define DAYLIGHT_COLLECT_UNWIND_SPACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "collect/unwind_file.h"

struct unwind_spaces;
struct unwind_space;

/* A mapped file, as a module record names it. */
struct unwind_mapped {
	const char *path;
	uint64_t device, inode;
};

struct unwind_who {
	uint32_t process; /* serial */
	uint32_t image; /* serial: forks have their parent's */
	pid_t pid;
	pid_t root; /* files are opened below its root; 0: our own */
	pid_t first; /* the process that began the image; 0: it is gone */
};

/* is_current: is the process still what its pid shows? */
struct unwind_spaces *unwind_spaces_new(bool (*is_current)(void *ctx, pid_t pid, uint32_t process),
					void *ctx);
void unwind_spaces_free(struct unwind_spaces *s);

/*
 * The process's space as it was read after `since` (monotonic ns), or as it was read last when the
 * process is gone. *borrowed: it ended before it was ever looked at, this is the space of the
 * process that began its image. NULL: there is none. Lives until the next call.
 */
struct unwind_space *unwind_space_get(struct unwind_spaces *s, const struct unwind_who *who,
				      uint64_t since, bool *borrowed);

/* The row of an address; *mapped is an index for unwind_space_mapped. */
const struct unwind_row *unwind_space_row(struct unwind_space *space, uint64_t address,
					  uint32_t *mapped);
/* Lives as long as the space. */
const struct unwind_mapped *unwind_space_mapped(const struct unwind_space *space, uint32_t mapped);

#endif
