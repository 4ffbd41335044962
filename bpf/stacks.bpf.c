/*
 * Walks the Python stack of the current thread, sends what is new about it, and says where it was
 * seen. Everything works in scratch memory of the CPU; no program may sleep in between.
 */

static __always_inline int py_read(void *dst, wire_32 size, wire_64 address)
{
	return bpf_probe_read_user(dst, size, (const void *)address) ? -1 : 0;
}

#include "pyframes.h"
#include "deep.h"

/* A code object whose id was needed lately on this CPU. */
struct code_near {
	wire_64 code;
	wire_64 fingerprint;
	wire_32 image;
	wire_32 id;
};

#define CODES_NEAR 1024 /* a power of two: a service's stacks show some 500 */

/* Direct-mapped by fingerprint, in front of `codes`, whose every look-up leaves the CPU's cache. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CODES_NEAR);
	__type(key, wire_32);
	__type(value, struct code_near);
} codes_near SEC(".maps");

struct scratch {
	wire_32 busy;
	wire_32 pad;
	struct py_search search;
	struct py_walk walk;
	struct py_frame frames[WIRE_FRAMES];
	struct wire_stack stack;
	struct wire_code code;
	wire_64 budget_start, budget_spent; /* time spent on walks in the current slice */
	wire_64 budget_saved; /* what slices before left over */
	wire_64 native_paid; /* until when walks of native code at socket data are paid for */
	struct thread_state new_thread; /* zeros: too large for a program's stack */
	struct transfer transfer;
	struct wire_context begins; /* goes with a chunk of data; context 0: none */
	struct code_key code_key;
	struct stack_key stack_key;
	struct python_site python_site;
	wire_64 began; /* of a walk at socket data */
	/* What walk_current() found. */
	wire_64 flow;
	wire_32 found;
	wire_32 coroutine; /* the flow is a coroutine's */
	wire_64 copying; /* ns of a walk that went into a copy of the stack (native.bpf.c) */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, wire_32);
	__type(value, struct scratch);
} scratches SEC(".maps");

#define STACK_SPAN (8ULL << 20) /* how far above sp the top may be */
#define WALKS_AT_ONCE 4 /* of a context, before pacing begins */

enum walk_result { WALK_FOUND, WALK_NO_FRAMES, WALK_PARTIAL, WALK_OVER_BUDGET, WALK_AMBIGUOUS };

/* Whose code objects are met, and the memory to describe them in. */
struct code_job {
	const struct wire_layout *layout;
	struct py_walk *walk;
	struct wire_code *code;
	struct code_key *key;
	wire_32 process;
	wire_32 image;
	wire_32 booked; /* in: the caller books a failed read */
	wire_32 unread; /* out: a read failed */
};

struct walk_job {
	struct scratch *s;
	const struct wire_layout *layout;
	wire_32 process;
	wire_32 image;
	wire_32 failed;
	wire_32 pad;
};

static long search_callback(wire_32 i, struct walk_job *job)
{
	return py_search_step(job->layout, &job->s->search);
}

static long walk_callback(wire_32 i, struct walk_job *job)
{
	return py_walk_step(job->layout, &job->s->walk, &job->s->frames[i & (WIRE_FRAMES - 1)]);
}

static __always_inline wire_64 thread_pointer(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return BPF_CORE_READ(task, thread.fsbase);
}

/*
 * Top of the C stack that the current thread works on; 0 when it is on neither of the two kinds
 * that are known. A pthread's stack ends below its thread descriptor, to which fs points (glibc);
 * the first thread's ends where the kernel put the arguments.
 */
static __always_inline wire_64 stack_top(wire_64 sp)
{
	struct task_struct *task = bpf_get_current_task_btf();
	wire_64 fs = thread_pointer();
	wire_64 start = BPF_CORE_READ(task, mm, start_stack);

	if (fs > sp && fs - sp < STACK_SPAN)
		return fs;
	if (start > sp && start - sp < STACK_SPAN)
		return start;
	return 0;
}

