/*
 * A bundle in memory, for those who ask across records: tables by kind, lookups by id, and what
 * belongs to a call. All of it, or some kinds; sightings, of which there may be very many, may stay
 * in the file and be held for some calls at a time. Read-only after loading, but for
 * trace_hold_sightings.
 */
#ifndef DAYLIGHT_BUNDLE_TRACE_H
#define DAYLIGHT_BUNDLE_TRACE_H

#include "bundle/reader.h"

struct trace;

/*
 * Loads the file. A bundle that ends early loads as far as it goes. Errors: ERR_USAGE as
 * bundle_reader_open; ERR_INCOMPLETE on memory. Records whose references point nowhere are kept;
 * lookups then give NULL. The `frames` of stacks are whole here, whatever their records leave to
 * their base; without the base, `partial` is set.
 */
struct trace *trace_load(const char *path, struct err *err);

/*
 * The same of a part. What is not loaded has no rows; trace_total counts it all the same. Frames of
 * a sealed bundle that hold nothing of it are not read, and damage in them is not noticed.
 */
struct trace_options {
	uint64_t kinds; /* 1 << enum rec_kind; 0: all */
	size_t sightings; /* hold at most that many; when there are more, none. 0: all */
	bool no_sha256; /* trace_sha256 will be "" */
};
struct trace *trace_load_some(const char *path, const struct trace_options *options,
			      struct err *err);

/*
 * The memory that traces loaded from now on may take, each; TRACE_MEMORY without this. Loading ends
 * with ERR_INCOMPLETE beyond it.
 */
#define TRACE_MEMORY (160u << 20)
void trace_set_memory(size_t bytes);

void trace_free(struct trace *t);

void trace_end(const struct trace *t, struct bundle_end *out);
/* SHA-256 of the whole file, lower-case hex; "" when it was not asked for. */
const char *trace_sha256(const struct trace *t);

/* Records of a kind in the bundle, loaded or not. */
uint64_t trace_total(const struct trace *t, enum rec_kind kind);
/* Rows of a kind in file order: trace_count and trace_at(kind, 0 .. count - 1). */
size_t trace_count(const struct trace *t, enum rec_kind kind);
const void *trace_at(const struct trace *t, enum rec_kind kind, size_t row);
/* By id, or NULL. */
const void *trace_find(const struct trace *t, enum rec_kind kind, uint64_t id);

/* Text of a string id: "" for REC_EMPTY, NULL for REC_NULL, unknown or hidden. */
const char *trace_text(const struct trace *t, uint64_t string);
const struct bundle_string *trace_string(const struct trace *t, uint64_t string);
/* Realtime ns of a T field, by the window's clocks; REC_NULL stays REC_NULL. */
uint64_t trace_realtime(const struct trace *t, uint64_t monotonic);

/* The window record (its first), or NULL; the window_end record, or NULL. */
const struct rec_window *trace_window(const struct trace *t);
const struct rec_window_end *trace_window_end(const struct trace *t);

/* The newest identity / pyc record of a module, or NULL. */
const struct rec_identity *trace_identity(const struct trace *t, uint64_t module);
const struct rec_pyc *trace_pyc(const struct trace *t, uint64_t module);
/* The newest source digest of a function, or NULL. */
const struct rec_function_source *trace_function_source(const struct trace *t, uint64_t function);
/* The end record of a connection / a process, or NULL. */
const struct rec_connection_end *trace_connection_end(const struct trace *t, uint64_t connection);
const struct rec_process_end *trace_process_end(const struct trace *t, uint64_t process);

/*
 * Records that point to another record: R(SYMBOL, KIND, kind, field) is "the KIND records whose
 * field names an id", in file order.
 */
/* clang-format off */
#define TRACE_RELATIONS(R) \
	R(IDENTITY_MODULE, IDENTITY, identity, module) \
	R(PYC_MODULE, PYC, pyc, module) \
	R(MAPPING_PROCESS, MAPPING, mapping, process) \
	R(MAPPING_MODULE, MAPPING, mapping, module) \
	R(PROCESS_END_PROCESS, PROCESS_END, process_end, process) \
	R(FUNCTION_MODULE, FUNCTION, function, module) \
	R(CONNECTION_PROCESS, CONNECTION, connection, process) \
	R(CONNECTION_END_CONNECTION, CONNECTION_END, connection_end, connection) \
	R(CALL_PROCESS, CALL, call, process) \
	R(CALL_CONNECTION, CALL, call, connection) \
	R(CALL_REQUEST_ID, CALL, call, request_id) \
	R(HOP_CALL, HOP, hop, call) \
	R(HOP_CONTEXT, HOP, hop, context) \
	R(BINDING_CALL, BINDING, binding, call) \
	R(BINDING_CONTEXT, BINDING, binding, context) \
	R(FUNCTION_SOURCE_FUNCTION, FUNCTION_SOURCE, function_source, function) \
	R(FUNCTION_MEMORY_FUNCTION, FUNCTION_MEMORY, function_memory, function) \
	R(INTERPOSITION_MODULE, INTERPOSITION, interposition, module)
/* clang-format on */

#define TRACE_RELATION_VALUE(SYMBOL, KIND, kind, field) TRACE_##SYMBOL,
enum trace_relation { TRACE_RELATIONS(TRACE_RELATION_VALUE) TRACE_RELATION_COUNT };

