/*
 * The rpm database below a root: rpmdb.sqlite, whose table Packages holds one header for each
 * package. The older kinds of database (Berkeley DB, ndb) are not read.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "collect/packages.h"
#include "collect/rootfile.h"
#include "collect/sqlite_table.h"

#define DATABASE_MAX (4ULL * 1024 * 1024 * 1024)
#define HEADER_MAX (16u * 1024 * 1024)
#define FOLDERS_MAX 262144 /* of a header */
#define ENTRIES_MAX 65536 /* of a header */
#define PACKAGES_MAX 65536
#define FILES_MAX (1024 * 1024) /* of all packages; 48 bytes each */
#define FILE_GHOST (1u << 6)
#define FILE_DOC (1u << 1)

static const char *const places[] = { "/var/lib/rpm", "/usr/lib/sysimage/rpm" };

/* Tags of a header. */
enum {
	TAG_NAME = 1000,
	TAG_VERSION = 1001,
	TAG_RELEASE = 1002,
	TAG_EPOCH = 1003,
	TAG_FILESTATES = 1029,
	TAG_FILEMODES = 1030,
	TAG_FILEDIGESTS = 1035,
	TAG_FILEFLAGS = 1037,
	TAG_DIRINDEXES = 1116,
	TAG_BASENAMES = 1117,
	TAG_DIRNAMES = 1118,
	TAG_FILEDIGESTALGO = 5011,
};

enum { TYPE_CHAR = 1, TYPE_INT16 = 3, TYPE_INT32 = 4, TYPE_STRING = 6, TYPE_STRINGS = 8 };
enum { ALGORITHM_MD5 = 1, ALGORITHM_SHA256 = 8 };

struct package {
	char name[128], version[128];
};

struct owned {
	uint64_t path; /* hash */
	uint32_t package;
	uint8_t digest_len; /* 0, 16 or 32 */
	uint8_t digest[32];
};

struct packages_rpm {
	struct bytes packages, owned;
	struct stat st;
	char path[64];
};

#define COUNT(array, type) ((array).len / sizeof(type))
#define AT(array, type, i) (&((type *)(void *)(array).data)[i])

/* ---- headers: a count of entries, a count of bytes, the entries, the bytes; big-endian ---- */

struct header {
	const uint8_t *entries, *data;
	uint32_t entries_count, data_len;
};

struct field {
	const uint8_t *data;
	size_t len; /* up to the end of the header's bytes */
	uint32_t type, count; /* count 0: there is none */
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool open_header(struct header *h, const uint8_t *data, size_t len)
{
	if (len < 8)
		return false;
	h->entries_count = be32(data);
	h->data_len = be32(data + 4);
	if (h->entries_count > ENTRIES_MAX || h->data_len > len - 8 ||
	    h->entries_count * 16 > len - 8 - h->data_len)
		return false;
	h->entries = data + 8;
	h->data = h->entries + (size_t)h->entries_count * 16;
	return true;
}

/* Values of another type than this are none. */
static struct field get(const struct header *h, uint32_t tag, uint32_t type, size_t size)
{
	struct field f = { 0 };

