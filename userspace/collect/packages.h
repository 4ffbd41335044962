/*
 * Which package owns a file: the dpkg database below a root folder. The paths of all packages are
 * kept as hashes (16 bytes a path); recorded digests are read when they are asked for. The database
 * is as hostile as the root it stands in: bad lines are skipped, everything is bounded.
 */
#ifndef DAYLIGHT_COLLECT_PACKAGES_H
#define DAYLIGHT_COLLECT_PACKAGES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct packages;

struct packages_owner {
	const char *manager; /* "dpkg" */
	char name[128]; /* as dpkg names it: "bash", "libc6" */
	char version[128];
	bool has_md5; /* the database records a digest for this path */
	uint8_t md5[16];
};

/*
 * Indexes the database below root (an O_PATH or folder descriptor; not kept). NULL when there is
 * none, or memory is short.
 */
struct packages *packages_load(int root);
void packages_free(struct packages *p);

/*
 * True when the database was written since it was loaded. Never true in the first seconds after a
 * load: an upgrade writes it without pause.
 */
bool packages_stale(const struct packages *p, int root);

/*
 * The owner of a path as the database spells it ("/lib/x86_64-linux-gnu/libc.so.6"), diversions
 * applied. root: the same root as at the load. False: no package owns it.
 */
bool packages_find(struct packages *p, int root, const char *path, struct packages_owner *out);

/*
 * The owner of a file. path: as a process sees it; st: what it leads to; real: its path without
 * symbolic links, or NULL. The path is tried as given, then the real one, each also with and
 * without /usr in front where that leads to the same file (merged /usr). An owner that records a
 * digest is preferred to one that does not (the owner of a symbolic link).
 */
bool packages_find_file(struct packages *p, int root, const char *path, const char *real,
			const struct stat *st, struct packages_owner *out);

#endif
