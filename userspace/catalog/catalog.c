/* The catalog: takes in probe files, embedded or from folders, and answers what is known. */
#include "catalog/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/cleanup.h"
#include "catalog/embedded.h"
#include "catalog/probe_files.h"
#include "catalog/probes.h"

#define CATALOG_FILES_MAX 4096

/* files, layouts and services are arrays in the order of loading. */
struct catalog {
	struct arena arena; /* every string and list of the records below */
	struct catalog_file *files;
	size_t files_count;
	struct python_layout *pythons;
	size_t pythons_count;
	struct catalog_service {
		struct service_definition definition;
		size_t file; /* index in files */
	} * services;
	size_t services_count;
	struct tls_library *tls;
	size_t tls_count;
};

/* ---- taking in one file ---- */

static char *catalog_string(struct catalog *c, const char *text, size_t len)
{
	char *copy = arena_alloc(&c->arena, len + 1);

	if (copy)
		memcpy(copy, text, len);
	return copy;
}

static bool is_shipped(const char *name, const unsigned char *data, size_t size)
{
	for (size_t i = 0; i < catalog_embedded_count; i++)
		if (!strcmp(catalog_embedded[i].name, name))
			return catalog_embedded[i].size == size &&
			       !memcmp(catalog_embedded[i].data, data, size);
	return false;
}

static int take_layout(struct catalog *c, const struct probe_reader *r, const char *stem,
		       const unsigned char *data, size_t size)
{
	const struct probe_place at = { NULL, "version", 0 };
	struct python_layout layout;
	const struct python_layout *same;

	if (python_layout_read(r, stem, data, size, &layout))
		return -1;
	same = catalog_python(c, layout.major, layout.minor);
	if (same)
		return probe_fail(r, &at, "%u.%u is already described by '%s' (remove one)",
				  layout.major, layout.minor, same->name);
	c->pythons[c->pythons_count++] = layout;
	return 0;
}

static int take_tls(struct catalog *c, const struct probe_reader *r, const char *stem,
		    const unsigned char *data, size_t size)
{
	struct tls_library library;

	if (tls_library_read(r, stem, data, size, &library))
		return -1;
	c->tls[c->tls_count++] = library;
	return 0;
}

/* A definition of the same name is replaced, in its place; its file is no longer listed as used. */
static int take_service(struct catalog *c, const struct probe_reader *r, const char *stem,
			const unsigned char *data, size_t size, const struct catalog_file *file)
{
	struct catalog_service *to = c->services;
	struct service_definition definition;

	if (service_definition_read(r, stem, data, size, &definition))
		return -1;
	while (to < c->services + c->services_count &&
	       strcmp(to->definition.name, definition.name) != 0)
		to++;
	if (to == c->services + c->services_count) {
		c->services_count++;
		to->file = c->files_count++;
	}
	to->definition = definition;
	c->files[to->file] = *file;
	return 0;
}

/* path: how errors name the file; name: "services/keystone.json". */
static int take_file(struct catalog *c, const char *path, const char *name,
		     const unsigned char *data, size_t size, struct err *err)
{
	const struct probe_reader r = { &c->arena, path, err };
	const char *base = strrchr(name, '/') + 1;
	struct catalog_file file = { 0 };
	uint8_t digest[32];
	char *stem;

	if (c->files_count == CATALOG_FILES_MAX)
		return err_set(err, ERR_USAGE, "%s: more than %d probe files (remove some)", path,
			       CATALOG_FILES_MAX);
	file.name = catalog_string(c, name, strlen(name));
	stem = catalog_string(c, base, strlen(base) - strlen(".json"));
	if (!file.name || !stem)
		return probe_no_memory(&r);
	if (digest_sha256(data, size, digest))
		return err_set(err, ERR_INTERNAL, "%s: no SHA-256 in libcrypto", path);
	bytes_to_hex(digest, sizeof(digest), file.sha256);
	file.shipped = is_shipped(name, data, size);
	if (!strncmp(name, "services/", 9))
		return take_service(c, &r, stem, data, size, &file);
	if (!strncmp(name, "tls/", 4) ? take_tls(c, &r, stem, data, size)
				      : take_layout(c, &r, stem, data, size))
		return -1;
	c->files[c->files_count++] = file;
	return 0;
}

static int take_embedded(struct catalog *c, struct err *err)
{
	for (size_t i = 0; i < catalog_embedded_count; i++) {
		const struct catalog_embedded *e = &catalog_embedded[i];
		char path[128];

		if (strncmp(e->name, "python/", 7) != 0 && strncmp(e->name, "services/", 9) != 0 &&
		    strncmp(e->name, "tls/", 4) != 0)
			continue;
		snprintf(path, sizeof(path), "probes/%s", e->name);
		if (take_file(c, path, e->name, e->data, e->size, err))
			return -1;
	}
	return 0;
}

