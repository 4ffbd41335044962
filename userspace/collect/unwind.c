/* Native stacks, from copies of user stacks to records. */
#include "collect/unwind.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/thread.h"
#include "collect/attach.h"
#include "collect/modules.h"
#include "collect/processes.h"
#include "collect/sightings.h"
#include "collect/unwind_mix.h"
#include "collect/unwind_space.h"
#include "collect/unwind_walk.h"

#define QUEUE_MAX 4096 /* copies that wait */
#define QUEUE_BYTES (32u << 20)
#define SHARE 20 /* the worker's share of a core: one part in so many */
#define CREDIT_NS 1000000000LL /* CPU time that it may use ahead of that */
#define WAITING_MAX 65536

/* A copy of a stack and what becomes of it; goes from the session's thread to the worker and back.
 */
struct job {
	struct job *next;
	struct unwind_who who;
	struct wire_snapshot e;
	size_t length; /* of bytes; 0: wiped */
	uint8_t *bytes;
	/* By the worker: */
	bool found; /* the process's mappings were */
	bool complete, site_ok;
	struct wire_site site;
	struct job_frame {
		uint32_t mapped; /* index of the list below */
		uint32_t name; /* where it stands in `text` */
		uint64_t function;
	} * frames;
	size_t count;
	struct job_mapped {
		uint32_t is; /* the space's own index */
		uint32_t path; /* in `text` */
		uint64_t device, inode;
	} * mapped;
	size_t mapped_count;
	struct bytes text;
};

struct list {
	struct job *first, **last;
	size_t count, bytes;
};

/* A stack that came as a copy, and its sighting; whichever comes last makes the record. */
struct waiting {
	uint32_t stack;
	uint64_t resolved; /* the stack's record; REC_NULL: there is none */
	bool is_resolved, is_seen;
	struct wire_sighting seen;
	UT_hash_handle hh;
};

/* What the kernel side was told of a site, by variant. */
struct site {
	struct {
		uint64_t ip, depth;
		uint64_t process;
	} key;
	uint64_t hash[WIRE_SITE_VARIANTS];
	uint32_t told; /* the next one is this, in turn */
	UT_hash_handle hh;
};

struct unwind {
	struct session *s;
	pthread_t worker;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	/* Guarded by lock: */
	struct list queue, done;
	bool busy, stop, hurry;
	bool ready; /* something is done; also looked at without the lock */
	/* The worker alone: */
	struct unwind_spaces *spaces;
	struct unwind_result result;
	long long credit, used; /* ns */
	uint64_t credit_at;
	uint64_t walks, frames;
	/* The session's thread alone: */
	struct waiting *waiting;
	struct site *sites;
	struct unwind_stats stats;
};

static void list_add(struct list *l, struct job *job)
{
	if (!l->first)
		l->last = &l->first;
	job->next = NULL;
	*l->last = job;
	l->last = &job->next;
	l->count++;
	l->bytes += job->length;
}

static struct job *list_take(struct list *l)
{
	struct job *job = l->first;

	if (job) {
		l->first = job->next;
		l->count--;
		l->bytes -= job->length;
	}
	return job;
}

static void wipe(struct job *job)
{
	if (job->bytes)
		explicit_bzero(job->bytes, job->length);
	free(job->bytes);
	job->bytes = NULL;
	job->length = 0;
	explicit_bzero((uint8_t *)&job->e + offsetof(struct wire_snapshot, bp),
		       offsetof(struct wire_snapshot, depth) - offsetof(struct wire_snapshot, bp));
}

static void job_free(struct job *job)
{
	if (!job)
		return;
	wipe(job);
	free(job->frames);
	free(job->mapped);
	bytes_release(&job->text);
	free(job);
}

/* ---- the worker ---- */

static bool is_current(void *ctx, pid_t pid, uint32_t process)
{
	const struct unwind *u = ctx;
	struct wire_target t;

	return attach_is_target(u->s->attach, (uint32_t)pid, &t) && t.process == process;
}

