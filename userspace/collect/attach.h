/*
 * The kernel side as the collector sees it: loads and attaches the programs, sets targets, drains
 * events, reads the ledger. With attach_tls.c the only user of libbpf.
 */
#ifndef DAYLIGHT_COLLECT_ATTACH_H
#define DAYLIGHT_COLLECT_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "catalog/catalog.h"
#include "collect/collect.h"
#include "collect/python.h"
#include "wire.h"

struct attach;

struct attach_options {
	enum collect_boundary boundary;
	unsigned int walk_budget; /* percent of each CPU */
	/* Called for each event, in ring order. */
	void (*event)(void *ctx, const struct wire_head *event, size_t size);
	void *ctx;
	/* Ids that are taken, and all below them: processes, connections, contexts, stacks. */
	uint32_t process, stack;
	uint64_t connection, context;
};

/* Loads; nothing runs yet. Errors: ERR_MACHINE, with what is missing. */
struct attach *attach_open(const struct attach_options *options, const struct catalog *catalog,
			   struct err *err);
void attach_close(struct attach *a);

/* A fresh serial for a process found by user space. */
uint32_t attach_serial(struct attach *a);
/* Makes a process a target, or changes what is known of it. */
int attach_target(struct attach *a, uint32_t pid, const struct wire_target *target,
		  struct err *err);
bool attach_is_target(struct attach *a, uint32_t pid, struct wire_target *out);
/*
 * The memory image with this serial, in all its processes, has a proven runtime: walk it. False
 * when the walk cannot use the layout, or the table is full.
 */
bool attach_runtime(struct attach *a, uint32_t image, const struct python_runtime *found);
/* Where its evaluation function's code lies: samples may be taken elsewhere. */
void attach_runtime_eval(struct attach *a, uint32_t image, uint64_t start, uint64_t end);
void attach_runtime_forget(struct attach *a, uint32_t image);
/* From now on a stack at this site is known. Returns 0 or negative. */
int attach_site(struct attach *a, const struct wire_site_key *key, const struct wire_site *site);
/* Connections to this local address (16 bytes, zeros: any) and port are a target's inbound ones. */
int attach_port(struct attach *a, uint32_t netns, const uint8_t *address, uint16_t port,
		struct err *err);
/*
 * The sockets that a process had open when it became a target. Between the two calls of
 * attach_sockets_listing every Unix connection that is met counts as open before; so it is from the
 * beginning.
 */
void attach_sockets_listing(struct attach *a, bool on);
int attach_socket_old(struct attach *a, uint64_t inode);
/* Looks which Unix connections have ended: their events are in the ring. */
void attach_unix_look(struct attach *a);
/* Transfers of the process by io_uring, so far. */
uint64_t attach_io_urings(struct attach *a, uint32_t process);
/* Forgets flows of closed connections when there are many. */
void attach_sweep(struct attach *a);

/* Attaches all but the system-call trigger, the samples and the taps. */
int attach_start(struct attach *a, struct err *err);
/* Attaches or detaches the system-call trigger. */
int attach_syscalls(struct attach *a, bool on, struct err *err);
/*
 * Attaches the taps to a process, all or none (NULL). The kernel side walks frames by the layout.
 * Give back by attach_uprobes_remove() before attach_close().
 */
struct taps;
struct attach_uprobes;
struct attach_uprobes *attach_taps_add(struct attach *a, pid_t pid, const struct taps *taps,
				       const struct python_layout *layout, struct err *err);
/* May taps be set here? It takes more privilege than the rest. */
int attach_try_taps(struct attach *a, struct err *err);
/* For attach_tls.c. many: they are attached by one link for all places. */
struct bpf_program;
struct attach_tls_programs {
	struct bpf_program *entered, *returned;
	bool many;
};
void attach_tls_programs(const struct attach *a, struct attach_tls_programs *out);
/* A fresh id for a stack that user space makes up. */
uint32_t attach_stack(struct attach *a);

/* Samples all CPUs hz times a second; 0: does nothing. Errors: ERR_MACHINE. */
int attach_samples(struct attach *a, unsigned int hz, struct err *err);

/* Detaches everything; events already in the ring can still be drained. */
void attach_stop(struct attach *a);

/* Waits up to timeout_ms and drains. Returns the number of events, or -1. */
int attach_poll(struct attach *a, int timeout_ms);
/* Drains what is there now. */
int attach_drain(struct attach *a);

bool attach_uses_tracepoints(const struct attach *a);

struct attach_program {
	const char *name;
	uint8_t tag[8];
	uint64_t recursion_misses;
};
size_t attach_programs(struct attach *a, struct attach_program *out, size_t max);

/* Sums over all CPUs: out[stage][cause]. */
int attach_ledger(struct attach *a, uint64_t out[WIRE_STAGE_COUNT][WIRE_CAUSE_COUNT]);

/* True when the running kernel has the named BTF tracepoint ("sock_recv_length"). */
bool attach_has_tracepoint(const char *name);

#endif
