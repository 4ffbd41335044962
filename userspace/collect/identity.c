/* What a module's file is: digests, build id, owner; see identity.h for the rules. */
#include "collect/identity.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "collect/buildid.h"
#include "collect/packages.h"
#include "collect/procfs.h"
#include "collect/rootfile.h"

#define ROOTS_MAX 8 /* package databases kept at a time */
#define KNOWN_MAX 65536 /* files remembered; then all are forgotten */
#define RETRY_NS 5000000000ULL
/* Before Linux 6.13 a file that was just changed may change again without a trace in its ctime. */
#define SETTLED_NS 2000000000ULL
#define TIME_GRAIN_NS 10000000ULL

struct digests {
	uint8_t sha256[32];
	uint8_t md5[16];
	bool has_md5;
	uint8_t build_id[BUILDID_MAX];
	size_t build_id_len;
};

struct known_key {
	uint64_t device, inode, size, mtime, ctime;
};

struct known {
	struct known_key key;
	struct digests digests;
	UT_hash_handle hh;
};

struct known_root {
	uint64_t device, inode; /* of packages_place; 0, 0: free */
	struct packages *packages; /* NULL: could not be read */
	uint64_t tried, used;
};

struct identity_store {
	struct known *known;
	struct known_root roots[ROOTS_MAX];
	struct packages_records *records;
	uint64_t uses;
	EVP_MD *sha256, *md5; /* md5: NULL when the library refuses it */
};

struct identity_store *identity_store_new(void)
{
	struct identity_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	s->md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	s->records = packages_records_new();
	if (!s->sha256 || !s->records) {
		identity_store_free(s);
		return NULL;
	}
	return s;
}

static void forget_files(struct identity_store *s)
{
	struct known *k, *next;

	HASH_ITER(hh, s->known, k, next) {
		HASH_DEL(s->known, k);
		free(k);
	}
}

void identity_store_free(struct identity_store *s)
{
	if (!s)
		return;
	forget_files(s);
	for (size_t i = 0; i < ROOTS_MAX; i++)
		packages_free(s->roots[i].packages);
	packages_records_free(s->records);
	EVP_MD_free(s->sha256);
	EVP_MD_free(s->md5);
	free(s);
}

/* ---- digests ---- */

struct hashing {
	EVP_MD_CTX *sha256, *md5;
};

static int hash_piece(void *ctx, const uint8_t *data, size_t len)
{
	struct hashing *h = ctx;

	if (!EVP_DigestUpdate(h->sha256, data, len))
		return -1;
	return h->md5 && !EVP_DigestUpdate(h->md5, data, len) ? -1 : 0;
}

/* Returns a how. */
static const char *digest_file(struct identity_store *s, int fd, const struct stat *st,
			       struct digests *out)
{
	struct hashing h = { .sha256 = EVP_MD_CTX_new() };
	const char *how = ROOTFILE_FAILED;

	memset(out, 0, sizeof(*out));
	if (!h.sha256 || !EVP_DigestInit_ex2(h.sha256, s->sha256, NULL))
		goto out;
	if (s->md5) {
		h.md5 = EVP_MD_CTX_new();
		if (!h.md5 || !EVP_DigestInit_ex2(h.md5, s->md5, NULL))
			goto out;
	}
	out->build_id_len = buildid_read(fd, out->build_id);
	/* After the build id: this call says whether the file stayed the same all the time. */
	how = rootfile_read(fd, st, hash_piece, &h);
	if (strcmp(how, ROOTFILE_OPEN))
		goto out;
	if (!EVP_DigestFinal_ex(h.sha256, out->sha256, NULL))
		how = ROOTFILE_FAILED;
	out->has_md5 = h.md5 && EVP_DigestFinal_ex(h.md5, out->md5, NULL);
out:
	EVP_MD_CTX_free(h.sha256);
	EVP_MD_CTX_free(h.md5);
	return how;
}

static bool settled(const struct stat *st)
{
	struct clock_triple now;

	clock_read(&now);
	return rootfile_ns(&st->st_ctim) + SETTLED_NS < now.realtime;
}

