/*
 * What a bundle holds: the record kinds, their fields, and the frames they travel in. This is the
 * only header that writer and reader share; docs/bundle-format.md is the normative text.
 *
 * Every kind is described once, below, by a list of fields F(type, name). From the list come the C
 * struct, the schema that encodes and decodes it, and the names that `inspect` prints. The first
 * field of every kind is `id`: unique within its kind in the bundle, from 1, rising.
 *
 * Field types (the C type is uint64_t but for the two lists; REC_NULL stands for "unknown"):
 *   U  unsigned number              T  time: CLOCK_MONOTONIC nanoseconds of the host
 *   B  0 or 1                       W  time: CLOCK_REALTIME nanoseconds
 *   E_ enumeration (E_name, values from 0 as listed in REC_ENUM_*)
 *   S  id of a text string          X  id of a byte string (digest, build id, tag), printed in hex
 *   L  list of numbers              M  list of string ids
 */
#ifndef DAYLIGHT_BUNDLE_FORMAT_H
#define DAYLIGHT_BUNDLE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define BUNDLE_FORMAT 1 /* frozen: docs/bundle-format.md says what may still be added, and how */

#define REC_NULL UINT64_MAX

/* String ids start at 1; 0 is the empty string and needs no entry; REC_NULL is "unknown". */
#define REC_EMPTY 0

/* May this string be shown to anyone (public), or may its owner hide it later (private)? */
enum string_class { STRING_PUBLIC, STRING_PRIVATE };

struct rec_list {
	const uint64_t *items;
	uint32_t count;
};

/*
 * ---- frames; docs/bundle-format.md says what they mean ----
 *
 * Numbers outside zstd frames are little endian and of fixed width. A skippable frame is its magic,
 * the length of its payload (4 bytes each) and the payload. No two of our magics are one bit apart.
 */

#define BUNDLE_ZSTD_MAGIC 0xFD2FB528u
#define BUNDLE_HEADER_MAGIC 0x184D2A51u
#define BUNDLE_STRINGS_MAGIC 0x184D2A52u /* stands before a string frame */
#define BUNDLE_CHAIN_MAGIC 0x184D2A54u
#define BUNDLE_INDEX_MAGIC 0x184D2A57u
#define BUNDLE_SIGNATURE_MAGIC 0x184D2A58u
#define BUNDLE_TIMESTAMP_MAGIC 0x184D2A5Bu
#define BUNDLE_IS_SKIPPABLE(magic) (((magic) & 0xFFFFFFF0u) == 0x184D2A50u)

#define BUNDLE_NAME "DAYLIGHT" /* the first bytes of the header's payload */
#define BUNDLE_HASH 32 /* SHA-256 */
#define BUNDLE_SALT 16
#define BUNDLE_ID 16
#define BUNDLE_SKIPPABLE_HEAD 8 /* magic and length */
#define BUNDLE_HEADER_SIZE 36 /* payload: name, format, compatible, incompatible, bundle id */
#define BUNDLE_STRINGS_SIZE 20 /* payload: length and digest of the string frame behind it */
#define BUNDLE_STRINGS_DIGEST 16 /* the first bytes of its SHA-256 */
#define BUNDLE_CHAIN_SIZE 40 /* payload: number, H */
#define BUNDLE_SIGNER_KEY 44 /* an Ed25519 key as SubjectPublicKeyInfo in DER */
#define BUNDLE_SIGNATURE 64 /* an Ed25519 signature */
#define BUNDLE_SIGNATURE_MIN 112 /* payload: scheme, key, signature; then the statement */

/* Compatible flags of the header. */
#define BUNDLE_FLAG_SIGNED 2u /* a signature will follow the index */

/* The first byte of what a zstd frame holds. */
enum bundle_content { BUNDLE_CONTENT_STRINGS = 1, BUNDLE_CONTENT_RECORDS = 2 };

/* How a string is written. */
enum bundle_form { BUNDLE_FORM_PUBLIC, BUNDLE_FORM_PRIVATE, BUNDLE_FORM_HIDDEN };

/* Parts of the index: tag, length, bytes. */
enum bundle_index {
	BUNDLE_INDEX_CHAIN = 1,
	BUNDLE_INDEX_TOTALS = 2,
	BUNDLE_INDEX_FRAMES = 3,
	BUNDLE_INDEX_END = 4,
};

