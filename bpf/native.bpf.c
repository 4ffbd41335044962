/*
 * Native frames. Without frame pointers the kernel side cannot follow them: it sends a copy of the
 * user's stack and registers where a call site is new, and user space unwinds it. For native code
 * alone, user space then tells which words of the stack the result hangs on (struct wire_site):
 * where they are the same again, the stack is known without another copy.
 */

struct snapshot {
	struct wire_snapshot e;
	wire_8 bytes[WIRE_SNAPSHOT_MAX + 4096]; /* one page more for the verifier */
	wire_32 fill;
	wire_32 busy;
	wire_64 slice; /* when it began */
	wire_32 taken, taken_python; /* in this slice */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* one a CPU, set by the collector */
	__type(key, wire_32);
	__type(value, struct snapshot);
} snapshots SEC(".maps");

/* Written by the collector. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct wire_site_key);
	__type(value, struct wire_site);
} sites SEC(".maps");

/* Copies that are under way, by site (variant 0): their answer comes within a fraction of a second.
 */
struct site_asked {
	wire_64 slice; /* when it began */
	wire_32 copies;
	wire_32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct wire_site_key);
	__type(value, struct site_asked);
} sites_asked SEC(".maps");

#define SITE_COPIES 32 /* of a site, in a slice of time */

/* Of which copies were taken. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct python_site);
	__type(value, wire_32);
} python_sites SEC(".maps");

#define SNAPSHOT_PAGES (WIRE_SNAPSHOT_MAX / 4096 + 1)
#define RING_CROWDED (16 << 20) /* bytes that wait: no room for copies */

struct site_job {
	const struct wire_site *site;
	wire_64 sp, bp;
	wire_64 hash;
	wire_32 failed;
	wire_32 pad;
};

static long site_callback(wire_32 i, struct site_job *job)
{
	wire_64 value = 0;
	wire_32 slot;

	if (i >= job->site->count || i >= WIRE_SITE_SLOTS)
		return 1;
	slot = job->site->slots[i];
	if (slot >> WIRE_SLOT_BITS == WIRE_SLOT_BP) {
		value = job->bp - job->sp;
	} else {
		wire_64 at = job->sp + 8 * (slot & ((1 << WIRE_SLOT_BITS) - 1));

		if (bpf_probe_read_user(&value, 8, (const void *)at)) {
			job->failed = 1;
			return 1;
		}
		if (slot >> WIRE_SLOT_BITS == WIRE_SLOT_RELATIVE)
			value -= job->sp;
	}
	job->hash = wire_site_mix(job->hash, value);
	return 0;
}

/* The site that the thread is at; NULL: it is not known. */
static __always_inline const struct wire_site *site_find(wire_32 process, wire_64 ip, wire_64 sp,
							 wire_64 bp, wire_64 top)
{
	struct wire_site_key key = { .ip = ip, .depth = top - sp, .process = process };

	for (wire_32 i = 0; i < WIRE_SITE_VARIANTS; i++) {
		struct site_job job = { .sp = sp, .bp = bp };

		key.variant = i;
		job.site = bpf_map_lookup_elem(&sites, &key);
		if (!job.site)
			return NULL;
		bpf_loop(WIRE_SITE_SLOTS, site_callback, &job, 0);
		if (!job.failed && job.hash == job.site->hash)
			return job.site;
	}
	return NULL;
}

struct copy_stack {
	struct snapshot *snap;
};

static long snapshot_callback(wire_32 i, struct copy_stack *job)
{
	struct snapshot *snap = job->snap;
	wire_64 at = snap->e.sp + snap->fill;
	wire_64 length = 4096 - (at & 4095), fill = snap->fill & (WIRE_SNAPSHOT_MAX - 1);

	if (snap->fill >= snap->e.captured)
		return 1;
	if (length > snap->e.captured - snap->fill)
		length = snap->e.captured - snap->fill;
	BPF_ONE_REGISTER(length);
	if (length > 4096 || bpf_probe_read_user(snap->bytes + fill, length, (const void *)at)) {
		snap->e.captured = snap->fill;
		return 1;
	}
	snap->fill += length;
	return 0;
}

