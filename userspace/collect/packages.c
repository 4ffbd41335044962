/* The dpkg database below a root: status, info/NAME.list, info/NAME.md5sums, diversions. Or rpm's.
 */
#include "collect/packages.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "collect/rootfile.h"

#define ADMIN "/var/lib/dpkg"
#define TEXT_MAX (64ULL * 1024 * 1024) /* of one database file */
#define PACKAGES_MAX 65536
#define PATHS_MAX (4 * 1024 * 1024)
#define DIVERSIONS_MAX 4096
#define CONFFILES_MAX 65536
#define SAME_PATH_MAX 64 /* packages that own one path */
#define STALE_AFTER_NS 5000000000ULL

/* Strings are offsets into `text`, so that the arrays stay small. */
struct package {
	uint32_t name, arch, version;
	bool multi; /* its files may be named NAME:ARCH.list */
};

struct owned {
	uint64_t path; /* hash */
	uint32_t package;
};

struct conffile {
	uint64_t path;
	uint32_t package;
	uint8_t md5[16];
};

struct diversion {
	uint32_t from, to, by; /* by: name of the package, ":" when the administrator did it */
};

struct packages {
	struct packages_rpm *rpm; /* then nothing else is set but `loaded` */
	struct bytes text;
	struct bytes packages, owned, conffiles, diversions; /* arrays of the above */
	struct bytes sums; /* the md5sums file that was read last */
	uint32_t sums_package;
	bool has_sums;
	struct stat status, info;
	uint64_t loaded;
};

#define COUNT(array, type) ((array).len / sizeof(type))
#define AT(array, type, i) (&((type *)(void *)(array).data)[i])

uint64_t packages_hash(uint64_t hash, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)s[i]) * 0x100000001b3ULL; /* FNV-1a */
	return hash;
}

static uint64_t hash_path(const char *s, size_t len)
{
	return packages_hash(PACKAGES_HASH, s, len);
}

static const char *text_at(const struct packages *p, uint32_t at)
{
	return (const char *)p->text.data + at;
}

static int keep_text(struct packages *p, const char *s, size_t len, uint32_t *out)
{
	if (p->text.len > UINT32_MAX - len - 1)
		return -1;
	*out = (uint32_t)p->text.len;
	if (bytes_put(&p->text, s, len) || bytes_put_u8(&p->text, 0))
		return -1;
	return 0;
}

/* A line without its end; false at the end of the text. A NUL inside makes an empty line. */
static bool next_line(const struct bytes *b, size_t *at, const char **line, size_t *len)
{
	const uint8_t *end;

	if (*at >= b->len)
		return false;
	*line = (const char *)b->data + *at;
	end = memchr(*line, '\n', b->len - *at);
	*len = end ? (size_t)((const char *)end - *line) : b->len - *at;
	*at += *len + 1;
	if (memchr(*line, 0, *len))
		*len = 0;
	return true;
}

static bool starts(const char *line, size_t len, const char *key)
{
	return len >= strlen(key) && !memcmp(line, key, strlen(key));
}

static int md5_of(const char *hex, size_t len, uint8_t out[16])
{
	char text[33];

	if (len < 32)
		return -1;
	memcpy(text, hex, 32);
	text[32] = 0;
	return bytes_from_hex(text, out, 16) == 16 ? 0 : -1;
}

/* ---- status ---- */

/* One stanza while it is read; the values point into the file's text. */
struct stanza {
	const char *name, *arch, *version;
	size_t name_len, arch_len, version_len;
	bool multi, installed;
	size_t first_conffile;
};

/* Names become parts of file names: only what Debian policy allows in them. */
static bool good_name(const char *s, size_t len)
{
	if (!len || len >= 120 || s[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
		      memchr("+-.", s[i], 3)))
			return false;
	}
	return true;
}

static int end_stanza(struct packages *p, struct stanza *s)
{
	struct package package = { .multi = s->multi };
	bool good = s->installed && good_name(s->name, s->name_len) &&
		    good_name(s->arch, s->arch_len) && s->version_len && s->version_len < 128;

	if (good && COUNT(p->packages, struct package) < PACKAGES_MAX) {
		if (keep_text(p, s->name, s->name_len, &package.name) ||
		    keep_text(p, s->arch, s->arch_len, &package.arch) ||
		    keep_text(p, s->version, s->version_len, &package.version) ||
		    bytes_put(&p->packages, &package, sizeof(package)))
			return -1;
	} else {
		p->conffiles.len = s->first_conffile * sizeof(struct conffile);
	}
	memset(s, 0, sizeof(*s));
	s->first_conffile = COUNT(p->conffiles, struct conffile);
	return 0;
}