#define WALK_ELSEWHERE (-1) /* it is not this thread's state */

/* Walks the frames of a thread state into s->frames. */
static __noinline int walk_state(struct walk_job *job, wire_64 tstate)
{
	struct scratch *s = job->s;
	wire_64 frame = 0;

	if (py_first_frame(job->layout, &s->search, tstate, &frame))
		return WALK_ELSEWHERE;
	py_walk_begin(&s->walk, frame);
	bpf_loop(WIRE_FRAMES, walk_callback, job, 0);
	if (!py_walk_ours(job->layout, &s->search, &s->walk))
		return WALK_ELSEWHERE;
	if (s->walk.failed || s->walk.frame)
		return WALK_PARTIAL;
	return s->walk.count ? WALK_FOUND : WALK_NO_FRAMES;
}

/*
 * Where a fork shares memory, another thread's write takes a page away for some microseconds: what
 * could not be read is tried once more.
 */
static __always_inline int walk_patiently(struct walk_job *job, wire_64 tstate)
{
	int result = walk_state(job, tstate);

	return result == WALK_PARTIAL ? walk_state(job, tstate) : result;
}

/* Walks into s->frames. */
static __always_inline int walk_python(struct walk_job *job, struct thread_state *thread,
				       const struct wire_runtime *runtime, wire_64 sp)
{
	struct scratch *s = job->s;
	int result;

	s->walk.own_from = runtime->own_from;
	s->walk.own_to = runtime->own_to;
	s->search.sp = sp;
	s->search.top = stack_top(sp);
	if (job->layout->strategy == WIRE_THREAD_ID_UNIQUE) {
		/* Whether there is but one shows only when all are looked at. */
		s->search.thread_id = thread_pointer();
	} else if (thread && thread->tstate) {
		result = walk_patiently(job, thread->tstate);
		if (result != WALK_ELSEWHERE)
			return result;
	}
	py_search_begin(job->layout, &s->search, runtime->address);
	bpf_loop(PY_SEARCH_STEPS, search_callback, job, 0);
	if (py_search_ambiguous(job->layout, &s->search))
		return WALK_AMBIGUOUS;
	if (!s->search.best)
		return s->search.failed ? WALK_PARTIAL : WALK_NO_FRAMES;
	if (thread)
		thread->tstate = s->search.best;
	result = walk_patiently(job, s->search.best);
	return result == WALK_ELSEWHERE ? WALK_PARTIAL : result;
}

/* Returns 0, or -1 when it could not be read; a text of no known form is left out. */
static __always_inline int read_text(const struct wire_layout *l, wire_64 object, wire_8 *out,
				     wire_32 max, struct wire_text *is)
{
	wire_64 length = 0, data, bytes, left;
	wire_32 state = 0, kind, shown;

	is->bytes = 0;
	is->kind = 0;
	is->cut = 0;
	if (!object)
		return 0;
	if (py_read(&length, 8, object + l->unicode_length))
		return -1;
	data = object + l->unicode_ascii_data;
	if (l->unicode_state < 0) {
		kind = 1;
		shown = WIRE_TEXT_BYTES;
	} else {
		if (py_read(&state, 4, object + l->unicode_state))
			return -1;
		/* PyASCIIObject.state: interned 2 bits, kind 3, compact 1, ascii 1, ready 1. */
		shown = kind = state >> 2 & 7;
		if (!(state & 1 << 5) || (kind != 1 && kind != 2 && kind != 4))
			return 0;
		if (!(state & 1 << 6))
			data = object + l->unicode_compact_data;
	}
	if (length > max / kind) {
		length = max / kind;
		is->cut = 1;
	}
	bytes = length * kind;
	/* Linux 6.1 forgets the bound of what lies on the stack: what is read with is not kept. */
	left = bytes;
	BPF_ONE_REGISTER(left);
	if (left > max)
		return 0;
	if (left && py_read(out, left, data))
		return -1;
	is->bytes = bytes;
	is->kind = shown;
	return 0;
}