static const struct unwind_row *find_row(void *ctx, uint64_t address, uint32_t *mapped)
{
	return unwind_space_row(ctx, address, mapped);
}

static int put_text(struct job *job, const char *text, uint32_t *at)
{
	*at = (uint32_t)job->text.len;
	return bytes_put(&job->text, text, strlen(text) + 1);
}

/* The list of the job's files has each once; a stack shows few. */
static int put_mapped(struct job *job, const struct unwind_space *space, uint32_t is, uint32_t *out)
{
	const struct unwind_mapped *m = unwind_space_mapped(space, is);
	struct job_mapped *grown;

	for (size_t i = 0; i < job->mapped_count; i++) {
		if (job->mapped[i].is == is) {
			*out = (uint32_t)i;
			return 0;
		}
	}
	grown = realloc(job->mapped, (job->mapped_count + 1) * sizeof(*grown));
	if (!m || !grown)
		return -1;
	job->mapped = grown;
	grown[job->mapped_count] = (struct job_mapped){ is, 0, m->device, m->inode };
	if (put_text(job, m->path, &grown[job->mapped_count].path))
		return -1;
	*out = (uint32_t)job->mapped_count++;
	return 0;
}

/* What the session's thread needs of the result, in memory of the job's own. */
static void keep_result(struct job *job, const struct unwind_space *space,
			const struct unwind_result *r)
{
	job->frames = calloc(r->count ? r->count : 1, sizeof(*job->frames));
	for (size_t i = 0; job->frames && i < r->count; i++) {
		struct job_frame *frame = &job->frames[i];

		frame->function = r->frames[i].function;
		if (put_mapped(job, space, r->frames[i].module, &frame->mapped) ||
		    put_text(job, r->frames[i].name, &frame->name))
			return;
	}
	job->found = job->frames != NULL;
	job->count = r->count;
	job->complete = r->complete;
	job->site_ok = r->site_ok;
	job->site = r->site;
}

static void unwind_job(struct unwind *u, struct job *job)
{
	const struct wire_snapshot *e = &job->e;
	struct unwind_stack stack = {
		.bytes = job->bytes,
		.length = job->length,
		.registers = {
			[UNWIND_RBX] = e->bx, [UNWIND_RBP] = e->bp, [UNWIND_RSP] = e->sp,
			[UNWIND_R12] = e->r12, [UNWIND_R13] = e->r13, [UNWIND_R14] = e->r14,
			[UNWIND_R15] = e->r15, [UNWIND_RIP] = e->ip,
		},
		.valid = 1u << UNWIND_RBX | 1u << UNWIND_RBP | 1u << UNWIND_RSP | 1u << UNWIND_R12 |
			 1u << UNWIND_R13 | 1u << UNWIND_R14 | 1u << UNWIND_R15 | 1u << UNWIND_RIP,
	};
	bool borrowed;
	struct unwind_space *space =
		unwind_space_get(u->spaces, &job->who, e->head.time, &borrowed);
	struct unwind_finder finder = { .find = find_row, .ctx = space };

	if (space) {
		unwind_walk(&stack, &finder, &u->result);
		u->walks++;
		u->frames += u->result.count;
		/* In another process's space only a whole stack shows that it fits. */
		if (!borrowed || u->result.complete)
			keep_result(job, space, &u->result);
	}
	explicit_bzero(&stack, sizeof(stack));
	wipe(job);
}

static long long thread_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Earns its share of the time that passed, and waits while it has used up more. */
static void keep_share(struct unwind *u, long long used)
{
	uint64_t now = clock_monotonic();
	struct timespec wait;
	long long ns;

	u->used += used;
	u->credit += (long long)((now - u->credit_at) / SHARE) - used;
	u->credit_at = now;
	if (u->credit > CREDIT_NS)
		u->credit = CREDIT_NS;
	ns = -u->credit * SHARE;
	if (ns <= 0 || __atomic_load_n(&u->hurry, __ATOMIC_RELAXED))
		return;
	/* Looks up now and then: the window may end. */
	if (ns > 50000000)
		ns = 50000000;
	wait = (struct timespec){ 0, ns };
	nanosleep(&wait, NULL);
}

