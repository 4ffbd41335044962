/* The views of what was watched: processes and connections. */
#include "inspect/rows.h"

/* ---- processes ---- */

/* The raw wait status as its two halves: null when unknown or when it is the other one. */
static void process_exit(struct inspect_source *s, json_t *row, const struct rec_process_end *end)
{
	uint64_t status = end ? end->exit_code : REC_NULL, signal = status & 0x7f;
	bool known = status != REC_NULL;

	inspect_set(s, row, "exit_code",
		    inspect_number(known && !signal ? status >> 8 & 0xff : REC_NULL));
	inspect_set(s, row, "signal", inspect_number(known && signal ? signal : REC_NULL));
}

static json_t *processes_row(struct inspect_source *s, size_t i)
{
	const struct rec_process *p = trace_at(s->t, REC_PROCESS_KIND, i);
	const struct rec_process_end *end = trace_process_end(s->t, p->id);
	json_t *row;
	size_t first;

	if (!inspect_fits_process(s, p->id) ||
	    !inspect_fits_time(s, p->seen, end ? end->time : REC_NULL))
		return NULL;
	row = json_object();
	inspect_set(s, row, "process", inspect_number(p->id));
	inspect_set(s, row, "pid", inspect_number(p->pid));
	inspect_set(s, row, "start", inspect_boottime(s, p->start));
	inspect_set(s, row, "parent", inspect_number(p->parent));
	inspect_set(s, row, "exe", inspect_module_path(s, p->exe));
	inspect_set(s, row, "module", inspect_number(p->exe));
	inspect_set(s, row, "comm", inspect_string(s, p->comm));
	inspect_set(s, row, "argv0", inspect_string(s, p->argv0));
	inspect_set(s, row, "options", inspect_strings(s, &p->options));
	inspect_set(s, row, "origin", json_string(rec_origin_name(p->origin)));
	inspect_set(s, row, "seen", inspect_monotonic(s, p->seen));
	inspect_set(s, row, "uid", inspect_number(p->uid));
	inspect_set(s, row, "cgroup", inspect_string(s, p->cgroup));
	inspect_set(s, row, "runtime", inspect_string(s, p->runtime));
	inspect_set(s, row, "service", inspect_string(s, p->service));
	inspect_set(s, row, "end", inspect_monotonic(s, end ? end->time : REC_NULL));
	process_exit(s, row, end);
	inspect_set(s, row, "connections",
		    inspect_number(trace_related(s->t, TRACE_CONNECTION_PROCESS, p->id, &first)));
	inspect_set(s, row, "calls",
		    inspect_number(trace_related(s->t, TRACE_CALL_PROCESS, p->id, &first)));
	return row;
}

static const struct inspect_column processes_columns[] = {
	{ "PROCESS", "process", CELL_RIGHT }, { "PID", "pid", CELL_RIGHT },
	{ "PARENT", "parent", CELL_RIGHT },   { "END", "end", CELL_TIME },
	{ "EXIT", "exit_code", CELL_RIGHT },  { "SIGNAL", "signal", CELL_RIGHT },
	{ "SERVICE", "service", CELL_FLEX },  { "RUNTIME", "runtime", CELL_FLEX },
	{ "CALLS", "calls", CELL_RIGHT },     { "EXE", "exe", CELL_PATH },
	{ NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_processes = { "processes",
						REC_PROCESS_KIND,
						NULL,
						processes_row,
						processes_columns,
						INSPECT_KIND(PROCESS) | INSPECT_KIND(PROCESS_END) |
							INSPECT_KIND(MODULE) |
							INSPECT_KIND(CONNECTION) |
							INSPECT_KIND(CALL),
						INSPECT_BY_PROCESS | INSPECT_BY_TIME };

/* ---- connections ---- */

static json_t *connections_row(struct inspect_source *s, size_t i)
{
	const struct rec_connection *c = trace_at(s->t, REC_CONNECTION_KIND, i);
	const struct rec_connection_end *end = trace_connection_end(s->t, c->id);
	const struct rec_connection *peer = trace_peer(s->t, c);
	json_t *row;

	if (!inspect_fits_process(s, c->process) ||
	    !inspect_fits_time(s, c->opened, end ? end->time : REC_NULL))
		return NULL;
	row = json_object();
	inspect_set(s, row, "connection", inspect_number(c->id));
	inspect_set(s, row, "process", inspect_process(s, c->process));
	inspect_set(s, row, "family", json_string(rec_family_name(c->family)));
	inspect_set(s, row, "direction", json_string(rec_direction_name(c->direction)));
	inspect_set(s, row, "local", inspect_address(s, c->family, c->local, c->local_port));
	inspect_set(s, row, "remote", inspect_address(s, c->family, c->remote, c->remote_port));
	inspect_set(s, row, "cookie", inspect_number(c->cookie));
	inspect_set(s, row, "peer", inspect_number(peer ? peer->id : REC_NULL));
	inspect_set(s, row, "opened", inspect_monotonic(s, c->opened));
	inspect_set(s, row, "joined", inspect_bool(c->joined));
	inspect_set(s, row, "closed", inspect_monotonic(s, end ? end->time : REC_NULL));
	inspect_set(s, row, "end_reason", end ? inspect_string(s, end->reason) : json_null());
	inspect_set(s, row, "received", inspect_number(end ? end->received : REC_NULL));
	inspect_set(s, row, "sent", inspect_number(end ? end->sent : REC_NULL));
	inspect_set(s, row, "calls", inspect_number(end ? end->calls : REC_NULL));
	inspect_set(s, row, "undecoded", end ? inspect_string(s, end->undecoded) : json_null());
	inspect_set(s, row, "suspect", inspect_number(end ? end->suspect : REC_NULL));
	return row;
}

static const struct inspect_column connections_columns[] = {
	{ "CONNECTION", "connection", CELL_RIGHT }, { "PID", "process.pid", CELL_RIGHT },
	{ "DIR", "direction", CELL_PLAIN },	    { "LOCAL", "local", CELL_FLEX },
	{ "REMOTE", "remote", CELL_FLEX },	    { "OPENED", "opened", CELL_TIME },
	{ "CALLS", "calls", CELL_RIGHT },	    { "SUSPECT", "suspect", CELL_RIGHT },
	{ "UNDECODED", "undecoded", CELL_FLEX },    { NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_connections = { "connections",
						  REC_CONNECTION_KIND,
						  NULL,
						  connections_row,
						  connections_columns,
						  INSPECT_KIND(CONNECTION) |
							  INSPECT_KIND(CONNECTION_END) |
							  INSPECT_KIND(PROCESS) |
							  INSPECT_KIND(MODULE),
						  INSPECT_BY_PROCESS | INSPECT_BY_TIME };
