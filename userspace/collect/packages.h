/*
 * Which package owns a file: the dpkg or the rpm database below a root folder, or the RECORD of a
 * Python distribution beside it. The paths of all packages are kept as hashes; what dpkg records of
 * digests is read when it is asked for. A database is as hostile as the root it stands in: what is
 * bad in it is skipped, everything is bounded.
 */
#ifndef DAYLIGHT_COLLECT_PACKAGES_H
#define DAYLIGHT_COLLECT_PACKAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct packages;

struct packages_owner {
	const char *manager; /* "dpkg", "rpm", "python" */
	char name[128]; /* as the manager names it: "bash", "libc6" */
	char version[128];
	bool has_md5; /* the database records a digest for this path: this one, */
	uint8_t md5[16];
	bool has_sha256; /* or this one */
	uint8_t sha256[32];
};

/* A hash of a path; begin with PACKAGES_HASH, go on with what it returned. */
#define PACKAGES_HASH 0xcbf29ce484222325ULL
uint64_t packages_hash(uint64_t hash, const char *s, size_t len);

/*
 * The folder or file that stands for the database below root: a stat of it. 0, or -1: there is
 * none. A root with packages of dpkg is not asked for those of rpm.
 */
int packages_place(int root, struct stat *st);

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

/* ---- the rpm database (packages_rpm.c): packages.c asks it where there is no dpkg ---- */

struct packages_rpm;

/* Where it lies below root, if it is of the kind that can be read (SQLite). 0 or -1. */
int packages_rpm_place(int root, struct stat *st);
/* NULL: none, or it has changes in a write-ahead log, or memory is short. */
struct packages_rpm *packages_rpm_load(int root);
void packages_rpm_free(struct packages_rpm *p);
bool packages_rpm_stale(const struct packages_rpm *p, int root);
/* As packages_find. Packages that record different digests for one path: no digest. */
bool packages_rpm_find(const struct packages_rpm *p, const char *path, struct packages_owner *out);

/* ---- Python distributions (packages_record.c) ---- */

/* Folders with NAME.dist-info in them, of all roots; each is read again when it has changed. */
struct packages_records;

struct packages_records *packages_records_new(void);
void packages_records_free(struct packages_records *r);
/*
 * The distribution whose RECORD names the file. real: its path without symbolic links; the folder
 * of the .dist-info is one of those above it.
 */
bool packages_records_find(struct packages_records *r, int root, const char *real,
			   struct packages_owner *out);

#endif
