/* Which processes have a TLS library, and the taps on it. */
#include "collect/tls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uthash.h>

#include "base/log.h"
#include "collect/attach.h"
#include "collect/tls_file.h"

#define LIBRARIES_MAX 8 /* of one process */
#define LOOK_FIRST_NS 2000000ULL /* after a start, when its libraries are being loaded */
#define LOOK_LAST_NS 500000000ULL
#define STARTING_NS 10000000000ULL

/* A file that was looked at; kept, for processes come back. */
struct library {
	struct {
		uint64_t device, inode;
	} key;
	struct tls_file file;
	UT_hash_handle hh;
};

struct tapped {
	uint32_t serial;
	pid_t pid;
	uint64_t since; /* monotonic ns: it could have used TLS unseen; 0: the window was not open */
	uint64_t seen, look_at, step; /* when to look for libraries again; 0: not for now */
	struct library *libraries[LIBRARIES_MAX]; /* those that were met */
	struct attach_tap **taps[LIBRARIES_MAX];
	size_t taps_count[LIBRARIES_MAX];
	size_t count;
	UT_hash_handle hh;
};

struct tls {
	struct session *s;
	struct library *libraries;
	struct tapped *processes;
};

struct tls *tls_new(struct session *s)
{
	struct tls *t = calloc(1, sizeof(*t));
	struct rlimit files;

	if (!t)
		return NULL;
	t->s = s;
	/* Each tap is a descriptor or two. */
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return t;
}

static void taps_remove(struct attach_tap **taps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		attach_tap_remove(taps[i]);
	free(taps);
}

static void tapped_free(struct tls *t, struct tapped *p)
{
	for (size_t i = 0; i < p->count; i++)
		taps_remove(p->taps[i], p->taps_count[i]);
	HASH_DEL(t->processes, p);
	free(p);
}

void tls_free(struct tls *t)
{
	struct tapped *p, *next_p;
	struct library *l, *next_l;

	if (!t)
		return;
	HASH_ITER(hh, t->processes, p, next_p)
		tapped_free(t, p);
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

/* All of its taps, or none. */
static int attach(struct tls *t, struct tapped *p, const struct tls_file *file, size_t n)
{
	size_t count = file->entries + file->returns_count;
	struct err err = ERR_INIT;

	p->taps[n] = calloc(count, sizeof(struct attach_tap *));
	if (!p->taps[n])
		return -1;
	/* First where they return: a function that is entered must be seen to return. */
	for (size_t i = 0; i < count; i++) {
		struct attach_tap *tap =
			i < file->returns_count
				? attach_tls_return(t->s->attach, p->pid, file->fd,
						    file->returns[i], &err)
				: attach_tls_entry(t->s->attach, p->pid, file->fd,
						   file->entry[i - file->returns_count].offset,
						   file->entry[i - file->returns_count].function,
						   &err);

		if (!tap) {
			log_verbose("process %u: %s", p->serial, err.text);
			taps_remove(p->taps[n], i);
			p->taps[n] = NULL;
			return -1;
		}
		p->taps[n][i] = tap;
	}
	p->taps_count[n] = count;
	return 0;
}

static void add_library(struct tls *t, struct tapped *p, struct library *l)
{
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
	if (attach(t, p, &l->file, n)) {
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

static struct tapped *tapped_add(struct tls *t, const struct process *process, uint64_t since)
{
	struct tapped *p = tapped_of(t, process->serial);

	if (p)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
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

void tls_process_forked(struct tls *t, const struct process *process, uint32_t parent_serial,
			uint64_t since)
{
	struct tapped *p = tapped_add(t, process, since);
	const struct tapped *parent = tapped_of(t, parent_serial);

	if (!p)
		return;
	if (parent) {
		p->look_at = parent->look_at;
		p->step = parent->step;
	}
	if (!is_current(t, p))
		return;
	for (size_t i = 0; parent && i < parent->count; i++)
		if (parent->libraries[i]->file.entries)
			add_library(t, p, parent->libraries[i]);
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

	if (p)
		look(t, p);
}

void tls_tick(struct tls *t, uint64_t now)
{
	struct tapped *p, *next;

	HASH_ITER(hh, t->processes, p, next) {
		if (!p->look_at || now < p->look_at)
			continue;
		look(t, p);
		p->step = p->step * 2 < LOOK_LAST_NS ? p->step * 2 : LOOK_LAST_NS;
		p->look_at = now < p->seen + STARTING_NS ? now + p->step : 0;
	}
}
