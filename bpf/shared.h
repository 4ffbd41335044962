/* Maps, configuration, ledger and small helpers of all programs. */
#ifndef DAYLIGHT_BPF_SHARED_H
#define DAYLIGHT_BPF_SHARED_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"

#ifndef BPF_NOEXIST
#define BPF_NOEXIST 1
#endif
#ifndef BPF_LOCAL_STORAGE_GET_F_CREATE
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1
#endif
#ifndef BPF_F_NO_PREALLOC
#define BPF_F_NO_PREALLOC 1
#endif

const volatile struct wire_config config = {};

/* Rising numbers: connections, contexts, processes, code objects, stacks. */
wire_64 next_connection = 1;
wire_64 next_context = 1;
wire_32 next_process = 1;
wire_32 next_code = 1;
wire_32 next_stack = 1;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 32 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, wire_32); /* pid */
	__type(value, struct wire_target);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, wire_32); /* image */
	__type(value, struct wire_runtime);
} runtimes SEC(".maps");

/* A thread that works, or worked, for a connection. */
struct thread_state {
	wire_32 loop; /* it runs coroutines: its own flow is an event loop's */
	wire_32 bound; /* flows of it that work for a connection */
	wire_64 epoch; /* raised by each new context */
	wire_64 next_walk; /* CPU time: not before it, when the walk can be left away */
	wire_64 last_walk; /* time */
	wire_64 next_sample; /* CPU time: its samples so far are paid for by then */
	wire_32 fresh; /* walks that need not wait for it */
	wire_32 walked; /* its process has a runtime */
	wire_64 tstate; /* where its interpreter state was last */
	wire_64 outside; /* context of what it does for no connection; 0: none yet */
	wire_64 seen[32]; /* signatures of recent walks, direct-mapped */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, wire_32); /* tid */
	__type(value, struct thread_state);
} threads SEC(".maps");

struct flow_key {
	wire_32 pid;
	wire_32 thread;
	wire_64 flow;
};

struct flow_state {
	wire_64 context;
	wire_64 connection;
	wire_64 sock;
	wire_32 generation;
	wire_32 shared;
	wire_32 coroutine;
	wire_32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow_state);
} flows SEC(".maps");

struct coroutine_state {
	wire_64 context;
	wire_32 process;
	wire_32 pad;
};

/* Contexts of coroutines that work for no connection as far as can be told yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flow_key);
	__type(value, struct coroutine_state);
} coroutines SEC(".maps");

struct connection_state {
	wire_64 id;
	wire_64 identity; /* cookie or inode number; 0: not known yet */
	wire_64 received, sent;
	struct flow_key first, last; /* the flows that moved data first and last */
	wire_8 direction;
	wire_8 sending; /* the last data went out */
	wire_8 closing;
	wire_8 announced; /* its event was sent */
	wire_32 process; /* whose connect it was */
	wire_32 copied, written; /* TCP: sequence numbers behind the last data */
	wire_32 head_left; /* bytes that may belong to a request's head */
	wire_8 copied_known, written_known;
	wire_8 is_unix;
	wire_8 client_closed; /* Unix: it was told */
	wire_8 framed; /* its protocol has frames all along */
	wire_8 pad[3];
	/* Of TLS (tls.h): the session that is tied to it, and its plaintext so far. */
	wire_64 tls_session, tls_received, tls_sent;
	wire_32 tls; /* enum tls_seen */
	wire_32 tls_pad;
};

/* One transfer on a socket, and where the user's bytes are. */
struct transfer {
	struct wire_target target; /* whose it is */
	wire_64 iov; /* array of iovecs, or 0 */
	wire_64 count;
	wire_64 base, len; /* the only part when iov is 0 */
	wire_64 identity, length, sp;
	wire_8 known, peek, send, is_unix;
	wire_32 tls; /* flags of wire_data: plaintext of a TLS library */
	/* TCP: */
	wire_32 sequence; /* the socket's number behind these bytes */
	wire_8 ktls; /* kernel TLS: it counts other bytes */
	wire_8 ended; /* no more will be received */
	wire_16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, wire_64); /* address of the sock */
	__type(value, struct connection_state);
} connections SEC(".maps");

/* Sockets that targets had open when they became targets (key: inode number). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, wire_64);
	__type(value, wire_32);
} old_sockets SEC(".maps");

/* Not 0 while these are being listed: any connection may be an old one. */
wire_32 sockets_listing = 1;

/* Transfers by io_uring (key: serial of the process): their bytes are not seen. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, wire_32);
	__type(value, wire_64);
} io_urings SEC(".maps");

/* Local ports that targets listen on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct wire_port);
	__type(value, wire_32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WIRE_LAYOUTS);
	__type(key, wire_32);
	__type(value, struct wire_layout);
} layouts SEC(".maps");

struct ledger {
	wire_64 counts[WIRE_STAGE_COUNT * WIRE_CAUSE_COUNT];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, wire_32);
	__type(value, struct ledger);
} ledger SEC(".maps");

static __always_inline void ledger_add_many(wire_32 stage, wire_32 cause, wire_64 count)
{
	wire_32 zero = 0;
	struct ledger *l = bpf_map_lookup_elem(&ledger, &zero);

	if (l)
		l->counts[stage * WIRE_CAUSE_COUNT + cause] += count;
}

static __always_inline void ledger_add(wire_32 stage, wire_32 cause)
{
	ledger_add_many(stage, cause, 1);
}

#define COUNT(stage, cause) ledger_add(WIRE_STAGE_##stage, WIRE_##cause)

/* The ring's position when the collector was woken last. */
wire_64 woken_at;

/*
 * The collector looks at the ring by itself from time to time; it is woken when much waits, and
 * once for that: an interrupt at each event that comes before it runs would cost more than the
 * event.
 */
static __always_inline wire_64 wakeup_flag(void)
{
	wire_64 at;

	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < config.wakeup_bytes)
		return BPF_RB_NO_WAKEUP;
	at = bpf_ringbuf_query(&events, BPF_RB_PROD_POS);
	if (at - woken_at < config.wakeup_bytes)
		return BPF_RB_NO_WAKEUP;
	woken_at = at;
	return BPF_RB_FORCE_WAKEUP;
}

/* Sends a whole event and books it. Returns 0, or negative when the ring was full. */
static __always_inline long event_send(wire_32 stage, void *event, wire_64 size)
{
	long failed = bpf_ringbuf_output(&events, event, size, wakeup_flag());

	ledger_add(stage, failed ? WIRE_LOST_RING : WIRE_DELIVERED);
	return failed;
}

static __always_inline struct wire_target *current_target(void)
{
	wire_32 pid = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&targets, &pid);
}

/* Where Python code called native code (native.bpf.c): innermost frame and ip. */
struct python_site {
	wire_64 code; /* and its fingerprint */
	wire_64 ip;
	wire_64 image;
};

/* A full ring or map gives another id later; an evicted entry is sent again. Nothing is lost. */
struct code_key {
	wire_64 code;
	wire_64 fingerprint;
	wire_32 image;
	wire_32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct code_key);
	__type(value, wire_32);
} codes SEC(".maps");

struct stack_key {
	wire_64 hash1, hash2;
	wire_32 image;
	wire_32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct stack_key);
	__type(value, wire_32);
} stacks SEC(".maps");

#endif
