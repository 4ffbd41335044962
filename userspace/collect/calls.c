/* Connections, calls, bindings. */
#include "collect/calls.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "collect/processes.h"
#include "protocols/http1.h"

#define OPEN_MAX_CALLS 8 /* unfinished calls of one flow that are told apart */

/* include/net/tcp_states.h */
enum {
	TCP_STATE_FIN_WAIT1 = 4,
	TCP_STATE_CLOSE = 7,
	TCP_STATE_CLOSE_WAIT = 8,
	TCP_STATE_LAST_ACK = 9
};

struct flow_key {
	uint64_t flow;
	uint32_t process, thread;
};

struct binding {
	uint64_t context, from, until;
	struct flow_key flow;
	enum link link;
};

/* A call that somebody works for; its record is written when it ends. */
struct slot {
	uint64_t seq, call;
	struct binding *bindings;
	size_t count, cap;
	struct slot *next;
};

struct connection {
	uint64_t id;
	struct rec_connection rec;
	char local[64], remote[64];
	bool put; /* the connection's record was put */
	bool client_closed, finished;
	bool undecoded; /* flows took it as work for an unknown call */
	uint32_t process; /* that moved data last */
	uint64_t received, sent, calls;
	struct http1 *http; /* inbound ones */
	struct slot *slots;
	struct calls *owner;
	UT_hash_handle hh;
};

/* A context whose binding is still open. */
struct open_context {
	uint64_t context;
	struct connection *connection;
	uint64_t seq;
	UT_hash_handle hh;
};

/* The unfinished calls of a flow. */
struct flow {
	struct flow_key key;
	struct {
		struct connection *connection;
		uint64_t seq;
	} open[OPEN_MAX_CALLS];
	size_t count;
	bool overflow;
	UT_hash_handle hh;
};

struct calls {
	struct session *s;
	struct connection *connections;
	struct open_context *contexts;
	struct flow *flows;
	struct calls_stats stats;
};

struct calls *calls_new(struct session *s)
{
	struct calls *c = calloc(1, sizeof(*c));

	if (c)
		c->s = s;
	return c;
}

/* ---- slots and bindings ---- */

static struct slot *slot_of(struct connection *c, uint64_t seq, bool create)
{
	struct slot *slot;

	for (slot = c->slots; slot; slot = slot->next)
		if (slot->seq == seq)
			return slot;
	if (!create || !(slot = calloc(1, sizeof(*slot))))
		return NULL;
	slot->seq = seq;
	slot->call = bundle_writer_id(c->owner->s->writer, REC_CALL_KIND);
	slot->next = c->slots;
	c->slots = slot;
	return slot;
}

static void flow_forget(struct calls *c, const struct flow_key *key, struct connection *connection,
			uint64_t seq)
{
	struct flow *flow;
	size_t kept = 0;

	HASH_FIND(hh, c->flows, key, sizeof(*key), flow);
	if (!flow)
		return;
	for (size_t i = 0; i < flow->count; i++)
		if (flow->open[i].connection != connection || flow->open[i].seq != seq)
			flow->open[kept++] = flow->open[i];
	flow->count = kept;
	if (!kept) {
		HASH_DEL(c->flows, flow);
		free(flow);
	}
}

/* Ends a call's bindings at its end; writes them when the call has a record. */
static void slot_end(struct connection *connection, struct slot *slot, uint64_t end, bool write)
{
	struct calls *c = connection->owner;
	struct slot **at = &connection->slots;

	for (size_t i = 0; i < slot->count; i++) {
		struct binding *b = &slot->bindings[i];
		struct rec_binding rec = {
			.context = b->context,
			.call = slot->call,
			.from = b->from,
			.until = b->until < end ? b->until : end,
			.link = b->link,
		};
		struct open_context *open;

		if (write) {
			rec.id = bundle_writer_id(c->s->writer, REC_BINDING_KIND);
			bundle_writer_put(c->s->writer, REC_BINDING_KIND, &rec);
		}
		HASH_FIND(hh, c->contexts, &b->context, sizeof(b->context), open);
		if (open && open->connection == connection && open->seq == slot->seq) {
			HASH_DEL(c->contexts, open);
			free(open);
		}
		flow_forget(c, &b->flow, connection, slot->seq);
	}
	while (*at != slot)
		at = &(*at)->next;
	*at = slot->next;
	free(slot->bindings);
	free(slot);
}

