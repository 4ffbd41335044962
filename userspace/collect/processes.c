/* Target processes: described once, followed until they end. */
#include "collect/processes.h"

#include <stdlib.h>
#include <string.h>

#include "collect/attach.h"
#include "collect/deep.h"
#include "collect/modules.h"
#include "collect/process_record.h"
#include "collect/procfs.h"
#include "collect/tls.h"

#define EXEC_NS 100000000ULL /* an exec may take so long */
#define SCAN_NS 5000000000ULL
#define KEEP_ENDED_NS 30000000000ULL
#define RETRY_NS 10000000000ULL /* how long a process may take to show its runtime */
#define RETRY_FIRST_NS 10000000ULL
#define RETRY_LAST_NS 1000000000ULL

struct processes {
	struct session *s;
	struct process *table; /* by serial */
	size_t alive, total;
	bool sockets_unlisted; /* not all sockets that were open before could be listed */
};

struct processes *processes_new(struct session *s)
{
	struct processes *p = calloc(1, sizeof(*p));

	if (p)
		p->s = s;
	return p;
}

static void release(struct processes *p, struct process *process);

void processes_free(struct processes *p)
{
	struct process *process, *next;

	if (!p)
		return;
	HASH_ITER(hh, p->table, process, next)
		release(p, process);
	free(p);
}

struct process *processes_find(struct processes *p, uint32_t serial)
{
	struct process *process;

	HASH_FIND(hh, p->table, &serial, sizeof(serial), process);
	return process;
}

/* ---- mappings ---- */

static int each_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct process *process = ((void **)ctx)[1];
	struct session *s = ((void **)ctx)[0];
	struct rec_mapping rec;
	uint64_t module;
	void *grown;

	if (!m->executable || (m->path[0] == '[' && strcmp(m->path, "[heap]")))
		return 0;
	module = modules_native(s->modules, process, m->path, m->device, m->inode);
	for (size_t i = 0; i < process->mapped_count; i++)
		if (process->mapped[i].module == module)
			return 0;
	grown = realloc(process->mapped, (process->mapped_count + 1) * sizeof(process->mapped[0]));
	if (!grown)
		return 0;
	process->mapped = grown;
	process->mapped[process->mapped_count++].module = module;
	/* A library that came later may be a runtime. */
	if (process->runtime.state == PYTHON_NONE && !process->retry_at)
		process->retry_at = clock_monotonic();
	rec = (struct rec_mapping){
		.id = bundle_writer_id(s->writer, REC_MAPPING_KIND),
		.process = process->serial,
		.module = module,
		.time = clock_monotonic(),
	};
	bundle_writer_put(s->writer, REC_MAPPING_KIND, &rec);
	return 0;
}

/* Is it what its pid shows in /proc? By now it may have become another program. */
static bool is_current(struct session *s, const struct process *process)
{
	struct wire_target t;

	return attach_is_target(s->attach, (uint32_t)process->pid, &t) &&
	       t.process == process->serial;
}

static void scan_mappings(struct session *s, struct process *process)
{
	void *ctx[2] = { s, process };

	if (is_current(s, process))
		procfs_maps(process->pid, each_mapping, ctx);
}

/* Looks for a Python runtime and tells the kernel side. */
static void find_runtime(struct session *s, struct process *process, uint64_t now)
{
	struct python_runtime *r = &process->runtime;

	python_find(process->pid, s->catalog, r);
	if (r->state == PYTHON_READY && !attach_runtime(s->attach, process->memory, r)) {
		r->state = PYTHON_REFUSED;
		snprintf(r->why, sizeof(r->why), "the kernel side cannot walk this layout");
	}
	if (r->state == PYTHON_READY) {
		process->layout = r->layout;
		process->retry_at = 0;
		deep_process(s->deep, process, false, process->seen);
		return;
	}
	if (r->state == PYTHON_REFUSED) {
		session_unsupported(s, process->serial, r->why, r->version[0] ? r->version : NULL,
				    PYTHON_NOT_SEEN);
		process->retry_at = 0;
		return;
	}
	/* Perhaps it is still starting; later, a new mapping asks for another look. */
	if (now > process->seen + RETRY_NS) {
		process->retry_at = 0;
		return;
	}
	process->retry_step = process->retry_step ? process->retry_step * 2 : RETRY_FIRST_NS;
	if (process->retry_step > RETRY_LAST_NS)
		process->retry_step = RETRY_LAST_NS;
	process->retry_at = now + process->retry_step;
}

static void release(struct processes *p, struct process *process)
{
	struct process *other, *next;
	bool last = true;

	HASH_DEL(p->table, process); /* NOLINT(clang-analyzer-core.NullDereference): uthash's own */
	HASH_ITER(hh, p->table, other, next) {
		if (other->memory == process->memory) {
			last = false;
			break;
		}
	}
	if (last && process->layout)
		attach_runtime_forget(p->s->attach, process->memory);
	free(process->mapped);
	free(process);
}

