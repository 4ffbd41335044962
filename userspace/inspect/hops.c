/* The hops of a call: which outbound connections it used, and who was at the other end. */
#include "inspect/rows.h"

#include <stdlib.h>

/* Of the calls that were made for this one, those that came by the connection. */
static json_t *hop_calls(struct inspect_source *s, uint64_t call, const struct rec_connection *peer)
{
	size_t first, n = trace_called(s->t, call, &first);
	json_t *out = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct rec_call *called = trace_called_at(s->t, first + i);

		if (called->connection == peer->id)
			inspect_append(s, out, inspect_number(called->id));
	}
	return out;
}

/* The far end: its class, and when its process is a target too, that one's view. */
static json_t *hop_peer(struct inspect_source *s, uint64_t call, const struct rec_connection *c)
{
	const struct rec_connection *peer = trace_peer(s->t, c);
	const char *class = trace_remote_class(s->t, c);
	json_t *out = json_object();

	inspect_set(s, out, "class", class ? json_string_nocheck(class) : json_null());
	inspect_set(s, out, "connection", inspect_number(peer ? peer->id : REC_NULL));
	inspect_set(s, out, "process", peer ? inspect_process(s, peer->process) : json_null());
	inspect_set(s, out, "calls", peer ? hop_calls(s, call, peer) : json_array());
	return out;
}

static json_t *hop_row(struct inspect_source *s, uint64_t call, const struct trace_hop *hop)
{
	const struct rec_connection *c = trace_find(s->t, REC_CONNECTION_KIND, hop->connection);
	bool messages = c && trace_remote_messages(s->t, c, hop->protocol);
	json_t *row = json_object();

	inspect_set(s, row, "hop", inspect_number(hop->record));
	inspect_set(s, row, "connection", inspect_number(hop->connection));
	inspect_set(s, row, "remote",
		    c ? inspect_address(s, c->family, c->remote, c->remote_port) : json_null());
	inspect_set(s, row, "time", inspect_monotonic(s, hop->first));
	inspect_set(s, row, "last", inspect_monotonic(s, hop->last));
	inspect_set(s, row, "received", inspect_number(hop->received));
	inspect_set(s, row, "sent", inspect_number(hop->sent));
	inspect_set(s, row, "links", inspect_links(s, hop->links));
	inspect_set(s, row, "ambiguous", json_boolean(!hop->sure));
	inspect_set(s, row, "protocol", inspect_string(s, hop->protocol));
	inspect_set(s, row, "note",
		    messages ? json_string_nocheck("work by message: not tied") : json_null());
	inspect_set(s, row, "peer", c ? hop_peer(s, call, c) : json_null());
	return row;
}

json_t *inspect_hops(struct inspect_source *s, uint64_t call)
{
	struct trace_hop *hops;
	long count = trace_call_hops(s->t, call, &hops);
	json_t *out = json_array();

	s->failed |= count < 0;
	for (long i = 0; i < count; i++)
		inspect_append(s, out, hop_row(s, call, &hops[i]));
	free(hops);
	return out;
}
