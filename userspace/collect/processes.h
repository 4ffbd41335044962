/*
 * Target processes: found at the start or followed by the kernel side; described once; mapped
 * modules and runtimes found. Records: process, process_end, mapping, unsupported, gap.
 */
#ifndef DAYLIGHT_COLLECT_PROCESSES_H
#define DAYLIGHT_COLLECT_PROCESSES_H

#include <uthash.h>

#include "collect/python.h"
#include "collect/session.h"
#include "wire.h"

#define PROCESS_OPTIONS_MAX 64 /* option names kept of a command line */

struct process {
	uint32_t serial; /* also the record's id */
	uint32_t memory; /* serial of the process that began this memory image */
	pid_t pid;
	uint64_t start; /* boot-time ns */
	uint64_t start_realtime;
	uint64_t mount_ns;
	pid_t root; /* whose /proc/PID/root its files are opened below; 0: the collector's own */
	uint64_t image; /* realtime ns of fork or exec: files older than it were there to be loaded
			 */
	char exe[512];
	char cwd[512];
	const struct service_definition *service;
	const struct python_layout *layout;
	struct python_runtime runtime;
	struct {
		uint64_t module;
	} * mapped; /* modules that have a mapping record */
	size_t mapped_count;
	uint64_t seen; /* monotonic ns */
	uint64_t described; /* monotonic ns when /proc had been read */
	uint64_t retry_at, retry_step; /* looking for a runtime again */
	uint64_t scan_at; /* next look at the mappings */
	struct rec_process rec; /* complete but for its runtime; put once that is known */
	uint64_t options[PROCESS_OPTIONS_MAX];
	bool put; /* the record was put, or there shall be none */
	bool child; /* our own, before it became the command */
	bool active; /* did something since the last look */
	bool worked; /* moved data of a connection */
	bool ended;
	uint64_t ended_at; /* monotonic ns */
	UT_hash_handle hh;
};

struct processes *processes_new(struct session *s);
void processes_free(struct processes *p);

/* A process found by user space becomes a target. Returns 0, or 1 when it is one or has ended. */
int processes_add(struct processes *p, pid_t pid, struct err *err);
/* The same for our own child that waits to become the command: it has nothing to show until then.
 */
int processes_add_child(struct processes *p, pid_t pid, struct err *err);
/* Once everything is attached: which sockets were open before. */
void processes_list_sockets(struct processes *p);
/* Events of the kernel side. */
void processes_event(struct processes *p, const struct wire_process *e);
struct process *processes_find(struct processes *p, uint32_t serial);

/* Looks again for runtimes and mappings where it is time. */
void processes_tick(struct processes *p, uint64_t now);
/* A last look at the mappings of all. */
void processes_finish(struct processes *p);

/* Targets that are alive. */
size_t processes_alive(const struct processes *p);
size_t processes_count(const struct processes *p);
/* Calls back for each live target. */
void processes_each(struct processes *p, void (*each)(void *ctx, struct process *process),
		    void *ctx);

#endif
