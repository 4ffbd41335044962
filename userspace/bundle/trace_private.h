/* What the parts of the trace share: tables, indexes, spans. Nobody else includes this. */
#ifndef DAYLIGHT_BUNDLE_TRACE_PRIVATE_H
#define DAYLIGHT_BUNDLE_TRACE_PRIVATE_H

#include "bundle/trace.h"

/* A chunk of the arena that holds the items of lists. */
struct trace_chunk {
	struct trace_chunk *next;
	size_t used, cap; /* in items */
	uint64_t items[];
};

/* A row under a key: the sorted arrays that lookups search. */
struct trace_key {
	uint64_t key;
	uint32_t row;
};

/* The rows of a kind, in file order. */
struct trace_table {
	uint8_t *rows;
	size_t count, cap;
	bool rising; /* ids rise strictly, as the format demands: no order is needed */
	struct trace_key *order; /* by (id, row) when they do not */
};

struct trace_index {
	struct trace_key *keys; /* by (key, row) */
	size_t count;
};

/*
 * A sighting on the time line of its context. Sorted by (context, first, row); each context's part
 * is an implicit balanced tree (root in the middle), and max_last is the latest end in the
 * subtree, so that those that meet a time are found without looking at the others.
 */
struct trace_span {
	uint64_t max_last;
	uint32_t row;
};

/*
 * A span of time, ends included, of a process (REC_NULL: of all). Sorted by (process, from); until
 * is the latest end of this span and those before it of the process.
 */
struct trace_reach {
	uint64_t process, from, until;
};

struct trace_reaches {
	struct trace_reach *items;
	size_t count;
};

#define TRACE_NO_ROW UINT32_MAX
#define TRACE_TAKEN (UINT32_MAX - 1) /* two connections have the same claim to this one */

/* One hop record on the time line of its connection. Sorted by (connection, last, first). */
struct trace_use {
	uint64_t connection, first, last;
	uint64_t call; /* whose, surely; REC_NULL: nobody's that is known */
	uint64_t began; /* first of the uses of that call that this one follows without another */
	bool shared; /* a use of another call, or of nobody's, meets its time */
};

struct trace {
	char *path;
	struct bundle_reader *reader; /* owns the strings */
	uint64_t kinds; /* that were asked for */
	size_t sightings_max; /* to be held */
	bool sightings_away; /* there are more than that: they stay in the file */
	struct bundle_end end;
	char sha256[65];
	struct trace_table tables[REC_KIND_COUNT];
	struct trace_chunk *chunks;
	struct trace_index indexes[TRACE_RELATION_COUNT];
	struct trace_span *spans;
	size_t spans_count;
	struct trace_reaches deep; /* function starts were seen */
	struct trace_reaches holes; /* something was lost or not watched */
	uint32_t *peers; /* by row of the connection: the row of its other end, or TRACE_NO_ROW */
	struct trace_use *uses;
	size_t uses_count;
	uint64_t *callers; /* by row of the call */
	uint8_t *callers_by; /* enum trace_caller_by */
	struct trace_key *called; /* (caller, row of the call) */
	size_t called_count;
	uint64_t seen_until; /* the last of the three clocks' readings, or REC_NULL for ever */
	size_t bytes, bytes_max; /* memory held by tables, lists and indexes, and its limit */
};

/* Counts memory against the limit; -1 with ERR_INCOMPLETE beyond it. */
int trace_charge(struct trace *t, size_t bytes, struct err *err);

/* A copy of the record into its table, with its lists. */
int trace_keep(struct trace *t, enum rec_kind kind, const union rec_any *rec, struct err *err);

/* Room for the items of a list; NULL for none, or with err. */
uint64_t *trace_list(struct trace *t, uint32_t count, struct err *err);

/* trace_index.c: after the last record. */
int trace_index_build(struct trace *t, struct err *err);
/* trace_stacks.c: stacks made whole, once they are found by id. */
int trace_stacks_build(struct trace *t, struct err *err);
/* trace_sightings.c: the time lines of the sightings that are held; and to hold none. */
int trace_build_spans(struct trace *t, struct err *err);
void trace_drop_sightings(struct trace *t);
/* trace_deep.c: the same. */
int trace_deep_build(struct trace *t, struct err *err);
/* trace_peers.c, and trace_hops.c: after all others. */
int trace_peers_build(struct trace *t, struct err *err);
int trace_hops_build(struct trace *t, struct err *err);
/* Was anything lost, or not watched at all, between from and until, ends included? */
bool trace_hole(const struct trace *t, uint64_t from, uint64_t until);
void trace_key_sort(struct trace_key *keys, size_t count);
/* Takes count items of size from the trace's memory; NULL without an error for count 0. */
int trace_take(struct trace *t, size_t count, size_t size, void *out, struct err *err);
/* The first of `count` sorted keys that is not less than key. */
size_t trace_key_search(const struct trace_key *keys, size_t count, uint64_t key);

#endif