/* The id of a frame's code object; sends it when it is new. 0 on failure. */
static __always_inline wire_32 code_id(struct code_job *job, const struct py_frame *frame)
{
	const struct wire_layout *l = job->layout;
	struct code_key *key = job->key;
	wire_32 *known, id;
	struct wire_code *e = job->code;
	struct py_walk *w = job->walk;
	wire_64 again = 0;

	*key = (struct code_key){ frame->code, frame->fingerprint, job->image, 0 };
	known = bpf_map_lookup_elem(&codes, key);
	if (known)
		return *known;
	e->qualname_is.kind = 0;
	/* Reads the object once more: the names must belong to what was walked. */
	if (py_fingerprint(l, w, frame->code, &again) || again != frame->fingerprint ||
	    read_text(l, py_word(l, w, l->code_filename), e->filename, WIRE_FILENAME,
		      &e->filename_is) ||
	    read_text(l, py_word(l, w, l->code_name), e->name, WIRE_NAME, &e->name_is) ||
	    (l->code_qualname >= 0 && read_text(l, py_word(l, w, l->code_qualname), e->qualname,
						WIRE_QUALNAME, &e->qualname_is))) {
		job->unread = 1;
		if (!job->booked) {
			COUNT(CODE, ATTEMPTED);
			COUNT(CODE, LOST_READ);
		}
		return 0;
	}
	COUNT(CODE, ATTEMPTED);
	id = __sync_fetch_and_add(&next_code, 1);
	e->head.type = WIRE_CODE;
	e->head.process = job->process;
	e->head.time = bpf_ktime_get_ns();
	e->code = id;
	e->line = py_number(l, w, l->code_firstlineno);
	e->address = frame->code;
	if (event_send(WIRE_STAGE_CODE, e, sizeof(*e)))
		return 0;
	bpf_map_update_elem(&codes, key, &id, 0);
	return id;
}

/*
 * The id of a code object that this CPU met lately, else 0. This and the next are functions of
 * their own: what they need of the stack does not add to their callers', who have 512 bytes in all.
 */
static __noinline wire_32 near_id(const struct scratch *s, wire_32 i, wire_32 image)
{
	const struct py_frame *frame = &s->frames[i & (WIRE_FRAMES - 1)];
	wire_32 at = frame->fingerprint & (CODES_NEAR - 1);
	struct code_near *near = bpf_map_lookup_elem(&codes_near, &at);

	if (!near || near->code != frame->code || near->fingerprint != frame->fingerprint ||
	    near->image != image)
		return 0;
	return near->id;
}

static __noinline int near_remember(const struct scratch *s, wire_32 i, wire_32 image)
{
	const struct py_frame *frame = &s->frames[i & (WIRE_FRAMES - 1)];
	wire_32 at = frame->fingerprint & (CODES_NEAR - 1);
	struct code_near *near = bpf_map_lookup_elem(&codes_near, &at);

	if (near)
		*near = (struct code_near){ frame->code, frame->fingerprint, image,
					    s->stack.codes[i & (WIRE_FRAMES - 1)] };
	return 0;
}

/* Puts the code of the walk's frame i into s->stack. Returns 1 when there is no more. */
static __always_inline long code_put(wire_32 i, struct walk_job *job)
{
	struct scratch *s = job->s;
	struct code_job code = {
		.layout = job->layout,
		.walk = &s->walk,
		.code = &s->code,
		.key = &s->code_key,
		.process = job->process,
		.image = job->image,
	};
	wire_32 id;

	if (i >= s->walk.count)
		return 1;
	id = near_id(s, i, job->image);
	if (id) {
		s->stack.codes[i & (WIRE_FRAMES - 1)] = id;
		return 0;
	}
	id = code_id(&code, &s->frames[i & (WIRE_FRAMES - 1)]);
	s->stack.codes[i & (WIRE_FRAMES - 1)] = id;
	if (id) {
		near_remember(s, i, job->image);
		return 0;
	}
	job->failed = 1;
	return 1;
}

static long code_callback(wire_32 i, struct walk_job *job)
{
	return code_put(i, job);
}

