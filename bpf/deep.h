/* What is remembered of threads that hit a tap; deep.bpf.c says how it is used. */
#ifndef DAYLIGHT_BPF_DEEP_H
#define DAYLIGHT_BPF_DEEP_H

#include "shared.h"
#include "pyframes.h"

#define DEEP_SLOTS 256 /* frames of a thread that are remembered; a power of two */
#define DEEP_SEEN 4096 /* (context, function) that are remembered; a power of two */
#define DEEP_WAYS 4 /* places that one of them may take */

struct deep_slot {
	wire_64 frame; /* 0: free */
	wire_64 previous;
	wire_64 flow;
	wire_32 generator; /* its caller may change without a hit */
	wire_32 pad;
};

struct deep_thread {
	wire_32 process, image;
	wire_64 flow, context; /* of the last hit; context 0: find it again */
	struct py_walk walk;
	struct py_frame frame;
	struct wire_code code;
	struct deep_slot slots[DEEP_SLOTS];
	wire_64 seen[DEEP_SEEN];
};

/* Threads that have hit a tap; the collector clears a process's before it attaches its taps. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, wire_32); /* tid */
	__type(value, struct deep_thread);
} deep_threads SEC(".maps");

/* Zeros: a new thread's value is too large for a program's stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, wire_32);
	__type(value, struct deep_thread);
} deep_blank SEC(".maps");

/* The thread's flows work for others now than they did. */
static __always_inline void deep_flows_changed(wire_32 tid)
{
	struct deep_thread *d = bpf_map_lookup_elem(&deep_threads, &tid);

	if (d)
		d->context = 0;
}

/* The thread is no more, or another program. */
static __always_inline void deep_forget(wire_32 tid)
{
	bpf_map_delete_elem(&deep_threads, &tid);
}

#endif