	for (uint32_t i = 0; i < h->entries_count; i++) {
		const uint8_t *e = h->entries + (size_t)i * 16;
		uint32_t at = be32(e + 8), count = be32(e + 12);

		if (be32(e) != tag || be32(e + 4) != type)
			continue;
		if (at > h->data_len || count > (h->data_len - at) / size)
			break;
		f = (struct field){ h->data + at, h->data_len - at, type, count };
		break;
	}
	return f;
}

/* The next string of a field; NULL: none is left. */
static const char *next_string(struct field *f)
{
	const uint8_t *end = f->count ? memchr(f->data, 0, f->len) : NULL;
	const char *text = (const char *)f->data;

	if (!end)
		return NULL;
	f->len -= (size_t)(end + 1 - f->data);
	f->data = end + 1;
	f->count--;
	return text;
}

static uint32_t number_at(const struct field *f, uint32_t i)
{
	if (i >= f->count)
		return 0;
	if (f->type == TYPE_INT32)
		return be32(f->data + (size_t)i * 4);
	if (f->type == TYPE_INT16)
		return (uint32_t)f->data[2 * (size_t)i] << 8 | f->data[2 * (size_t)i + 1];
	return f->data[i];
}

static bool good_text(const char *s)
{
	if (!s || !*s || strlen(s) > 100)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

/* [EPOCH:]VERSION-RELEASE, as rpm prints it. */
static bool read_package(const struct header *h, struct package *out)
{
	struct field name = get(h, TAG_NAME, TYPE_STRING, 1);
	struct field version = get(h, TAG_VERSION, TYPE_STRING, 1);
	struct field release = get(h, TAG_RELEASE, TYPE_STRING, 1);
	struct field epoch = get(h, TAG_EPOCH, TYPE_INT32, 4);
	const char *n = next_string(&name), *v = next_string(&version), *r = next_string(&release);
	char number[16] = "";
	int len;

	memset(out, 0, sizeof(*out));
	if (!good_text(n) || !good_text(v) || !good_text(r))
		return false;
	if (epoch.count)
		snprintf(number, sizeof(number), "%u:", number_at(&epoch, 0));
	len = snprintf(out->version, sizeof(out->version), "%s%s-%s", number, v, r);
	snprintf(out->name, sizeof(out->name), "%s", n);
	return len > 0 && (size_t)len < sizeof(out->version);
}

/* The files that could hold code: regular ones that were put in place. */
static bool wanted(uint32_t mode, uint32_t flags, uint32_t state)
{
	return S_ISREG(mode) && !(flags & (FILE_GHOST | FILE_DOC)) && !state;
}

static void read_digest(struct owned *o, const char *hex, uint32_t algorithm)
{
	size_t want = algorithm == ALGORITHM_SHA256 ? 32 : algorithm == ALGORITHM_MD5 ? 16 : 0;

	if (want && strlen(hex) == 2 * want && bytes_from_hex(hex, o->digest, want) == (int)want)
		o->digest_len = (uint8_t)want;
}

static int read_files(struct packages_rpm *p, const struct header *h)
{
	struct field names = get(h, TAG_BASENAMES, TYPE_STRINGS, 1);
	struct field folders = get(h, TAG_DIRNAMES, TYPE_STRINGS, 1);
	struct field places_of = get(h, TAG_DIRINDEXES, TYPE_INT32, 4);
	struct field digests = get(h, TAG_FILEDIGESTS, TYPE_STRINGS, 1);
	struct field modes = get(h, TAG_FILEMODES, TYPE_INT16, 2);
	struct field flags = get(h, TAG_FILEFLAGS, TYPE_INT32, 4);
	struct field states = get(h, TAG_FILESTATES, TYPE_CHAR, 1);
	struct field algorithm = get(h, TAG_FILEDIGESTALGO, TYPE_INT32, 4);
	uint32_t count = names.count, folders_count = folders.count;
	uint32_t how = algorithm.count ? number_at(&algorithm, 0) : ALGORITHM_MD5;
	cleanup_free const char **folder = NULL;

	if (folders_count > FOLDERS_MAX)
		return 0;
	folder = calloc(folders_count + 1UL, sizeof(*folder));
	if (!folder)
		return -1;
	for (uint32_t i = 0; i < folders_count; i++)
		folder[i] = next_string(&folders);
	if (places_of.count != count || modes.count != count)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		const char *name = next_string(&names), *hex = next_string(&digests);
		uint32_t at = number_at(&places_of, i);
		struct owned o = { .package = (uint32_t)COUNT(p->packages, struct package) - 1 };

		if (!name || at >= folders_count || !folder[at] || folder[at][0] != '/')
			break;
		if (!wanted(number_at(&modes, i), number_at(&flags, i), number_at(&states, i)))
			continue;
		o.path = packages_hash(PACKAGES_HASH, folder[at], strlen(folder[at]));
		o.path = packages_hash(o.path, name, strlen(name));
		if (hex)
			read_digest(&o, hex, how);
		if (COUNT(p->owned, struct owned) == FILES_MAX ||
		    bytes_put(&p->owned, &o, sizeof(o)))
			return -1;
	}
	return 0;
}

static int add_header(void *ctx, const uint8_t *data, size_t len)
{
	struct packages_rpm *p = ctx;
	struct package package;
	struct header h;

	if (!open_header(&h, data, len) || !read_package(&h, &package))
		return 0;
	if (COUNT(p->packages, struct package) == PACKAGES_MAX ||
	    bytes_put(&p->packages, &package, sizeof(package)))
		return -1;
	return read_files(p, &h);
}

/* ---- the database ---- */

static int by_path(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	if (x->path != y->path)
		return x->path < y->path ? -1 : 1;
	return (x->package > y->package) - (x->package < y->package);
}

/* Nothing of the database waits in a log: it does while somebody writes, and after a crash. */
static bool logs_are_empty(int root, const char *path)
{
	static const char *const suffixes[] = { "wal", "journal" };

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char log[80];
		const char *how;
		struct stat st;
		int fd;

		snprintf(log, sizeof(log), "%s-%s", path, suffixes[i]);
		fd = rootfile_find(root, log, true, &st, &how);
		if (fd < 0 && strcmp(how, ROOTFILE_MISSING))
			return false;
		if (fd >= 0 && (close(fd) || st.st_size))
			return false;
	}
	return true;
}