/* The id of the walked stack when it was sent before, else 0. */
static __always_inline wire_32 stack_known(struct walk_job *job)
{
	struct scratch *s = job->s;
	wire_32 *known;

	s->stack_key = (struct stack_key){ s->walk.hash1, s->walk.hash2, job->image, 0 };
	known = bpf_map_lookup_elem(&stacks, &s->stack_key);
	return known ? *known : 0;
}

/* Sends a stack that stack_known() does not know, and its code objects. Its id, 0 on failure. */
static __always_inline wire_32 stack_new(struct walk_job *job)
{
	struct scratch *s = job->s;
	wire_32 id;

	COUNT(STACK, ATTEMPTED);
	job->failed = 0;
	bpf_loop(WIRE_FRAMES, code_callback, job, 0);
	if (job->failed) {
		COUNT(STACK, LOST_READ);
		return 0;
	}
	id = __sync_fetch_and_add(&next_stack, 1);
	s->stack.head.type = WIRE_STACK;
	s->stack.head.process = job->process;
	s->stack.head.time = bpf_ktime_get_ns();
	s->stack.stack = id;
	s->stack.count = s->walk.count;
	s->stack.partial = 0;
	if (event_send(WIRE_STAGE_STACK, &s->stack, sizeof(s->stack)))
		return 0;
	bpf_map_update_elem(&stacks, &s->stack_key, &id, 0);
	return id;
}

#include "pace.h"
#include "contexts.h"

/*
 * Walks the current thread when its process has a runtime. On WALK_FOUND s->flow is the flow key
 * and s->found the stack's id (0 when it could not be sent). Other results leave both 0: the
 * thread. The caller holds the scratch memory. Not static: the verifier looks at it once, not on
 * each way that leads here and on.
 */
__noinline int walk_current(const struct wire_target *t, struct thread_state *thread, wire_64 sp)
{
	wire_32 zero = 0;
	/* Looked up again: Linux 6.1 takes no key from memory that came as an argument. */
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct walk_job job = { .s = s };
	struct wire_runtime *runtime;
	int result;

	if (!t || !s)
		return WALK_NO_FRAMES;
	job.process = t->process;
	job.image = t->image;
	s->flow = 0;
	s->found = 0;
	s->coroutine = 0;
	s->copying = 0;
	runtime = bpf_map_lookup_elem(&runtimes, &job.image);
	if (!runtime)
		return WALK_NO_FRAMES;
	job.layout = bpf_map_lookup_elem(&layouts, &runtime->layout);
	if (!job.layout)
		return WALK_NO_FRAMES;
	result = walk_python(&job, thread, runtime, sp);
	if (result != WALK_FOUND)
		return result;
	s->coroutine = s->walk.coroutine != 0;
	s->flow = s->coroutine ? s->walk.coroutine : s->walk.outermost;
	if (thread && s->coroutine && !thread->loop) {
		thread->loop = 1;
		loop_found(t, s->walk.outermost);
	}
	/* The walk is over; sending what is new about it may be more than the budget has left. */
	s->found = stack_known(&job);
	if (s->found)
		return result;
	if (!budget_left_or_saved(s, bpf_ktime_get_ns()))
		return WALK_OVER_BUDGET;
	s->found = stack_new(&job);
	return result;
}

/* The context that a flow of the current thread works in now. */
static __always_inline wire_64 context_of(struct wire_target *t, struct thread_state *thread,
					  wire_64 flow, bool coroutine)
{
	wire_64 id = bpf_get_current_pid_tgid();
	struct flow_key key = { .pid = id >> 32, .thread = id, .flow = flow };
	struct flow_state *f = flow_find(&key);

	if (!f && flow && !coroutine) {
		/* No flow of its own: the thread may work for a connection. */
		key.flow = 0;
		f = flow_find(&key);
	}
	if (f)
		return f->context;
	if (coroutine)
		return coroutine_context(&key, t->process);
	return outside_context(thread, id, t->process);
}