/* Until now the process's Python code was not seen. */
static void runtime_gap(struct session *s, const struct process *process)
{
	session_gap(s, process->serial, process->seen, clock_monotonic(),
		    "python runtime not attached yet");
}

static struct process *insert(struct processes *p, uint32_t serial, pid_t pid, uint64_t start,
			      uint64_t seen)
{
	struct process *process = processes_find(p, serial);

	if (process)
		return NULL;
	process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	process->serial = serial;
	process->pid = pid;
	process->start = start;
	process->seen = seen;
	process->scan_at = seen + SCAN_NS;
	HASH_ADD(hh, p->table, serial, sizeof(serial), process);
	p->alive++;
	p->total++;
	return process;
}

static int each_socket(void *ctx, uint64_t inode)
{
	return attach_socket_old(ctx, inode);
}

/* Which Unix connections it had before. When the table is full, all that come are taken for such.
 */
static void list_sockets(void *ctx, struct process *process)
{
	struct processes *p = ctx;
	struct procfs_stat st;

	if (procfs_sockets(process->pid, each_socket, p->s->attach) &&
	    !procfs_stat(process->pid, &st))
		p->sockets_unlisted = true;
}

void processes_list_sockets(struct processes *p)
{
	processes_each(p, list_sockets, p);
	attach_sockets_listing(p->s->attach, p->sockets_unlisted);
}

static int add(struct processes *p, pid_t pid, bool child, struct err *err)
{
	struct wire_target t = { 0 }, parent = { 0 };
	struct procfs_stat st;
	struct process *process;
	uint64_t now = clock_monotonic();

	if (attach_is_target(p->s->attach, (uint32_t)pid, NULL) || procfs_stat(pid, &st))
		return 1;
	t.start = st.start;
	t.process = t.image = attach_serial(p->s->attach);
	if (p->s->running)
		attach_sockets_listing(p->s->attach, true);
	if (attach_target(p->s->attach, (uint32_t)pid, &t, err))
		return -1;
	process = insert(p, t.process, pid, st.start, now);
	if (!process)
		return err_set(err, ERR_INTERNAL, "out of memory");
	process->image = session_realtime_of_boot(p->s, st.start);
	process->memory = t.process;
	if (p->s->running) {
		uint64_t began = st.start - p->s->start.boottime + p->s->start.monotonic;

		if (st.start < p->s->start.boottime)
			began = p->s->start.monotonic;
		list_sockets(p, process);
		attach_sockets_listing(p->s->attach, p->sockets_unlisted);
		session_gap(p->s, t.process, began, now, "found while running: not watched before");
	}
	process->child = process->put = child;
	if (child)
		return 0;
	find_runtime(p->s, process, now);
	process_describe(p->s, process,
			 attach_is_target(p->s->attach, (uint32_t)st.parent, &parent)
				 ? parent.process
				 : REC_NULL,
			 ORIGIN_EXISTING);
	process_put_record(p->s, process);
	scan_mappings(p->s, process);
	tls_process(p->s->tls, process, p->s->running ? now : 0);
	return 0;
}

int processes_add(struct processes *p, pid_t pid, struct err *err)
{
	return add(p, pid, false, err);
}

int processes_add_child(struct processes *p, pid_t pid, struct err *err)
{
	return add(p, pid, true, err);
}

/* A process that was forked or has exec'ed. */
static void appeared(struct processes *p, const struct wire_process *e)
{
	struct process *parent = processes_find(p, e->parent);
	struct process *process = insert(p, e->head.process, (pid_t)e->pid, e->start, e->head.time);
	/* Our own child is no process of the service. */
	uint64_t parent_id = parent && parent->child ? REC_NULL : e->parent;
	uint64_t now = clock_monotonic();

	if (!process)
		return;
	process->image = p->s->start.realtime - p->s->start.monotonic + e->head.time;
	process->memory = e->head.process;
	if (e->head.type == WIRE_FORK) {
		if (parent) {
			/* The image, its addresses and what may have been loaded are the parent's.
			 */
			process_inherit(process, parent);
			if (process->layout && is_current(p->s, process))
				deep_process(p->s->deep, process, true, e->head.time);
			else if (process->layout)
				deep_process_missed(p->s->deep, process, e->head.time);
			tls_process_forked(p->s->tls, process, e->parent, e->head.time);
		} else {
			process_describe(p->s, process, e->parent, ORIGIN_FORK);
		}
		process_put_record(p->s, process);
		return;
	}
	if (parent && !parent->ended) {
		/*
		 * What was read after this exec was not the old program's. The kernel shows the
		 * new one some time before it tells of the exec: files are mapped in between.
		 */
		if (parent->described + EXEC_NS > e->head.time)
			process_describe_unknown(parent, parent->rec.parent);
		process_put_record(p->s, parent);
		parent->ended = true;
		parent->ended_at = e->head.time;
		p->alive--;
		deep_process_ended(p->s->deep, parent->serial);
		tls_process_ended(p->s->tls, parent->serial);
	}
	if (!is_current(p->s, process)) {
		process_describe_unknown(process, parent_id);
		return;
	}
	/* At once: it may soon become another program. */
	process_describe(p->s, process, parent_id, ORIGIN_EXEC);
	find_runtime(p->s, process, now);
	if (process->runtime.state == PYTHON_READY)
		runtime_gap(p->s, process);
	scan_mappings(p->s, process);
	tls_process(p->s->tls, process, e->head.time);
}

