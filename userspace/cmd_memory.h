/* How much memory a verb that reads bundles may take, whatever is in them: --memory. */
#ifndef DAYLIGHT_CMD_MEMORY_H
#define DAYLIGHT_CMD_MEMORY_H

#include <stdint.h>

#include "base/err.h"

#define CMD_MEMORY_HELP                                                                  \
	"Take at most MIB mebibytes of memory (256 without this option). A bundle that " \
	"needs more is refused with exit code 4."

/* The value of --memory, in MiB. */
int cmd_memory_parse(const char *text, uint64_t *mib, struct err *err);
/*
 * To be called before a bundle is opened; mib 0: the default. Traces get the larger part, and the
 * kernel refuses this process what is beyond all of it.
 */
void cmd_memory_limit(uint64_t mib);

#endif
