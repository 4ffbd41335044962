/* What the collector may do: checked before the start, given up when it is no longer needed. */
#ifndef DAYLIGHT_COLLECT_PRIVILEGE_H
#define DAYLIGHT_COLLECT_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* ERR_MACHINE names the missing capabilities. */
int privilege_check(struct err *err);
/* Keeps what following processes, reading files and checking compiled files needs. */
int privilege_drop(struct err *err);
/* For `doctor`: the capabilities that are needed, in order; NULL behind the last. */
struct privilege {
	const char *name;
	const char *why;
	bool held;
};
size_t privilege_list(struct privilege *out, size_t max);

#endif
