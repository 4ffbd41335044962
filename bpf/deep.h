/* What is remembered of threads that hit a tap; deep.bpf.c says how it is used. */
#ifndef DAYLIGHT_BPF_DEEP_H
#define DAYLIGHT_BPF_DEEP_H

#include "shared.h"
#include "pyframes.h"

#define DEEP_SLOTS 256 /* frames of a thread that are remembered; a power of two */
#define DEEP_SEEN 4096 /* (context, function) that are remembered; a power of two */
#define DEEP_WAYS 4 /* places that one of them may take */

struct deep_slot {
	wire_64 frame;
	wire_64 previous;
	wire_64 flow;
	wire_32 epoch; /* 0: free */
	wire_32 generator; /* its caller may change without a hit */
};

struct deep_thread {
	wire_32 process, image; /* 0: new */
	wire_32 attempted, repeated; /* hits that are not booked yet */
	wire_64 flow, context, flows; /* of the last hit, and deep_flows then */
	struct py_walk walk;
	struct py_frame frame;
	struct wire_code code;
	struct code_key code_key;
	struct deep_slot slots[DEEP_SLOTS];
	wire_64 seen[DEEP_SEEN];
};

/* Of each thread that has hit a tap. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct deep_thread);
} deep_threads SEC(".maps");

/* Raised by the collector before it attaches taps: what threads remember of flows is void then. */
wire_32 deep_epoch = 1;
/* Raised when any flow comes to work for something else. */
wire_64 deep_flows = 1;

/* Flows work for others now than they did. */
static __always_inline void deep_flows_changed(void)
{
	__sync_fetch_and_add(&deep_flows, 1);
}

/* The thread is another program now. */
static __always_inline void deep_forget(struct task_struct *task)
{
	bpf_task_storage_delete(&deep_threads, task);
}

#endif
