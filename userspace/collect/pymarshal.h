/*
 * Reads the code objects out of a compiled Python file's marshal data, for one version, from
 * hostile bytes: bounded in size, depth, number of objects, and time. Nothing is executed, nothing
 * is opened.
 */
#ifndef DAYLIGHT_COLLECT_PYMARSHAL_H
#define DAYLIGHT_COLLECT_PYMARSHAL_H

#include <stddef.h>
#include <stdint.h>

#include "collect/pycode.h"

#define PYMARSHAL_MAX (16u << 20) /* bytes of the data */
#define PYMARSHAL_DEPTH 200
#define PYMARSHAL_OBJECTS (1u << 19) /* that may be referred to, or be in one tuple or set */

/* A code object of the file. Texts point into the data that was read. */
struct pymarshal_code {
	const uint8_t *name, *qualname; /* UTF-8; qualname NULL: this version has none */
	size_t name_len, qualname_len;
	uint32_t line;
	const char *why; /* NULL, or why it has no digest (pycode.h) */
	uint8_t digest[DIGEST_SIZE];
};

struct pymarshal {
	struct pymarshal_code *codes; /* the outermost is the last */
	size_t count, cap;
};

/*
 * data: what lies behind the header of a .pyc, or marshal.dumps() of a code object. Returns NULL,
 * or why it cannot be read: "damaged", "too-large", "unsupported-constant", "failed" (no memory).
 * Data behind the object is not looked at, as the interpreter does not.
 */
const char *pymarshal_read(const struct python_code *how, unsigned int magic, const uint8_t *data,
			   size_t len, struct pymarshal *out);
void pymarshal_release(struct pymarshal *m);

#endif