/* May a copy be taken in this slice of time? */
static __always_inline bool snapshot_allowed(struct snapshot *snap, bool python)
{
	wire_64 now = bpf_ktime_get_ns();

	if (now - snap->slice >= config.budget_slice_ns) {
		snap->slice = now;
		snap->taken = snap->taken_python = 0;
	}
	return (python ? snap->taken_python < config.snapshots_python
		       : snap->taken < config.snapshots) &&
	       bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < RING_CROWDED;
}

/* Was this site copied often enough in this slice, so that the answer can be waited for? */
static __always_inline bool site_is_asked(wire_32 process, wire_64 ip, wire_64 depth)
{
	struct wire_site_key key = { .ip = ip, .depth = depth, .process = process };
	struct site_asked *asked = bpf_map_lookup_elem(&sites_asked, &key);
	struct site_asked first = { .slice = bpf_ktime_get_ns(), .copies = 1 };

	if (asked && first.slice - asked->slice < config.budget_slice_ns) {
		if (asked->copies >= SITE_COPIES)
			return true;
		asked->copies++;
		return false;
	}
	bpf_map_update_elem(&sites_asked, &key, &first, 0);
	return false;
}

/* Copies the stack and sends it with the codes that are in s->stack. Returns its id, or 0. */
static __always_inline wire_32 snapshot_send(struct wire_target *t, struct scratch *s,
					     struct snapshot *snap, const struct pt_regs *regs,
					     wire_64 top, wire_32 count)
{
	struct copy_stack job = { snap };
	wire_32 fill;

	if (count)
		snap->taken_python++;
	else
		snap->taken++;
	snap->e.head.type = WIRE_SNAPSHOT;
	snap->e.head.process = t->process;
	snap->e.head.time = bpf_ktime_get_ns();
	snap->e.image = t->image;
	snap->e.count = count;
	snap->e.ip = BPF_CORE_READ(regs, ip);
	snap->e.sp = BPF_CORE_READ(regs, sp);
	snap->e.bp = BPF_CORE_READ(regs, bp);
	snap->e.bx = BPF_CORE_READ(regs, bx);
	snap->e.r12 = BPF_CORE_READ(regs, r12);
	snap->e.r13 = BPF_CORE_READ(regs, r13);
	snap->e.r14 = BPF_CORE_READ(regs, r14);
	snap->e.r15 = BPF_CORE_READ(regs, r15);
	snap->e.depth = top - snap->e.sp;
	snap->e.captured = snap->e.depth < WIRE_SNAPSHOT_MAX ? snap->e.depth : WIRE_SNAPSHOT_MAX;
	snap->fill = 0;
	bpf_loop(SNAPSHOT_PAGES, snapshot_callback, &job, 0);
	fill = snap->fill;
	if (!fill || fill > WIRE_SNAPSHOT_MAX) {
		COUNT(NATIVE, LOST_READ);
		return 0;
	}
	snap->e.captured = fill;
	if (count)
		bpf_probe_read_kernel(snap->e.codes, sizeof(snap->e.codes), s->stack.codes);
	snap->e.stack = __sync_fetch_and_add(&next_stack, 1);
	return event_send(WIRE_STAGE_NATIVE, snap, sizeof(snap->e) + fill) ? 0 : snap->e.stack;
}

static __always_inline struct snapshot *snapshot_take(void)
{
	wire_32 cpu = bpf_get_smp_processor_id();
	struct snapshot *snap = bpf_map_lookup_elem(&snapshots, &cpu);

	if (!snap || snap->busy) {
		COUNT(NATIVE, LOST_BUSY);
		return NULL;
	}
	snap->busy = 1;
	return snap;
}

/* Registers as the thread had them when it entered the kernel; NULL: it was not in 64-bit code. */
static __always_inline struct pt_regs *native_registers(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

	return BPF_CORE_READ(regs, cs) == KERNEL_USER_CS ? regs : NULL;
}

/*
 * The two functions below are global: the verifier looks at each once, not on every way to it. The
 * caller holds the scratch memory.
 */

/*
 * The native stack of a thread that shows no Python frames: the id of a stack that is known, or of
 * one that is sent now; 0: neither.
 */