/* " /etc/x 0123... [obsolete]": a digest may also be a word ("newconffile"): none. */
static int add_conffile(struct packages *p, const char *line, size_t len)
{
	struct conffile c = { .package = (uint32_t)COUNT(p->packages, struct package) };
	const char *space = memchr(line + 1, ' ', len - 1);
	const char *end = line + len;

	if (!space || line[1] != '/' || COUNT(p->conffiles, struct conffile) >= CONFFILES_MAX)
		return 0;
	if (md5_of(space + 1, (size_t)(end - space - 1), c.md5))
		return 0;
	c.path = hash_path(line + 1, (size_t)(space - line - 1));
	return bytes_put(&p->conffiles, &c, sizeof(c));
}

static bool field(const char *line, size_t len, const char *key, const char **value, size_t *vlen)
{
	size_t n = strlen(key);

	if (!starts(line, len, key))
		return false;
	while (n < len && line[n] == ' ')
		n++;
	*value = line + n;
	*vlen = len - n;
	return true;
}

static int load_status(struct packages *p, int root)
{
	struct bytes file = BYTES_INIT;
	struct stanza s = { 0 };
	bool conffiles = false;
	const char *line, *value;
	size_t at = 0, len, vlen;
	int ret = -1;

	if (strcmp(rootfile_slurp(root, ADMIN "/status", TEXT_MAX, &file, &p->status),
		   ROOTFILE_OPEN))
		goto out;
	while (next_line(&file, &at, &line, &len)) {
		if (!len) {
			if (end_stanza(p, &s))
				goto out;
		} else if (line[0] == ' ' || line[0] == '\t') {
			if (conffiles && add_conffile(p, line, len))
				goto out;
			continue;
		} else if (field(line, len, "Status:", &value, &vlen)) {
			/* "config-files" and "not-installed" own nothing that could run. */
			const char *state = memrchr(value, ' ', vlen);
			size_t n = state ? (size_t)(value + vlen - state) : 0;

			s.installed = n && !starts(state, n, " config-files") &&
				      !starts(state, n, " not-installed");
		} else if (field(line, len, "Multi-Arch:", &value, &vlen)) {
			s.multi = starts(value, vlen, "same");
		} else if (!field(line, len, "Package:", &s.name, &s.name_len) &&
			   !field(line, len, "Architecture:", &s.arch, &s.arch_len)) {
			field(line, len, "Version:", &s.version, &s.version_len);
		}
		conffiles = starts(line, len, "Conffiles:");
	}
	ret = end_stanza(p, &s);
out:
	bytes_release(&file);
	return ret;
}

/* ---- info/ ---- */

static const char *slurp_info(struct packages *p, int root, uint32_t package, const char *kind,
			      struct bytes *out)
{
	const struct package *k = AT(p->packages, struct package, package);
	const char *name = text_at(p, k->name), *how;
	struct stat st;
	char path[512];

	snprintf(path, sizeof(path), ADMIN "/info/%s:%s.%s", name, text_at(p, k->arch), kind);
	how = k->multi ? rootfile_slurp(root, path, TEXT_MAX, out, &st) : ROOTFILE_MISSING;
	if (strcmp(how, ROOTFILE_MISSING))
		return how;
	snprintf(path, sizeof(path), ADMIN "/info/%s.%s", name, kind);
	return rootfile_slurp(root, path, TEXT_MAX, out, &st);
}

