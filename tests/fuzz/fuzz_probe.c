/*
 * Probe files and what is matched with them. The first byte chooses: 'p' a layout, 's' a service
 * definition; then, after a byte 0 in the rest, a path to match with what was read; 'g' a glob and
 * a path, separated by a byte 0.
 */
#include <stdint.h>

#include "catalog/probes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing of the path but slashes and what the templates say may be kept. */
static void match_all(const struct service_definition *d, const char *path)
{
	static char kept[KEPT_MAX];
	const struct service_route *r = service_route_match(d, "GET", path, kept);

	if (strlen(kept) >= KEPT_MAX)
		abort();
	if (r && r->path[1] && strncmp(kept, r->path, strlen(r->path)) != 0)
		abort();
	service_route_match(NULL, "GET", path, kept);
	if (strspn(kept, "/*") != strlen(kept))
		abort();
	service_relative(d, path);
	for (size_t i = 0; i < d->sections_count; i++)
		for (size_t k = 0; k < d->sections[i].files_count; k++)
			service_glob(d->sections[i].files[k], path);
}

static void read_one(char kind, const uint8_t *data, size_t size, const char *path)
{
	struct err err = ERR_INIT;
	struct arena arena = { 0 };
	struct probe_reader r = { &arena, "probes/x.json", &err };
	struct service_definition d;
	struct python_layout layout;
	int ret = kind == 'p' ? python_layout_read(&r, "x", data, size, &layout)
			      : service_definition_read(&r, "x", data, size, &d);

	/* An error has a text of one printable line; without one nothing is set. */
	if (!ret != !err.text[0] || (ret && err.kind != ERR_USAGE))
		abort();
	for (const char *p = err.text; *p; p++)
		if (*p < 32 || *p > 126)
			abort();
	if (!ret && kind != 'p')
		match_all(&d, path);
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero;
	char *tail;

	if (size < 1 || size > 65536)
		return 0;
	/* What stands behind the first 0 byte, as a string of its own. */
	zero = memchr(data + 1, 0, size - 1);
	tail = calloc(1, size + 1);
	if (!tail)
		return 0;
	if (zero)
		memcpy(tail, zero + 1, size - (size_t)(zero + 1 - data));
	if (data[0] == 'g' && zero)
		service_glob((const char *)data + 1, tail);
	else if (data[0] == 'p' || data[0] == 's')
		read_one((char)data[0], data + 1, zero ? (size_t)(zero - data) - 1 : size - 1,
			 tail);
	free(tail);
	return 0;
}