/* Limits that writers keep and readers insist on. */
#define BUNDLE_CONTENT_MAX (16u << 20) /* bytes that a zstd frame holds */
#define BUNDLE_FRAME_MAX (17u << 20) /* bytes of a zstd frame */
#define BUNDLE_STRING_MAX 65536u /* bytes of a string */
#define BUNDLE_STRINGS_MAX 262144u /* strings of a string frame */
#define BUNDLE_TEXT_MAX (512u << 20) /* bytes of all strings: a limit of this writer alone */
#define BUNDLE_LIST_MAX 65536u /* items of a list */
#define BUNDLE_TABLE_MAX (32u << 20) /* bytes of the index's frame table */
#define BUNDLE_INDEX_MAX (33u << 20) /* bytes of the index frame */
#define BUNDLE_SIGNATURE_MAX 65536u /* bytes of a signature frame's payload */
#define BUNDLE_TIMESTAMP_MAX 65536u /* bytes of a timestamp frame's payload */
#define BUNDLE_KINDS_MAX 255 /* the largest number of a record kind */
#define BUNDLE_FIELDS_MAX 64 /* fields of a kind that this program knows */

/* ---- enumerations: V(symbol, printed name) ---- */

#define REC_ENUM_LOSS_CLASS(V)                                                                     \
	V(ATTEMPTED, "attempted") V(DELIVERED, "delivered") V(SKIPPED, "skipped") V(LOST, "lost")
#define REC_ENUM_ORIGIN(V) V(EXISTING, "existing") V(FORK, "fork") V(EXEC, "exec")
#define REC_ENUM_MODULE_KIND(V)                                                                    \
	V(FILE, "file") V(FROZEN, "frozen") V(GENERATED, "generated") V(MEMORY, "memory")          \
	V(DELETED, "deleted")
#define REC_ENUM_LANGUAGE(V) V(NATIVE, "native") V(PYTHON, "python")
#define REC_ENUM_FAMILY(V) V(TCP4, "tcp4") V(TCP6, "tcp6") V(UNIX, "unix")
#define REC_ENUM_DIRECTION(V) V(IN, "in") V(OUT, "out")
#define REC_ENUM_SOURCE(V)                                                                         \
	V(DEEP, "deep") V(SYSCALL, "syscall") V(SOCKET, "socket") V(SAMPLE, "sample")
#define REC_ENUM_LINK(V)                                                                           \
	V(THREAD, "thread") V(FLOW, "flow") V(TLS_ADJACENT, "tls-adjacent")                        \
	V(AMBIGUOUS, "ambiguous")
#define REC_ENUM_CALL_END(V)                                                                       \
	V(COMPLETE, "complete") V(CLIENT_GONE, "client_gone") V(SERVER_GONE, "server_gone")        \
	V(TIMEOUT, "timeout") V(WINDOW_START, "window_start") V(WINDOW_STOP, "window_stop")

#define REC_ENUMS(D)                                                                               \
	D(LOSS_CLASS, loss_class) D(ORIGIN, origin) D(MODULE_KIND, module_kind)                    \
	D(LANGUAGE, language) D(FAMILY, family) D(DIRECTION, direction) D(SOURCE, source)          \
	D(LINK, link) D(CALL_END, call_end)

/* ---- record kinds: K(SYMBOL, name, FIELDS) ---- */

/* The first record that is put: the window and what collected it. */
#define REC_WINDOW(F)                                                                              \
	F(U, id) F(X, window) F(X, challenge) F(T, monotonic) F(U, boottime) F(W, realtime)        \
	F(B, synced) F(S, start_reason) F(S, host) F(S, kernel) F(S, boot_id) F(S, arch)           \
	F(S, version) F(X, exe_sha256) F(M, options) F(S, boundary_source) F(W, planned_end)
/* The last record that is put: how it ended. */
#define REC_WINDOW_END(F)                                                                          \
	F(U, id) F(T, monotonic) F(U, boottime) F(W, realtime) F(B, synced) F(S, reason)
#define REC_LABEL(F) F(U, id) F(S, key) F(S, value)
/* A probe file that was used: catalog data. `shipped`: the embedded, unchanged one. */
#define REC_PROBE(F) F(U, id) F(S, name) F(X, sha256) F(B, shipped)
/* A BPF program that was attached, with the kernel's tag of its instructions. */
#define REC_PROGRAM(F) F(U, id) F(S, name) F(X, tag)
/*
 * First in each data frame, by the writer itself: the three clocks, so that drift can be seen.
 * max_error: the kernel's bound of the realtime clock's error, in ns; null: it knows none.
 */
#define REC_CLOCK(F)                                                                               \
	F(U, id) F(T, monotonic) F(U, boottime) F(W, realtime) F(B, synced) F(U, max_error)