static const char *known_digests(struct identity_store *s, int fd, const struct stat *st,
				 struct digests *out)
{
	struct known_key key = { st->st_dev, st->st_ino, (uint64_t)st->st_size,
				 rootfile_ns(&st->st_mtim), rootfile_ns(&st->st_ctim) };
	bool keep = settled(st);
	const char *how;
	struct known *k;

	HASH_FIND(hh, s->known, &key, sizeof(key), k);
	if (k) {
		*out = k->digests;
		return ROOTFILE_OPEN;
	}
	how = digest_file(s, fd, st, out);
	if (!keep || strcmp(how, ROOTFILE_OPEN))
		return how;
	if (HASH_COUNT(s->known) >= KNOWN_MAX)
		forget_files(s);
	k = calloc(1, sizeof(*k));
	if (k) {
		k->key = key;
		k->digests = *out;
		HASH_ADD(hh, s->known, key, sizeof(key), k);
	}
	return how;
}

/* ---- owners ---- */

static struct packages *packages_of(struct identity_store *s, int root)
{
	struct known_root *r = NULL, *oldest = &s->roots[0];
	uint64_t now = clock_monotonic();
	struct stat st;

	if (packages_place(root, &st))
		return NULL;
	for (size_t i = 0; i < ROOTS_MAX && !r; i++) {
		if (s->roots[i].device == st.st_dev && s->roots[i].inode == st.st_ino)
			r = &s->roots[i];
		if (s->roots[i].used < oldest->used)
			oldest = &s->roots[i];
	}
	if (r && (r->packages ? !packages_stale(r->packages, root) : now - r->tried < RETRY_NS)) {
		r->used = ++s->uses;
		return r->packages;
	}
	if (!r)
		r = oldest;
	packages_free(r->packages);
	r->packages = packages_load(root);
	r->device = st.st_dev;
	r->inode = st.st_ino;
	r->tried = now;
	r->used = ++s->uses;
	return r->packages;
}

static void find_owner(struct identity_store *s, int root, int fd, const char *path,
		       const struct stat *st, const struct digests *digests, struct identity *out)
{
	struct packages *p = packages_of(s, root);
	struct packages_owner owner;
	char real[4096];
	bool has_real = !rootfile_real_path(root, fd, st, real, sizeof(real));

	if ((!p || !packages_find_file(p, root, path, has_real ? real : NULL, st, &owner)) &&
	    (!has_real || !packages_records_find(s->records, root, real, &owner)))
		return;
	snprintf(out->package_manager, sizeof(out->package_manager), "%s", owner.manager);
	snprintf(out->package, sizeof(out->package), "%s", owner.name);
	snprintf(out->package_version, sizeof(out->package_version), "%s", owner.version);
	if (owner.has_sha256)
		out->digest_matches = !memcmp(owner.sha256, digests->sha256, sizeof(owner.sha256));
	else if (owner.has_md5 && digests->has_md5)
		out->digest_matches = !memcmp(owner.md5, digests->md5, sizeof(owner.md5));
}

/* ---- files ---- */

/* Is the opened file the one that a mapping names? */
static bool agrees(int fd, const struct stat *st, uint64_t device, uint64_t inode)
{
	struct statfs fs;

	if (!device && !inode)
		return true;
	if (st->st_ino != inode)
		return false;
	if (st->st_dev == device)
		return true;
	return !fstatfs(fd, &fs) && ((unsigned long)fs.f_type == OVERLAYFS_SUPER_MAGIC ||
				     (unsigned long)fs.f_type == BTRFS_SUPER_MAGIC);
}

struct deleted {
	pid_t pid;
	const char *path;
	struct stat *st;
	const char *how;
};

/* Through the kernel's own link to what is mapped: nothing else leads there any more. */
static int each_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct deleted *d = ctx;
	char link[96];

	if (strcmp(m->path, d->path))
		return 0;
	snprintf(link, sizeof(link), "/proc/%d/map_files/%llx-%llx", (int)d->pid,
		 (unsigned long long)m->start, (unsigned long long)m->end);
	cleanup_close int named = open(link, O_PATH | O_CLOEXEC);

	if (named < 0 || fstat(named, d->st) || d->st->st_ino != m->inode)
		return 0;
	return rootfile_reopen(named, IDENTITY_FILE_MAX, d->st, &d->how);
}

