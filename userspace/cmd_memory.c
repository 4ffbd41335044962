/* The memory limit of the verbs that read bundles. */
#include "cmd_memory.h"

#include <sys/resource.h>

#include "base/command.h"
#include "bundle/trace.h"

#define MEMORY_MIB 256
#define OVERHEAD_MIB 24 /* the program itself: code, libraries, stack */

int cmd_memory_parse(const char *text, uint64_t *mib, struct err *err)
{
	return command_number("--memory", text, 64, 1 << 24, mib, err);
}

void cmd_memory_limit(uint64_t mib)
{
	mib = mib ? mib : MEMORY_MIB;
	trace_set_memory((size_t)(mib << 20) / 8 * 5);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow counts as data */
	struct rlimit limit;

	if (getrlimit(RLIMIT_DATA, &limit))
		return;
	limit.rlim_cur = (mib - OVERHEAD_MIB) << 20;
	if (limit.rlim_cur < limit.rlim_max)
		setrlimit(RLIMIT_DATA, &limit);
#endif
}
