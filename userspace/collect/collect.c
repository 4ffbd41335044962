/* One collection window, from options to a sealed bundle. */
#include "collect/collect.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "collect/attach.h"
#include "collect/calls.h"
#include "collect/deep.h"
#include "collect/hops.h"
#include "collect/interpositions.h"
#include "collect/listeners.h"
#include "collect/modules.h"
#include "collect/patches.h"
#include "collect/privilege.h"
#include "collect/processes.h"
#include "collect/progress.h"
#include "collect/resumption.h"
#include "collect/session.h"
#include "collect/sightings.h"
#include "collect/spawn.h"
#include "collect/targets.h"
#include "collect/tls.h"
#include "collect/unwind.h"
#include "collect/window.h"

#define SECOND 1000000000ULL
#define POLL_MS 20
#define SETTLE_NS (60 * SECOND)
#define LINGER_NS (SECOND / 4)
#define TARGETS_ENDED "targets-ended"
#define NOBODY "no process of the targets was there"
#define FLUSH_NS (SECOND / 10 * 9) /* so that what was seen is on disk within a second */

static volatile sig_atomic_t stop_signals;

static void on_signal(int sig)
{
	(void)sig;
	stop_signals++;
}

void collect_options_init(struct collect_options *o)
{
	memset(o, 0, sizeof(*o));
	o->status_fd = -1;
	o->syscall_phase = o->syscall_share = COLLECT_AUTO;
	o->samples = 399;
	o->walk_budget = COLLECT_WALK_BUDGET;
	o->deep = 20;
	o->deep_duty = 1;
}

void session_gap(struct session *s, uint64_t process, uint64_t from, uint64_t until,
		 const char *what)
{
	struct rec_gap rec = {
		.id = bundle_writer_id(s->writer, REC_GAP_KIND),
		.process = process,
		.from = from,
		.until = until,
		.what = session_public(s, what),
	};

	bundle_writer_put(s->writer, REC_GAP_KIND, &rec);
}

void session_unsupported(struct session *s, uint64_t process, const char *what, const char *version,
			 const char *so)
{
	struct rec_unsupported rec = {
		.id = bundle_writer_id(s->writer, REC_UNSUPPORTED_KIND),
		.process = process,
		.what = session_public(s, what),
		.version = session_public(s, version),
	};

	log_warn("process %llu: %s%s%s: %s", (unsigned long long)process, what, version ? ": " : "",
		 version ? version : "", so);
	bundle_writer_put(s->writer, REC_UNSUPPORTED_KIND, &rec);
}

/* ---- events ---- */

static void on_event(void *ctx, const struct wire_head *e, size_t size)
{
	static const size_t sizes[] = {
		[WIRE_FORK] = sizeof(struct wire_process),
		[WIRE_EXEC] = sizeof(struct wire_process),
		[WIRE_EXIT] = sizeof(struct wire_process),
		[WIRE_LISTEN] = sizeof(struct wire_listen),
		[WIRE_CONNECTION] = sizeof(struct wire_connection),
		[WIRE_STATE] = sizeof(struct wire_state),
		[WIRE_DATA] = sizeof(struct wire_data),
		[WIRE_CONTEXT] = sizeof(struct wire_context),
		[WIRE_CODE] = sizeof(struct wire_code),
		[WIRE_STACK] = sizeof(struct wire_stack),
		[WIRE_SIGHTING] = sizeof(struct wire_sighting),
		[WIRE_ENTRY] = sizeof(struct wire_entry),
		[WIRE_SNAPSHOT] = sizeof(struct wire_snapshot),
		[WIRE_HOP] = sizeof(struct wire_hop),
	};
	struct session *s = ctx;
	struct process *process;

	if (e->type >= sizeof(sizes) / sizeof(sizes[0]) || !sizes[e->type] ||
	    size < sizes[e->type]) {
		s->decode_errors++;
		return;
	}
	/* The kernel side waits for what was learned: not until the ring is empty, too. */
	unwind_tick(s->unwind);
	switch (e->type) {
	case WIRE_FORK:
	case WIRE_EXEC:
	case WIRE_EXIT:
		processes_event(s->processes, (const struct wire_process *)e);
		break;
	case WIRE_CONNECTION:
		calls_connection(s->calls, (const struct wire_connection *)e);
		break;
	case WIRE_STATE:
		calls_state(s->calls, (const struct wire_state *)e);
		break;
	case WIRE_DATA:
		calls_data(s->calls, (const struct wire_data *)e, size);
		if (((const struct wire_data *)e)->begins.context)
			calls_context(s->calls, &((const struct wire_data *)e)->begins);
		break;
	case WIRE_CONTEXT:
		calls_context(s->calls, (const struct wire_context *)e);
		break;
	case WIRE_CODE:
		process = processes_find(s->processes, e->process);
		if (process)
			modules_code(s->modules, process, (const struct wire_code *)e);
		else
			s->decode_errors++;
		break;
	case WIRE_STACK:
		sightings_stack(s->sightings, (const struct wire_stack *)e);
		break;
	case WIRE_SIGHTING:
		sightings_event(s->sightings, (const struct wire_sighting *)e);
		break;
	case WIRE_ENTRY:
		sightings_entry(s->sightings, (const struct wire_entry *)e);
		break;
	case WIRE_SNAPSHOT:
		unwind_snapshot(s->unwind, processes_find(s->processes, e->process),
				(const struct wire_snapshot *)e, size);
		break;
	case WIRE_HOP:
		calls_hop(s->calls, (const struct wire_hop *)e);
		break;
	case WIRE_LISTEN: /* a target's port is watched already */
		s->search |= !e->process;
		break;
	}
}

