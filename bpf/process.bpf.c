/* Follows target processes through fork, exec and exit. */

static __always_inline void process_send(wire_32 type, wire_32 process, wire_32 parent, wire_32 pid,
					 wire_64 start, wire_32 exit_code)
{
	struct wire_process e = {
		.head = { .type = type, .process = process, .time = bpf_ktime_get_ns() },
		.parent = parent,
		.pid = pid,
		.start = start,
		.exit_code = exit_code,
	};

	/* The collector has work to do at once: each moment that it waits is one it cannot see. */
	ledger_add(WIRE_STAGE_PROCESS,
		   bpf_ringbuf_output(&events, &e, sizeof(e), BPF_RB_FORCE_WAKEUP)
			   ? WIRE_LOST_RING
			   : WIRE_DELIVERED);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	wire_32 parent_pid = parent->tgid, pid = child->tgid;
	struct wire_target *p, copy;

	if (parent_pid == pid) /* a new thread */
		return 0;
	p = bpf_map_lookup_elem(&targets, &parent_pid);
	if (!p)
		return 0;
	COUNT(PROCESS, ATTEMPTED);
	copy = *p;
	copy.start = child->start_boottime;
	copy.process = __sync_fetch_and_add(&next_process, 1);
	if (bpf_map_update_elem(&targets, &pid, &copy, 0)) {
		COUNT(PROCESS, LOST_MAP);
		return 0;
	}
	process_send(WIRE_FORK, copy.process, p->process, pid, copy.start, 0);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid)
{
	wire_32 pid = task->tgid, tid = task->pid, parent;
	struct wire_target *t = bpf_map_lookup_elem(&targets, &pid);

	if (!t)
		return 0;
	COUNT(PROCESS, ATTEMPTED);
	/* Addresses mean nothing any more; the collector describes the new image. */
	parent = t->process;
	t->process = t->image = __sync_fetch_and_add(&next_process, 1);
	bpf_map_delete_elem(&threads, &tid);
	deep_forget(task);
	process_send(WIRE_EXEC, t->process, parent, pid, t->start, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	wire_32 pid = task->tgid, tid = task->pid;
	struct wire_target *t = bpf_map_lookup_elem(&targets, &pid);

	if (!t)
		return 0;
	struct flow_key plain = { .pid = pid, .thread = tid };

	bpf_map_delete_elem(&flows, &plain);
	bpf_map_delete_elem(&threads, &tid);
	if (task->signal->live.counter)
		return 0;
	COUNT(PROCESS, ATTEMPTED);
	process_send(WIRE_EXIT, t->process, 0, pid, t->start, task->exit_code);
	bpf_map_delete_elem(&targets, &pid);
	return 0;
}
