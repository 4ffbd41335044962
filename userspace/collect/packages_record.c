/* Python distributions: NAME-VERSION.dist-info/RECORD and METADATA beside what they installed. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "collect/packages.h"
#include "collect/rootfile.h"

#define FOLDERS_MAX 64 /* kept at a time */
#define ABOVE_MAX 32 /* folders above a file that are looked at */
#define NAMES_MAX 65536 /* in one folder */
#define DISTRIBUTIONS_MAX 4096 /* in one folder */
#define FILES_MAX (1024 * 1024) /* of one folder's distributions */
#define RECORD_MAX (16ULL * 1024 * 1024)
#define METADATA_MAX (4ULL * 1024 * 1024)
#define SUFFIX ".dist-info"

struct distribution {
	char name[128], version[128];
};

struct owned {
	uint64_t path; /* hash of the path below the folder */
	uint32_t distribution;
	bool has_sha256;
	uint8_t sha256[32];
};

struct folder {
	struct stat st; /* when it was read; st_ino 0: free */
	uint64_t used;
	struct bytes distributions, owned; /* owned: by path, then in the order of names */
};

struct packages_records {
	struct folder folders[FOLDERS_MAX];
	uint64_t uses;
};

#define COUNT(array, type) ((array).len / sizeof(type))
#define AT(array, type, i) (&((type *)(void *)(array).data)[i])

struct packages_records *packages_records_new(void)
{
	return calloc(1, sizeof(struct packages_records));
}

static void forget(struct folder *f)
{
	bytes_release(&f->distributions);
	bytes_release(&f->owned);
	memset(f, 0, sizeof(*f));
}

void packages_records_free(struct packages_records *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < FOLDERS_MAX; i++)
		forget(&r->folders[i]);
	free(r);
}

/* ---- METADATA ---- */

static bool copy_value(const char *line, size_t len, const char *key, char out[128])
{
	size_t n = strlen(key);

	if (len < n || memcmp(line, key, n))
		return true;
	while (n < len && line[n] == ' ')
		n++;
	len -= n;
	if (len && line[n + len - 1] == '\r')
		len--;
	if (!len || len >= 128 || *out)
		return false;
	for (size_t i = 0; i < len; i++)
		if (line[n + i] <= ' ' || line[n + i] > '~')
			return false;
	memcpy(out, line + n, len);
	out[len] = 0;
	return true;
}

/* The head, up to the first empty line. 0, or -1 when it does not name and number itself once. */
static int read_metadata(const struct bytes *file, struct distribution *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t at = 0; at < file->len;) {
		const char *line = (const char *)file->data + at;
		const char *end = memchr(line, '\n', file->len - at);
		size_t len = end ? (size_t)(end - line) : file->len - at;

		if (!len || (len == 1 && *line == '\r'))
			break;
		if (!copy_value(line, len, "Name:", out->name) ||
		    !copy_value(line, len, "Version:", out->version))
			return -1;
		at += len + 1;
	}
	return *out->name && *out->version ? 0 : -1;
}

/* ---- RECORD ---- */

/* One field of comma-separated values, perhaps in quotes, into out. Behind it: *at. */
static bool read_field(const char *line, size_t len, size_t *at, char *out, size_t cap,
		       size_t *out_len)
{
	bool quoted = *at < len && line[*at] == '"';
	size_t n = 0;

	*at += quoted;
	for (; *at < len; ++*at) {
		if (quoted && line[*at] == '"') {
			++*at;
			if (*at >= len || line[*at] != '"') {
				quoted = false;
				break;
			}
		} else if (!quoted && line[*at] == ',') {
			break;
		}
		if (n == cap)
			return false;
		out[n++] = line[*at];
	}
	if (quoted || (*at < len && line[*at] != ','))
		return false;
	*at += *at < len;
	*out_len = n;
	return true;
}

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789-_";
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -1;
}

