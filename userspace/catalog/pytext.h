/*
 * The text of a Python source file: its bytes as UTF-8 with line feeds. Done as the interpreters do
 * it before they look at tokens; docs/evidence.md ("Source digests") is the definition.
 */
#ifndef DAYLIGHT_CATALOG_PYTEXT_H
#define DAYLIGHT_CATALOG_PYTEXT_H

#include "base/bytes.h"

/*
 * Puts the text into out (emptied first). Understands UTF-8 (with or without a byte order mark),
 * Latin-1 and ASCII, as declared in the first two lines. Returns 0; 1 when the encoding is another
 * one, or the bytes are not what they are declared to be; -1 when memory is short.
 */
int pytext_read(const uint8_t *data, size_t len, struct bytes *out);

#endif
