/*
 * What crosses between the kernel side and the collector: events, map values, the ledger. The only
 * header that both include. Widths are fixed, padding is explicit, sizes are asserted. Wire
 * structs are not disk records; userspace/collect turns one into the other.
 */
#ifndef DAYLIGHT_BPF_WIRE_H
#define DAYLIGHT_BPF_WIRE_H

#ifdef __BPF__
typedef unsigned char wire_8;
typedef unsigned short wire_16;
typedef unsigned int wire_32;
typedef unsigned long long wire_64;
typedef int wire_s32;
#else
#include <stdint.h>
typedef uint8_t wire_8;
typedef uint16_t wire_16;
typedef uint32_t wire_32;
typedef uint64_t wire_64;
typedef int32_t wire_s32;
#endif

#define WIRE_CAPTURE 16384 /* bytes kept of one chunk of socket data; a power of two */
#define WIRE_CAPTURE_HEAD 131072 /* the same where framing may need them; a power of two */
#define WIRE_FRAMES 256 /* frames of one stack; a power of two */
#define WIRE_HOP_START 8 /* bytes that a protocol's header is known by */
#define WIRE_PIECES 4 /* events of one transfer, where a protocol has frames all along */
#define WIRE_IOVS 256 /* parts of one vectored read or write that are looked at */
#define WIRE_FILENAME 1024
#define WIRE_QUALNAME 512
#define WIRE_NAME 256
#define WIRE_LAYOUTS 16
#define WIRE_SYSCALLS 512 /* system calls above are never walked */
#define WIRE_SNAPSHOT_MAX 65536 /* bytes kept of a user stack; a power of two */
#define WIRE_SITE_SLOTS 120
#define WIRE_SITE_VARIANTS 8 /* sites that share ip and depth */

/* ---- events ---- */

enum wire_type {
	WIRE_FORK = 1,
	WIRE_EXEC,
	WIRE_EXIT,
	WIRE_LISTEN,
	WIRE_CONNECTION,
	WIRE_STATE,
	WIRE_DATA,
	WIRE_CONTEXT,
	WIRE_CODE,
	WIRE_STACK,
	WIRE_SIGHTING,
	WIRE_ENTRY,
	WIRE_SNAPSHOT,
	WIRE_HOP,
};

/* Every event starts with this. time: CLOCK_MONOTONIC ns. */
struct wire_head {
	wire_32 type;
	wire_32 process; /* serial of the process it is about; 0: none */
	wire_64 time;
};

/* FORK: `process` is the child. EXEC: `process` is the new image's serial, parent the old one's. */
struct wire_process {
	struct wire_head head;
	wire_32 parent; /* serial */
	wire_32 pid;
	wire_64 start; /* boot-time ns */
	wire_32 exit_code; /* EXIT: as wait(2) gives it */
	wire_32 pad;
};

/*
 * Addresses in network order; IPv4 in the first four bytes. Unix: each side's inode number in its
 * first eight, 0 when it has none.
 */
struct wire_address {
	wire_8 local[16];
	wire_8 remote[16];
	wire_16 local_port; /* host order */
	wire_16 remote_port; /* host order */
	wire_16 family; /* AF_INET, AF_INET6, AF_UNIX */
	wire_16 pad;
	wire_32 netns; /* inode of the network namespace */
};

/* process 0: no target, but the port is one that a target listens, or listened, on. */
struct wire_listen {
	struct wire_head head;
	struct wire_address address;
	wire_32 pad;
};

enum wire_direction { WIRE_IN, WIRE_OUT };

#define WIRE_UNIX_PATH 108

/* A connection was met. process is 0 while no target has touched it. */
struct wire_connection {
	struct wire_head head;
	wire_64 connection;
	wire_64 identity; /* socket cookie, or inode number with the other source */
	struct wire_address address;
	wire_8 direction;
	wire_8 joined; /* was open before */
	wire_16 path_len; /* Unix: of the name that the server bound */
	wire_8 path[WIRE_UNIX_PATH]; /* abstract ones begin with a 0 */
	wire_32 pad;
};

/*
 * A TCP state change of a known connection (include/net/tcp_states.h); a Unix connection's ends are
 * told in the same words.
 */
struct wire_state {
	struct wire_head head;
	wire_64 connection;
	wire_16 from;
	wire_16 to;
	wire_16 closed_here; /* this side had closed or shut down; else the network ended it */
	wire_16 error; /* that the socket had by then (errno), 0: none */
};

/*
 * TLS: plaintext of a TLS library, with stream offsets of its own; the connection's other bytes are
 * ciphertext. TLS_JOINED: the session was not seen from its beginning. TLS_ADJACENT: which
 * connection it belongs to is known by the receive before it alone.
 */