static int load_list(struct packages *p, uint32_t package, const struct bytes *file)
{
	const char *line, *before = "";
	size_t at = 0, len, before_len = 0;
	bool more = true;

	while (more && COUNT(p->owned, struct owned) < PATHS_MAX) {
		struct owned o = { .package = package };
		bool folder;

		more = next_line(file, &at, &line, &len);
		len = more ? len : 0;
		/* A folder is followed by what is in it, and is no file. */
		folder = len > before_len && !memcmp(line, before, before_len) &&
			 line[before_len] == '/';
		if (before_len > 1 && before[0] == '/' && !folder) {
			o.path = hash_path(before, before_len);
			if (bytes_put(&p->owned, &o, sizeof(o)))
				return -1;
		}
		before = more ? line : "";
		before_len = len;
	}
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	if (x->path != y->path)
		return x->path < y->path ? -1 : 1;
	return (x->package > y->package) - (x->package < y->package);
}

static int load_lists(struct packages *p, int root)
{
	struct bytes file = BYTES_INIT;
	size_t count = COUNT(p->packages, struct package);
	int ret = 0;

	for (uint32_t i = 0; i < count && !ret; i++) {
		if (!strcmp(slurp_info(p, root, i, "list", &file), ROOTFILE_OPEN))
			ret = load_list(p, i, &file);
	}
	bytes_release(&file);
	if (!ret && p->owned.len)
		qsort(p->owned.data, COUNT(p->owned, struct owned), sizeof(struct owned), by_path);
	return ret;
}

/* Three lines each: the path, where it goes, the package that asked. No file: no diversions. */
static int load_diversions(struct packages *p, int root)
{
	struct bytes file = BYTES_INIT;
	const char *line[3];
	size_t at = 0, len[3];
	struct stat st;
	int ret = 0;

	if (strcmp(rootfile_slurp(root, ADMIN "/diversions", TEXT_MAX, &file, &st), ROOTFILE_OPEN))
		goto out;
	while (!ret && COUNT(p->diversions, struct diversion) < DIVERSIONS_MAX) {
		struct diversion d;

		if (!next_line(&file, &at, &line[0], &len[0]) ||
		    !next_line(&file, &at, &line[1], &len[1]) ||
		    !next_line(&file, &at, &line[2], &len[2]))
			break;
		if (keep_text(p, line[0], len[0], &d.from) ||
		    keep_text(p, line[1], len[1], &d.to) || keep_text(p, line[2], len[2], &d.by) ||
		    bytes_put(&p->diversions, &d, sizeof(d)))
			ret = -1;
	}
out:
	bytes_release(&file);
	return ret;
}

static int find_folder(int root, const char *path, struct stat *st)
{
	const char *how;
	int fd = rootfile_find(root, path, true, st, &how);

	return fd < 0 ? -1 : close(fd);
}

int packages_place(int root, struct stat *st)
{
	return find_folder(root, ADMIN "/info", st) ? packages_rpm_place(root, st) : 0;
}

struct packages *packages_load(int root)
{
	struct packages *p = calloc(1, sizeof(*p));
	bool dpkg;

	if (!p)
		return NULL;
	p->loaded = clock_monotonic();
	dpkg = !find_folder(root, ADMIN "/info", &p->info) && !load_status(p, root) &&
	       !load_lists(p, root) && !load_diversions(p, root);
	/* A host of rpm packages may have an empty database of dpkg. */
	if (!dpkg || !p->packages.len)
		p->rpm = packages_rpm_load(root);
	if (dpkg || p->rpm)
		return p;
	packages_free(p);
	return NULL;
}

void packages_free(struct packages *p)
{
	if (!p)
		return;
	packages_rpm_free(p->rpm);
	bytes_release(&p->text);
	bytes_release(&p->packages);
	bytes_release(&p->owned);
	bytes_release(&p->conffiles);
	bytes_release(&p->diversions);
	bytes_release(&p->sums);
	free(p);
}

static bool rewritten(int root, const char *path, const struct stat *was)
{
	const char *how;
	struct stat now;
	cleanup_close int fd = rootfile_find(root, path, true, &now, &how);

	return fd < 0 || now.st_ino != was->st_ino || now.st_dev != was->st_dev ||
	       rootfile_ns(&now.st_ctim) != rootfile_ns(&was->st_ctim);
}

bool packages_stale(const struct packages *p, int root)
{
	if (clock_monotonic() - p->loaded < STALE_AFTER_NS)
		return false;
	if (p->rpm)
		return packages_rpm_stale(p->rpm, root);
	return rewritten(root, ADMIN "/status", &p->status) ||
	       rewritten(root, ADMIN "/info", &p->info);
}

/* ---- questions ---- */

