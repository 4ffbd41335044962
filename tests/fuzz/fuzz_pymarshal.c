/*
 * Marshal data of a compiled Python file. The first byte says of which version: even, one that
 * keeps its variables in one list; odd, in three. Whatever it is, reading ends, within bounds; what
 * was read is read the same once more.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/catalog.h"
/* The fuzzer links the offline parts only. */
#include "collect/pycode.c"
#include "collect/pymarshal.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct python_layout *layout(unsigned int minor)
{
	static struct catalog *catalog;
	struct err err = ERR_INIT;

	if (!catalog)
		catalog = catalog_load(NULL, &err);
	return catalog ? catalog_python(catalog, 3, minor) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct python_layout *l = size ? layout(data[0] & 1 ? 8 : 11) : NULL;
	struct pymarshal one, two;
	const char *why;

	if (!l || !l->code)
		return 0;
	why = pymarshal_read(l->code, l->pyc_magic, data + 1, size - 1, &one);
	if (pymarshal_read(l->code, l->pyc_magic, data + 1, size - 1, &two) != why)
		abort();
	if (why ? one.count || one.codes : !one.count || one.count != two.count)
		abort();
	for (size_t i = 0; i < one.count; i++) {
		const struct pymarshal_code *c = &one.codes[i];

		if (c->name < data || c->name + c->name_len > data + size ||
		    memcmp(c->digest, two.codes[i].digest, DIGEST_SIZE) != 0)
			abort();
	}
	pymarshal_release(&one);
	pymarshal_release(&two);
	return 0;
}