/* "sha256=" and 43 digits of URL-safe base64 without padding. */
static bool read_sha256(const char *text, size_t len, uint8_t out[32])
{
	uint32_t bits = 0;
	size_t count = 0, n = 0;

	if (len != 7 + 43 || memcmp(text, "sha256=", 7))
		return false;
	for (size_t i = 7; i < len; i++) {
		int digit = base64_digit(text[i]);

		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t)digit;
		count += 6;
		if (count >= 8 && n < 32) {
			count -= 8;
			out[n++] = (uint8_t)(bits >> count);
		}
	}
	return n == 32 && !(bits & 3);
}

/* Only what lies below the folder. */
static bool good_path(const char *path, size_t len)
{
	if (!len || path[0] == '/' || memchr(path, 0, len))
		return false;
	for (size_t i = 0; i < len; i++) {
		size_t end = i;

		while (end < len && path[end] != '/')
			end++;
		if (end == i || (end - i <= 2 && !memcmp(path + i, "..", end - i)))
			return false;
		i = end;
	}
	return true;
}

static int read_record(struct folder *f, uint32_t distribution, const struct bytes *file)
{
	char path[4096], hash[64];

	for (size_t start = 0; start < file->len;) {
		const char *line = (const char *)file->data + start;
		const char *end = memchr(line, '\n', file->len - start);
		size_t len = end ? (size_t)(end - line) : file->len - start;
		size_t at = 0, path_len, hash_len;
		struct owned o = { .distribution = distribution };

		start += len + 1;
		if (!read_field(line, len, &at, path, sizeof(path), &path_len) ||
		    !good_path(path, path_len) || COUNT(f->owned, struct owned) >= FILES_MAX)
			continue;
		o.path = packages_hash(PACKAGES_HASH, path, path_len);
		if (read_field(line, len, &at, hash, sizeof(hash), &hash_len))
			o.has_sha256 = read_sha256(hash, hash_len, o.sha256);
		if (bytes_put(&f->owned, &o, sizeof(o)))
			return -1;
	}
	return 0;
}

/* ---- folders ---- */

