/* Uprobes at several places at once; see attach_uprobes.h. */
#include "collect/attach_uprobes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/libbpf.h>

/* bpf(2), newer than the headers of Debian 12 (include/uapi/linux/bpf.h of Linux 6.6). */
#define BPF_LINK_CREATE_COMMAND 28
#define BPF_TRACE_UPROBE_MULTI_TYPE 48
struct uprobe_multi {
	uint32_t prog_fd, target_fd, attach_type, link_flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t count, flags, pid, pad;
};

struct attach_uprobes {
	int many; /* a link of many; -1: none */
	size_t count;
	struct bpf_link *each[];
};

bool attach_uprobes_many(void)
{
	struct utsname names;
	unsigned int major, minor;

	return !uname(&names) && sscanf(names.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 10));
}

void attach_uprobes_prepare(struct bpf_program *program, bool many)
{
	bpf_program__set_autoattach(program, false);
	if (many)
		bpf_program__set_expected_attach_type(
			program, (enum bpf_attach_type)BPF_TRACE_UPROBE_MULTI_TYPE);
}

static int attach_many(const struct bpf_program *program, pid_t pid, const char *path,
		       const uint64_t *offsets, const uint64_t *cookies, size_t count)
{
	struct uprobe_multi attr = {
		.prog_fd = (uint32_t)bpf_program__fd(program),
		.attach_type = BPF_TRACE_UPROBE_MULTI_TYPE,
		.path = (uint64_t)(uintptr_t)path,
		.offsets = (uint64_t)(uintptr_t)offsets,
		.cookies = (uint64_t)(uintptr_t)cookies,
		.count = (uint32_t)count,
		.pid = (uint32_t)pid,
	};

	return (int)syscall(SYS_bpf, BPF_LINK_CREATE_COMMAND, &attr, sizeof(attr));
}

static int attach_each(struct attach_uprobes *uprobes, const struct bpf_program *program, pid_t pid,
		       const char *path, const uint64_t *offsets, const uint64_t *cookies,
		       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = cookies ? cookies[i] : 0);
		struct bpf_link *link =
			bpf_program__attach_uprobe_opts(program, pid, path, offsets[i], &opts);

		if (!link)
			return -1;
		uprobes->each[uprobes->count++] = link;
	}
	return 0;
}

struct attach_uprobes *attach_uprobes_add(const struct bpf_program *program, bool many, pid_t pid,
					  int file, const uint64_t *offsets,
					  const uint64_t *cookies, size_t count)
{
	struct attach_uprobes *uprobes =
		calloc(1, sizeof(*uprobes) + (many ? 0 : count) * sizeof(uprobes->each[0]));
	char path[64];
	int failed;

	if (!uprobes)
		return NULL;
	uprobes->many = -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (many) {
		uprobes->many = attach_many(program, pid, path, offsets, cookies, count);
		failed = uprobes->many < 0;
	} else {
		failed = attach_each(uprobes, program, pid, path, offsets, cookies, count);
	}
	if (failed) {
		failed = errno;
		attach_uprobes_remove(uprobes);
		errno = failed;
		return NULL;
	}
	return uprobes;
}

void attach_uprobes_remove(struct attach_uprobes *uprobes)
{
	if (!uprobes)
		return;
	if (uprobes->many >= 0)
		close(uprobes->many);
	for (size_t i = 0; i < uprobes->count; i++)
		bpf_link__destroy(uprobes->each[i]);
	free(uprobes);
}