static bool find_database(int root, char path[64], struct stat *st)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const char *how;
		int fd;

		snprintf(path, 64, "%s/rpmdb.sqlite", places[i]);
		fd = rootfile_find(root, path, true, st, &how);
		if (fd >= 0) {
			close(fd);
			return true;
		}
	}
	return false;
}

int packages_rpm_place(int root, struct stat *st)
{
	char path[64];

	return find_database(root, path, st) ? 0 : -1;
}

static bool same_state(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       rootfile_ns(&a->st_ctim) == rootfile_ns(&b->st_ctim);
}

struct packages_rpm *packages_rpm_load(int root)
{
	struct packages_rpm *p = calloc(1, sizeof(*p));
	cleanup_close int fd = -1;
	struct stat now;
	const char *how;

	if (!p || !find_database(root, p->path, &p->st))
		goto fail;
	fd = rootfile_open(root, p->path, DATABASE_MAX, &p->st, &how);
	if (fd < 0 || !logs_are_empty(root, p->path))
		goto fail;
	if (sqlite_table_read(fd, (uint64_t)p->st.st_size, "Packages", 1, HEADER_MAX, add_header,
			      p))
		goto fail;
	/* It counts only if nothing was written meanwhile. */
	if (fstat(fd, &now) || !same_state(&now, &p->st) || !logs_are_empty(root, p->path))
		goto fail;
	if (p->owned.len)
		qsort(p->owned.data, COUNT(p->owned, struct owned), sizeof(struct owned), by_path);
	return p;
fail:
	packages_rpm_free(p);
	return NULL;
}

void packages_rpm_free(struct packages_rpm *p)
{
	if (!p)
		return;
	bytes_release(&p->packages);
	bytes_release(&p->owned);
	free(p);
}

bool packages_rpm_stale(const struct packages_rpm *p, int root)
{
	char path[64];
	struct stat now;

	return !find_database(root, path, &now) || !same_state(&now, &p->st) ||
	       !logs_are_empty(root, p->path);
}

bool packages_rpm_find(const struct packages_rpm *p, const char *path, struct packages_owner *out)
{
	uint64_t hash = packages_hash(PACKAGES_HASH, path, strlen(path));
	size_t low = 0, count = COUNT(p->owned, struct owned), high = count;
	const struct package *k;
	const struct owned *first;
	bool agreed = true;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (AT(p->owned, struct owned, middle)->path < hash)
			low = middle + 1;
		else
			high = middle;
	}
	first = low < count ? AT(p->owned, struct owned, low) : NULL;
	if (!first || first->path != hash)
		return false;
	for (size_t i = low + 1; i < count; i++) {
		const struct owned *o = AT(p->owned, struct owned, i);

		if (o->path != hash)
			break;
		agreed = agreed && o->digest_len == first->digest_len &&
			 !memcmp(o->digest, first->digest, sizeof(o->digest));
	}
	k = AT(p->packages, struct package, first->package);
	memset(out, 0, sizeof(*out));
	out->manager = "rpm";
	memcpy(out->name, k->name, sizeof(out->name));
	memcpy(out->version, k->version, sizeof(out->version));
	out->has_sha256 = agreed && first->digest_len == 32;
	out->has_md5 = agreed && first->digest_len == 16;
	if (out->has_sha256)
		memcpy(out->sha256, first->digest, 32);
	if (out->has_md5)
		memcpy(out->md5, first->digest, 16);
	return true;
}