/* Runs in the writer's thread. */
static void on_durable(void *ctx, const struct bundle_durable *d)
{
	const struct collect_options *o = ctx;

	if (o->status_fd >= 0)
		dprintf(o->status_fd,
			"{\"event\":\"durable\",\"frame\":%llu,\"offset\":%llu,\"records\":%llu}\n",
			(unsigned long long)d->frame, (unsigned long long)d->offset,
			(unsigned long long)d->records);
}

/* ---- the window ---- */

static int open_parts(struct session *s, struct err *err)
{
	const struct collect_options *o = s->options;
	struct bundle_writer_options writer = {
		.force = o->force,
		.durable = on_durable,
		.ctx = (void *)o,
		.key = o->sign,
	};
	struct attach_options attach = { .boundary = o->boundary,
					 .walk_budget = (unsigned int)o->walk_budget,
					 .event = on_event,
					 .ctx = s };

	if (s->resumption) {
		const uint64_t *ids = resumption_bundle(s->resumption)->ids;

		attach.process = (uint32_t)ids[REC_PROCESS_KIND];
		attach.stack = (uint32_t)ids[REC_STACK_KIND];
		attach.connection = ids[REC_CONNECTION_KIND];
		attach.context = ids[REC_CONTEXT_KIND];
	}
	s->catalog = catalog_load(o->probes, err);
	if (!s->catalog || privilege_check(err) || targets_check(s, err))
		return -1;
	s->attach = attach_open(&attach, s->catalog, err);
	if (!s->attach)
		return -1;
	s->writer = s->resumption
			    ? bundle_writer_resume(resumption_bundle(s->resumption), &writer, err)
			    : bundle_writer_open(o->output, &writer, err);
	if (!s->writer)
		return -1;
	s->modules = modules_new(s, err);
	s->processes = processes_new(s);
	s->sightings = sightings_new(s);
	s->unwind = unwind_new(s);
	s->calls = calls_new(s);
	s->hops = hops_new(s);
	s->deep = deep_new(s);
	s->tls = tls_new(s);
	s->interpositions = interpositions_new(s);
	s->patches = patches_new(s, s->interpositions);
	if (!s->deep || !s->modules || !s->processes || !s->sightings || !s->unwind || !s->calls ||
	    !s->hops || !s->tls || !s->interpositions || !s->patches)
		return err_set(err, ERR_INTERNAL, "out of memory");
	return 0;
}

static void close_parts(struct session *s)
{
	tls_free(s->tls);
	deep_free(s->deep);
	patches_free(s->patches);
	interpositions_free(s->interpositions);
	calls_free(s->calls);
	hops_free(s->hops);
	unwind_free(s->unwind);
	sightings_free(s->sightings);
	processes_free(s->processes);
	modules_free(s->modules);
	attach_close(s->attach);
	catalog_free(s->catalog);
	window_release(s);
	resumption_free(s->resumption);
	free(s->listeners);
}

/* Where function starts can be traced, system calls add little and are looked at for moments. */
static uint64_t syscall_phase(const struct session *s)
{
	if (s->options->syscall_phase != COLLECT_AUTO)
		return s->options->syscall_phase;
	return deep_covers(s->deep) ? 0 : 30 * SECOND;
}