/* How many records point to id, and where they start: trace_related_at(first .. first + n - 1). */
size_t trace_related(const struct trace *t, enum trace_relation relation, uint64_t id,
		     size_t *first);
const void *trace_related_at(const struct trace *t, enum trace_relation relation, size_t at);

/* Are there sightings that are not held? */
bool trace_sightings_away(const struct trace *t);

/*
 * Calls see() with each sighting of the bundle, in file order, wherever they are; some of those
 * that ended before `from` (monotonic ns) may be left out. see() returns 0 to go on; what else it
 * returns ends the walk and is returned. -1 with err: memory, or the file cannot be read.
 */
int trace_each_sighting(const struct trace *t, uint64_t from,
			int (*see)(void *ctx, const struct rec_sighting *s), void *ctx,
			struct err *err);

/*
 * Lets the trace hold the sightings of the first calls of a list of ids, in place of those that it
 * held before, and sets *count to how many calls that is: at least one, fewer than given when their
 * sightings are too many.
 */
int trace_hold_sightings(struct trace *t, const uint64_t *calls, size_t *count, struct err *err);

/* One function of a call: seen in sightings that bindings tie to it. Bit sets by enum value. */
struct trace_call_function {
	uint64_t function;
	uint32_t links; /* 1 << enum link */
	uint32_t sources; /* 1 << enum source */
	uint32_t sure_sources; /* those of them that a binding shows which is not ambiguous */
	uint64_t count; /* sum of the sightings' counts */
	uint64_t sighting; /* one sighting and one binding that show it (not ambiguous if any is
			      not) */
	uint64_t binding;
};

/*
 * The functions of a call, by the sightings that are held, ordered by function id. *out is
 * allocated (free it) and may be NULL for none. Returns the number, or -1 when memory is short. A
 * sighting belongs to the call when a binding ties its context to the call and its [first, last]
 * meets the binding's [from, until] (until unknown: to the end; any other time unknown: it meets
 * nothing). A sighting counts once, whatever the number of bindings or of places in the stack.
 */
long trace_call_functions(const struct trace *t, uint64_t call, struct trace_call_function **out);

/* An outbound connection that a call used: the hop records that its bindings tie to it. */
struct trace_hop {
	uint64_t connection;
	uint64_t first, last, received, sent; /* of the records; REC_NULL: unknown */
	uint64_t protocol; /* string id, or REC_NULL */
	uint64_t record; /* one hop record that shows it (not ambiguous if any is not) */
	uint32_t links; /* 1 << enum link */
	bool sure; /* a binding that is not ambiguous, or the record itself, ties one of them */
};

/* The hops of a call, by connection. As trace_call_functions. */
long trace_call_hops(const struct trace *t, uint64_t call, struct trace_hop **out);

/*
 * The other end of a connection of this trace, when that is a target's too; NULL: it is not seen,
 * or cannot be told. docs/evidence.md ("Hops") says how both ends are found.
 */
const struct rec_connection *trace_peer(const struct trace *t, const struct rec_connection *c);

/*
 * Where the far end is: "loopback", "private" (RFC 1918, RFC 4193), "link-local", "public", "unix";
 * NULL: the address is hidden or is none.
 */
const char *trace_remote_class(const struct trace *t, const struct rec_connection *c);
/*
 * Does an outbound connection carry messages (AMQP), by the header that was seen (a string id) or
 * by its port? What is done because of a message is done by another, at another time: it is not
 * tied to the call.
 */
bool trace_remote_messages(const struct trace *t, const struct rec_connection *c,
			   uint64_t protocol);

/*
 * Id of the call that a call of this trace was made for; REC_NULL: nobody's that is known. A caller
 * began before its calls, so callers form no circles. *by: how it is known (may be NULL).
 */
enum trace_caller_by {
	TRACE_BY_ORDER, /* of the uses of the connection */
	TRACE_BY_REQUEST_ID, /* both were answered with the same id */
};
uint64_t trace_caller(const struct trace *t, const struct rec_call *call, enum trace_caller_by *by);
/* The calls that were made for a call: trace_called_at(first .. first + n - 1), in file order. */
size_t trace_called(const struct trace *t, uint64_t call, size_t *first);
const struct rec_call *trace_called_at(const struct trace *t, size_t at);

/*
 * True when each function that the interpreter started for the call was seen, as far as the bundle
 * tells: the call is complete and lies, from its first byte to its end, inside a `deep` span of its
 * process and of the process of each context that is bound to it; none of the bindings is
 * ambiguous; nothing that could hold one of its sightings was lost or not watched at that time
 * (trace_deep.c says how that is known); and at least one function was seen to be entered.
 * sure_sources: how its code was seen by bindings that are not ambiguous, 1 << enum source.
 */
bool trace_call_deep(const struct trace *t, const struct rec_call *call, uint32_t sure_sources);

/* Is that link one that a claim may rest on: known, and not ambiguous? */
bool trace_link_sure(uint64_t link);

/*
 * The ledger: final totals by (stage, class, cause), stages in order of appearance. Release with
 * free. stage and cause are "" when the bundle does not name them.
 */
struct trace_loss {
	const char *stage;
	enum loss_class class;
	const char *cause;
	uint64_t count;
	uint64_t record; /* id of the loss record */
};
long trace_losses(const struct trace *t, struct trace_loss **out);
/* Sum of class lost over all stages. */
uint64_t trace_lost_total(const struct trace *t);

#endif
