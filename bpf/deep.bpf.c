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
#define DEEP_BOOK 1024 /* hits of a thread that are booked together */
#define DEEP_TRIES 3 /* of a hit that could not read something */
#define PY_GENERATOR_FLAGS (PY_COROUTINE_FLAGS | 0x20) /* co_flags: it can be thrown into */

static __always_inline struct deep_thread *deep_thread_of(struct task_struct *task)
{
	struct deep_thread *d =
		bpf_task_storage_get(&deep_threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct wire_target *t;

	if (!d) {
		COUNT(DEEP, ATTEMPTED);
		COUNT(DEEP, LOST_MAP);
		return NULL;
	}
	if (!d->process) {
		t = current_target();
		if (!t)
			return NULL;
		d->process = t->process;
		d->image = t->image;
	}
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
	slot->epoch = deep_epoch;
}

/* ---- the flow of a frame ---- */

/* Can an exception be thrown into the frame that was read last? Its code was read, too. */
static __always_inline wire_32 deep_generator(const struct wire_layout *l, const struct py_walk *w)
{
	if (l->frame_owner >= 0)
		return py_frame_owner(l, w) == l->owner_generator;
	return py_number(l, w, l->code_flags) & PY_GENERATOR_FLAGS;
}

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

/* Goes one frame outward. Returns 1 when the flow is found, or cannot be. */
static long deep_search_callback(wire_32 i, struct deep_search *q)
{
	const struct wire_layout *l = q->layout;
	struct deep_thread *d = q->d;
	struct py_walk *w = &d->walk;
	wire_64 previous, frame = q->frame, code = 0;
	struct deep_slot *slot;
	int shows;

	if (!frame) {
		q->flow = q->coroutine ? q->coroutine | DEEP_FLOW_COROUTINE : q->outermost;
		return 1;
	}
	w->frame = frame;
	shows = py_frame_shows(l, w, &code);
	if (shows < 0) {
		q->failed = 1;
		return 1;
	}
	q->frame = previous = py_frame_word(l, w, l->frame_previous);
	if (!shows)
		return 0;
	if (!q->first) {
		q->first = frame;
		q->first_previous = previous;
		q->first_generator = deep_generator(l, w);
	}
	slot = deep_slot(d, frame);
	if (slot->epoch == deep_epoch && slot->frame == frame && slot->previous == previous) {
		q->flow = slot->flow;
		if (!(q->flow & DEEP_FLOW_COROUTINE) && q->coroutine)
			q->flow = q->coroutine | DEEP_FLOW_COROUTINE;
		return 1;
	}
	q->outermost = frame;
	if (py_is_coroutine(l, w))
		q->coroutine = frame;
	return 0;
}

/*
 * The flow that the frame belongs to, 0 when it cannot be told; remembers it. The frame and its
 * code have been read into d->walk, which is used up when the calling frame is not remembered. Not
 * static: verified once, not on each way that leads here and on, which is five sixths of the work.
 */
__noinline wire_64 deep_flow(const struct wire_layout *l, struct deep_thread *d, wire_64 frame)
{
	struct py_walk *w;
	wire_64 previous, flow;
	wire_32 generator;
	int coroutine;
	struct deep_slot *slot;

	if (!l || !d)
		return 0;
	w = &d->walk;
	previous = py_frame_word(l, w, l->frame_previous);
	generator = deep_generator(l, w);
	coroutine = py_is_coroutine(l, w);
	slot = deep_slot(d, previous);
	/*
	 * A generator changes its caller without passing a tap when an exception is thrown into it:
	 * such a frame is looked at again.
	 */
	if (previous && slot->epoch == deep_epoch && slot->frame == previous && !slot->generator) {
		flow = slot->flow;
	} else {
		struct deep_search q = { .layout = l, .d = d, .frame = previous };

		bpf_loop(WIRE_FRAMES, deep_search_callback, &q, 0);
		if (q.failed || (q.frame && !q.flow))
			return 0;
		flow = q.flow;
		if (q.first)
			deep_remember(d, q.first, q.first_previous, flow, q.first_generator);
		/* The search read other frames. */
		w->frame = frame;
		if (py_code_read(l, w, d->frame.code))
			return 0;
	}
	if (coroutine && !(flow & DEEP_FLOW_COROUTINE))
		flow = frame | DEEP_FLOW_COROUTINE;
	if (!flow)
		flow = frame;
	deep_remember(d, frame, previous, flow, generator);
	return flow;
}

/* ---- once only ---- */

/*
 * What tells this function in this context. Of the code object's memory all is looked at but the
 * text of its file's name: that is looked at when it is sent.
 */
static __always_inline int deep_signature(const struct wire_layout *l, struct deep_thread *d,
					  wire_64 *out)
{
	struct py_walk *w = &d->walk;
	wire_64 name = py_word(l, w, l->code_qualname >= 0 ? l->code_qualname : l->code_name);
	wire_64 hash = py_mix(py_mix(d->context, d->frame.code), name);

	hash = py_mix(hash, py_word(l, w, l->code_filename));
	hash = py_mix(hash, py_number(l, w, l->code_firstlineno));
	if (py_text_hash(l, w, name, 0))
		return -1;
	*out = py_mix(hash, w->text_hash);
	return 0;
}

/* Where this is remembered when it was sent. */
static __always_inline wire_64 *deep_set(struct deep_thread *d, wire_64 signature)
{
	return &d->seen[signature & (DEEP_SEEN - 1) & ~(DEEP_WAYS - 1)];
}

static __always_inline bool deep_seen(struct deep_thread *d, wire_64 signature)
{
	const wire_64 *set = deep_set(d, signature);

	for (int i = 0; i < DEEP_WAYS; i++)
		if (set[i] == signature)
			return true;
	return false;
}

/* The oldest of a set makes room: what is forgotten is sent again. */
static __always_inline void deep_sent(struct deep_thread *d, wire_64 signature)
{
	wire_64 *set = deep_set(d, signature);

	for (int i = DEEP_WAYS - 1; i > 0; i--)
		set[i] = set[i - 1];
	set[0] = signature;
}

/* Brings a name in: its object, and both ends of its text. */
static __always_inline void deep_fault_name(const struct wire_layout *l, struct py_walk *w,
					    wire_s32 at)
{
	wire_64 object = py_word(l, w, at), bytes;

	if (!object || bpf_copy_from_user(w->unicode, sizeof(w->unicode),
					  (const void *)(object + l->unicode_length)))
		return;
	bpf_copy_from_user(w->text, sizeof(w->text), (const void *)(object + l->unicode_length));
	bytes = w->unicode[0] < WIRE_FILENAME ? w->unicode[0] : WIRE_FILENAME;
	if (l->unicode_state >= 0)
		bytes *= w->unicode[2] >> 2 & 7;
	bpf_copy_from_user(w->text, sizeof(w->text),
			   (const void *)(object + l->unicode_length + bytes));
}

/*
 * Brings in all that a hit reads: memory that was never touched, or that the kernel is just moving,
 * cannot be read otherwise.
 */
static __always_inline void deep_fault(const struct wire_layout *l, struct deep_thread *d,
				       wire_64 frame)
{
	struct py_walk *w = &d->walk;
	wire_32 bytes = l->frame_bytes;

	if (bytes > WIRE_FRAME_SPAN ||
	    bpf_copy_from_user(w->block, bytes, (const void *)(frame + l->frame_base)))
		return;
	bytes = l->code_bytes;
	if (bytes > WIRE_CODE_SPAN ||
	    bpf_copy_from_user(w->code, bytes,
			       (const void *)(py_frame_word(l, w, l->frame_code) + l->code_base)))
		return;
	deep_fault_name(l, w, l->code_filename);
	deep_fault_name(l, w, l->code_name);
	if (l->code_qualname >= 0)
		deep_fault_name(l, w, l->code_qualname);
}

/* Returns 0, or -1 when something could not be read. */
static __always_inline int deep_send(struct deep_thread *d, const struct wire_layout *l)
{
	struct code_job job = {
		.layout = l,
		.walk = &d->walk,
		.code = &d->code,
		.key = &d->code_key,
		.process = d->process,
		.image = d->image,
		.booked = 1,
	};
	struct wire_entry e = {
		.head = { .type = WIRE_ENTRY, .process = d->process, .time = bpf_ktime_get_ns() },
		.context = d->context,
	};

	d->walk.filename = 0;
	if (py_fingerprint(l, &d->walk, d->frame.code, &d->frame.fingerprint))
		return -1;
	e.code = code_id(&job, &d->frame);
	if (job.unread)
		return -1;
	if (e.code)
		event_send(WIRE_STAGE_DEEP, &e, sizeof(e));
	else
		COUNT(DEEP, LOST_RING);
	return 0;
}

/* ---- the taps ---- */

/* 0 for WIRE_REGISTERS. One load for each register: the verifier refuses a load at an offset that
 * varies. */
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

/* Hits are booked in lots: the ledger costs more than a repeated one does. */
static __always_inline void deep_book(struct deep_thread *d)
{
	ledger_add_many(WIRE_STAGE_DEEP, WIRE_ATTEMPTED, d->attempted);
	ledger_add_many(WIRE_STAGE_DEEP, WIRE_SKIP_REPEAT, d->repeated);
	d->attempted = d->repeated = 0;
}

enum deep_result { DEEP_BOOKED, DEEP_REPEATED, DEEP_UNREAD, DEEP_NO_FLOW };

struct deep_hit {
	const struct wire_layout *layout;
	struct deep_thread *d;
	wire_64 frame;
	wire_32 thrown; /* an exception is thrown into the frame */
	enum deep_result result;
};

/* How it ends; what it sends or skips is booked. */
static __always_inline enum deep_result deep_follow(const struct deep_hit *hit)
{
	const struct wire_layout *l = hit->layout;
	struct deep_thread *d = hit->d;
	struct py_walk *w = &d->walk;
	wire_64 flows = deep_flows, flow, signature = 0;
	struct wire_target *t;

	w->frame = hit->frame;
	if (py_frame_read(l, w))
		return DEEP_UNREAD;
	d->frame.code = py_frame_word(l, w, l->frame_code);
	if (py_code_read(l, w, d->frame.code))
		return DEEP_UNREAD;
	flow = deep_flow(l, d, hit->frame);
	if (!flow)
		return DEEP_NO_FLOW;
	/* It may never have run. */
	if (hit->thrown) {
		COUNT(DEEP, SKIP_THROW);
		return DEEP_BOOKED;
	}
	if (flow != d->flow || flows != d->flows) {
		t = current_target();
		d->flow = flow;
		d->flows = flows;
		d->context = t ? context_of(t, thread_find(bpf_get_current_pid_tgid()),
					    flow & ~1ULL, flow & DEEP_FLOW_COROUTINE)
			       : 0;
	}
	if (deep_signature(l, d, &signature))
		return DEEP_UNREAD;
	if (deep_seen(d, signature))
		return DEEP_REPEATED;
	if (deep_send(d, l))
		return DEEP_UNREAD;
	deep_sent(d, signature);
	return DEEP_BOOKED;
}

/* Returns 1 when the hit need not be tried again. */
static long deep_hit_callback(wire_32 i, struct deep_hit *hit)
{
	if (i)
		deep_fault(hit->layout, hit->d, hit->frame);
	hit->result = deep_follow(hit);
	return hit->result < DEEP_UNREAD;
}

SEC("uprobe.s") /* it may sleep: memory that is not there is brought in */
int function_started(struct pt_regs *regs)
{
	wire_64 cookie = bpf_get_attach_cookie(regs);
	wire_32 layout = WIRE_TAP_LAYOUT(cookie);
	struct deep_hit hit = {
		.layout = bpf_map_lookup_elem(&layouts, &layout),
		.d = deep_thread_of(bpf_get_current_task_btf()),
		.frame = tap_register(regs, WIRE_TAP_FRAME(cookie)),
		.thrown = tap_register(regs, WIRE_TAP_THROW(cookie)),
	};
	struct deep_thread *d = hit.d;

	if (!d || !hit.layout)
		return 0;
	bpf_loop(DEEP_TRIES, deep_hit_callback, &hit, 0);
	d->attempted++;
	d->repeated += hit.result == DEEP_REPEATED;
	if (hit.result == DEEP_UNREAD)
		COUNT(DEEP, LOST_READ);
	else if (hit.result == DEEP_NO_FLOW)
		COUNT(DEEP, LOST_PARTIAL);
	if (d->attempted >= DEEP_BOOK || d->attempted != d->repeated)
		deep_book(d);
	return 0;
}