__noinline int native_walk(void)
{
	wire_32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct pt_regs *regs = native_registers();
	struct wire_target *t = current_target();
	const struct wire_site *site;
	struct snapshot *snap;
	wire_64 sp, top;
	wire_32 id = 0;

	if (!regs || !t || !s)
		return 0;
	sp = BPF_CORE_READ(regs, sp);
	top = stack_top(sp);
	COUNT(NATIVE, ATTEMPTED);
	if (!top) {
		COUNT(NATIVE, SKIP_OTHER_STACK);
		return 0;
	}
	site = site_find(t->process, BPF_CORE_READ(regs, ip), sp, BPF_CORE_READ(regs, bp), top);
	if (site) {
		id = site->stack;
		if (id)
			COUNT(NATIVE, DELIVERED);
		else
			COUNT(NATIVE, SKIP_NO_ROWS);
		return id;
	}
	if (site_is_asked(t->process, BPF_CORE_READ(regs, ip), top - sp)) {
		COUNT(NATIVE, SKIP_PACED);
		return 0;
	}
	snap = snapshot_take();
	if (!snap)
		return 0;
	if (snapshot_allowed(snap, false))
		id = snapshot_send(t, s, snap, regs, top, 0);
	else
		COUNT(NATIVE, LOST_UNWIND);
	snap->busy = 0;
	return id;
}

/* Marks where C code began Python frames. */
static long native_entry_callback(wire_32 i, struct walk_job *job)
{
	wire_32 from = i, entry;

	if (i >= job->s->walk.count)
		return 1;
	/* struct py_frame says where the mark stands. */
	if (job->layout->owner_c_stack >= 0)
		from++;
	entry = from >= job->s->walk.count || job->s->frames[from & (WIRE_FRAMES - 1)].entry;
	if (entry)
		job->s->stack.codes[i & (WIRE_FRAMES - 1)] |= WIRE_CODE_ENTRY;
	return 0;
}

/*
 * After a walk that found Python frames: the id of their stack with native frames between them,
 * when it is sent now, else 0. Policy: once for each innermost function and address.
 */
__noinline int native_python(void)
{
	wire_32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct pt_regs *regs = native_registers();
	struct wire_target *t = current_target();
	struct walk_job job = { .s = s };
	struct wire_runtime *runtime;
	struct python_site *key;
	struct snapshot *snap;
	wire_32 id = 0;
	wire_64 top;

	if (!regs || !t || !s)
		return 0;
	job.process = t->process;
	job.image = t->image;
	COUNT(NATIVE, ATTEMPTED);
	key = &s->python_site;
	key->code = py_mix(s->frames[0].code, s->frames[0].fingerprint);
	key->ip = BPF_CORE_READ(regs, ip);
	key->image = t->image;
	if (bpf_map_lookup_elem(&python_sites, key)) {
		COUNT(NATIVE, SKIP_REPEAT);
		return 0;
	}
	runtime = bpf_map_lookup_elem(&runtimes, &job.image);
	if (runtime)
		job.layout = bpf_map_lookup_elem(&layouts, &runtime->layout);
	top = stack_top(BPF_CORE_READ(regs, sp));
	if (!runtime || !job.layout || !top) {
		COUNT(NATIVE, SKIP_OTHER_STACK);
		return 0;
	}
	snap = snapshot_take();
	if (!snap)
		return 0;
	s->copying = bpf_ktime_get_ns();
	if (!snapshot_allowed(snap, true) ||
	    !budget_left(s, bpf_ktime_get_ns(), config.budget_ns / 2)) {
		COUNT(NATIVE, SKIP_PACED);
	} else {
		bpf_loop(WIRE_FRAMES, code_callback, &job, 0);
		bpf_loop(WIRE_FRAMES, native_entry_callback, &job, 0);
		if (job.failed)
			COUNT(NATIVE, LOST_READ);
		else
			id = snapshot_send(t, s, snap, regs, top, s->walk.count);
		if (id)
			bpf_map_update_elem(&python_sites, key, &id, 0);
	}
	snap->busy = 0;
	s->copying = bpf_ktime_get_ns() - s->copying;
	return id;
}
