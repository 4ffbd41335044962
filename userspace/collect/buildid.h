/* The GNU build id of an ELF file, read with bounds from a file that may be anything. */
#ifndef DAYLIGHT_COLLECT_BUILDID_H
#define DAYLIGHT_COLLECT_BUILDID_H

#include <stddef.h>
#include <stdint.h>

#define BUILDID_MAX 64

/*
 * Looks through the note segments of the file (PT_NOTE, name "GNU", type NT_GNU_BUILD_ID; little
 * endian, 32 and 64 bit: see elf(5)). Returns the id's length in out, or 0: there is none.
 */
size_t buildid_read(int fd, uint8_t out[BUILDID_MAX]);

#endif
