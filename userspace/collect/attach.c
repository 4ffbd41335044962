/* Loads and attaches the programs, sets targets, drains events, reads the ledger. */
#include "collect/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "collect/attach_tls.h"
#include "collect/attach_uprobes.h"
#include "collect/layouts.h"
#include "collect/samples.h"
#include "collect/taps.h"
#include "daylight.skel.h"

struct attach {
	struct daylight_bpf *skel;
	struct ring_buffer *ring;
	struct bpf_link *syscalls;
	struct samples *samples; /* NULL: none */
	struct attach_options options;
	struct layouts layouts;
	bool tracepoints;
	bool many; /* the kernel has links of many uprobes */
	int cpus;
};

/*
 * System calls whose stacks add no knowledge: memory management, clocks, waiting on locks, signal
 * masks. Numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
 */
static const uint16_t skipped_syscalls[] = {
	9,  10,	 11,  12,  25,	28, /* mmap mprotect munmap brk mremap madvise */
	13, 14,	 15, /* rt_sigaction rt_sigprocmask rt_sigreturn */
	24, 35,	 202, 230, 449, /* sched_yield nanosleep futex clock_nanosleep futex_waitv */
	96, 201, 228, 229, /* gettimeofday time clock_gettime clock_getres */
};

/* libbpf's own words, one level below ours; the last warning explains a failed load. */
#define LIBBPF_SHOWN 900 /* bytes of one message: a line of the log has no more */
static char libbpf_last[512];

static int libbpf_message(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *text = NULL;
	size_t len;

	if (vasprintf(&text, fmt, ap) < 0)
		return 0;
	if (level == LIBBPF_WARN && !libbpf_last[0])
		snprintf(libbpf_last, sizeof(libbpf_last), "%.*s", (int)strcspn(text, "\n"), text);
	/* Of the verifier's words the last ones tell. */
	len = strlen(text);
	log_debug("%s", len > LIBBPF_SHOWN ? text + len - LIBBPF_SHOWN : text);
	free(text);
	return 0;
}

static bool kernel_has(const char *type, uint32_t kind)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found;

	if (!btf)
		return false;
	found = btf__find_by_name_kind(btf, type, kind) > 0;
	btf__free(btf);
	return found;
}

bool attach_has_tracepoint(const char *name)
{
	char type[128];

	snprintf(type, sizeof(type), "btf_trace_%s", name);
	return kernel_has(type, BTF_KIND_TYPEDEF);
}

static int ring_event(void *ctx, void *data, size_t size)
{
	struct attach *a = ctx;

	if (size >= sizeof(struct wire_head))
		a->options.event(a->options.ctx, data, size);
	return 0;
}

static void configure(struct attach *a)
{
	struct wire_config *c = &a->skel->rodata->config;

	c->budget_slice_ns = 100000000;
	c->budget_ns = c->budget_slice_ns / 100 * a->options.walk_budget;
	c->pace = 96; /* 1 % of the thread's time */
	c->pace_max_ns = 5000000;
	c->pace_samples = 150; /* two thirds of a percent */
	c->pace_native =
		800 / a->options.walk_budget; /* an eighth of the budget: 0.25 % of a CPU */
	c->pace_wall_ns = 20000000;
	c->wakeup_bytes = 256 * 1024;
	c->snapshots = 1024;
	c->snapshots_python = 4;
	for (size_t i = 0; i < sizeof(skipped_syscalls) / sizeof(skipped_syscalls[0]); i++)
		c->skip_syscalls[skipped_syscalls[i] / 64] |= 1ULL << skipped_syscalls[i] % 64;
}

static int layout_index(struct attach *a, const struct python_layout *p);

