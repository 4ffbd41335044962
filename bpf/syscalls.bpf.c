/*
 * The system-call trigger: stacks of bound threads at their system calls. Its link is held in
 * phases only; while it is held, every process of the host pays for the tracepoint.
 */

#define SIGNATURE_FRAMES 16

/* What tells a walk from the last ones before it is made: sp and the innermost frames. */
static __always_inline wire_64 walk_signature(const struct wire_layout *l, struct py_search *s,
					      struct thread_state *thread, wire_64 sp)
{
	wire_64 words[3] = {}, hash = py_mix(thread->epoch, sp), frame = 0, code, previous;
	wire_s32 code_at = l->frame_code - l->frame_base,
		 previous_at = l->frame_previous - l->frame_base;

	s->sp = sp;
	s->top = stack_top(sp);
	if (l->strategy == WIRE_THREAD_ID_UNIQUE)
		s->thread_id = thread_pointer();
	if (py_first_frame(l, s, thread->tstate, &frame))
		return 0;
	/* Calls within Python leave sp as it is; who called shows in the frames and their
	 * addresses. */
	for (int i = 0; i < SIGNATURE_FRAMES; i++) {
		if (!frame || py_read(words, sizeof(words), frame + l->frame_base))
			break;
		/* Both are among the first three words (collect/layouts.c). */
		code = code_at ? words[1] : words[0];
		previous = previous_at == 8 ? words[1] : previous_at ? words[2] : words[0];
		hash = py_mix(py_mix(hash, frame), code);
		frame = previous;
	}
	return hash;
}

/*
 * Walks the current thread and sends the sighting; where there are no Python frames, or native ones
 * are wanted with them, of native code. Returns how the walk ended.
 */
static __always_inline int walk_and_send(struct wire_target *t, struct scratch *s,
					 struct thread_state *thread, wire_64 sp, wire_16 source,
					 wire_16 detail, bool *sent)
{
	int result = walk_current(t, thread, sp);
	wire_32 native = 0;
	wire_64 context;

	if (source != WIRE_SOURCE_SAMPLE) {
		if (s->found)
			native = native_python();
		else if (result == WALK_NO_FRAMES)
			s->found = native_walk();
	}
	if (!s->found)
		return result;
	context = context_of(t, thread, s->flow, s->coroutine);
	if (native)
		sighting_send(t->process, context, native, source, detail);
	*sent = !sighting_send(t->process, context, s->found, source, detail);
	return result;
}

/* Its stack adds no knowledge. nr < WIRE_SYSCALLS. */
static __always_inline bool syscall_skipped(long nr)
{
	return config.skip_syscalls[(nr & (WIRE_SYSCALLS - 1)) / 64] & 1ULL << (nr & 63);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_entered, struct pt_regs *regs, long nr)
{
	wire_64 id = bpf_get_current_pid_tgid(), now, sp, signature;
	wire_32 tid = id, pid = id >> 32, zero = 0;
	struct thread_state *thread = bpf_map_lookup_elem(&threads, &tid);
	const struct wire_layout *layout = NULL;
	struct wire_runtime *runtime;
	struct wire_target *t;
	struct scratch *s;
	bool due, sent = false;

	if (!thread || !thread->bound || regs->cs != KERNEL_USER_CS)
		return 0;
	due = walk_due(thread);
	/* Most end here, after one look-up: threads that were walked lately. */
	if (!due && thread->walked && (wire_64)nr < WIRE_SYSCALLS && !syscall_skipped(nr)) {
		COUNT(WALK, ATTEMPTED);
		COUNT(WALK, SKIP_PACED);
		return 0;
	}
	COUNT(WALK, ATTEMPTED);
	if ((wire_64)nr >= WIRE_SYSCALLS || syscall_skipped(nr)) {
		COUNT(WALK, SKIP_POLICY);
		return 0;
	}
	s = bpf_map_lookup_elem(&scratches, &zero);
	if (!s) {
		COUNT(WALK, LOST_MAP);
		return 0;
	}
	/* A quarter of the budget is left to the walks that cannot be left away. */
	now = bpf_ktime_get_ns();
	if (!due || !budget_left(s, now, config.budget_ns / 4 * 3)) {
		COUNT(WALK, SKIP_PACED);
		return 0;
	}
	t = bpf_map_lookup_elem(&targets, &pid);
	if (!t) {
		COUNT(WALK, SKIP_POLICY); /* a target no more */
		return 0;
	}
	runtime = bpf_map_lookup_elem(&runtimes, &t->image);
	if (runtime)
		layout = bpf_map_lookup_elem(&layouts, &runtime->layout);
	if (runtime && !layout) {
		COUNT(WALK, LOST_MAP);
		return 0;
	}
	if (s->busy) {
		COUNT(WALK, LOST_BUSY);
		return 0;
	}
	s->busy = 1;
	sp = BPF_CORE_READ(regs, sp);
	/* Without a runtime walk_current() finds no frames: native code alone. */
	signature = layout ? walk_signature(layout, &s->search, thread, sp) : 0;
	if (signature && thread->seen[signature & 31] == signature) {
		COUNT(WALK, SKIP_REPEAT);
	} else {
		walk_book(walk_and_send(t, s, thread, sp, WIRE_SOURCE_SYSCALL, nr, &sent));
		if (sent)
			thread->seen[signature & 31] = signature;
	}
	thread->walked = 1;
	walk_spent(s, thread, now);
	s->busy = 0;
	return 0;
}