static void call_bind(struct calls *c, struct connection *connection, uint64_t seq,
		      const struct wire_context *e, const struct flow_key *flow, enum link link)
{
	struct slot *slot = slot_of(connection, seq, true);
	struct open_context *open;

	if (!slot)
		goto lost;
	if (slot->count == slot->cap) {
		size_t cap = slot->cap ? 2 * slot->cap : 4;
		struct binding *grown = realloc(slot->bindings, cap * sizeof(*grown));

		if (!grown)
			goto lost;
		slot->bindings = grown;
		slot->cap = cap;
	}
	slot->bindings[slot->count++] = (struct binding){
		.context = e->context,
		.from = e->head.time,
		.until = UINT64_MAX,
		.flow = *flow,
		.link = link,
	};
	HASH_FIND(hh, c->contexts, &e->context, sizeof(e->context), open);
	if (!open) {
		open = calloc(1, sizeof(*open));
		if (!open)
			goto lost;
		open->context = e->context;
		HASH_ADD(hh, c->contexts, context, sizeof(open->context), open);
	}
	open->connection = connection;
	open->seq = seq;
	return;
lost:
	c->stats.unbound_contexts++;
}

/* shared: it turned out to be an event loop's own, so it was so from the beginning. */
static void context_ends(struct calls *c, uint64_t context, uint64_t time, bool shared)
{
	struct open_context *open;
	struct slot *slot;

	HASH_FIND(hh, c->contexts, &context, sizeof(context), open);
	if (!open)
		return;
	/* The newest binding first: it is the one, but for flows with several calls. */
	for (slot = open->connection->slots; slot; slot = slot->next)
		if (slot->seq == open->seq)
			break;
	for (size_t i = slot ? slot->count : 0; i-- > 0;) {
		if (slot->bindings[i].context == context) {
			slot->bindings[i].until = time;
			if (shared)
				slot->bindings[i].link = LINK_AMBIGUOUS;
			break;
		}
	}
	HASH_DEL(c->contexts, open);
	free(open);
}

/* Adds the call to the flow's unfinished ones; NULL when memory is short. */
static struct flow *flow_takes(struct calls *c, const struct flow_key *key,
			       struct connection *connection, uint64_t seq)
{
	struct flow *flow;

	HASH_FIND(hh, c->flows, key, sizeof(*key), flow);
	if (!flow) {
		flow = calloc(1, sizeof(*flow));
		if (!flow)
			return NULL;
		flow->key = *key;
		HASH_ADD(hh, c->flows, key, sizeof(flow->key), flow);
	}
	for (size_t i = 0; i < flow->count; i++)
		if (flow->open[i].connection == connection && flow->open[i].seq == seq)
			return flow;
	if (flow->count == OPEN_MAX_CALLS) {
		flow->overflow = true;
		return flow;
	}
	flow->open[flow->count].connection = connection;
	flow->open[flow->count++].seq = seq;
	return flow;
}

void calls_context(struct calls *c, const struct wire_context *e)
{
	struct flow_key key = { e->flow, e->head.process, e->thread };
	struct rec_context rec = {
		.id = e->context,
		.process = e->head.process,
		.thread = e->thread,
		.flow = e->flow,
		.generation = e->generation,
		.start = e->head.time,
	};
	struct connection *connection;
	struct http1_stats stats;
	struct flow *flow;
	bool listed = false;
	uint64_t seq;

	bundle_writer_put(c->s->writer, REC_CONTEXT_KIND, &rec);
	if (e->previous)
		context_ends(c, e->previous, e->head.time, e->shared);
	HASH_FIND(hh, c->connections, &e->connection, sizeof(e->connection), connection);
	if (!connection || !connection->http)
		return;
	seq = http1_current(connection->http);
	http1_stats(connection->http, &stats);
	if (!seq && stats.decoding)
		return;
	/* What cannot be decoded may be work for a call nobody knows (seq 0). */
	flow = flow_takes(c, &key, connection, seq);
	if (!flow) {
		c->stats.unbound_contexts++;
		return;
	}
	if (seq)
		flow_forget(c, &key, connection, 0);
	else
		connection->undecoded = true;
	if (flow->count == 1 && !flow->overflow && !e->shared) {
		if (seq)
			call_bind(c, connection, seq, e, &key, e->flow ? LINK_FLOW : LINK_THREAD);
		return;
	}
	/* Whose work it does now cannot be told. */
	for (size_t i = 0; i < flow->count; i++) {
		listed |= flow->open[i].connection == connection && flow->open[i].seq == seq;
		if (flow->open[i].seq)
			call_bind(c, flow->open[i].connection, flow->open[i].seq, e, &key,
				  LINK_AMBIGUOUS);
	}
	if (!listed && seq)
		call_bind(c, connection, seq, e, &key, LINK_AMBIGUOUS);
}

/* ---- connections ---- */

