/* What the collector may do. */
#include "collect/privilege.h"

#include <stdio.h>
#include <string.h>
#include <sys/capability.h>

static const struct {
	cap_value_t cap;
	const char *name, *why;

} needed[] = {
	{ CAP_BPF, "CAP_BPF", "load BPF programs and maps" },
	{ CAP_PERFMON, "CAP_PERFMON", "attach BPF programs to tracepoints" },
	{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "read /proc of the service's processes" },
	{ CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "read the service's files" },
};

/*
 * Wanted where they are held: for the unprivileged helper, processes with other roots, and files
 * that were deleted while they are mapped.
 */
static const cap_value_t useful[] = { CAP_SETUID, CAP_SETGID, CAP_KILL, CAP_SYS_ADMIN,
				      CAP_CHECKPOINT_RESTORE };

#define NEEDED (sizeof(needed) / sizeof(needed[0]))

static bool held(cap_value_t cap)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (caps) {
		cap_get_flag(caps, cap, CAP_EFFECTIVE, &value);
		cap_free(caps);
	}
	return value == CAP_SET;
}

int privilege_check(struct err *err)
{
	char missing[256] = "";

	for (size_t i = 0; i < NEEDED; i++) {
		size_t len = strlen(missing);

		if (!held(needed[i].cap))
			snprintf(missing + len, sizeof(missing) - len, "%s%s", len ? ", " : "",
				 needed[i].name);
	}
	if (!missing[0])
		return 0;
	return err_set(err, ERR_MACHINE, "missing privilege: %s: run as root (sudo)", missing);
}

int privilege_drop(struct err *err)
{
	cap_t caps = cap_init();
	int result = -1;

	if (!caps)
		return err_set(err, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < NEEDED; i++) {
		cap_set_flag(caps, CAP_PERMITTED, 1, &needed[i].cap, CAP_SET);
		cap_set_flag(caps, CAP_EFFECTIVE, 1, &needed[i].cap, CAP_SET);
	}
	for (size_t i = 0; i < sizeof(useful) / sizeof(useful[0]); i++) {
		if (!held(useful[i]))
			continue;
		cap_set_flag(caps, CAP_PERMITTED, 1, &useful[i], CAP_SET);
		cap_set_flag(caps, CAP_EFFECTIVE, 1, &useful[i], CAP_SET);
	}
	if (!cap_set_proc(caps))
		result = 0;
	cap_free(caps);
	return result ? err_errno(err, ERR_MACHINE, "capabilities cannot be dropped") : 0;
}

size_t privilege_list(struct privilege *out, size_t max)
{
	size_t n = 0;

	for (; n < NEEDED && n < max; n++)
		out[n] = (struct privilege){ needed[n].name, needed[n].why, held(needed[n].cap) };
	return n;
}