static int load(struct attach *a, struct err *err)
{
	libbpf_set_print(libbpf_message);
	libbpf_last[0] = '\0';
	a->skel = daylight_bpf__open();
	if (!a->skel)
		return err_errno(err, ERR_MACHINE, "BPF object cannot be opened");
	a->cpus = libbpf_num_possible_cpus();
	if (a->cpus < 1)
		return err_set(err, ERR_MACHINE, "the number of CPUs cannot be read from /sys");
	configure(a);
	a->skel->data->next_process = a->options.process + 1;
	a->skel->data->next_stack = a->options.stack + 1;
	a->skel->data->next_connection = a->options.connection + 1;
	a->skel->data->next_context = a->options.context + 1;
	bpf_map__set_max_entries(a->skel->maps.chunks, (uint32_t)a->cpus);
	bpf_map__set_max_entries(a->skel->maps.snapshots, (uint32_t)a->cpus);
	bpf_program__set_autoload(a->skel->progs.socket_received, a->tracepoints);
	bpf_program__set_autoload(a->skel->progs.socket_sent, a->tracepoints);
	bpf_program__set_autoload(a->skel->progs.socket_call, !a->tracepoints);
	/* Held in phases only; attached on demand. */
	bpf_program__set_autoattach(a->skel->progs.syscall_entered, false);
	a->many = kernel_has("bpf_uprobe_multi_link", BTF_KIND_STRUCT) && attach_uprobes_many();
	attach_uprobes_prepare(a->skel->progs.function_started, a->many);
	attach_tls_prepare(a->skel->progs.tls_entered, a->skel->progs.tls_returned, a->many);
	if (daylight_bpf__load(a->skel)) {
		if (errno == EPERM || errno == EACCES)
			return err_set(
				err, ERR_MACHINE,
				"the kernel refuses BPF programs (no privilege?): run as root or "
				"with CAP_BPF and CAP_PERFMON; 'daylight doctor' tells more");
		return err_set(
			err, ERR_MACHINE,
			"BPF programs cannot be loaded (%s): 'daylight doctor' tells what is "
			"missing",
			libbpf_last[0] ? libbpf_last : strerror(errno));
	}
	a->ring = ring_buffer__new(bpf_map__fd(a->skel->maps.events), ring_event, a, NULL);
	if (!a->ring)
		return err_errno(err, ERR_MACHINE, "ring buffer cannot be mapped");
	return 0;
}

struct attach *attach_open(const struct attach_options *options, const struct catalog *catalog,
			   struct err *err)
{
	struct attach *a = calloc(1, sizeof(*a));
	bool has = attach_has_tracepoint("sock_recv_length") &&
		   attach_has_tracepoint("sock_send_length");