static void put_connection(struct connection *connection)
{
	struct session *s = connection->owner->s;
	struct rec_connection *rec = &connection->rec;

	if (connection->put)
		return;
	rec->process = connection->process ? connection->process : REC_NULL;
	rec->local = session_private(s, connection->local);
	rec->remote = session_private(s, connection->remote);
	bundle_writer_put(s->writer, REC_CONNECTION_KIND, rec);
	connection->put = true;
}

/* A method may be any token that a client makes up; those of RFC 9110, 5789, 4918 and 3253 are
 * kept. */
static const char *method_kept(const char *method)
{
	static const char *const known[] = {
		"GET",	   "HEAD",   "POST",	"PUT",	    "DELETE",	 "PATCH",
		"OPTIONS", "TRACE",  "COPY",	"PROPFIND", "PROPPATCH", "LOCK",
		"UNLOCK",  "REPORT", "CONNECT", "MKCOL",    "MOVE",	 "SEARCH",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(method, known[i]))
			return known[i];
	return "OTHER";
}

static void call_ended(void *ctx, const struct http1_call *call)
{
	struct connection *connection = ctx;
	struct calls *c = connection->owner;
	struct session *s = c->s;
	struct process *process = processes_find(s->processes, connection->process);
	const struct service_definition *service = process ? process->service : NULL;
	static const enum call_end ends[] = {
		[HTTP1_COMPLETE] = CALL_END_COMPLETE,
		[HTTP1_CLIENT_GONE] = CALL_END_CLIENT_GONE,
		[HTTP1_SERVER_GONE] = CALL_END_SERVER_GONE,
		[HTTP1_WINDOW_STOP] = CALL_END_WINDOW_STOP,
	};
	const struct service_route *route;
	struct slot *slot = slot_of(connection, call->seq, true);
	uint64_t ids[32];
	char kept[KEPT_MAX];
	struct rec_call rec;
	uint32_t count = 0;

	if (!slot)
		return;
	put_connection(connection);
	route = service_route_match(service, call->method, call->path, kept);
	for (size_t i = 0; i < call->ids_count && count + 2 <= 32; i++) {
		ids[count++] = session_public(s, call->ids[i].name);
		/* What the client sent is the client's; the answer's ids are the server's own. */
		ids[count++] = bundle_writer_string(s->writer, call->ids[i].value, call->ids[i].len,
						    i < call->ids_answered ? STRING_PUBLIC
									   : STRING_PRIVATE);
	}
	rec = (struct rec_call){
		.id = slot->call,
		.process = connection->process,
		.connection = connection->id,
		.seq = call->seq,
		.protocol = session_public(s, call->protocol),
		.method = session_public(s, method_kept(call->method)),
		.path = session_public(s, kept),
		.service = service ? session_public(s, service->name) : REC_NULL,
		.route = route ? session_public(s, route->path) : REC_NULL,
		.status = call->status ? call->status : REC_NULL,
		.start = call->start,
		.first_byte = call->first_byte,
		.end = call->end,
		.end_reason = ends[call->end_reason],
		.request_bytes = call->request_bytes,
		.response_bytes = call->response_bytes,
		.request_id = call->ids_answered ? ids[1] : REC_NULL,
		.request_ids = { ids, count },
		.host = session_private(s, call->host),
		.lost = call->lost,
	};
	bundle_writer_put(s->writer, REC_CALL_KIND, &rec);
	connection->calls++;
	c->stats.calls++;
	c->stats.complete += call->end_reason == HTTP1_COMPLETE;
	c->stats.last_call = call->end;
	slot_end(connection, slot, call->end, true);
}

void calls_connection(struct calls *c, const struct wire_connection *e)
{
	struct http1_callbacks callbacks = { call_ended, NULL };
	struct connection *connection = calloc(1, sizeof(*connection));
	const struct wire_address *a = &e->address;

	if (!connection)
		return;
	connection->owner = c;
	connection->id = e->connection;
	connection->process = e->head.process;
	inet_ntop(a->family, a->local, connection->local, sizeof(connection->local));
	inet_ntop(a->family, a->remote, connection->remote, sizeof(connection->remote));
	connection->rec = (struct rec_connection){
		.id = e->connection,
		.family = a->family == AF_INET ? FAMILY_TCP4 : FAMILY_TCP6,
		.local_port = a->local_port,
		.remote_port = a->remote_port,
		.direction = e->direction == WIRE_IN ? DIRECTION_IN : DIRECTION_OUT,
		.cookie = e->identity ? e->identity : REC_NULL,
		.opened = e->head.time,
		.joined = e->joined,
	};
	callbacks.ctx = connection;
	if (e->direction == WIRE_IN)
		connection->http = http1_new(e->joined, &callbacks);
	HASH_ADD(hh, c->connections, id, sizeof(connection->id), connection);
	c->stats.connections++;
}