static int read_distribution(struct folder *f, int root, const char *folder, const char *name)
{
	struct bytes metadata = BYTES_INIT, record = BYTES_INIT;
	uint32_t number = (uint32_t)COUNT(f->distributions, struct distribution);
	struct distribution d;
	char path[4096 + 300];
	struct stat st;
	int ret = 0;

	snprintf(path, sizeof(path), "%s/%s/METADATA", folder, name);
	if (strcmp(rootfile_slurp(root, path, METADATA_MAX, &metadata, &st), ROOTFILE_OPEN) ||
	    read_metadata(&metadata, &d))
		goto out;
	snprintf(path, sizeof(path), "%s/%s/RECORD", folder, name);
	if (strcmp(rootfile_slurp(root, path, RECORD_MAX, &record, &st), ROOTFILE_OPEN))
		goto out;
	ret = bytes_put(&f->distributions, &d, sizeof(d)) || read_record(f, number, &record);
out:
	bytes_release(&metadata);
	bytes_release(&record);
	return ret ? -1 : 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a folder that end in .dist-info, sorted. */
static size_t list_names(int fd, char *names[DISTRIBUTIONS_MAX])
{
	char again[64];
	size_t count = 0;
	cleanup_closedir DIR *dir = NULL;
	struct dirent *e;
	int listed;

	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	listed = open(again, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = listed < 0 ? NULL : fdopendir(listed);
	if (!dir && listed >= 0)
		close(listed);
	for (size_t i = 0; dir && i < NAMES_MAX && (e = readdir(dir)); i++) {
		size_t len = strlen(e->d_name), suffix = sizeof(SUFFIX) - 1;

		if (len <= suffix || strcmp(e->d_name + len - suffix, SUFFIX) ||
		    count == DISTRIBUTIONS_MAX)
			continue;
		names[count] = strdup(e->d_name);
		count += names[count] != NULL;
	}
	qsort(names, count, sizeof(*names), by_text);
	return count;
}

static int by_path(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	if (x->path != y->path)
		return x->path < y->path ? -1 : 1;
	return (x->distribution > y->distribution) - (x->distribution < y->distribution);
}

static void read_folder(struct folder *f, int root, int fd, const char *path)
{
	char **names = calloc(DISTRIBUTIONS_MAX, sizeof(*names));
	size_t count = names ? list_names(fd, names) : 0;
	bool bad = false;

	for (size_t i = 0; i < count; i++) {
		bad = bad || read_distribution(f, root, path, names[i]);
		free(names[i]);
	}
	free(names);
	/* Half of it would name wrong owners. */
	if (bad)
		f->owned.len = 0;
	if (f->owned.len)
		qsort(f->owned.data, COUNT(f->owned, struct owned), sizeof(struct owned), by_path);
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A distribution that comes or goes writes to the folder. */
static struct folder *folder_at(struct packages_records *r, int root, const char *path)
{
	struct folder *f = NULL, *oldest = &r->folders[0];
	const char *how;
	struct stat st;
	cleanup_close int fd = rootfile_find(root, path, true, &st, &how);

	if (fd < 0 || !S_ISDIR(st.st_mode))
		return NULL;
	for (size_t i = 0; i < FOLDERS_MAX && !f; i++) {
		if (r->folders[i].st.st_ino && same(&r->folders[i].st, &st))
			f = &r->folders[i];
		if (r->folders[i].used < oldest->used)
			oldest = &r->folders[i];
	}
	if (!f || rootfile_ns(&f->st.st_ctim) != rootfile_ns(&st.st_ctim)) {
		f = f ? f : oldest;
		forget(f);
		read_folder(f, root, fd, path);
		f->st = st;
	}
	f->used = ++r->uses;
	return f;
}

/* Several that name one file and differ in its digest: the first owns it, no digest is told. */
static bool find_in(const struct folder *f, const char *below, struct packages_owner *out)
{
	uint64_t hash = packages_hash(PACKAGES_HASH, below, strlen(below));
	size_t low = 0, count = COUNT(f->owned, struct owned), high = count;
	const struct distribution *d;
	const struct owned *first;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (AT(f->owned, struct owned, middle)->path < hash)
			low = middle + 1;
		else
			high = middle;
	}
	first = low < count ? AT(f->owned, struct owned, low) : NULL;
	if (!first || first->path != hash)
		return false;
	d = AT(f->distributions, struct distribution, first->distribution);
	memset(out, 0, sizeof(*out));
	out->manager = "python";
	memcpy(out->name, d->name, sizeof(out->name));
	memcpy(out->version, d->version, sizeof(out->version));
	out->has_sha256 = first->has_sha256;
	memcpy(out->sha256, first->sha256, sizeof(out->sha256));
	for (size_t i = low + 1; i < count && out->has_sha256; i++) {
		const struct owned *o = AT(f->owned, struct owned, i);

		if (o->path != hash)
			break;
		out->has_sha256 = o->has_sha256 && !memcmp(o->sha256, first->sha256, 32);
	}
	return true;
}

bool packages_records_find(struct packages_records *r, int root, const char *real,
			   struct packages_owner *out)
{
	char folder[4096];
	size_t len = strlen(real);

	if (real[0] != '/' || len >= sizeof(folder))
		return false;
	memcpy(folder, real, len + 1);
	for (size_t i = 0; i < ABOVE_MAX; i++) {
		char *slash = strrchr(folder, '/');
		const struct folder *f;

		if (!slash || slash == folder)
			return false;
		*slash = 0;
		f = folder_at(r, root, folder);
		if (f && f->owned.len && find_in(f, real + strlen(folder) + 1, out))
			return true;
	}
	return false;
}
