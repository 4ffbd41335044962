/* The view `calls`: each API call with the functions that its bindings tie to it. */
#include "inspect/rows.h"

#include <stdlib.h>

/* Calls whose sightings are asked for at once. */
#define CALLS_AT_ONCE 65536

const char *inspect_evidence(const struct trace *t, const struct rec_call *call,
			     const struct trace_call_function *functions, long count)
{
	uint32_t sources = 0;

	for (long i = 0; i < count; i++)
		sources |= functions[i].sure_sources;
	return trace_call_deep(t, call, sources) ? "deep" : sources ? "stacks" : "none";
}

/*
 * Header names and values by turns, from a pair on; a name that comes again keeps its first value.
 * The answer's come first. from REC_NULL: it is not known which.
 */
static json_t *call_request_ids(struct inspect_source *s, const struct rec_list *list,
				uint64_t from)
{
	json_t *out = json_object();

	for (uint64_t i = from < list->count ? 2 * from : list->count; i + 1 < list->count;
	     i += 2) {
		json_t *name = inspect_string(s, list->items[i]);
		const char *key = json_string_value(name);

		if (key && !json_object_get(out, key))
			inspect_set(s, out, key, inspect_string(s, list->items[i + 1]));
		json_decref(name);
	}
	return out;
}

static json_t *call_functions(struct inspect_source *s, const struct trace_call_function *functions,
			      long count)
{
	json_t *out = json_array();

	for (long i = 0; i < count; i++) {
		const struct trace_call_function *f = &functions[i];
		json_t *shared = inspect_function(s, f->function);
		json_t *row = json_copy(shared);

		json_decref(shared);
		inspect_set(s, row, "links", inspect_links(s, f->links));
		inspect_set(s, row, "sources", inspect_sources(s, f->sources));
		inspect_set(s, row, "count", inspect_number(f->count));
		inspect_append(s, out, row);
	}
	return out;
}

/* Which call it was made for, and how that is known. */
static void call_caller(struct inspect_source *s, json_t *row, const struct rec_call *c)
{
	enum trace_caller_by by;
	uint64_t caller = trace_caller(s->t, c, &by);

	inspect_set(s, row, "caller", inspect_number(caller));
	inspect_set(s, row, "caller_by",
		    caller == REC_NULL	   ? json_null()
		    : by == TRACE_BY_ORDER ? json_string_nocheck("order")
					   : json_string_nocheck("request-id"));
}

int inspect_hold_calls(struct inspect_source *s, const uint64_t *calls, size_t *count)
{
	if (!trace_hold_sightings(s->t, calls, count, &s->err))
		return 0;
	s->failed = true;
	return -1;
}

/* The sightings of this call and of those that come next. */
static int calls_hold(struct inspect_source *s, size_t row)
{
	size_t total = trace_count(s->t, REC_CALL_KIND), count = 0;
	uint64_t *calls = malloc(CALLS_AT_ONCE * sizeof(*calls));
	size_t *rows = malloc(CALLS_AT_ONCE * sizeof(*rows));
	int rc = -1;

	for (size_t i = row; calls && rows && i < total && count < CALLS_AT_ONCE; i++) {
		const struct rec_call *c = trace_at(s->t, REC_CALL_KIND, i);

		if (!inspect_fits_call(s, c))
			continue;
		calls[count] = c->id;
		rows[count++] = i;
	}
	s->failed |= !count;
	if (count && !inspect_hold_calls(s, calls, &count)) {
		s->calls_held = rows[count - 1] + 1;
		rc = 0;
	}
	free(calls);
	free(rows);
	return rc;
}

static bool calls_has_function(struct inspect_source *s,
			       const struct trace_call_function *functions, long count)
{
	for (long i = 0; i < count; i++)
		if (inspect_fits_function(s, functions[i].function))
			return true;
	return !inspect_asks_functions(s);
}

