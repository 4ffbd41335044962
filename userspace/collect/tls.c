/* Which processes have a TLS library, and the taps on it. */
#include "collect/tls.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uthash.h>

#include "base/log.h"
#include "base/thread.h"
#include "collect/attach.h"
#include "collect/attach_tls.h"
#include "collect/tls_file.h"

#define LIBRARIES_MAX 8 /* of one process */
#define LOOK_FIRST_NS 2000000ULL /* after a start, when its libraries are being loaded */
#define LOOK_LAST_NS 500000000ULL
#define STARTING_NS 10000000000ULL
#define CHILDREN_MAX 64 /* of a family that does not use TLS; further ones are not tapped yet */

/* A file that was looked at; kept, for processes come back. */
struct library {
	struct {
		uint64_t device, inode;
	} key;
	struct tls_file file;
	UT_hash_handle hh;
};

/* A memory image, which forks share. */
struct tls_family {
	uint32_t memory;
	size_t children; /* forked before it was known to use TLS */
	bool used; /* one of it did */
	UT_hash_handle hh;
};

struct tapped {
	uint32_t serial;
	uint32_t parent; /* serial; it was forked and waits until its family uses TLS; else 0 */
	struct tls_family *family;
	pid_t pid;
	uint64_t
		since; /* monotonic ns: it could have used TLS unseen; 0: the window was not open */
	uint64_t seen, look_at, step; /* when to look for libraries again; 0: not for now */
	struct library *libraries[LIBRARIES_MAX]; /* those that were met */
	struct attach_tls *taps[LIBRARIES_MAX];
	size_t count;
	UT_hash_handle hh;
};

#define BIN_MAX 256

/* Taps of processes that have ended, removed by a thread of its own. */
struct bin {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct attach_tls *taps[BIN_MAX];
	size_t count;
	bool started, stop;
};

struct tls {
	struct session *s;
	struct library *libraries;
	struct tapped *processes;
	struct tls_family *families;
	struct bin bin;
};

struct tls *tls_new(struct session *s)
{
	struct tls *t = calloc(1, sizeof(*t));
	struct rlimit files;

	if (!t)
		return NULL;
	t->s = s;
	pthread_mutex_init(&t->bin.lock, NULL);
	pthread_cond_init(&t->bin.more, NULL);
	/* Each tap is a descriptor or two. */
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return t;
}

/* ---- the end of taps ---- */

static void *empty_bin(void *arg)
{
	struct bin *bin = arg;

	pthread_mutex_lock(&bin->lock);
	while (bin->count || !bin->stop) {
		struct attach_tls *taps[BIN_MAX];
		size_t count = bin->count;

		if (!count) {
			pthread_cond_wait(&bin->more, &bin->lock);
			continue;
		}
		memcpy(taps, bin->taps, count * sizeof(*taps));
		bin->count = 0;
		pthread_mutex_unlock(&bin->lock);
		attach_tls_remove(taps, count);
		pthread_mutex_lock(&bin->lock);
	}
	pthread_mutex_unlock(&bin->lock);
	return NULL;
}

static void taps_remove(struct tls *t, struct attach_tls *taps)
{
	struct bin *bin = &t->bin;
	bool full;

	if (!taps)
		return;
	if (!bin->started)
		bin->started = !thread_start(&bin->thread, empty_bin, bin);
	pthread_mutex_lock(&bin->lock);
	full = !bin->started || bin->count == BIN_MAX;
	if (!full)
		bin->taps[bin->count++] = taps;
	pthread_cond_signal(&bin->more);
	pthread_mutex_unlock(&bin->lock);
	if (full)
		attach_tls_remove(&taps, 1);
}

static void tapped_free(struct tls *t, struct tapped *p)
{
	for (size_t i = 0; i < p->count; i++)
		taps_remove(t, p->taps[i]);
	HASH_DEL(t->processes, p);
	free(p);
}

void tls_free(struct tls *t)
{
	struct tapped *p, *next_p;
	struct library *l, *next_l;
	struct tls_family *f, *next_f;

	if (!t)
		return;
	HASH_ITER(hh, t->processes, p, next_p)
		tapped_free(t, p);
	HASH_ITER(hh, t->families, f, next_f) {
		HASH_DEL(t->families, f);
		free(f);
	}
	if (t->bin.started) {
		pthread_mutex_lock(&t->bin.lock);
		t->bin.stop = true;
		pthread_cond_signal(&t->bin.more);
		pthread_mutex_unlock(&t->bin.lock);
		pthread_join(t->bin.thread, NULL);
	}
	HASH_ITER(hh, t->libraries, l, next_l) {
		HASH_DEL(t->libraries, l);
		tls_file_release(&l->file);
		free(l);
	}
	free(t);
}

/* ---- one library ---- */

static void unsupported(struct tls *t, uint32_t serial, const char *what, const char *why)
{
	struct rec_unsupported rec = {
		.id = bundle_writer_id(t->s->writer, REC_UNSUPPORTED_KIND),
		.process = serial,
		.what = session_public(t->s, what),
		.version = session_public(t->s, why),
	};

	log_warn("process %u: %s: %s: what it encrypts is not seen", serial, what, why);
	bundle_writer_put(t->s->writer, REC_UNSUPPORTED_KIND, &rec);
}

static struct library *library_of(struct tls *t, pid_t pid, const struct procfs_mapping *m,
				  const struct tls_library *known)
{
	struct library *l, key = { .key = { m->device, m->inode } };

	HASH_FIND(hh, t->libraries, &key.key, sizeof(key.key), l);
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->key = key.key;
	if (!tls_file_find(pid, m, known, &l->file))
		log_verbose("%s: %zu functions, %zu places where they return", m->path,
			    l->file.entries, l->file.returns_count);
	HASH_ADD(hh, t->libraries, key, sizeof(l->key), l);
	return l;
}

