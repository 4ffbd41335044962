/* Attaches the TLS programs to the places of a library. */
#include "collect/attach_tls.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/thread.h"
#include "collect/attach.h"
#include "collect/attach_uprobes.h"
#include "wire.h"

#define REMOVERS 64 /* at the same time */

/* The kernel side has the roles by number. */
_Static_assert((int)TLS_READ == WIRE_TLS_READ && (int)TLS_WRITE == WIRE_TLS_WRITE &&
		       (int)TLS_HANDSHAKE == WIRE_TLS_HANDSHAKE &&
		       (int)TLS_INSIDE == WIRE_TLS_INSIDE && (int)TLS_NEW == WIRE_TLS_NEW &&
		       (int)TLS_CLEAR == WIRE_TLS_CLEAR && (int)TLS_REBIND == WIRE_TLS_REBIND &&
		       (int)TLS_FREE == WIRE_TLS_FREE,
	       "enum wire_tls_role");

struct attach_tls {
	struct attach_uprobes *entered, *returned;
};

void attach_tls_prepare(struct bpf_program *entered, struct bpf_program *returned, bool many)
{
	attach_uprobes_prepare(entered, many);
	attach_uprobes_prepare(returned, many);
}

static void remove_one(struct attach_tls *taps)
{
	attach_uprobes_remove(taps->entered);
	attach_uprobes_remove(taps->returned);
	free(taps);
}

struct attach_tls *attach_tls_add(struct attach *a, pid_t pid, const struct tls_file *file,
				  struct err *err)
{
	struct attach_tls_programs programs;
	uint64_t offsets[TLS_FUNCTIONS_MAX], cookies[TLS_FUNCTIONS_MAX];
	struct attach_tls *taps = calloc(1, sizeof(*taps));

	attach_tls_programs(a, &programs);
	if (!taps) {
		err_set(err, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < file->entries; i++) {
		const struct tls_function *f = file->entry[i].function;

		offsets[i] = file->entry[i].offset;
		cookies[i] = WIRE_TLS(f->role, f->session, f->buffer, f->count);
	}
	/* First where they return: a function that is entered must be seen to return. */
	taps->returned = attach_uprobes_add(programs.returned, programs.many, pid, file->fd,
					    file->returns, NULL, file->returns_count);
	if (taps->returned)
		taps->entered = attach_uprobes_add(programs.entered, programs.many, pid, file->fd,
						   offsets, cookies, file->entries);
	if (!taps->entered) {
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
