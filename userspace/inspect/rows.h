/* What the parts of inspect share: a source of JSON rows, the views, columns and text helpers. */
#ifndef DAYLIGHT_INSPECT_ROWS_H
#define DAYLIGHT_INSPECT_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "bundle/trace.h"
#include "inspect/inspect.h"

/*
 * Where rows come from. Values are built without a check each: when memory is short `failed` is
 * set, and the row must not be printed. What many rows share is built once.
 */
struct inspect_source {
	struct trace *t;
	const struct inspect_filter *filter; /* never NULL */
	bool failed;
	struct err err; /* why, when it is not memory to print */
	size_t calls_held; /* rows of calls before this one have had their sightings held */
	struct inspect_seen *stacks; /* by row of the stack table; NULL: not gathered yet */
	uint8_t *functions_fit; /* by row: 0 not looked at, 1 the filter has it not, 2 it has */
	json_t **functions; /* by row of the function table; NULL: not built yet */
	json_t *links[1 << LINK_COUNT], *sources[1 << SOURCE_COUNT]; /* by bit set */
	json_t *losses; /* all rows of the ledger */
};

void inspect_source_init(struct inspect_source *s, struct trace *t,
			 const struct inspect_filter *filter);
void inspect_source_release(struct inspect_source *s);

/* ---- values.c: what a field holds, as JSON; null when unknown, dangling or hidden ---- */

/* Adds value (its reference is taken) to an object / an array. */
void inspect_set(struct inspect_source *s, json_t *object, const char *key, json_t *value);
void inspect_append(struct inspect_source *s, json_t *array, json_t *value);
/* Adds n to the number under a key, which may be any bytes. */
void inspect_add(struct inspect_source *s, json_t *object, const char *key, uint64_t n);

json_t *inspect_bytes(const void *data, size_t len);
json_t *inspect_string(const struct inspect_source *s, uint64_t string);
json_t *inspect_hex(const struct inspect_source *s, uint64_t string);
json_t *inspect_number(uint64_t v);
json_t *inspect_bool(uint64_t v);
json_t *inspect_monotonic(const struct inspect_source *s, uint64_t ns);
json_t *inspect_realtime(uint64_t ns);
/* The start time of a process, which is boot time. */
json_t *inspect_boottime(const struct inspect_source *s, uint64_t ns);
json_t *inspect_strings(struct inspect_source *s, const struct rec_list *list);
/* "10.0.0.1:5000", "[::1]:5000", a path; null when the address is. */
json_t *inspect_address(const struct inspect_source *s, uint64_t family, uint64_t address,
			uint64_t port);
/* The path of a module id. */
json_t *inspect_module_path(const struct inspect_source *s, uint64_t module);
/* {id, pid, exe} */
json_t *inspect_process(struct inspect_source *s, uint64_t process);
/*
 * {function, name, qualname, module, path, line, offset, language}; a new reference to a shared
 * object.
 */
json_t *inspect_function(struct inspect_source *s, uint64_t function);
json_t *inspect_frames(struct inspect_source *s, const struct rec_list *frames);
/* Names of a bit set; a new reference to a shared array. */
json_t *inspect_links(struct inspect_source *s, uint32_t bits);
json_t *inspect_sources(struct inspect_source *s, uint32_t bits);

/* ---- text.c: JSON values as text for a terminal ---- */

/* The value at a path such as "process.exe" or "frames.-1.name"; NULL when there is none. */
const json_t *inspect_get(const json_t *root, const char *path);
/*
 * Length of the UTF-8 character at p (len > 0) and its code point; 0 when it is not UTF-8.
 */
size_t inspect_utf8(const uint8_t *p, size_t len, uint32_t *code);
/* Text as a terminal may have it. */
int inspect_put_text(struct bytes *out, const char *text);
/* A value in a few words: "-" for null, lists joined by commas, list of objects: their number. */
int inspect_put_value(struct bytes *out, const json_t *value);
/* The same, to a stream. */
int inspect_print_value(FILE *out, const json_t *value);

/* ---- table.c ---- */

