/*
 * Where a Python string literal ends: plain and triple quotes, escapes, and formatted strings with
 * whatever stands in their fields, nested strings with the same quotes too (3.12). The rule is the
 * newest one; what an older interpreter accepts ends at the same place.
 */
#ifndef DAYLIGHT_CATALOG_PYSTRING_H
#define DAYLIGHT_CATALOG_PYSTRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pystring_prefix {
	bool formatted; /* f, t */
	bool raw; /* r */
	bool bytes; /* b */
};

/* Is this the prefix of a string in any version (r, b, br, u, ur, f, fr, t, tr, in any case)? */
bool pystring_prefix(const uint8_t *text, size_t len, struct pystring_prefix *out);

/*
 * The length of the literal that begins with the quote at text[0], without its prefix; 0 when it
 * does not end, or cannot be read.
 */
size_t pystring_length(const uint8_t *text, size_t len, const struct pystring_prefix *prefix);

#endif