enum wire_data_flag {
	WIRE_DATA_SEND = 1,
	WIRE_DATA_UNREADABLE = 2,
	WIRE_DATA_TLS = 4,
	WIRE_DATA_TLS_JOINED = 8,
	WIRE_DATA_TLS_ADJACENT = 16,
};

/*
 * A context begins: from now on this flow works for `connection` (0: outside any). The previous
 * context of the flow, if any, ended.
 */
struct wire_context {
	struct wire_head head;
	wire_64 context;
	wire_64 previous;
	wire_64 flow;
	wire_64 connection;
	wire_32 thread;
	wire_32 generation;
	wire_32 shared; /* an event loop's own flow: whose work it does cannot be told */
	wire_32 coroutine; /* a coroutine's flow: what it works for may show when it sends */
};

/*
 * Bytes on a server-side connection. `captured` bytes follow the struct. A context that begins with
 * them comes with them: the ring costs more than its bytes.
 */
struct wire_data {
	struct wire_head head;
	wire_64 connection;
	wire_64 offset;
	wire_64 context; /* of the flow that moved them, 0: none */
	wire_32 length;
	wire_32 captured;
	wire_32 thread;
	wire_32 flags;
	struct wire_context begins; /* context 0: none */
};

/*
 * A process moved bytes on an outbound connection. context: for whose work, as far as the thread
 * tells; 0: none. The first bytes that are sent on a new connection say which protocol it speaks.
 */
struct wire_hop {
	struct wire_head head;
	wire_64 connection;
	wire_64 context;
	wire_32 length;
	wire_32 send;
	wire_8 start[WIRE_HOP_START]; /* zeros: not those bytes */
};

/*
 * The bytes of a name as they are in memory. Of a unicode object by its kind: 1 is Latin-1 (ASCII
 * among it), 2, 4. WIRE_TEXT_BYTES: a string of bytes in an encoding of its own.
 */
#define WIRE_TEXT_BYTES 0x80
struct wire_text {
	wire_16 bytes;
	wire_8 kind; /* 0: could not be read */
	wire_8 cut;
};

struct wire_code {
	struct wire_head head;
	wire_32 code;
	wire_32 line;
	struct wire_text filename_is, qualname_is, name_is;
	wire_32 pad;
	wire_64 address; /* of the code object, in the process's memory */
	wire_8 filename[WIRE_FILENAME];
	wire_8 qualname[WIRE_QUALNAME];
	wire_8 name[WIRE_NAME];
};

/* Code ids follow: innermost first. */
struct wire_stack {
	struct wire_head head;
	wire_32 stack;
	wire_32 count;
	wire_32 partial;
	wire_32 pad;
	wire_32 codes[WIRE_FRAMES];
};

enum wire_source { WIRE_SOURCE_SYSCALL, WIRE_SOURCE_SOCKET, WIRE_SOURCE_SAMPLE };

struct wire_sighting {
	struct wire_head head;
	wire_64 context;
	wire_32 stack;
	wire_16 source;
	wire_16 detail; /* SYSCALL: its number */
};

/* A function was entered, or went on, in a context: the interpreter's own start of it. */
struct wire_entry {
	struct wire_head head;
	wire_64 context;
	wire_32 code;
	wire_32 pad;
};

#define WIRE_CODE_ENTRY 0x80000000u /* of a code id: C code began this frame */

/*
 * The user's stack and registers, to be unwound. `stack` is an id like that of WIRE_STACK; one
 * sighting of it follows. count: Python frames, innermost first; 0: native code alone. `captured`
 * bytes from sp follow the struct; `depth` is all that lies between sp and the stack's top.
 */
struct wire_snapshot {
	struct wire_head head;
	wire_32 stack;
	wire_32 count;
	wire_64 ip, sp, bp, bx, r12, r13, r14, r15;
	wire_64 depth;
	wire_32 captured;
	wire_32 image;
	wire_32 codes[WIRE_FRAMES];
};

/* ---- taps ---- */

/*
 * The cookie of a tap: registers by number; the one that holds the frame, the one whose lower half
 * is not 0 when an exception is thrown into it (WIRE_REGISTERS: there is none); index of the
 * layout.
 */
#define WIRE_TAP(frame, throw, layout) \
	((wire_64)(frame) | (wire_64)(throw) << 8 | (wire_64)(layout) << 16)
#define WIRE_TAP_FRAME(cookie) (0xff & (cookie))
#define WIRE_TAP_THROW(cookie) ((cookie) >> 8 & 0xff)
#define WIRE_TAP_LAYOUT(cookie) ((cookie) >> 16)

/* ---- TLS libraries ---- */

/* What a tapped function does: enum tls_role of userspace/catalog/tls_library.h, in its order. */
enum wire_tls_role {
	WIRE_TLS_READ,
	WIRE_TLS_WRITE,
	WIRE_TLS_HANDSHAKE,
	WIRE_TLS_INSIDE,
	WIRE_TLS_NEW,
	WIRE_TLS_CLEAR,
	WIRE_TLS_REBIND,
	WIRE_TLS_FREE,
};