static int open_deleted(pid_t pid, const char *path, struct stat *st, const char **how)
{
	struct deleted d = { pid, path, st, *how };
	int fd = -1;

	if (pid && procfs_deleted(path) && strncmp(path, "/memfd:", 7))
		fd = procfs_maps(pid, each_mapping, &d);
	*how = d.how;
	return fd > 0 ? fd : -1;
}

static int open_below(int root, pid_t pid, const char *path, struct stat *st, const char **how)
{
	int fd = rootfile_open(root, path, IDENTITY_FILE_MAX, st, how);

	return fd < 0 && !strcmp(*how, ROOTFILE_MISSING) ? open_deleted(pid, path, st, how) : fd;
}

int identity_open(pid_t pid, const char *path, struct stat *st, const char **how)
{
	cleanup_close int root = rootfile_root(pid, how);

	return root < 0 ? -1 : open_below(root, pid, path, st, how);
}

int identity_file(struct identity_store *s, pid_t pid, const char *path, uint64_t device,
		  uint64_t inode, struct identity *out)
{
	cleanup_close int root = -1;

	memset(out, 0, sizeof(*out));
	out->digest_matches = -1;
	root = rootfile_root(pid, &out->how);
	if (root < 0)
		return 0;
	for (int tries = 0; tries < 2; tries++) {
		struct stat st = { 0 };
		struct digests digests;
		cleanup_close int fd = open_below(root, pid, path, &st, &out->how);

		out->device = st.st_dev;
		out->inode = st.st_ino;
		out->size = (uint64_t)st.st_size;
		out->mtime = rootfile_ns(&st.st_mtim);
		out->ctime = rootfile_ns(&st.st_ctim);
		if (fd < 0)
			return 0;
		if (!agrees(fd, &st, device, inode)) {
			out->how = ROOTFILE_CHANGED;
			return 0;
		}
		out->how = known_digests(s, fd, &st, &digests);
		if (!strcmp(out->how, ROOTFILE_OPEN)) {
			out->has_sha256 = true;
			memcpy(out->sha256, digests.sha256, sizeof(out->sha256));
			memcpy(out->build_id, digests.build_id, sizeof(out->build_id));
			out->build_id_len = digests.build_id_len;
			find_owner(s, root, fd, path, &st, &digests, out);
		}
		if (strcmp(out->how, ROOTFILE_CHANGED))
			return 0;
	}
	return 0;
}

static bool later(const struct stat *st, uint64_t since)
{
	uint64_t from = since > TIME_GRAIN_NS ? since - TIME_GRAIN_NS : 0;

	return rootfile_ns(&st->st_ctim) > from || rootfile_ns(&st->st_mtim) > from;
}

/*
 * Could what this entry names have been put there after `since`? A rename or a new link changes the
 * ctime of what is moved (ext4, XFS, btrfs, tmpfs, overlayfs do so).
 */
static int judge_entry(void *ctx, const struct stat *entry, const struct stat *folder)
{
	uint64_t since = *(uint64_t *)ctx;

	if (!later(entry, since))
		return 0;
	if (!S_ISDIR(entry->st_mode))
		return 1;
	/*
	 * A write to a folder (a name made or removed in it) sets both its times to the same value;
	 * a move or a chmod sets its ctime alone. A write hides a move before it, but not that the
	 * folder above was written to then.
	 */
	if (rootfile_ns(&entry->st_ctim) != rootfile_ns(&entry->st_mtim))
		return 1;
	return later(folder, since);
}

int identity_changed_since(pid_t pid, const char *path, const struct identity *id, uint64_t since)
{
	const char *how;
	struct stat st;
	cleanup_close int root = rootfile_root(pid, &how);
	int result;

	if (root < 0)
		return -1;
	result = rootfile_walk(root, path, judge_entry, &since, &st, &how);
	if (result > 0)
		return 1;
	/* Missing: the nearest folder that is left tells. */
	if (result < 0)
		return strcmp(how, ROOTFILE_MISSING) ? -1 : later(&st, since);
	if (id && id->inode && (id->inode != st.st_ino || id->device != st.st_dev))
		return 1;
	return later(&st, since);
}