static uint64_t syscall_share(const struct session *s)
{
	if (s->options->syscall_share != COLLECT_AUTO)
		return s->options->syscall_share;
	return deep_covers(s->deep) ? 1 : 10;
}

/* Everything that can be refused happens here, before anything is said to be collected. */
static int begin(struct session *s, struct spawn *spawn, struct err *err)
{
	uint64_t found_at;

	clock_read(&s->start);
	window_begin(s);
	if (s->options->command) {
		if (spawn_prepare(spawn, s->options->command, err) ||
		    processes_add_child(s->processes, spawn->pid, err))
			return err->kind ? -1
					 : err_set(err, ERR_MACHINE,
						   "the command ended before it began");
	}
	if (targets_find(s, err) < 0)
		return -1;
	found_at = clock_monotonic();
	if (attach_start(s->attach, err) || attach_syscalls(s->attach, syscall_phase(s) > 0, err) ||
	    attach_samples(s->attach, (unsigned int)s->options->samples, err))
		return -1;
	/* Who came while nothing was attached yet. */
	if (targets_find(s, err) < 0)
		return -1;
	processes_list_sockets(s->processes);
	log_verbose("attached %llu ms after the targets were found",
		    (unsigned long long)(clock_monotonic() - found_at) / 1000000);
	window_programs(s);
	listeners_survey(s);
	if (privilege_drop(err))
		return -1;
	while (!modules_settle(s->modules, SECOND / 50) && !stop_signals) {
		attach_drain(s->attach);
		if (clock_monotonic() - found_at > SETTLE_NS) {
			log_warn("not all mapped files are identified yet; this goes on while "
				 "collecting");
			break;
		}
	}
	session_gap(s, REC_NULL, s->start.monotonic, clock_monotonic(), "attaching");
	return spawn->pid ? spawn_release(spawn, err) : 0;
}

struct phase {
	bool on;
	uint64_t began;
	uint64_t next; /* switch of the periodic one */
};

/*
 * Holds the system-call trigger during the first phase, then for a share of each second. And while
 * some processes of a service are traced function by function and others are not: these answer
 * first calls, too, which shall not be without a function of their handler.
 */
static void phase_tick(struct session *s, struct phase *p, uint64_t now)
{
	uint64_t share = SECOND / 100 * syscall_share(s);
	struct err err = ERR_INIT;
	bool on = p->on;

	if (now < p->began + syscall_phase(s))
		return;
	if (s->options->syscall_phase == COLLECT_AUTO && deep_waits(s->deep)) {
		on = true;
		p->next = now;
	} else if (now >= p->next) {
		on = !on && share;
		p->next = now + (on ? share : SECOND - share);
	}
	if (on == p->on)
		return;
	if (attach_syscalls(s->attach, on, &err))
		log_warn("%s", err.text);
	p->on = on;
}

/* Is a target alive? The time without any is a gap, said when it is over. */
static bool alive(struct session *s, uint64_t now)
{
	if (!processes_alive(s->processes)) {
		s->absent = true;
		return false;
	}
	if (s->absent)
		session_gap(s, REC_NULL, s->alive_at, now, NOBODY);
	s->absent = false;
	s->alive_at = now;
	return true;
}

