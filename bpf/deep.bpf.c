/*
 * Deep: each function that the interpreter starts, while taps are attached. A tap is an instruction
 * that each activation of a Python frame passes, at its start and when a generator goes on
 * (userspace/collect/taps.h). Each function is sent once for a context.
 *
 * A tap is hit tens of thousands of times in a call, so a hit must not walk the stack: what flow a
 * frame belongs to is remembered for each frame of the thread, and taken from the calling frame.
 * That holds since no frame comes to lie at an address without passing a tap.
 */

#define DEEP_FLOW_COROUTINE 1 /* bit of a flow key: it is a coroutine's */
#define PY_OWNED_BY_C 3 /* enum _frameowner of 3.12 and 3.13: no function, C code below it */

static __always_inline struct deep_thread *deep_thread_new(wire_32 tid)
{
	struct wire_target *t = current_target();
	struct deep_thread *blank, *d;
	wire_32 zero = 0;

	blank = bpf_map_lookup_elem(&deep_blank, &zero);
	if (!t || !blank)
		return NULL;
	bpf_map_update_elem(&deep_threads, &tid, blank, BPF_NOEXIST);
	d = bpf_map_lookup_elem(&deep_threads, &tid);
	if (!d) {
		COUNT(DEEP, ATTEMPTED);
		COUNT(DEEP, LOST_MAP);
		return NULL;
	}
	d->process = t->process;
	d->image = t->image;
	return d;
}

static __always_inline struct deep_slot *deep_slot(struct deep_thread *d, wire_64 frame)
{
	wire_64 hash = frame * 0x9e3779b97f4a7c15ULL;

	return &d->slots[hash >> 32 & (DEEP_SLOTS - 1)];
}

static __always_inline void deep_remember(struct deep_thread *d, wire_64 frame, wire_64 previous,
					  wire_64 flow, wire_32 generator)
{
	struct deep_slot *slot = deep_slot(d, frame);

	slot->frame = frame;
	slot->previous = previous;
	slot->flow = flow;
	slot->generator = generator;
}

/* ---- the flow of a frame ---- */

struct deep_search {
	const struct wire_layout *layout;
	struct deep_thread *d;
	wire_64 frame; /* next to look at */
	wire_64 outermost, coroutine;
	wire_64 flow; /* found; 0: not */
	wire_64 first, first_previous; /* the first function's frame */
	wire_32 first_generator;
	wire_32 failed;
};

static __always_inline wire_32 deep_owner(const struct wire_layout *l, const struct py_walk *w)
{
	return l->frame_owner < 0 ? 0 : py_frame_byte(w, l->frame_owner - l->frame_code);
}

/* Goes one frame outward. Returns 1 when the flow is found, or cannot be. */
static long deep_search_callback(wire_32 i, struct deep_search *q)
{
	const struct wire_layout *l = q->layout;
	struct deep_thread *d = q->d;
	wire_64 previous, frame = q->frame;
	struct deep_slot *slot;
	wire_32 owner;

	if (!frame) {
		q->flow = q->coroutine ? q->coroutine | DEEP_FLOW_COROUTINE : q->outermost;
		return 1;
	}
	if (py_frame_read(l, &d->walk, frame)) {
		q->failed = 1;
		return 1;
	}
	q->frame = previous = py_frame_previous(l, &d->walk);
	owner = deep_owner(l, &d->walk);
	if (owner == PY_OWNED_BY_C)
		return 0;
	if (!q->first) {
		q->first = frame;
		q->first_previous = previous;
		q->first_generator = owner == PY_OWNED_BY_GENERATOR;
	}
	slot = deep_slot(d, frame);
	if (slot->frame == frame && slot->previous == previous) {
		q->flow = slot->flow;
		if (!(q->flow & DEEP_FLOW_COROUTINE) && q->coroutine)
			q->flow = q->coroutine | DEEP_FLOW_COROUTINE;
		return 1;
	}
	q->outermost = frame;
	if (py_is_coroutine(l, &d->walk))
		q->coroutine = frame;
	return 0;
}

/*
 * The flow that the frame belongs to, 0 when it cannot be told; remembers it. The frame's words
 * have been read into d->walk.
 */
static __always_inline wire_64 deep_flow(const struct wire_layout *l, struct deep_thread *d,
					 wire_64 frame)
{
	wire_64 previous = py_frame_previous(l, &d->walk), flow;
	wire_32 generator = deep_owner(l, &d->walk) == PY_OWNED_BY_GENERATOR;
	int coroutine = py_is_coroutine(l, &d->walk);
	struct deep_slot *slot = deep_slot(d, previous);

	/*
	 * A generator changes its caller without passing a tap when an exception is thrown into it:
	 * such a frame is looked at again.
	 */
	if (previous && slot->frame == previous && !slot->generator) {
		flow = slot->flow;
	} else {
		struct deep_search q = { .layout = l, .d = d, .frame = previous };

		bpf_loop(WIRE_FRAMES, deep_search_callback, &q, 0);
		if (q.failed || (q.frame && !q.flow))
			return 0;
		flow = q.flow;
		if (q.first)
			deep_remember(d, q.first, q.first_previous, flow, q.first_generator);
	}
	if (coroutine && !(flow & DEEP_FLOW_COROUTINE))
		flow = frame | DEEP_FLOW_COROUTINE;
	if (!flow)
		flow = frame;
	deep_remember(d, frame, previous, flow, generator);
	return flow;
}