/* What it moved by io_uring was not seen: it is said how often. */
static void put_io_uring(struct processes *p, const struct process *process, uint64_t until)
{
	uint64_t count = attach_io_urings(p->s->attach, process->serial);
	char what[64];

	if (!count)
		return;
	snprintf(what, sizeof(what), "io_uring: %llu transfers not seen",
		 (unsigned long long)count);
	session_gap(p->s, process->serial, process->seen, until, what);
}

static void ended(struct processes *p, const struct wire_process *e)
{
	struct process *process = processes_find(p, e->head.process);
	struct rec_process_end rec = {
		.id = bundle_writer_id(p->s->writer, REC_PROCESS_END_KIND),
		.process = e->head.process,
		.time = e->head.time,
		.exit_code = e->exit_code,
	};

	bundle_writer_put(p->s->writer, REC_PROCESS_END_KIND, &rec);
	if (process) {
		process_put_record(p->s, process);
		if (process->runtime.state == PYTHON_STARTING && !process->ended)
			runtime_gap(p->s, process);
	}
	if (process && !process->ended) {
		put_io_uring(p, process, e->head.time);
		process->ended = true;
		process->ended_at = e->head.time;
		p->alive--;
		deep_process_ended(p->s->deep, process->serial);
		tls_process_ended(p->s->tls, process->serial);
	}
}

void processes_event(struct processes *p, const struct wire_process *e)
{
	if (e->head.type == WIRE_EXIT)
		ended(p, e);
	else
		appeared(p, e);
}

/* A program may replace its interpreter's evaluator at any time; forks share the image's runtime.
 */
static void check_evaluator(struct processes *p, struct process *process)
{
	struct process *other, *next;

	if (process->runtime.state != PYTHON_READY || !is_current(p->s, process) ||
	    !python_evaluator_replaced(process->pid, &process->runtime))
		return;
	attach_runtime_forget(p->s->attach, process->memory);
	HASH_ITER(hh, p->table, other, next) {
		if (other->memory != process->memory || other->runtime.state != PYTHON_READY)
			continue;
		process_put_record(p->s, other);
		other->runtime.state = PYTHON_REFUSED;
		session_unsupported(p->s, other->serial, PYTHON_EVALUATOR_REPLACED,
				    other->runtime.version, PYTHON_NOT_SEEN);
	}
}

static void look_again(struct processes *p, struct process *process, uint64_t now)
{
	struct session *s = p->s;

	if (process->ended)
		return;
	if (process->retry_at && now >= process->retry_at) {
		find_runtime(s, process, now);
		if (process->runtime.state == PYTHON_READY) {
			runtime_gap(s, process);
			scan_mappings(s, process);
		}
	}
	if (process->runtime.state >= PYTHON_READY || now >= process->seen + RETRY_LAST_NS)
		process_put_record(s, process);
	if (now >= process->scan_at) {
		process->scan_at = now + SCAN_NS;
		if (process->active) {
			scan_mappings(s, process);
			tls_process_look(s->tls, process->serial);
			check_evaluator(p, process);
		}
		process->active = false;
	}
}

void processes_tick(struct processes *p, uint64_t now)
{
	struct process *process, *next;

	HASH_ITER(hh, p->table, process, next) {
		/* Events of the last moments may still come. */
		if (process->ended && now > process->ended_at + KEEP_ENDED_NS) {
			process_put_record(p->s, process);
			release(p, process);
		} else {
			look_again(p, process, now);
		}
	}
}

void processes_finish(struct processes *p)
{
	struct process *process, *next;

	HASH_ITER(hh, p->table, process, next) {
		process_put_record(p->s, process);
		if (process->ended)
			continue;
		scan_mappings(p->s, process);
		put_io_uring(p, process, clock_monotonic());
	}
}

size_t processes_alive(const struct processes *p)
{
	return p->alive;
}

size_t processes_count(const struct processes *p)
{
	return p->total;
}

void processes_each(struct processes *p, void (*each)(void *ctx, struct process *process),
		    void *ctx)
{
	struct process *process, *next;

	HASH_ITER(hh, p->table, process, next)
		if (!process->ended)
			each(ctx, process);
}