	if (!a) {
		err_set(err, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	a->options = *options;
	a->tracepoints = options->boundary == BOUNDARY_SYSCALLS ? false : has;
	if (options->boundary == BOUNDARY_TRACEPOINTS && !has) {
		err_set(err, ERR_MACHINE,
			"this kernel has no socket tracepoints (Linux 6.3 and later have them)");
		goto fail;
	}
	if (load(a, err))
		goto fail;
	for (size_t i = 0; i < catalog_python_count(catalog); i++)
		layout_index(a, catalog_python_at(catalog, i));
	return a;
fail:
	attach_close(a);
	return NULL;
}

static void samples_stop(struct attach *a)
{
	samples_close(a->samples);
	a->samples = NULL;
}

void attach_close(struct attach *a)
{
	if (!a)
		return;
	bpf_link__destroy(a->syscalls);
	samples_stop(a);
	ring_buffer__free(a->ring);
	daylight_bpf__destroy(a->skel);
	free(a);
}

uint32_t attach_serial(struct attach *a)
{
	return __atomic_fetch_add(&a->skel->data->next_process, 1, __ATOMIC_RELAXED);
}

int attach_target(struct attach *a, uint32_t pid, const struct wire_target *target, struct err *err)
{
	if (bpf_map__update_elem(a->skel->maps.targets, &pid, sizeof(pid), target, sizeof(*target),
				 BPF_ANY))
		return err_errno(err, ERR_MACHINE, "pid %u cannot be made a target", pid);
	return 0;
}

bool attach_is_target(struct attach *a, uint32_t pid, struct wire_target *out)
{
	struct wire_target t;

	if (bpf_map__lookup_elem(a->skel->maps.targets, &pid, sizeof(pid), &t, sizeof(t), 0))
		return false;
	if (out)
		*out = t;
	return true;
}

/* Index of a layout in the kernel's table, or -1: the walk cannot use it. */
static int layout_index(struct attach *a, const struct python_layout *layout)
{
	size_t known = a->layouts.count;
	int place = layouts_place(&a->layouts, layout);
	uint32_t index = (uint32_t)place;

	if (place >= (int)known &&
	    bpf_map__update_elem(a->skel->maps.layouts, &index, sizeof(index),
				 &a->layouts.at[place], sizeof(a->layouts.at[place]), BPF_ANY)) {
		a->layouts.count = known;
		return -1;
	}
	return place;
}

bool attach_runtime(struct attach *a, uint32_t image, const struct python_runtime *found)
{
	int index = layout_index(a, &found->live);
	struct wire_runtime runtime = {
		.address = found->address,
		.own_from = found->own_from,
		.own_to = found->own_to,
		.layout = (uint32_t)index,
	};

	return index >= 0 && !bpf_map__update_elem(a->skel->maps.runtimes, &image, sizeof(image),
						   &runtime, sizeof(runtime), BPF_ANY);
}

void attach_runtime_eval(struct attach *a, uint32_t image, uint64_t start, uint64_t end)
{
	struct bpf_map *map = a->skel->maps.runtimes;
	struct wire_runtime runtime;

	if (bpf_map__lookup_elem(map, &image, sizeof(image), &runtime, sizeof(runtime), 0))
		return;
	runtime.eval_start = start;
	runtime.eval_end = end;
	bpf_map__update_elem(map, &image, sizeof(image), &runtime, sizeof(runtime), BPF_EXIST);
}

void attach_runtime_forget(struct attach *a, uint32_t image)
{
	bpf_map__delete_elem(a->skel->maps.runtimes, &image, sizeof(image), 0);
}

int attach_site(struct attach *a, const struct wire_site_key *key, const struct wire_site *site)
{
	return bpf_map__update_elem(a->skel->maps.sites, key, sizeof(*key), site, sizeof(*site),
				    BPF_ANY);
}

int attach_port(struct attach *a, uint32_t netns, const uint8_t *address, uint16_t port,
		struct err *err)
{
	struct wire_port key = { .netns = netns, .port = port };
	uint32_t one = 1;

	memcpy(key.address, address, sizeof(key.address));
	if (bpf_map__update_elem(a->skel->maps.ports, &key, sizeof(key), &one, sizeof(one),
				 BPF_ANY))
		return err_errno(err, ERR_MACHINE, "port %u cannot be watched", port);
	return 0;
}

void attach_sockets_listing(struct attach *a, bool on)
{
	__atomic_store_n(&a->skel->data->sockets_listing, on, __ATOMIC_SEQ_CST);
}

int attach_socket_old(struct attach *a, uint64_t inode)
{
	uint32_t one = 1;

	return bpf_map__update_elem(a->skel->maps.old_sockets, &inode, sizeof(inode), &one,
				    sizeof(one), BPF_ANY);
}

void attach_unix_look(struct attach *a)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (bpf_prog_test_run_opts(bpf_program__fd(a->skel->progs.unix_closed), &opts))
		log_debug("Unix connections cannot be looked at: %s", strerror(errno));
}

uint64_t attach_io_urings(struct attach *a, uint32_t process)
{
	uint64_t count = 0;

	if (bpf_map__lookup_elem(a->skel->maps.io_urings, &process, sizeof(process), &count,
				 sizeof(count), 0))
		return 0;
	return count;
}

#define SWEEP_FROM 16384 /* flows */

/*
 * Most flows are forgotten when their connection closes. Those of threads that only helped with one
 * are not; they do no harm but for their room.
 */
void attach_sweep(struct attach *a)
{
	struct {
		uint32_t pid, thread;
		uint64_t flow;
	} key, next, *dead;
	struct {
		uint64_t context, connection, sock;
		uint32_t generation, shared;
	} value;
	struct bpf_map *flows = a->skel->maps.flows;
	uint8_t connection[256];
	size_t seen = 0, count = 0;
	int more;

	if (bpf_map__key_size(flows) != sizeof(key) ||
	    bpf_map__value_size(flows) != sizeof(value) ||
	    bpf_map__value_size(a->skel->maps.connections) > sizeof(connection))
		return;
	dead = malloc(SWEEP_FROM * sizeof(*dead));
	if (!dead)
		return;
	for (more = bpf_map__get_next_key(flows, NULL, &next, sizeof(next)); !more;
	     more = bpf_map__get_next_key(flows, &key, &next, sizeof(next))) {
		uint64_t id = 0;

		key = next;
		seen++;
		if (count == SWEEP_FROM ||
		    bpf_map__lookup_elem(flows, &key, sizeof(key), &value, sizeof(value), 0))
			continue;
		/* The id comes first in a connection's state. */
		if (!bpf_map__lookup_elem(a->skel->maps.connections, &value.sock,
					  sizeof(value.sock), connection,
					  bpf_map__value_size(a->skel->maps.connections), 0))
			memcpy(&id, connection, sizeof(id));
		if (id != value.connection)
			dead[count++] = key;
	}
	for (size_t i = 0; seen > SWEEP_FROM && i < count; i++)
		bpf_map__delete_elem(flows, &dead[i], sizeof(dead[i]), 0);
	free(dead);
}

int attach_start(struct attach *a, struct err *err)
{
	if (daylight_bpf__attach(a->skel))
		return err_errno(err, ERR_MACHINE, "BPF programs cannot be attached");
	return 0;
}

int attach_syscalls(struct attach *a, bool on, struct err *err)
{
	if (on && !a->syscalls) {
		a->syscalls = bpf_program__attach(a->skel->progs.syscall_entered);
		if (!a->syscalls)
			return err_errno(err, ERR_MACHINE,
					 "the system-call trigger cannot be attached");
	} else if (!on && a->syscalls) {
		bpf_link__destroy(a->syscalls);
		a->syscalls = NULL;
	}
	return 0;
}

struct attach_uprobes *attach_taps_add(struct attach *a, pid_t pid, const struct taps *taps,
				       const struct python_layout *layout, struct err *err)
{
	uint64_t offsets[TAPS_MAX], cookies[TAPS_MAX];
	int l = layout_index(a, layout);
	struct attach_uprobes *links;

	if (l < 0) {
		err_set(err, ERR_MACHINE, "the kernel side cannot use these taps");
		errno = ENOTSUP;
		return NULL;
	}
	for (size_t i = 0; i < taps->count; i++) {
		offsets[i] = taps->at[i].offset;
		cookies[i] = WIRE_TAP(taps->at[i].frame_reg, taps->throw_reg, l);
	}
	/* What is remembered of threads is void. */
	__atomic_fetch_add(&a->skel->data->deep_epoch, 1, __ATOMIC_RELAXED);
	links = attach_uprobes_add(a->skel->progs.function_started, a->many, pid, taps->fd, offsets,
				   cookies, taps->count);
	if (!links)
		err_errno(err, ERR_MACHINE, "taps cannot be attached to pid %d", (int)pid);
	return links;
}

int attach_try_taps(struct attach *a, struct err *err)
{
	/* The program's head, which is never executed: nothing changes in memory. */
	const uint64_t head = 0;
	cleanup_close int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct attach_uprobes *uprobes =
		self < 0 ? NULL
			 : attach_uprobes_add(a->skel->progs.function_started, a->many, getpid(),
					      self, &head, NULL, 1);

	if (!uprobes)
		return err_errno(err, ERR_MACHINE, "the kernel refuses uprobes");
	attach_uprobes_remove(uprobes);
	return 0;
}

void attach_tls_programs(const struct attach *a, struct attach_tls_programs *out)
{
	*out = (struct attach_tls_programs){ a->skel->progs.tls_entered,
					     a->skel->progs.tls_returned, a->many };
}

uint32_t attach_stack(struct attach *a)
{
	return __atomic_fetch_add(&a->skel->data->next_stack, 1, __ATOMIC_RELAXED);
}

int attach_samples(struct attach *a, unsigned int hz, struct err *err)
{
	if (hz)
		a->samples = samples_open(a->skel->progs.clock_ticked, hz, err);
	return hz && !a->samples ? -1 : 0;
}

void attach_stop(struct attach *a)
{
	samples_stop(a);
	attach_syscalls(a, false, NULL);
	daylight_bpf__detach(a->skel);
}

int attach_poll(struct attach *a, int timeout_ms)
{
	int n = ring_buffer__poll(a->ring, timeout_ms);

	if (n == -EINTR)
		n = 0;
	/* Wake-ups are rare by design: look for what came without one. */
	return n == 0 ? attach_drain(a) : n;
}

int attach_drain(struct attach *a)
{
	return ring_buffer__consume(a->ring);
}

bool attach_uses_tracepoints(const struct attach *a)
{
	return a->tracepoints;
}

size_t attach_programs(struct attach *a, struct attach_program *out, size_t max)
{
	struct bpf_program *program;
	size_t n = 0;

	bpf_object__for_each_program(program, a->skel->obj)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (n == max || bpf_program__fd(program) < 0 ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
			continue;
		out[n].name = bpf_program__name(program);
		memcpy(out[n].tag, info.tag, sizeof(out[n].tag));
		out[n].recursion_misses = info.recursion_misses;
		n++;
	}
	return n;
}

int attach_ledger(struct attach *a, uint64_t out[WIRE_STAGE_COUNT][WIRE_CAUSE_COUNT])
{
	const size_t one = sizeof(uint64_t) * WIRE_STAGE_COUNT * WIRE_CAUSE_COUNT;
	uint64_t *per_cpu = calloc((size_t)a->cpus, one);
	uint32_t zero = 0;

	memset(out, 0, one);
	if (!per_cpu || bpf_map__lookup_elem(a->skel->maps.ledger, &zero, sizeof(zero), per_cpu,
					     one * (size_t)a->cpus, 0)) {
		free(per_cpu);
		return -1;
	}
	for (int cpu = 0; cpu < a->cpus; cpu++)
		for (size_t i = 0; i < (size_t)WIRE_STAGE_COUNT * WIRE_CAUSE_COUNT; i++)
			out[i / WIRE_CAUSE_COUNT][i % WIRE_CAUSE_COUNT] +=
				per_cpu[(size_t)cpu * WIRE_STAGE_COUNT * WIRE_CAUSE_COUNT + i];
	free(per_cpu);
	return 0;
}