/* Was this sent before? The oldest of a set makes room: what is forgotten is sent again. */
static __always_inline bool deep_seen(struct deep_thread *d, wire_64 signature)
{
	wire_64 *set = &d->seen[signature & (DEEP_SEEN - 1) & ~(DEEP_WAYS - 1)];

	for (int i = 0; i < DEEP_WAYS; i++)
		if (set[i] == signature)
			return true;
	for (int i = DEEP_WAYS - 1; i > 0; i--)
		set[i] = set[i - 1];
	set[0] = signature;
	return false;
}

static __always_inline void deep_send(struct deep_thread *d, const struct wire_layout *l)
{
	struct code_job job = { l, &d->walk, &d->code, d->process, d->image };
	struct wire_entry e = {
		.head = { .type = WIRE_ENTRY, .process = d->process, .time = bpf_ktime_get_ns() },
		.context = d->context,
	};

	e.code = code_id(&job, &d->frame);
	if (!e.code)
		COUNT(DEEP, LOST_READ);
	else
		event_send(WIRE_STAGE_DEEP, &e, sizeof(e));
}

/* One load for each register: the verifier refuses a load at an offset that varies. */
static __always_inline wire_64 tap_register(const struct pt_regs *regs, wire_32 number)
{
	wire_64 value = 0;

#define TAP_REGISTER(upper, lower)              \
	case WIRE_##upper:                      \
		value = regs->lower;            \
		asm volatile("" : "+r"(value)); \
		break;
	switch (number) {
		TAP_REGISTER(R15, r15)
		TAP_REGISTER(R14, r14)
		TAP_REGISTER(R13, r13)
		TAP_REGISTER(R12, r12)
		TAP_REGISTER(RBP, bp)
		TAP_REGISTER(RBX, bx)
		TAP_REGISTER(R11, r11)
		TAP_REGISTER(R10, r10)
		TAP_REGISTER(R9, r9)
		TAP_REGISTER(R8, r8)
		TAP_REGISTER(RAX, ax)
		TAP_REGISTER(RCX, cx)
		TAP_REGISTER(RDX, dx)
		TAP_REGISTER(RSI, si)
		TAP_REGISTER(RDI, di)
	}
#undef TAP_REGISTER
	return value;
}

/* Other instructions of the interpreter may share the machine code of a tap. */
static __always_inline bool tap_means_it(wire_64 cookie, wire_64 frame)
{
	wire_64 instr = 0;
	wire_8 opcode = 0;

	if (!WIRE_TAP_INSTR(cookie))
		return true;
	if (py_read(&instr, 8, frame + WIRE_TAP_INSTR(cookie)) || py_read(&opcode, 1, instr))
		return false;
	return opcode == WIRE_TAP_OPCODE(cookie, 0) || opcode == WIRE_TAP_OPCODE(cookie, 1) ||
	       opcode == WIRE_TAP_OPCODE(cookie, 2);
}

SEC("uprobe")
int function_started(struct pt_regs *regs)
{
	wire_64 id = bpf_get_current_pid_tgid(), cookie = bpf_get_attach_cookie(regs), frame, flow,
		signature;
	wire_32 tid = id, pid = id >> 32;
	struct deep_thread *d = bpf_map_lookup_elem(&deep_threads, &tid);
	const struct wire_layout *l;
	wire_32 layout = WIRE_TAP_LAYOUT(cookie);
	struct wire_target *t;

	if (!d && !(d = deep_thread_new(tid)))
		return 0;
	l = bpf_map_lookup_elem(&layouts, &layout);
	if (!l)
		return 0;
	frame = tap_register(regs, WIRE_TAP_FRAME(cookie));
	COUNT(DEEP, ATTEMPTED);
	if (py_frame_read(l, &d->walk, frame)) {
		COUNT(DEEP, LOST_READ);
		return 0;
	}
	if (!tap_means_it(cookie, frame)) {
		COUNT(DEEP, SKIP_OTHER);
		return 0;
	}
	d->frame.code = d->walk.words[0];
	flow = deep_flow(l, d, frame);
	if (!flow) {
		COUNT(DEEP, LOST_PARTIAL);
		return 0;
	}
	/* An exception is thrown into a generator: it may never have run. */
	if (WIRE_TAP_THROW(cookie) && (wire_32)tap_register(regs, WIRE_TAP_THROW(cookie))) {
		COUNT(DEEP, SKIP_THROW);
		return 0;
	}
	if (flow != d->flow || !d->context) {
		t = bpf_map_lookup_elem(&targets, &pid);
		d->flow = flow;
		d->context = t ? context_of(t, thread_find(tid), flow & ~1ULL,
					    flow & DEEP_FLOW_COROUTINE)
			       : 0;
	}
	d->walk.filename = 0;
	if (py_fingerprint(l, &d->walk, d->frame.code, &d->frame.fingerprint)) {
		COUNT(DEEP, LOST_READ);
		return 0;
	}
	signature = py_mix(py_mix(d->context, d->frame.code), d->frame.fingerprint);
	if (deep_seen(d, signature))
		COUNT(DEEP, SKIP_REPEAT);
	else
		deep_send(d, l);
	return 0;
}