/* Every *.json of DIR/sub, or of DIR when it is itself the folder; named kind/NAME. */
static int take_folder(struct catalog *c, const char *dir, const char *sub, const char *kind,
		       struct err *err)
{
	struct probe_files files;
	int ret = 0;

	if (probe_files_read(dir, sub, &files, err))
		return -1;
	for (size_t i = 0; i < files.count && !ret; i++) {
		cleanup_free char *name = NULL;

		if (asprintf(&name, "%s/%s", kind, files.items[i].name) < 0) {
			name = NULL;
			ret = err_set(err, ERR_INTERNAL,
				      "%s: out of memory (free some and try again)",
				      files.items[i].path);
			break;
		}
		ret = take_file(c, files.items[i].path, name, files.items[i].data,
				files.items[i].size, err);
	}
	probe_files_release(&files);
	return ret;
}

/* A folder of probe files may be without tls/: then no TLS library is known. */
static int take_tls_folder(struct catalog *c, const char *dir, struct err *err)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s/tls", dir) < 0) {
		path = NULL;
		return err_set(err, ERR_INTERNAL, "probe files: out of memory");
	}
	if (access(path, F_OK) && errno == ENOENT)
		return 0;
	return take_folder(c, dir, "tls", "tls", err);
}

/* ---- loading ---- */

struct catalog *catalog_load(const char *dir, struct err *err)
{
	struct catalog *c = calloc(1, sizeof(*c));

	if (c) {
		c->files = calloc(CATALOG_FILES_MAX, sizeof(*c->files));
		c->pythons = calloc(CATALOG_FILES_MAX, sizeof(*c->pythons));
		c->services = calloc(CATALOG_FILES_MAX, sizeof(*c->services));
		c->tls = calloc(CATALOG_FILES_MAX, sizeof(*c->tls));
	}
	if (!c || !c->files || !c->pythons || !c->services || !c->tls) {
		err_set(err, ERR_INTERNAL, "probe files: out of memory (free some and try again)");
		catalog_free(c);
		return NULL;
	}
	if (dir ? take_folder(c, dir, "python", "python", err) ||
			    take_folder(c, dir, "services", "services", err) ||
			    take_tls_folder(c, dir, err)
		: take_embedded(c, err)) {
		catalog_free(c);
		return NULL;
	}
	return c;
}

int catalog_add_services(struct catalog *c, const char *dir, struct err *err)
{
	return take_folder(c, dir, NULL, "services", err);
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	arena_release(&c->arena);
	free(c->files);
	free(c->pythons);
	free(c->services);
	free(c->tls);
	free(c);
}

/* ---- asking ---- */

size_t catalog_files_count(const struct catalog *c)
{
	return c->files_count;
}

const struct catalog_file *catalog_file_at(const struct catalog *c, size_t i)
{
	return i < c->files_count ? &c->files[i] : NULL;
}

size_t catalog_python_count(const struct catalog *c)
{
	return c->pythons_count;
}

const struct python_layout *catalog_python_at(const struct catalog *c, size_t i)
{
	return i < c->pythons_count ? &c->pythons[i] : NULL;
}

const struct python_layout *catalog_python(const struct catalog *c, unsigned int major,
					   unsigned int minor)
{
	for (size_t i = 0; i < c->pythons_count; i++)
		if (c->pythons[i].major == major && c->pythons[i].minor == minor)
			return &c->pythons[i];
	return NULL;
}

const struct tls_library *catalog_tls(const struct catalog *c, const char *path)
{
	const char *base = strrchr(path, '/');

	for (size_t i = 0; base && i < c->tls_count; i++)
		for (size_t n = 0; n < c->tls[i].files_count; n++)
			if (service_glob(c->tls[i].files[n], base + 1))
				return &c->tls[i];
	return NULL;
}

size_t catalog_services_count(const struct catalog *c)
{
	return c->services_count;
}

const struct service_definition *catalog_service_at(const struct catalog *c, size_t i)
{
	return i < c->services_count ? &c->services[i].definition : NULL;
}

static const struct catalog_service *find_service(const struct catalog *c, const char *name)
{
	for (size_t i = 0; i < c->services_count; i++)
		if (!strcmp(c->services[i].definition.name, name))
			return &c->services[i];
	return NULL;
}

const struct service_definition *catalog_service(const struct catalog *c, const char *name)
{
	const struct catalog_service *service = find_service(c, name);

	return service ? &service->definition : NULL;
}

const struct catalog_file *catalog_service_file(const struct catalog *c, const char *name)
{
	const struct catalog_service *service = find_service(c, name);

	return service ? &c->files[service->file] : NULL;
}
