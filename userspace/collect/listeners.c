/* Which sockets of the host listen, and whether a target is behind them. */
#include "collect/listeners.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/processes.h"
#include "collect/procfs.h"

/* A socket that a target has open. */
struct held {
	uint64_t inode;
	uint32_t process;
};

struct survey {
	struct session *s;
	struct held *held; /* sorted, once all are there */
	size_t held_count, held_cap;
	uint64_t *namespaces;
	size_t namespaces_count;
	uint32_t process;
};

static int compare_held(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->process < y->process ? -1 : x->process > y->process;
}

static bool has(const uint64_t *items, size_t count, uint64_t value)
{
	for (size_t i = 0; i < count; i++)
		if (items[i] == value)
			return true;
	return false;
}

/* Adds a number; false when it was there, or memory is short. */
static bool add(uint64_t **items, size_t *count, uint64_t value)
{
	uint64_t *grown;

	if (has(*items, *count, value))
		return false;
	grown = realloc(*items, (*count + 1) * sizeof(*grown));
	if (!grown)
		return false;
	*items = grown;
	grown[(*count)++] = value;
	return true;
}

static int each_held(void *ctx, uint64_t inode)
{
	struct survey *v = ctx;

	if (v->held_count == v->held_cap) {
		size_t cap = v->held_cap ? 2 * v->held_cap : 256;
		struct held *grown = realloc(v->held, cap * sizeof(*grown));

		if (!grown)
			return 1;
		v->held = grown;
		v->held_cap = cap;
	}
	v->held[v->held_count++] = (struct held){ inode, v->process };
	return 0;
}

static void hold_sockets(void *ctx, struct process *process)
{
	struct survey *v = ctx;

	v->process = process->serial;
	procfs_sockets(process->pid, each_held, v);
}

/* The first target that has the socket open, 0: none. */
static uint32_t holder(const struct survey *v, uint64_t inode)
{
	size_t lo = 0, hi = v->held_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v->held[mid].inode < inode)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < v->held_count && v->held[lo].inode == inode ? v->held[lo].process : 0;
}

static void put_listener(struct survey *v, enum family family, uint64_t address, uint64_t port,
			 uint64_t inode)
{
	uint32_t process = holder(v, inode);
	struct rec_listener rec = {
		.id = bundle_writer_id(v->s->writer, REC_LISTENER_KIND),
		.family = family,
		.address = address,
		.port = port,
		.covered = process != 0,
		.process = process ? process : REC_NULL,
		.seen = clock_monotonic(),
	};

	bundle_writer_put(v->s->writer, REC_LISTENER_KIND, &rec);
}

/* Every host has these addresses: they tell nothing of this one. */
static bool is_everyones(const char *address)
{
	return !strcmp(address, "0.0.0.0") || !strcmp(address, "::") || !strcmp(address, "::1") ||
	       !strncmp(address, "127.", 4);
}

static int each_listener(void *ctx, const struct procfs_listener *l)
{
	struct survey *v = ctx;

	if (add(&v->s->listeners, &v->s->listeners_count, l->inode))
		put_listener(v, l->v6 ? FAMILY_TCP6 : FAMILY_TCP4,
			     bundle_writer_text(v->s->writer, l->address,
						is_everyones(l->address) ? STRING_PUBLIC
									 : STRING_PRIVATE),
			     l->port, l->inode);
	return 0;
}

static int each_unix_listener(void *ctx, const struct procfs_unix_listener *l)
{
	struct survey *v = ctx;

	if (add(&v->s->listeners, &v->s->listeners_count, l->inode))
		put_listener(v, FAMILY_UNIX, session_private(v->s, l->path), 0, l->inode);
	return 0;
}

static void survey_namespace(struct survey *v, pid_t pid)
{
	uint64_t ns = procfs_namespace(pid, "net");

	if (!ns || !add(&v->namespaces, &v->namespaces_count, ns))
		return;
	procfs_listeners(pid, each_listener, v);
	procfs_unix_listeners(pid, each_unix_listener, v);
}

static void survey_process(void *ctx, struct process *process)
{
	survey_namespace(ctx, process->pid);
}

void listeners_survey(struct session *s)
{
	struct survey v = { .s = s };

	processes_each(s->processes, hold_sockets, &v);
	if (v.held_count)
		qsort(v.held, v.held_count, sizeof(*v.held), compare_held);
	processes_each(s->processes, survey_process, &v);
	survey_namespace(&v, getpid());
	free(v.namespaces);
	free(v.held);
}
