/* Attaches the TLS programs to the places of a library. */
#include "collect/attach_tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "base/thread.h"
#include "collect/attach.h"
#include "wire.h"

#define REMOVERS 64 /* at the same time */

/* The kernel side has the roles by number. */
_Static_assert((int)TLS_READ == WIRE_TLS_READ && (int)TLS_WRITE == WIRE_TLS_WRITE &&
		       (int)TLS_HANDSHAKE == WIRE_TLS_HANDSHAKE &&
		       (int)TLS_INSIDE == WIRE_TLS_INSIDE && (int)TLS_NEW == WIRE_TLS_NEW &&
		       (int)TLS_CLEAR == WIRE_TLS_CLEAR && (int)TLS_REBIND == WIRE_TLS_REBIND &&
		       (int)TLS_FREE == WIRE_TLS_FREE,
	       "enum wire_tls_role");

/* bpf(2), newer than the headers of Debian 12 (include/uapi/linux/bpf.h of Linux 6.6). */
#define BPF_LINK_CREATE_COMMAND 28
#define BPF_TRACE_UPROBE_MULTI_TYPE 48
struct uprobe_multi {
	uint32_t prog_fd, target_fd, attach_type, link_flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t count, flags, pid, pad;
};

struct attach_tls {
	int fds[2]; /* links of many; -1: none */
	struct bpf_link **links;
	size_t count;
};

void attach_tls_prepare(struct bpf_program *entered, struct bpf_program *returned, bool many)
{
	bpf_program__set_autoattach(entered, false);
	bpf_program__set_autoattach(returned, false);
	if (!many)
		return;
	bpf_program__set_expected_attach_type(entered,
					      (enum bpf_attach_type)BPF_TRACE_UPROBE_MULTI_TYPE);
	bpf_program__set_expected_attach_type(returned,
					      (enum bpf_attach_type)BPF_TRACE_UPROBE_MULTI_TYPE);
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

static int attach_each(struct attach_tls *taps, const struct bpf_program *program, pid_t pid,
		       const char *path, const uint64_t *offsets, const uint64_t *cookies,
		       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = cookies ? cookies[i] : 0);
		struct bpf_link *link =
			bpf_program__attach_uprobe_opts(program, pid, path, offsets[i], &opts);

		if (!link)
			return -1;
		taps->links[taps->count++] = link;
	}
	return 0;
}

static void remove_one(struct attach_tls *taps)
{
	for (size_t i = 0; i < 2; i++)
		if (taps->fds[i] >= 0)
			close(taps->fds[i]);
	for (size_t i = 0; i < taps->count; i++)
		bpf_link__destroy(taps->links[i]);
	free(taps->links);
	free(taps);
}

struct attach_tls *attach_tls_add(struct attach *a, pid_t pid, const struct tls_file *file,
				  struct err *err)
{
	struct attach_tls_programs programs;
	uint64_t offsets[TLS_FUNCTIONS_MAX], cookies[TLS_FUNCTIONS_MAX];
	struct attach_tls *taps = calloc(1, sizeof(*taps));
	char path[64];
	bool failed;

	attach_tls_programs(a, &programs);
	if (taps)
		taps->links = calloc(file->entries + file->returns_count, sizeof(*taps->links));
	if (!taps || !taps->links) {
		free(taps);
		err_set(err, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	taps->fds[0] = taps->fds[1] = -1;
	for (size_t i = 0; i < file->entries; i++) {
		const struct tls_function *f = file->entry[i].function;

		offsets[i] = file->entry[i].offset;
		cookies[i] = WIRE_TLS(f->role, f->session, f->buffer, f->count);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	/* First where they return: a function that is entered must be seen to return. */
	if (programs.many) {
		taps->fds[0] = attach_many(programs.returned, pid, path, file->returns, NULL,
					   file->returns_count);
		if (taps->fds[0] >= 0)
			taps->fds[1] = attach_many(programs.entered, pid, path, offsets, cookies,
						   file->entries);
		failed = taps->fds[1] < 0;
	} else {
		failed = attach_each(taps, programs.returned, pid, path, file->returns, NULL,
				     file->returns_count) ||
			 attach_each(taps, programs.entered, pid, path, offsets, cookies,
				     file->entries);
	}
	if (failed) {
		err_errno(err, ERR_MACHINE, "TLS taps cannot be attached to pid %d", (int)pid);
		remove_one(taps);
		return NULL;
	}
	return taps;
}

struct removal {
	struct attach_tls **taps;
	size_t count, next;
};

static void *remove_some(void *arg)
{
	struct removal *r = arg;
	size_t i;

	while ((i = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED)) < r->count)
		remove_one(r->taps[i]);
	return NULL;
}

void attach_tls_remove(struct attach_tls **taps, size_t count)
{
	struct removal r = { taps, count, 0 };
	pthread_t threads[REMOVERS];
	size_t n = 0;

	while (n < REMOVERS && n + 1 < count && !thread_start(&threads[n], remove_some, &r))
		n++;
	remove_some(&r);
	while (n)
		pthread_join(threads[--n], NULL);
}