/* The cookie of a function's entry: its role and numbers of arguments (0: none). */
#define WIRE_TLS(role, session, buffer, count)                                 \
	((wire_64)(role) | (wire_64)(session) << 8 | (wire_64)(buffer) << 16 | \
	 (wire_64)(count) << 24)
#define WIRE_TLS_ROLE(cookie) (0xff & (cookie))
#define WIRE_TLS_SESSION(cookie) ((cookie) >> 8 & 0xff)
#define WIRE_TLS_BUFFER(cookie) ((cookie) >> 16 & 0xff)
#define WIRE_TLS_COUNT(cookie) ((cookie) >> 24 & 0xff)

/* ---- map values ---- */

/* A place that a native stack was unwound at. */
struct wire_site_key {
	wire_64 ip;
	wire_64 depth; /* of sp, below the stack's top */
	wire_32 process; /* serial */
	wire_32 variant; /* 0, 1, ...: without holes */
};

/*
 * What a stack at a site hangs on: words between sp and the top. A slot is a kind, and which word
 * from sp. When the hash of their values is the same, so is the stack.
 */
enum wire_slot {
	WIRE_SLOT_WORD, /* as it is: a return address */
	WIRE_SLOT_RELATIVE, /* less sp: an address on the stack */
	WIRE_SLOT_BP, /* the register bp, less sp */
};
#define WIRE_SLOT_BITS 13

struct wire_site {
	wire_64 hash;
	wire_32 stack; /* id; 0: this code cannot be unwound */
	wire_32 count;
	wire_16 slots[WIRE_SITE_SLOTS];
};