static json_t *calls_row(struct inspect_source *s, size_t i)
{
	const struct rec_call *c = trace_at(s->t, REC_CALL_KIND, i);
	struct trace_call_function *functions;
	json_t *row;
	long count;

	if (!inspect_fits_call(s, c))
		return NULL;
	if (trace_sightings_away(s->t) && i >= s->calls_held && calls_hold(s, i))
		return NULL;
	count = trace_call_functions(s->t, c->id, &functions);
	s->failed |= count < 0;
	if (!calls_has_function(s, functions, count)) {
		free(functions);
		return NULL;
	}
	row = json_object();
	inspect_set(s, row, "call", inspect_number(c->id));
	inspect_set(s, row, "process", inspect_process(s, c->process));
	inspect_set(s, row, "connection", inspect_number(c->connection));
	inspect_set(s, row, "seq", inspect_number(c->seq));
	inspect_set(s, row, "protocol", inspect_string(s, c->protocol));
	inspect_set(s, row, "method", inspect_string(s, c->method));
	inspect_set(s, row, "path", inspect_string(s, c->path));
	inspect_set(s, row, "service", inspect_string(s, c->service));
	inspect_set(s, row, "route", inspect_string(s, c->route));
	inspect_set(s, row, "host", inspect_string(s, c->host));
	inspect_set(s, row, "status", inspect_number(c->status));
	inspect_set(s, row, "start", inspect_monotonic(s, c->start));
	inspect_set(s, row, "first_byte", inspect_monotonic(s, c->first_byte));
	inspect_set(s, row, "end", inspect_monotonic(s, c->end));
	inspect_set(s, row, "end_reason", json_string(rec_call_end_name(c->end_reason)));
	inspect_set(s, row, "request_bytes", inspect_number(c->request_bytes));
	inspect_set(s, row, "response_bytes", inspect_number(c->response_bytes));
	inspect_set(s, row, "request_id", inspect_string(s, c->request_id));
	inspect_set(s, row, "request_ids", call_request_ids(s, &c->request_ids, 0));
	inspect_set(s, row, "asked_ids", call_request_ids(s, &c->request_ids, c->ids_answered));
	inspect_set(s, row, "evidence", json_string(inspect_evidence(s->t, c, functions, count)));
	call_caller(s, row, c);
	inspect_set(s, row, "hops", inspect_hops(s, c->id));
	inspect_set(s, row, "lost", inspect_number(c->lost));
	inspect_set(s, row, "functions", call_functions(s, functions, count));
	free(functions);
	return row;
}

static const struct inspect_column calls_columns[] = {
	{ "CALL", "call", CELL_RIGHT },
	{ "START", "start", CELL_TIME },
	{ "PID", "process.pid", CELL_RIGHT },
	{ "METHOD", "method", CELL_FLEX },
	{ "STATUS", "status", CELL_RIGHT },
	{ "END", "end_reason", CELL_PLAIN },
	{ "EVIDENCE", "evidence", CELL_PLAIN },
	{ "FUNCS", "functions", CELL_COUNT },
	{ "HOPS", "hops", CELL_COUNT },
	{ "PATH", "path", CELL_FLEX },
	{ NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_calls = {
	"calls",
	REC_CALL_KIND,
	NULL,
	calls_row,
	calls_columns,
	INSPECT_KIND(CALL) | INSPECT_KIND(PROCESS) | INSPECT_KIND(MODULE) |
		INSPECT_KIND(CONNECTION) | INSPECT_KIND(CONNECTION_END) | INSPECT_KIND(HOP) |
		INSPECT_KIND(BINDING) | INSPECT_KIND(CONTEXT) | INSPECT_KIND(STACK) |
		INSPECT_KIND(FUNCTION) | INSPECT_KIND(DEEP) | INSPECT_KIND(GAP) |
		INSPECT_KIND(CLOCK) | INSPECT_KIND(SIGHTING),
	INSPECT_BY_TIME | INSPECT_BY_ROUTE | INSPECT_BY_STATUS | INSPECT_BY_PROCESS |
		INSPECT_BY_MODULE | INSPECT_BY_FUNCTION | INSPECT_BY_REQUEST_ID,
};