/*
 * A span of the window in which something was not watched. process may be REC_NULL (all). What
 * begins with one of these two was not compared; which functions ran was seen all the same.
 */
#define GAP_MEMORY "code in memory: "
#define GAP_REPLACED "replaced functions: "
#define REC_GAP(F) F(U, id) F(U, process) F(T, from) F(T, until) F(S, what)
/* What the operator asked for: how = pid, port, exe, unit, cgroup, service, command. */
#define REC_TARGET(F) F(U, id) F(S, how) F(S, value)
/* A listening socket of the host, seen at `seen`; covered: a target process listens on it. */
#define REC_LISTENER(F)                                                                            \
	F(U, id) F(E_FAMILY, family) F(S, address) F(U, port) F(B, covered) F(U, process) F(T, seen)
/* start: the kernel's start time (boot-time ns); with host and pid it names the process. */
#define REC_PROCESS(F)                                                                             \
	F(U, id) F(U, pid) F(U, start) F(U, parent) F(U, exe) F(S, comm) F(S, argv0)               \
	F(M, options) F(E_ORIGIN, origin) F(T, seen) F(U, uid) F(S, cgroup) F(S, runtime)          \
	F(S, service)
#define REC_PROCESS_END(F) F(U, id) F(U, process) F(T, time) F(U, exit_code)
/* Module `module` was seen mapped executable in the process at `time`. */
#define REC_MAPPING(F) F(U, id) F(U, process) F(U, module) F(T, time)
/* path is as the process sees it. */
#define REC_MODULE(F) F(U, id) F(E_MODULE_KIND, kind) F(S, path) F(E_LANGUAGE, language)
/*
 * What a module's file was, when looked at (`when`, by `how`: "open" or why it could not be:
 * "not-regular", "too-large", "missing", "changed", "denied"). mtime and ctime in realtime ns.
 * changed_after_load: the file, or a link or folder that its path leads through, changed after the
 * process started, or may have (docs/evidence.md says what is looked at); null: could not be told.
 * digest_matches: the package database records this digest (0: another one, null: none).
 */
#define REC_IDENTITY(F)                                                                            \
	F(U, id) F(U, module) F(U, process) F(U, device) F(U, inode) F(U, size) F(W, mtime)        \
	F(W, ctime) F(X, sha256) F(X, build_id) F(S, package_manager) F(S, package)                \
	F(S, package_version) F(B, digest_matches) F(S, how) F(T, when) F(B, changed_after_load)
/*
 * The compiled file that stands for a Python module. header_matches: its header names the source's
 * mtime and size (or hash). proven: the source, compiled by the process's interpreter, gives the
 * same code (0: other code, null: not compared, `how` says why). Absent: how = "absent". The process
 * was told to keep its compiled files in another place: how = "elsewhere".
 */
#define REC_PYC(F)                                                                                 \
	F(U, id) F(U, module) F(U, process) F(S, path) F(X, sha256) F(U, size) F(W, mtime)         \
	F(W, ctime) F(B, header_matches) F(B, proven) F(S, how) F(T, when) F(B, changed_after_load)
/*
 * A function is (module, qualname, line); line is its first. Native ones are (module, offset): the
 * address of their first byte as linked; their names are symbols, or empty.
 */
#define REC_FUNCTION(F) F(U, id) F(U, module) F(S, name) F(S, qualname) F(U, line) F(U, offset)
/*
 * frames: function ids, innermost first, outermost last. partial: the walk broke off, or only the
 * function that was entered is known (source deep). base, kept: behind `frames` come the `kept`
 * outermost frames of an earlier stack (0: none); trace.h gives stacks whole.
 */
#define REC_STACK(F) F(U, id) F(U, process) F(L, frames) F(B, partial) F(U, base) F(U, kept)
/* flow: the flow key (address of the outermost Python frame, 0: the thread). */
#define REC_CONTEXT(F)                                                                             \
	F(U, id) F(U, process) F(U, thread) F(U, flow) F(U, generation) F(T, start)
#define REC_SIGHTING(F)                                                                            \
	F(U, id) F(U, context) F(U, stack) F(E_SOURCE, source) F(T, first) F(T, last) F(U, count)
#define REC_BINDING(F)                                                                             \
	F(U, id) F(U, context) F(U, call) F(T, from) F(T, until) F(E_LINK, link)
/*
 * joined: open before it was first seen, so its first bytes may be the middle of something. netns:
 * inode of the network namespace. A Unix socket has inodes instead: its own and its peer's.
 */