enum inspect_cell {
	CELL_PLAIN,
	CELL_RIGHT, /* a number */
	CELL_TIME, /* the time of day of an RFC 3339 time */
	CELL_SHORT, /* the first 12 characters of a digest */
	CELL_FLEX, /* is cut at its end when the line is too long */
	CELL_PATH, /* is cut at its start when the line is too long */
	CELL_WRAP, /* goes on below when the line is too long */
	CELL_COUNT, /* of a list */
	CELL_HEX, /* a number as 0x... */
	CELL_FUNCTION, /* its name, and without one its place: is cut at its end */
};

struct inspect_column {
	const char *title;
	const char *path;
	enum inspect_cell cell;
};

#define INSPECT_COLUMNS 100 /* of a line of text */

struct inspect_table;

struct inspect_table *inspect_table_new(const struct inspect_column *columns);
/* Adds a row; -1 when memory is short. */
int inspect_table_add(struct inspect_table *table, const json_t *row);
void inspect_table_print(const struct inspect_table *table, FILE *out);
void inspect_table_free(struct inspect_table *table);
/* All of it at once, of a list of rows. */
int inspect_table_print_rows(const struct inspect_column *columns, const json_t *rows, FILE *out);

/* ---- views: one row source and the columns that text shows of it ---- */

struct inspect_view {
	const char *name; /* also the key of the list in a JSON document */
	enum rec_kind kind; /* a row for each record of it */
	size_t (*count)(struct inspect_source *s); /* where rows are not records; else NULL */
	/* Row 0 .. count - 1: a new reference; NULL: the filter leaves it out, or failed is set. */
	json_t *(*row)(struct inspect_source *s, size_t i);
	const struct inspect_column *columns; /* ends with title == NULL */
	uint64_t kinds; /* that it is made of, 1 << enum rec_kind */
	unsigned int filters; /* that it has: INSPECT_BY_... */
};

#define INSPECT_KIND(KIND) (1ULL << REC_##KIND##_KIND)

/* ---- filter.c ---- */

enum {
	INSPECT_BY_TIME = 1,
	INSPECT_BY_ROUTE = 2,
	INSPECT_BY_STATUS = 4,
	INSPECT_BY_PROCESS = 8,
	INSPECT_BY_MODULE = 16,
	INSPECT_BY_FUNCTION = 32,
	INSPECT_BY_REQUEST_ID = 64,
};

/* Does the filter have it? Of a call all but its functions. */
bool inspect_fits_call(const struct inspect_source *s, const struct rec_call *call);
bool inspect_fits_process(const struct inspect_source *s, uint64_t process);
bool inspect_fits_module(const struct inspect_source *s, uint64_t module);
bool inspect_fits_function(struct inspect_source *s, uint64_t function);
/* Something that lived from then until then (monotonic; REC_NULL: not known, or not over). */
bool inspect_fits_time(const struct inspect_source *s, uint64_t from, uint64_t until);
/* Does the filter ask for functions? */
bool inspect_asks_functions(const struct inspect_source *s);

extern const struct inspect_view inspect_calls, inspect_processes, inspect_modules,
	inspect_functions, inspect_stacks, inspect_interpositions, inspect_connections,
	inspect_loss;

extern const struct inspect_column inspect_frame_columns[]; /* of the functions of a stack */

/* calls.c: lets the trace hold the sightings of the first *count of these calls. */
int inspect_hold_calls(struct inspect_source *s, const uint64_t *calls, size_t *count);
/* calls.c: deep, stacks or none, from the functions of a call. */
const char *inspect_evidence(const struct trace *t, const struct rec_call *call,
			     const struct trace_call_function *functions, long count);

/* hops.c: the outbound connections that a call used, with what is known of their far ends. */
json_t *inspect_hops(struct inspect_source *s, uint64_t call);

/* summary.c, summary_text.c */
json_t *inspect_summary(struct inspect_source *s);
/* -1 when memory is short. */
int inspect_summary_print(const json_t *summary, const char *file, FILE *out);
/* The last lines of every text: whether the bundle ends early, and what was lost. */
void inspect_notes_print(const struct trace *t, FILE *out);

/* record.c */
json_t *inspect_record(struct inspect_source *s, enum rec_kind kind, const void *rec);

#endif