/* Runs until something ends the window; returns why. */
static const char *run(struct session *s, struct spawn *spawn)
{
	const struct collect_options *o = s->options;
	uint64_t began = clock_monotonic(), flush = began + FLUSH_NS, search = began + SECOND,
		 lost = 0;
	struct phase phase = { .on = syscall_phase(s) > 0, .began = began };
	bool only_pids = true, command_over = false;

	s->alive_at = began;
	for (size_t i = 0; i < o->targets_count; i++)
		only_pids &=
			o->targets[i].how == COLLECT_PID || o->targets[i].how == COLLECT_COMMAND;
	for (;;) {
		struct err err = ERR_INIT;
		struct clock_triple now;

		if (attach_poll(s->attach, POLL_MS) < 0)
			return "ring-buffer-failed";
		clock_read(&now);
		patches_tick(s->patches, now.monotonic);
		processes_tick(s->processes, now.monotonic);
		modules_tick(s->modules);
		calls_tick(s->calls, now.monotonic);
		deep_tick(s->deep, now.monotonic);
		tls_tick(s->tls, now.monotonic);
		interpositions_tick(s->interpositions, false);
		unwind_tick(s->unwind);
		phase_tick(s, &phase, now.monotonic);
		if (now.monotonic >= flush) {
			flush = now.monotonic + FLUSH_NS;
			sightings_flush(s->sightings);
			hops_flush(s->hops);
			lost = window_ledger(s, false);
			bundle_writer_flush(s->writer);
		}
		progress_tick(s, now.monotonic, lost);
		if (stop_signals)
			return "signal";
		if (o->duration && now.monotonic - began >= o->duration)
			return "duration";
		if (o->until && now.realtime >= o->until)
			return "until";
		if (bundle_writer_failed(s->writer, NULL))
			return "disk-error";
		if (spawn->pid && waitpid(spawn->pid, NULL, WNOHANG) == spawn->pid) {
			spawn->pid = 0;
			command_over = true;
		}
		/* A process closes its connections after it is said to have ended. */
		if (!alive(s, now.monotonic) &&
		    (command_over || (only_pids && !o->until && !o->duration)) &&
		    now.monotonic - s->alive_at > LINGER_NS)
			return TARGETS_ENDED;
		/* A service may come back as other processes. */
		if (!only_pids && (s->search || now.monotonic >= search)) {
			s->search = false;
			search = now.monotonic +
				 (processes_alive(s->processes) ? 10 * SECOND : SECOND / 2);
			if (targets_find(s, &err) < 0)
				log_warn("%s", err.text);
			attach_sweep(s->attach);
		}
	}
}

static uint64_t end(struct session *s, const char *reason)
{
	uint64_t lost;
	bool settled;

	if (s->absent && strcmp(reason, TARGETS_ENDED))
		session_gap(s, REC_NULL, s->alive_at, clock_monotonic(), NOBODY);
	deep_stop(s->deep, clock_monotonic());
	attach_unix_look(s->attach);
	attach_stop(s->attach);
	/* What is left to do can wait for the service. */
	setpriority(PRIO_PROCESS, 0, 5);
	attach_drain(s->attach);
	progress_clear();
	calls_finish(s->calls, clock_monotonic());
	unwind_finish(s->unwind, stop_signals > 1 ? 1 : SETTLE_NS);
	sightings_flush(s->sightings);
	hops_flush(s->hops);
	processes_finish(s->processes);
	listeners_survey(s);
	patches_finish(s->patches, stop_signals <= 1);
	settled = modules_settle(s->modules, stop_signals > 1 ? 1 : SETTLE_NS);
	if (!settled)
		log_warn("not all files could be identified");
	interpositions_tick(s->interpositions, true);
	modules_finish(s->modules, settled && stop_signals <= 1);
	lost = window_ledger(s, true);
	window_end(s, reason);
	return lost;
}

int collect_run(const struct collect_options *options, struct err *err)
{
	struct session s = { .options = options };
	struct sigaction action = { .sa_handler = on_signal };
	struct spawn spawn = { .go = -1, .failed = -1 };
	const char *reason;
	uint64_t lost;
	int result;

	/* Memory of the service passes through here: it must not end in a core file. */
	prctl(PR_SET_DUMPABLE, 0);
	stop_signals = 0;
	if (options->resume) {
		s.resumption = resumption_open(options, err);
		if (!s.resumption)
			return -1;
		s.options = options = resumption_options(s.resumption);
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	if (open_parts(&s, err) || begin(&s, &spawn, err)) {
		spawn_end(&spawn);
		if (s.writer)
			bundle_writer_abandon(s.writer);
		/* Nothing was collected: leave no empty bundle behind. */
		if (s.writer && !s.resumption)
			unlink(options->output);
		close_parts(&s);
		return -1;
	}
	fprintf(stderr, "collecting: %zu processes, into %s\n", processes_alive(s.processes),
		options->output);
	if (options->status_fd >= 0)
		dprintf(options->status_fd, "{\"event\":\"collecting\"}\n");
	s.running = true;
	reason = run(&s, &spawn);
	lost = end(&s, reason);
	spawn_end(&spawn);
	result = bundle_writer_close(s.writer, err);
	s.writer = NULL;
	progress_summary(&s, clock_monotonic() - s.start.monotonic, lost);
	if (options->status_fd >= 0)
		dprintf(options->status_fd,
			"{\"event\":\"stopped\",\"reason\":\"%s\",\"lost\":%llu}\n", reason,
			(unsigned long long)lost);
	close_parts(&s);
	if (result)
		return ERR_INCOMPLETE;
	return lost ? ERR_INCOMPLETE : 0;
}