#define REC_CONNECTION(F)                                                                          \
	F(U, id) F(U, process) F(E_FAMILY, family) F(S, local) F(U, local_port) F(S, remote)       \
	F(U, remote_port) F(E_DIRECTION, direction) F(U, cookie) F(T, opened) F(B, joined)         \
	F(U, netns) F(U, inode) F(U, peer_inode)
/* undecoded: why no call could be read from it ("" when decoded). suspect: undecided candidates. */
#define REC_CONNECTION_END(F)                                                                      \
	F(U, id) F(U, connection) F(T, time) F(S, reason) F(U, received) F(U, sent) F(U, calls)    \
	F(S, undecoded) F(U, suspect)
/*
 * path: as kept, with non-literal segments replaced. request_ids: header name, value, name, ...
 * Written when the call has ended. lost: events lost on its connection while it ran. ids_answered:
 * how many names of request_ids the server answered with; the client sent the others.
 */
#define REC_CALL(F)                                                                                \
	F(U, id) F(U, process) F(U, connection) F(U, seq) F(S, protocol) F(S, method) F(S, path)   \
	F(S, service) F(S, route) F(U, status) F(T, start) F(T, first_byte) F(T, end)              \
	F(E_CALL_END, end_reason) F(U, request_bytes) F(U, response_bytes) F(S, request_id)        \
	F(M, request_ids) F(S, host) F(U, lost) F(U, ids_answered)
/*
 * A process moved bytes on an outbound connection from `time` to `last`, in a context (null: none).
 * For which call, the bindings of the context say, as for sightings; `call` is null then. protocol:
 * what the first bytes that were sent on the connection are the header of; null: not known.
 */
#define REC_HOP(F)                                                                                 \
	F(U, id) F(U, call) F(U, connection) F(T, time) F(U, context) F(T, last) F(U, received)    \
	F(U, sent) F(U, process) F(S, protocol)
/*
 * The ledger: running totals. The last record of a (stage, class, cause) holds. cause is "" for
 * attempted and delivered. attempted = delivered + sum of skipped + sum of lost.
 */
#define REC_LOSS(F) F(U, id) F(T, time) F(S, stage) F(E_LOSS_CLASS, class) F(S, cause) F(U, count)
#define REC_UNSUPPORTED(F) F(U, id) F(U, process) F(S, what) F(S, version)
/* From then until then each function that the process's interpreter started was seen. */
#define REC_DEEP(F) F(U, id) F(U, process) F(T, from) F(T, until) F(S, reason)
/*
 * What a Python function's source is: digests of the tokens of its `def` without its docstring
 * (tokens) and of the docstring's token. docs/evidence.md defines both. how: "source", or why not.
 */
#define REC_FUNCTION_SOURCE(F) F(U, id) F(U, function) F(X, tokens) F(X, docstring) F(S, how)
/*
 * What a Python function's code was in memory: digest of the de-specialised bytecode, constants and
 * names, and of the same in the compiled file. Both are of the pyc magic `magic`. how: "memory", or
 * why it was not compared.
 */
#define REC_FUNCTION_MEMORY(F)                                                                     \
	F(U, id) F(U, function) F(U, process) F(U, magic) F(X, memory) F(X, compiled)              \
	F(B, matches) F(S, how) F(T, when)
/*
 * Code that stands in another's place or was put in the process's way: kind "rebound",
 * "code-replaced", "wrapper", "preload", "sitecustomize", "pth", "import-hook". place: what it
 * stands in (a Python name, a path); module: whose place that is; by: the module whose code it is.
 */
#define REC_INTERPOSITION(F)                                                                       \
	F(U, id) F(U, process) F(S, kind) F(S, place) F(U, module) F(U, by) F(S, detail) F(T, when)

/*
 * The window was interrupted and is gone on with: first record behind the cut. last: the last clock
 * record before it; links: whole links before it; cut: bytes behind them that were cut off.
 */
#define REC_RESUME(F)                                                                              \
	F(U, id) F(T, monotonic) F(U, boottime) F(W, realtime) F(B, synced) F(T, last)             \
	F(U, links) F(U, cut) F(S, version) F(X, exe_sha256)

