/* Perf events of the CPU clock, one on each CPU. */
#include "collect/samples.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#define SECOND 1000000000ULL

struct samples {
	int count; /* CPUs */
	struct bpf_link *links[]; /* one for each CPU; NULL where it is off line */
};

static int add(struct samples *s, int cpu, unsigned int hz, struct bpf_program *program,
	       struct err *err)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = SECOND / hz,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0 && errno == ENODEV)
		return 0;
	if (fd < 0)
		return err_errno(err, ERR_MACHINE, "CPU %d cannot be sampled", cpu);
	s->links[cpu] = bpf_program__attach_perf_event(program, fd);
	if (!s->links[cpu]) {
		err_errno(err, ERR_MACHINE, "CPU %d cannot be sampled", cpu);
		close(fd);
		return -1;
	}
	return 0;
}

struct samples *samples_open(struct bpf_program *program, unsigned int hz, struct err *err)
{
	int count = libbpf_num_possible_cpus();
	struct samples *s =
		count > 0 ? calloc(1, sizeof(*s) + (size_t)count * sizeof(s->links[0])) : NULL;

	if (!s) {
		err_set(err, ERR_INTERNAL, "the CPUs cannot be counted, or out of memory");
		return NULL;
	}
	s->count = count;
	for (int cpu = 0; cpu < count; cpu++) {
		if (add(s, cpu, hz, program, err)) {
			samples_close(s);
			return NULL;
		}
	}
	return s;
}

void samples_close(struct samples *s)
{
	if (!s)
		return;
	for (int cpu = 0; cpu < s->count; cpu++)
		bpf_link__destroy(s->links[cpu]);
	free(s);
}
