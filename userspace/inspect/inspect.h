/*
 * Prints what a bundle holds: for people as aligned text, for programs as JSON with the keys of the
 * command line's contract. Each row is built once, as a JSON object; text columns are read from
 * that object, so the two cannot differ.
 *
 * Strings of a bundle are hostile. JSON: a byte that is not UTF-8 is shown as the four characters
 * \xNN, and all that is not ASCII is written as \uNNNN. Text: control characters and characters
 * that change direction or take no room are shown as \xNN or \u{NNNN}, too. A number above
 * INT64_MAX is a decimal string in JSON.
 */
#ifndef DAYLIGHT_INSPECT_INSPECT_H
#define DAYLIGHT_INSPECT_INSPECT_H

#include <stdio.h>

#include "base/err.h"
#include "bundle/trace.h"

/* text: a table; JSON: one document; JSONL: one row a line, as soon as it is known. */
enum inspect_format { INSPECT_TEXT, INSPECT_JSON, INSPECT_JSONL };

#define INSPECT_SCHEMA "daylight-inspect-0"

/* The names of all views / of all record kinds, with a separator between them. */
void inspect_list_views(const char *separator, char *out, size_t size);
void inspect_list_kinds(const char *separator, char *out, size_t size);

/* What shall be printed of a view; zero-initialised: all. Text is that of the command line. */
struct inspect_filter {
	uint64_t since, until; /* realtime ns: calls that began, what lived, then; 0: no limit */
	const char *route; /* its id */
	uint64_t status_from, status_to; /* 0: any */
	uint64_t process; /* pid; 0: any */
	const char *module; /* its path, or the end of it from a slash on */
	const char *function; /* its name or qualified name */
	const char *request_id; /* any of the call's */
};

/* -1 with ERR_USAGE when the view (or "record") has not what the filter asks for. */
int inspect_check_filter(const char *view, const struct inspect_filter *filter, struct err *err);

/*
 * What must be loaded for a view; "record" needs the kind, too. Sightings are held when they are
 * not many.
 */
void inspect_needs(const char *view, const char *kind, enum inspect_format format,
		   struct trace_options *out);

/* 0, or -1 with ERR_USAGE when there is no such view / no such record kind. */
int inspect_check_view(const char *view, struct err *err);
int inspect_check_kind(const char *kind, struct err *err);

/*
 * Prints the view ("summary", "calls", ...) to out and flushes it; filter NULL: all of it. file is
 * the bundle's name for people. Errors: ERR_USAGE (no such view), ERR_INCOMPLETE (output could not
 * be written, memory).
 */
int inspect_print(struct trace *t, const char *file, const char *view,
		  const struct inspect_filter *filter, enum inspect_format format, FILE *out,
		  struct err *err);

/* Prints one record. Errors: ERR_USAGE (no such kind or id: the text names what there is). */
int inspect_print_record(struct trace *t, const char *file, const char *kind, const char *id,
			 enum inspect_format format, FILE *out, struct err *err);

#endif