#define REC_KINDS(K)                                                                               \
	K(WINDOW, window) K(WINDOW_END, window_end) K(LABEL, label) K(PROBE, probe)                \
	K(PROGRAM, program) K(CLOCK, clock) K(GAP, gap) K(TARGET, target)                          \
	K(LISTENER, listener) K(PROCESS, process) K(PROCESS_END, process_end)                      \
	K(MAPPING, mapping) K(MODULE, module) K(IDENTITY, identity) K(PYC, pyc)                    \
	K(FUNCTION, function) K(STACK, stack) K(CONTEXT, context) K(SIGHTING, sighting)            \
	K(BINDING, binding) K(CONNECTION, connection) K(CONNECTION_END, connection_end)            \
	K(CALL, call) K(HOP, hop) K(LOSS, loss) K(UNSUPPORTED, unsupported) K(DEEP, deep)          \
	K(FUNCTION_SOURCE, function_source) K(FUNCTION_MEMORY, function_memory)                    \
	K(INTERPOSITION, interposition) K(RESUME, resume)

/* ---- from the lists: enums, structs, schema ---- */

#define REC_ENUM_VALUE_LOSS_CLASS(s, n) LOSS_##s,
#define REC_ENUM_VALUE_ORIGIN(s, n) ORIGIN_##s,
#define REC_ENUM_VALUE_MODULE_KIND(s, n) MODULE_##s,
#define REC_ENUM_VALUE_LANGUAGE(s, n) LANGUAGE_##s,
#define REC_ENUM_VALUE_FAMILY(s, n) FAMILY_##s,
#define REC_ENUM_VALUE_DIRECTION(s, n) DIRECTION_##s,
#define REC_ENUM_VALUE_SOURCE(s, n) SOURCE_##s,
#define REC_ENUM_VALUE_LINK(s, n) LINK_##s,
#define REC_ENUM_VALUE_CALL_END(s, n) CALL_END_##s,
#define REC_DECLARE_ENUM(UP, low) enum low { REC_ENUM_##UP(REC_ENUM_VALUE_##UP) UP##_COUNT };
REC_ENUMS(REC_DECLARE_ENUM)

#define REC_KIND_VALUE(UP, low) REC_##UP##_KIND,
/* Numbers on disk are these plus one; kinds are only ever added at the end. */
enum rec_kind { REC_KINDS(REC_KIND_VALUE) REC_KIND_COUNT };

#define REC_C_U uint64_t
#define REC_C_B uint64_t
#define REC_C_T uint64_t
#define REC_C_W uint64_t
#define REC_C_S uint64_t
#define REC_C_X uint64_t
#define REC_C_L struct rec_list
#define REC_C_M struct rec_list
#define REC_C_E_LOSS_CLASS uint64_t
#define REC_C_E_ORIGIN uint64_t
#define REC_C_E_MODULE_KIND uint64_t
#define REC_C_E_LANGUAGE uint64_t
#define REC_C_E_FAMILY uint64_t
#define REC_C_E_DIRECTION uint64_t
#define REC_C_E_SOURCE uint64_t
#define REC_C_E_LINK uint64_t
#define REC_C_E_CALL_END uint64_t
#define REC_MEMBER(type, name) REC_C_##type name;
/* struct rec_call, struct rec_process, ... */
#define REC_DECLARE_STRUCT(UP, low) struct rec_##low { REC_##UP(REC_MEMBER) };
REC_KINDS(REC_DECLARE_STRUCT)

/* Any record: large enough and aligned for each kind. */
#define REC_UNION_MEMBER(UP, low) struct rec_##low low;
union rec_any {
	uint64_t id; /* the first field of every kind */
	REC_KINDS(REC_UNION_MEMBER)
};

enum rec_type {
	REC_TYPE_U,
	REC_TYPE_B,
	REC_TYPE_T,
	REC_TYPE_W,
	REC_TYPE_S,
	REC_TYPE_X,
	REC_TYPE_L,
	REC_TYPE_M,
	REC_TYPE_E,
};

struct rec_field {
	const char *name;
	enum rec_type type;
	uint16_t offset; /* in the struct */
	const char *const *names; /* REC_TYPE_E: printed names */
	uint16_t names_count;
};

struct rec_schema {
	const char *name; /* as `inspect record KIND ID` and the format document call it */
	const struct rec_field *fields;
	uint16_t fields_count;
	uint16_t size; /* of the struct */
};

/* Indexed by enum rec_kind; defined in bundle/format.c. */
extern const struct rec_schema rec_schemas[REC_KIND_COUNT];

/* Names of enum values; "?" outside the range. E.g. rec_link_name(LINK_FLOW) is "flow". */
#define REC_DECLARE_NAME(UP, low) const char *rec_##low##_name(uint64_t value);
REC_ENUMS(REC_DECLARE_NAME)

/* The kind with this printed name, or REC_KIND_COUNT. */
enum rec_kind rec_kind_find(const char *name);

#endif