static bool recorded_md5(struct packages *p, int root, uint32_t package, const char *path,
			 uint8_t out[16])
{
	uint64_t hash = hash_path(path, strlen(path));
	size_t at = 0, len, want = strlen(path + 1);
	const char *line;

	if (!p->has_sums || p->sums_package != package) {
		p->has_sums =
			!strcmp(slurp_info(p, root, package, "md5sums", &p->sums), ROOTFILE_OPEN);
		p->sums_package = package;
	}
	/* "0123...  usr/bin/x": without the first slash. */
	while (p->has_sums && next_line(&p->sums, &at, &line, &len)) {
		if (len == 34 + want && !memcmp(line + 32, "  ", 2) &&
		    !memcmp(line + 34, path + 1, want))
			return !md5_of(line, len, out);
	}
	for (size_t i = 0; i < COUNT(p->conffiles, struct conffile); i++) {
		const struct conffile *c = AT(p->conffiles, struct conffile, i);

		if (c->package == package && c->path == hash) {
			memcpy(out, c->md5, 16);
			return true;
		}
	}
	return false;
}

/* What a diversion says of a path: under which name to look, and whose file it can(not) be. */
struct route {
	const char *path;
	const char *only, *except; /* package names, or NULL */
};

static struct route divert(const struct packages *p, const char *path)
{
	struct route route = { path, NULL, NULL };

	for (size_t i = 0; i < COUNT(p->diversions, struct diversion); i++) {
		const struct diversion *d = AT(p->diversions, struct diversion, i);

		if (!strcmp(text_at(p, d->from), path)) {
			route.only = text_at(p, d->by);
			return route;
		}
		if (!strcmp(text_at(p, d->to), path)) {
			route.path = text_at(p, d->from);
			route.except = text_at(p, d->by);
			return route;
		}
	}
	return route;
}

static bool find_dpkg(struct packages *p, int root, const char *path, struct packages_owner *out)
{
	struct route route = divert(p, path);
	uint64_t hash = hash_path(route.path, strlen(route.path));
	size_t low = 0, count = COUNT(p->owned, struct owned), high = count;
	bool found = false;

	if (path[0] != '/' || route.path[0] != '/')
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (AT(p->owned, struct owned, middle)->path < hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = low; i < count && i - low < SAME_PATH_MAX; i++) {
		const struct owned *o = AT(p->owned, struct owned, i);
		const struct package *k = AT(p->packages, struct package, o->package);
		const char *name = text_at(p, k->name);

		if (o->path != hash)
			break;
		if ((route.only && strcmp(route.only, name)) ||
		    (route.except && !strcmp(route.except, name)))
			continue;
		memset(out, 0, sizeof(*out));
		out->manager = "dpkg";
		snprintf(out->name, sizeof(out->name), "%s", name);
		snprintf(out->version, sizeof(out->version), "%s", text_at(p, k->version));
		out->has_md5 = recorded_md5(p, root, o->package, route.path, out->md5);
		found = true;
		if (out->has_md5)
			break;
	}
	return found;
}

bool packages_find(struct packages *p, int root, const char *path, struct packages_owner *out)
{
	return p->rpm ? packages_rpm_find(p->rpm, path, out) : find_dpkg(p, root, path, out);
}

bool packages_find_file(struct packages *p, int root, const char *path, const char *real,
			const struct stat *st, struct packages_owner *out)
{
	struct packages_owner owner;
	char other[4096];
	const char *names[2] = { path, real };
	bool found = false;

	for (size_t i = 0; i < 4; i++) {
		const char *name = names[i / 2];

		if (!name || (i >= 2 && path && !strcmp(name, path)))
			continue;
		if (i % 2) {
			if (!strncmp(name, "/usr/", 5))
				snprintf(other, sizeof(other), "%s", name + 4);
			else
				snprintf(other, sizeof(other), "/usr%.4090s", name);
			name = other;
		}
		/* Ask first: nearly all other names are in no database. */
		if (!packages_find(p, root, name, &owner))
			continue;
		if (i && !rootfile_same(root, name, st))
			continue;
		if (!found || owner.has_md5 || owner.has_sha256)
			*out = owner;
		found = true;
		if (owner.has_md5 || owner.has_sha256)
			break;
	}
	return found;
}