void calls_data(struct calls *c, const struct wire_data *e, size_t size)
{
	struct connection *connection;
	struct process *process;
	struct http1_chunk chunk = {
		.direction = e->flags & WIRE_DATA_SEND ? HTTP1_RESPONSE : HTTP1_REQUEST,
		.offset = e->offset,
		.length = e->length,
		.data = (const uint8_t *)(e + 1),
		.captured = e->captured,
		.time = e->head.time,
	};

	HASH_FIND(hh, c->connections, &e->connection, sizeof(e->connection), connection);
	if (!connection || !connection->http || chunk.captured > size - sizeof(*e)) {
		c->stats.unknown++;
		return;
	}
	if (chunk.direction == HTTP1_RESPONSE)
		connection->sent += e->length;
	else
		connection->received += e->length;
	connection->process = e->head.process;
	process = processes_find(c->s->processes, e->head.process);
	if (process)
		process->active = true;
	put_connection(connection);
	c->stats.chunks++;
	http1_feed(connection->http, &chunk);
}

/* Nothing more is decoded on the connection. */
static void finish(struct connection *connection, enum http1_end end, uint64_t time,
		   const char *reason)
{
	struct calls *c = connection->owner;
	struct http1_stats stats = { .why = "outbound" };
	struct rec_connection_end rec;

	if (connection->finished)
		return;
	connection->finished = true;
	put_connection(connection);
	if (connection->http) {
		http1_finish(connection->http, end, time);
		http1_stats(connection->http, &stats);
		if (!connection->calls && !stats.why[0])
			stats.why = connection->received ? "incomplete" : "no-data";
	}
	while (connection->slots)
		slot_end(connection, connection->slots, time, false);
	if (connection->undecoded) {
		struct flow *flow, *next;

		HASH_ITER(hh, c->flows, flow, next)
			flow_forget(c, &flow->key, connection, 0);
	}
	rec = (struct rec_connection_end){
		.id = bundle_writer_id(c->s->writer, REC_CONNECTION_END_KIND),
		.connection = connection->id,
		.time = time,
		.reason = session_public(c->s, reason),
		.received = connection->received,
		.sent = connection->sent,
		.calls = connection->calls,
		.undecoded = session_public(c->s, stats.why),
		.suspect = stats.suspect,
	};
	bundle_writer_put(c->s->writer, REC_CONNECTION_END_KIND, &rec);
}

static void release(struct connection *connection)
{
	if (connection->http)
		http1_free(connection->http);
	HASH_DEL(connection->owner->connections, connection);
	free(connection);
}

void calls_state(struct calls *c, const struct wire_state *e)
{
	struct connection *connection;
	bool by_client;

	HASH_FIND(hh, c->connections, &e->connection, sizeof(e->connection), connection);
	if (!connection) {
		c->stats.unknown++;
		return;
	}
	if (e->to == TCP_STATE_CLOSE_WAIT)
		connection->client_closed = true;
	if (e->to != TCP_STATE_FIN_WAIT1 && e->to != TCP_STATE_LAST_ACK && e->to != TCP_STATE_CLOSE)
		return;
	/* Reset by the network, or closed only after the other side had done so. */
	by_client = connection->client_closed || !e->closed_here;
	if (e->closed_here && connection->http && !connection->finished)
		http1_server_closed(connection->http);
	finish(connection, by_client ? HTTP1_CLIENT_GONE : HTTP1_SERVER_GONE, e->head.time,
	       by_client ? "client closed" : "server closed");
	if (e->to == TCP_STATE_CLOSE)
		release(connection);
}

void calls_finish(struct calls *c, uint64_t time)
{
	struct connection *connection, *next;

	HASH_ITER(hh, c->connections, connection, next)
		finish(connection, HTTP1_WINDOW_STOP, time, "window stop");
}

void calls_free(struct calls *c)
{
	struct connection *connection, *next;
	struct open_context *open, *next_open;
	struct flow *flow, *next_flow;

	if (!c)
		return;
	HASH_ITER(hh, c->connections, connection, next) {
		while (connection->slots)
			slot_end(connection, connection->slots, 0, false);
		release(connection);
	}
	HASH_ITER(hh, c->contexts, open, next_open) {
		HASH_DEL(c->contexts, open);
		free(open);
	}
	HASH_ITER(hh, c->flows, flow, next_flow) {
		HASH_DEL(c->flows, flow);
		free(flow);
	}
	free(c);
}

void calls_stats(const struct calls *c, struct calls_stats *out)
{
	*out = c->stats;
}