static inline wire_64 wire_site_mix(wire_64 hash, wire_64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

/* Per process (key: pid). */
struct wire_target {
	wire_64 start; /* boot-time ns */
	wire_32 process; /* serial */
	wire_32 image; /* serial of the process that began this memory image: shared by forks */
};

/* Per image (key: its serial): set once user space has found and proven a runtime in it. */
struct wire_runtime {
	wire_64 address; /* of _PyRuntime, or of the variable that stands for it */
	wire_64 own_from, own_to; /* where the interpreter's file is mapped */
	wire_64 eval_start, eval_end; /* of the evaluation function's code; 0: not known */
	wire_32 layout; /* index into layouts */
	wire_32 pad;
};

/* How a thread's state is found (bpf/pyframes.h). */
enum wire_strategy { WIRE_CFRAME_ON_STACK, WIRE_ENTRY_FRAME_ON_STACK, WIRE_THREAD_ID_UNIQUE };

#define WIRE_FRAME_SPAN 128 /* room for the block of a frame; a power of two */
#define WIRE_CODE_SPAN 256 /* the same of a code object */

/*
 * Offsets that the walk needs (probes/python/); -1: this version has no such field. Of a frame and
 * of a code object one block each is read: from its base, so many bytes.
 */
struct wire_layout {
	wire_16 strategy; /* enum wire_strategy */
	wire_16 frame_bytes, code_bytes;
	wire_16 code_word_whole; /* code_word is a pointer; else its first byte counts */
	wire_s32 runtime_interpreters_head, interp_next, interp_threads_head, tstate_next;
	wire_s32 tstate_frame, tstate_cframe, tstate_thread_id, cframe_current_frame;
	wire_s32 frame_base, frame_code, frame_previous, frame_owner;
	wire_s32 frame_is_entry;
	wire_s32 owner_generator, owner_c_stack; /* values of frame_owner */
	wire_s32 code_base, code_flags, code_firstlineno, code_filename, code_name, code_qualname;
	wire_s32 code_word; /* what tells code at one address apart: first code word, or co_code */
	wire_s32 unicode_length, unicode_hash;
	wire_s32 unicode_state; /* -1: names are strings of bytes */
	wire_s32 unicode_ascii_data, unicode_compact_data;
};

struct wire_port {
	wire_8 address[16]; /* as in wire_address; zeros: any */
	wire_32 netns;
	wire_16 port;
	wire_16 pad;
};

/* A register by its place among the 8-byte words of struct pt_regs (arch/x86/include/asm/ptrace.h).
 */
enum wire_register {
	WIRE_R15,
	WIRE_R14,
	WIRE_R13,
	WIRE_R12,
	WIRE_RBP,
	WIRE_RBX,
	WIRE_R11,
	WIRE_R10,
	WIRE_R9,
	WIRE_R8,
	WIRE_RAX,
	WIRE_RCX,
	WIRE_RDX,
	WIRE_RSI,
	WIRE_RDI,
	WIRE_REGISTERS /* also: none */
};

/* Set before loading (read-only for the programs). */
struct wire_config {
	wire_64 budget_ns; /* time per CPU and slice of budget_slice_ns for all walks, on average */
	wire_64 budget_slice_ns;
	wire_64 pace; /* distance of a thread's walks at system calls, in multiples of their cost */
	wire_64 pace_max_ns; /* longest distance */
	wire_64 pace_samples; /* as pace, of its samples of the CPU clock: a bound on their share */
	wire_64 pace_native; /* what a walk of native code at socket data cost is paid for after so
				many times as long */
	wire_64 pace_wall_ns; /* after so long, CPU time or not */
	wire_64 wakeup_bytes; /* wake the collector when so many bytes wait */
	wire_32 snapshots; /* per CPU and slice: of stacks of native code alone */
	wire_32 snapshots_python; /* the same, of stacks with Python frames */
	wire_64 skip_syscalls[WIRE_SYSCALLS / 64]; /* bit set: its stack adds no knowledge */
};

/* ---- the ledger: per-CPU counters [stage][cause] ---- */

/* clang-format off */
#define WIRE_STAGES(S)                                                                             \
	S(PROCESS, "processes") S(CONNECTION, "connections") S(DATA, "socket-data")                \
	S(CONTEXT, "contexts") S(WALK, "stack-walks") S(CODE, "code-objects") S(STACK, "stacks")   \
	S(SIGHTING, "sightings") S(DEEP, "function-starts") S(SAMPLE, "samples")                   \
	S(NATIVE, "native-stacks") S(HOP, "hops") S(TLS, "tls-data")

/* C(SYMBOL, class, cause): class A attempted, D delivered, S skipped, L lost. */
#define WIRE_CAUSES(C)                                                                             \
	C(ATTEMPTED, A, "") C(DELIVERED, D, "") C(SKIP_PEEK, S, "peek")                            \
	C(SKIP_FAMILY, S, "other-socket") C(SKIP_OUTBOUND, S, "outbound")                               \
	C(SKIP_POLICY, S, "no-knowledge") C(SKIP_REPEAT, S, "repeat") C(SKIP_PACED, S, "paced")    \
	C(SKIP_NO_FRAMES, S, "no-frames") C(SKIP_THROW, S, "exception-thrown-in")                  \
	C(SKIP_UNSTEADY, S, "unsteady") C(LOST_RING, L, "ring-full")                               \
	C(LOST_MAP, L, "map-full") C(LOST_READ, L, "read-failed") C(LOST_PARTIAL, L, "partial")    \
	C(LOST_BUDGET, L, "budget") C(LOST_BUSY, L, "recursion")                                   \
	C(LOST_AMBIGUOUS, L, "ambiguous") C(LOST_UNWIND, L, "unwind")                              \
	C(SKIP_NO_ROWS, S, "no-rows") C(SKIP_OTHER_STACK, S, "other-stack")                        \
	C(SKIP_CIPHERTEXT, S, "ciphertext") C(SKIP_UNTIED, S, "no-connection")                     \
	C(LOST_RETURN, L, "return-not-seen")
/* clang-format on */

#define WIRE_STAGE_VALUE(symbol, name) WIRE_STAGE_##symbol,
enum wire_stage { WIRE_STAGES(WIRE_STAGE_VALUE) WIRE_STAGE_COUNT };
#define WIRE_CAUSE_VALUE(symbol, class, name) WIRE_##symbol,
enum wire_cause { WIRE_CAUSES(WIRE_CAUSE_VALUE) WIRE_CAUSE_COUNT };

#define WIRE_ASSERT(type, size) _Static_assert(sizeof(struct type) == (size), #type)
WIRE_ASSERT(wire_head, 16);
WIRE_ASSERT(wire_process, 40);
WIRE_ASSERT(wire_address, 44);
WIRE_ASSERT(wire_listen, 64);
WIRE_ASSERT(wire_connection, 192);
WIRE_ASSERT(wire_state, 32);
WIRE_ASSERT(wire_data, 120);
WIRE_ASSERT(wire_hop, 48);
WIRE_ASSERT(wire_context, 64);
WIRE_ASSERT(wire_code, 48 + WIRE_FILENAME + WIRE_QUALNAME + WIRE_NAME);
WIRE_ASSERT(wire_stack, 32 + 4 * WIRE_FRAMES);
WIRE_ASSERT(wire_sighting, 32);
WIRE_ASSERT(wire_entry, 32);
WIRE_ASSERT(wire_snapshot, 104 + 4 * WIRE_FRAMES);
WIRE_ASSERT(wire_site_key, 24);
WIRE_ASSERT(wire_site, 256);
WIRE_ASSERT(wire_target, 16);
WIRE_ASSERT(wire_runtime, 48);
WIRE_ASSERT(wire_layout, 116);

#endif