static void *work(void *arg)
{
	struct unwind *u = arg;

	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
	u->credit = CREDIT_NS;
	u->credit_at = clock_monotonic();
	pthread_mutex_lock(&u->lock);
	for (;;) {
		long long before;
		struct job *job;

		while (!u->queue.first && !u->stop)
			pthread_cond_wait(&u->work, &u->lock);
		if (u->stop)
			break;
		if (u->credit < 0 && !u->hurry) {
			pthread_mutex_unlock(&u->lock);
			keep_share(u, 0);
			pthread_mutex_lock(&u->lock);
			continue;
		}
		job = list_take(&u->queue);
		u->busy = true;
		pthread_mutex_unlock(&u->lock);
		before = thread_cpu();
		unwind_job(u, job);
		keep_share(u, thread_cpu() - before);
		pthread_mutex_lock(&u->lock);
		list_add(&u->done, job);
		__atomic_store_n(&u->ready, true, __ATOMIC_RELAXED);
		u->busy = false;
		if (!u->queue.first)
			pthread_cond_broadcast(&u->idle);
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

/* Started when it is needed first: by then the collector has given its privileges away. */
static bool start(struct unwind *u)
{
	if (!u->started)
		u->started = !thread_start(&u->worker, work, u);
	return u->started;
}

/* ---- the session's thread ---- */

struct unwind *unwind_new(struct session *s)
{
	struct unwind *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->s = s;
	u->spaces = unwind_spaces_new(is_current, u);
	if (!u->spaces) {
		free(u);
		return NULL;
	}
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->work, NULL);
	pthread_cond_init(&u->idle, NULL);
	return u;
}

void unwind_free(struct unwind *u)
{
	struct waiting *w, *next_waiting;
	struct site *site, *next_site;
	struct job *job;

	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	u->stop = u->hurry = true;
	pthread_cond_signal(&u->work);
	pthread_mutex_unlock(&u->lock);
	if (u->started)
		pthread_join(u->worker, NULL);
	while ((job = list_take(&u->queue)))
		job_free(job);
	while ((job = list_take(&u->done)))
		job_free(job);
	HASH_ITER(hh, u->waiting, w, next_waiting) {
		HASH_DEL(u->waiting, w);
		free(w);
	}
	HASH_ITER(hh, u->sites, site, next_site) {
		HASH_DEL(u->sites, site);
		free(site);
	}
	unwind_spaces_free(u->spaces);
	free(u);
}

static struct waiting *waiting_find(struct unwind *u, uint32_t stack)
{
	struct waiting *w;

	HASH_FIND(hh, u->waiting, &stack, sizeof(stack), w);
	return w;
}

static void waiting_settle(struct unwind *u, struct waiting *w)
{
	if (!w->is_resolved || !w->is_seen)
		return;
	if (w->resolved != REC_NULL) {
		w->seen.stack = (uint32_t)w->resolved;
		sightings_event(u->s->sightings, &w->seen);
	}
	HASH_DEL(u->waiting, w);
	free(w);
}

static void resolve(struct unwind *u, uint32_t stack, uint64_t record)
{
	struct waiting *w = waiting_find(u, stack);

	if (!w)
		return;
	w->resolved = record;
	w->is_resolved = true;
	waiting_settle(u, w);
}

bool unwind_sighting(struct unwind *u, const struct wire_sighting *e)
{
	struct waiting *w = waiting_find(u, e->stack);

	if (!w || w->is_seen)
		return false;
	w->seen = *e;
	w->is_seen = true;
	waiting_settle(u, w);
	return true;
}

static bool enqueue(struct unwind *u, struct job *job)
{
	bool room;

	if (!start(u))
		return false;
	pthread_mutex_lock(&u->lock);
	room = u->queue.count < QUEUE_MAX && u->queue.bytes + job->length <= QUEUE_BYTES;
	if (room) {
		list_add(&u->queue, job);
		pthread_cond_signal(&u->work);
	}
	pthread_mutex_unlock(&u->lock);
	return room;
}

void unwind_snapshot(struct unwind *u, const struct process *process, const struct wire_snapshot *e,
		     size_t size)
{
	struct waiting *w = waiting_find(u, e->stack);
	const struct process *first =
		process ? processes_find(u->s->processes, process->memory) : NULL;
	struct job *job;

	if (!w && HASH_COUNT(u->waiting) < WAITING_MAX && (w = calloc(1, sizeof(*w)))) {
		w->stack = e->stack;
		HASH_ADD(hh, u->waiting, stack, sizeof(w->stack), w);
	}
	job = calloc(1, sizeof(*job));
	if (!job || !w || !process || size - sizeof(*e) < e->captured || !e->captured ||
	    e->count > WIRE_FRAMES || !(job->bytes = malloc(e->captured))) {
		job_free(job);
		u->stats.lost++;
		resolve(u, e->stack, REC_NULL);
		return;
	}
	job->e = *e;
	job->length = e->captured;
	memcpy(job->bytes, (const uint8_t *)e + sizeof(*e), e->captured);
	job->who = (struct unwind_who){
		.process = process->serial,
		.image = process->memory,
		.pid = process->pid,
		.root = process->root,
		.first = first && !first->ended ? first->pid : 0,
	};
	if (!enqueue(u, job)) {
		job_free(job);
		u->stats.lost++;
		resolve(u, e->stack, REC_NULL);
	}
}

/* ---- records ---- */

static const char *text_at(const struct job *job, uint32_t at)
{
	return (const char *)job->text.data + at;
}

/* Functions of the native frames; marks those of the interpreter's evaluation. */
static bool native_functions(struct unwind *u, struct process *process, const struct job *job,
			     struct unwind_part *out)
{
	const char *evaluates =
		job->e.count && process->layout ? process->layout->taps.function : NULL;
	uint64_t *modules = calloc(job->mapped_count ? job->mapped_count : 1, sizeof(*modules));
	bool good = modules != NULL;

	for (size_t i = 0; good && i < job->mapped_count; i++) {
		const struct job_mapped *m = &job->mapped[i];

		modules[i] = modules_native(u->s->modules, process, text_at(job, m->path),
					    m->device, m->inode);
		good = modules[i] != REC_NULL;
	}
	for (size_t i = 0; good && i < job->count; i++) {
		const struct job_frame *f = &job->frames[i];
		const char *name = text_at(job, f->name);

		out[i].function = modules_native_function(u->s->modules, modules[f->mapped],
							  f->function, name);
		out[i].mark = evaluates && !strcmp(name, evaluates);
		good = out[i].function != REC_NULL;
	}
	free(modules);
	return good;
}

static bool python_functions(struct unwind *u, const struct job *job, struct unwind_part *out)
{
	for (uint32_t i = 0; i < job->e.count; i++) {
		out[i].function =
			modules_function(u->s->modules, job->e.codes[i] & ~WIRE_CODE_ENTRY);
		out[i].mark = job->e.codes[i] & WIRE_CODE_ENTRY;
		if (out[i].function == REC_NULL)
			return false;
	}
	return true;
}

/* The kernel side shall know this stack when it comes again. */
static void tell(struct unwind *u, const struct job *job, uint64_t record)
{
	struct wire_site_key key = {
		.ip = job->e.ip,
		.depth = job->e.depth,
		.process = job->e.head.process,
	};
	struct wire_site value = job->site;
	struct site *site, find = { .key = { key.ip, key.depth, key.process } };

	if (!job->site_ok)
		return;
	HASH_FIND(hh, u->sites, &find.key, sizeof(find.key), site);
	if (!site) {
		if (HASH_COUNT(u->sites) >= WAITING_MAX || !(site = calloc(1, sizeof(*site))))
			return;
		site->key = find.key;
		HASH_ADD(hh, u->sites, key, sizeof(site->key), site);
	}
	key.variant = site->told % WIRE_SITE_VARIANTS;
	/* The same again: it was on its way, or the kernel side has forgotten it. */
	for (uint32_t i = 0; i < site->told && i < WIRE_SITE_VARIANTS; i++)
		if (site->hash[i] == value.hash)
			key.variant = i;
	value.stack = record == REC_NULL ? 0 : (uint32_t)record;
	if (attach_site(u->s->attach, &key, &value))
		return;
	site->hash[key.variant] = value.hash;
	if (key.variant == site->told % WIRE_SITE_VARIANTS)
		site->told++;
}

/* Makes a record of what was unwound; REC_NULL: there is none, and that was counted. */
static uint64_t record_of(struct unwind *u, struct process *process, const struct job *job,
			  struct unwind_part *parts, uint64_t *frames)
{
	struct unwind_part *python = parts + job->count;
	size_t count = 0;

	if (!native_functions(u, process, job, parts)) {
		u->stats.lost++;
		return REC_NULL;
	}
	if (python_functions(u, job, python))
		count = unwind_mix(parts, job->count, python, job->e.count, frames);
	if (!count) {
		u->stats.unmatched++;
		return REC_NULL;
	}
	u->stats.delivered++;
	return sightings_native(u->s->sightings, job->e.stack, job->e.head.process, frames,
				(uint32_t)count, !job->complete);
}

static uint64_t finish_job(struct unwind *u, const struct job *job)
{
	struct process *process = processes_find(u->s->processes, job->who.process);
	size_t room = job->count + job->e.count;
	struct unwind_part *parts;
	uint64_t *frames, record = REC_NULL;

	if (!job->found || !process) {
		u->stats.lost++;
		return REC_NULL;
	}
	if (!job->count) {
		u->stats.no_rows++;
		if (!job->e.count)
			tell(u, job, REC_NULL);
		return REC_NULL;
	}
	parts = calloc(room, sizeof(*parts));
	frames = calloc(room, sizeof(*frames));
	if (parts && frames)
		record = record_of(u, process, job, parts, frames);
	else
		u->stats.lost++;
	free(parts);
	free(frames);
	if (record != REC_NULL && !job->e.count)
		tell(u, job, record);
	return record;
}

void unwind_tick(struct unwind *u)
{
	struct list done;
	struct job *job;

	if (!__atomic_load_n(&u->ready, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&u->lock);
	u->ready = false;
	done = u->done;
	memset(&u->done, 0, sizeof(u->done));
	pthread_mutex_unlock(&u->lock);
	while ((job = list_take(&done))) {
		resolve(u, job->e.stack, finish_job(u, job));
		job_free(job);
	}
}

void unwind_finish(struct unwind *u, uint64_t timeout_ns)
{
	struct timespec until;
	uint64_t end;
	struct job *job;

	clock_gettime(CLOCK_REALTIME, &until);
	end = (uint64_t)until.tv_sec * 1000000000 + (uint64_t)until.tv_nsec + timeout_ns;
	until = (struct timespec){ (time_t)(end / 1000000000), (long)(end % 1000000000) };
	pthread_mutex_lock(&u->lock);
	u->hurry = true;
	while (u->queue.first || u->busy)
		if (pthread_cond_timedwait(&u->idle, &u->lock, &until))
			break;
	while ((job = list_take(&u->queue))) {
		u->stats.lost++;
		job_free(job);
	}
	if (!u->busy && u->walks)
		log_verbose("%llu stacks of %llu frames unwound in %lld us of CPU time",
			    (unsigned long long)u->walks, (unsigned long long)u->frames,
			    u->used / 1000);
	pthread_mutex_unlock(&u->lock);
	unwind_tick(u);
}

void unwind_stats(const struct unwind *u, struct unwind_stats *out)
{
	*out = u->stats;
}
