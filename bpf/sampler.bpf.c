/*
 * The CPU clock: stacks of threads that work for a connection, wherever they are just then. A
 * sample that meets the interpreter's own evaluation function is left out: a frame that is half
 * pushed there shows what is long over.
 */

SEC("perf_event")
int clock_ticked(void *ctx)
{
	wire_64 id = bpf_get_current_pid_tgid(), ip, sp, now;
	wire_32 tid = id, pid = id >> 32, zero = 0;
	struct thread_state *thread = bpf_map_lookup_elem(&threads, &tid);
	struct wire_runtime *runtime;
	struct wire_target *t;
	struct pt_regs *regs;
	struct scratch *s;
	bool sent = false;
	int result;

	if (!thread || !thread->bound)
		return 0;
	t = bpf_map_lookup_elem(&targets, &pid);
	runtime = t ? bpf_map_lookup_elem(&runtimes, &t->image) : NULL;
	if (!runtime || !runtime->eval_end)
		return 0;
	COUNT(SAMPLE, ATTEMPTED);
	/* What the thread did before it came into the kernel, or was interrupted. */
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	ip = BPF_CORE_READ(regs, ip);
	sp = BPF_CORE_READ(regs, sp);
	if (BPF_CORE_READ(regs, cs) != KERNEL_USER_CS ||
	    (ip >= runtime->eval_start && ip < runtime->eval_end)) {
		COUNT(SAMPLE, SKIP_UNSTEADY);
		return 0;
	}
	now = bpf_ktime_get_ns();
	s = bpf_map_lookup_elem(&scratches, &zero);
	/* The interrupted program may be one of ours. */
	if (!s || s->busy || !sample_due(thread) || !budget_left(s, now, config.budget_ns)) {
		COUNT(SAMPLE, SKIP_PACED);
		return 0;
	}
	s->busy = 1;
	result = walk_and_send(t, s, thread, sp, WIRE_SOURCE_SAMPLE, 0, &sent);
	if (sent)
		COUNT(SAMPLE, DELIVERED);
	else if (result == WALK_PARTIAL)
		COUNT(SAMPLE, SKIP_UNSTEADY);
	else if (result == WALK_NO_FRAMES)
		COUNT(SAMPLE, SKIP_NO_FRAMES);
	else
		COUNT(SAMPLE, SKIP_PACED);
	sample_spent(s, thread, now);
	s->busy = 0;
	return 0;
}