static void add_library(struct tls *t, struct tapped *p, struct library *l)
{
	struct err err = ERR_INIT;
	size_t n = p->count;

	for (size_t i = 0; i < n; i++)
		if (p->libraries[i] == l)
			return;
	if (n == LIBRARIES_MAX) {
		unsupported(t, p->serial, "TLS library", "the process has more than eight");
		return;
	}
	p->libraries[p->count++] = l;
	if (!l->file.entries) {
		unsupported(t, p->serial, l->file.library->name, l->file.why);
		return;
	}
	p->taps[n] = attach_tls_add(t->s->attach, p->pid, &l->file, &err);
	if (!p->taps[n]) {
		log_verbose("process %u: %s", p->serial, err.text);
		session_gap(t->s, p->serial, p->since ? p->since : clock_monotonic(), REC_NULL,
			    "TLS library not attached");
		return;
	}
	log_verbose("process %u: %s is traced", p->serial, l->file.library->name);
	if (p->since)
		session_gap(t->s, p->serial, p->since, clock_monotonic(),
			    "TLS library not attached yet");
}

struct look {
	struct tls *t;
	struct tapped *p;
};

static int each_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct look *look = ctx;
	const struct tls_library *known;
	struct library *l;

	if (!m->executable || m->path[0] != '/')
		return 0;
	known = catalog_tls(look->t->s->catalog, m->path);
	l = known ? library_of(look->t, look->p->pid, m, known) : NULL;
	if (l)
		add_library(look->t, look->p, l);
	return 0;
}

/* ---- processes ---- */

/* Is it what its pid shows in /proc? */
static bool is_current(const struct tls *t, const struct tapped *p)
{
	struct wire_target target;

	return attach_is_target(t->s->attach, (uint32_t)p->pid, &target) &&
	       target.process == p->serial;
}

static void look(struct tls *t, struct tapped *p)
{
	struct look ctx = { t, p };

	if (is_current(t, p))
		procfs_maps(p->pid, each_mapping, &ctx);
}

static struct tapped *tapped_of(struct tls *t, uint32_t serial)
{
	struct tapped *p;

	HASH_FIND(hh, t->processes, &serial, sizeof(serial), p);
	return p;
}

static struct tls_family *family_of(struct tls *t, uint32_t memory)
{
	struct tls_family *f;

	HASH_FIND(hh, t->families, &memory, sizeof(memory), f);
	if (f)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->memory = memory;
	HASH_ADD(hh, t->families, memory, sizeof(f->memory), f);
	return f;
}

static struct tapped *tapped_add(struct tls *t, const struct process *process, uint64_t since)
{
	struct tapped *p = tapped_of(t, process->serial);

	if (p)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->family = family_of(t, process->memory);
	if (!p->family) {
		free(p);
		return NULL;
	}
	p->serial = process->serial;
	p->pid = process->pid;
	p->since = since;
	p->seen = clock_monotonic();
	HASH_ADD(hh, t->processes, serial, sizeof(p->serial), p);
	return p;
}

void tls_process(struct tls *t, const struct process *process, uint64_t since)
{
	struct tapped *p = tapped_add(t, process, since);

	if (!p)
		return;
	p->step = LOOK_FIRST_NS;
	p->look_at = p->seen + p->step;
	look(t, p);
}

/* The libraries of its family; without a member that has any, by its own mappings. */
static void inherit(struct tls *t, struct tapped *p)
{
	const struct tapped *parent = tapped_of(t, p->parent);

	p->parent = 0;
	if (!parent) {
		look(t, p);
		return;
	}
	if (!is_current(t, p))
		return;
	for (size_t i = 0; i < parent->count; i++)
		if (parent->libraries[i]->file.entries)
			add_library(t, p, parent->libraries[i]);
}

void tls_process_forked(struct tls *t, const struct process *process, uint32_t parent_serial,
			uint64_t since)
{
	struct tapped *p = tapped_add(t, process, since);
	const struct tapped *parent = tapped_of(t, parent_serial);

	if (!p)
		return;
	p->parent = parent_serial;
	if (parent) {
		p->look_at = parent->look_at;
		p->step = parent->step;
	}
	/* Taps cost: a service that forks a lot and has a TLS library for other ends has none. */
	if (p->family->used || p->family->children++ < CHILDREN_MAX)
		inherit(t, p);
}

void tls_process_ended(struct tls *t, uint32_t serial)
{
	struct tapped *p = tapped_of(t, serial);

	if (p)
		tapped_free(t, p);
}

void tls_process_look(struct tls *t, uint32_t serial)
{
	struct tapped *p = tapped_of(t, serial);

	if (p && !p->parent)
		look(t, p);
}

void tls_process_uses(struct tls *t, uint32_t serial)
{
	struct tapped *p = tapped_of(t, serial), *other, *next;

	if (!p)
		return;
	if (!p->family->used) {
		p->family->used = true;
		HASH_ITER(hh, t->processes, other, next)
			if (other->family == p->family && other->parent)
				inherit(t, other);
	}
	look(t, p);
}

void tls_tick(struct tls *t, uint64_t now)
{
	struct tapped *p, *next;

	HASH_ITER(hh, t->processes, p, next) {
		if (!p->look_at || p->parent || now < p->look_at)
			continue;
		look(t, p);
		p->step = p->step * 2 < LOOK_LAST_NS ? p->step * 2 : LOOK_LAST_NS;
		p->look_at = now < p->seen + STARTING_NS ? now + p->step : 0;
	}
}
