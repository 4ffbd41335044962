/* Connections of targets and the calls on them. */
#include "collect/calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uthash.h>

#include "collect/attach.h"
#include "collect/bindings.h"
#include "collect/deep.h"
#include "collect/hops.h"
#include "collect/processes.h"
#include "collect/tls.h"
#include "protocols/decoder.h"

/* include/net/tcp_states.h */
enum {
	TCP_STATE_FIN_WAIT1 = 4,
	TCP_STATE_CLOSE = 7,
	TCP_STATE_CLOSE_WAIT = 8,
	TCP_STATE_LAST_ACK = 9
};

struct connection {
	uint64_t id;
	struct rec_connection rec;
	char local[WIRE_UNIX_PATH + 1], remote[WIRE_UNIX_PATH + 1];
	bool put; /* the connection's record was put */
	bool client_closed, finished;
	bool plaintext; /* of a TLS library is decoded; the socket's bytes are ciphertext */
	uint32_t process; /* that moved data last */
	uint64_t received, sent, calls;
	const char *spoken; /* the protocol that the first bytes sent show; outbound ones */
	struct decoder *decoder; /* inbound ones */
	struct bound bound; /* who works for its calls */
	struct calls *owner;
	UT_hash_handle hh;
};

struct calls {
	struct session *s;
	struct connection *connections;
	struct bindings *bindings;
	struct calls_stats stats;
	size_t unix_open;
	uint64_t unix_look_at;
};

struct calls *calls_new(struct session *s)
{
	struct calls *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->s = s;
	c->bindings = bindings_new(s);
	if (!c->bindings) {
		free(c);
		return NULL;
	}
	return c;
}

void calls_context(struct calls *c, const struct wire_context *e)
{
	struct decoder_stats stats = { .decoding = true };
	struct connection *connection;
	uint64_t seqs[DECODER_CURRENT_MAX];
	size_t count = 0;

	HASH_FIND(hh, c->connections, &e->connection, sizeof(e->connection), connection);
	if (connection && connection->decoder) {
		count = decoder_current(connection->decoder, seqs, DECODER_CURRENT_MAX);
		decoder_stats(connection->decoder, &stats);
	}
	bindings_context(c->bindings, connection && connection->decoder ? &connection->bound : NULL,
			 seqs, count, stats.decoding, e);
}

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

static void call_ended(void *ctx, const struct decoder_call *call)
{
	struct connection *connection = ctx;
	struct calls *c = connection->owner;
	struct session *s = c->s;
	struct process *process = processes_find(s->processes, connection->process);
	const struct service_definition *service = process ? process->service : NULL;
	static const enum call_end ends[] = {
		[DECODER_COMPLETE] = CALL_END_COMPLETE,
		[DECODER_CLIENT_GONE] = CALL_END_CLIENT_GONE,
		[DECODER_SERVER_GONE] = CALL_END_SERVER_GONE,
		[DECODER_WINDOW_STOP] = CALL_END_WINDOW_STOP,
		[DECODER_TIMEOUT] = CALL_END_TIMEOUT,
	};
	const struct service_route *route;
	uint64_t id = bindings_call(c->bindings, &connection->bound, call->seq);
	uint64_t ids[32];
	char kept[KEPT_MAX];
	struct rec_call rec;
	uint32_t count = 0, answered = 0;

	if (!id)
		return;
	put_connection(connection);
	route = service_route_match(service, call->method, call->path, kept);
	for (size_t i = 0; i < call->ids_count && count + 2 <= 32; i++) {
		ids[count++] = session_public(s, call->ids[i].name);
		answered += i < call->ids_answered;
		/* What the client sent is the client's; the answer's ids are the server's own. */
		ids[count++] = bundle_writer_string(s->writer, call->ids[i].value, call->ids[i].len,
						    i < call->ids_answered ? STRING_PUBLIC
									   : STRING_PRIVATE);
	}
	rec = (struct rec_call){
		.id = id,
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
		.ids_answered = answered,
	};
	bundle_writer_put(s->writer, REC_CALL_KIND, &rec);
	connection->calls++;
	c->stats.calls++;
	c->stats.complete += call->end_reason == DECODER_COMPLETE;
	c->stats.last_call = call->end;
	bindings_call_ended(c->bindings, &connection->bound, call->seq, call->end);
	deep_call(s->deep, connection->process, rec.method, rec.path, call->start, call->end);
}

/* The name that the server's side is bound to, "@" for the 0 of an abstract one. */
static void unix_path(const struct wire_connection *e, char *out, size_t size)
{
	size_t len = e->path_len < size ? e->path_len : size - 1;

	for (size_t i = 0; i < len; i++)
		out[i] = (char)(e->path[i] < ' ' ? '?' : e->path[i]);
	out[len] = '\0';
	if (len && !e->path[0])
		out[0] = '@';
	else
		out[strnlen((const char *)e->path, len)] = '\0';
}

static void addresses_take(const struct wire_connection *e, struct connection *connection)
{
	const struct wire_address *a = &e->address;
	bool in = e->direction == WIRE_IN;
	uint64_t inodes[2];

	if (a->family != AF_UNIX) {
		connection->rec.family = hops_addresses(a, connection->local, connection->remote);
		return;
	}
	unix_path(e, in ? connection->local : connection->remote, sizeof(connection->local));
	memcpy(&inodes[0], a->local, sizeof(inodes[0]));
	memcpy(&inodes[1], a->remote, sizeof(inodes[1]));
	connection->rec.family = FAMILY_UNIX;
	connection->rec.inode = inodes[0] ? inodes[0] : REC_NULL;
	connection->rec.peer_inode = inodes[1] ? inodes[1] : REC_NULL;
}

void calls_connection(struct calls *c, const struct wire_connection *e)
{
	struct decoder_callbacks callbacks = { call_ended, NULL };
	struct connection *connection = calloc(1, sizeof(*connection));
	const struct wire_address *a = &e->address;

	if (!connection)
		return;
	connection->owner = c;
	connection->id = e->connection;
	connection->process = e->head.process;
	connection->rec = (struct rec_connection){
		.id = e->connection,
		.local_port = a->local_port,
		.remote_port = a->remote_port,
		.direction = e->direction == WIRE_IN ? DIRECTION_IN : DIRECTION_OUT,
		.cookie = e->identity ? e->identity : REC_NULL,
		.opened = e->head.time,
		.joined = e->joined,
		.netns = a->netns,
		.inode = REC_NULL,
		.peer_inode = REC_NULL,
	};
	addresses_take(e, connection);
	c->unix_open += a->family == AF_UNIX;
	callbacks.ctx = connection;
	if (e->direction == WIRE_IN)
		connection->decoder = decoder_new(e->joined, &callbacks);
	HASH_ADD(hh, c->connections, id, sizeof(connection->id), connection);
	c->stats.connections++;
}

/*
 * Plaintext of a TLS library takes the place of what the socket showed, unless calls were read from
 * that already. False: the chunk is not to be decoded.
 */
static bool takes_chunk(struct connection *connection, const struct wire_data *e)
{
	struct decoder_callbacks callbacks = { call_ended, connection };
	struct calls *c = connection->owner;
	const uint8_t *data = (const uint8_t *)(e + 1);
	struct decoder *decoder;

	if (!(e->flags & WIRE_DATA_TLS)) {
		/* A TLS record (RFC 8446, 5.1): its library may have been loaded just now. */
		if (!e->offset && e->captured > 1 && data[0] == 22 && data[1] == 3)
			tls_process_uses(c->s->tls, e->head.process);
		return !connection->plaintext;
	}
	if (connection->plaintext)
		return true;
	decoder =
		connection->calls ? NULL : decoder_new(e->flags & WIRE_DATA_TLS_JOINED, &callbacks);
	if (!decoder)
		return false;
	tls_process_uses(c->s->tls, e->head.process);
	decoder_free(connection->decoder);
	connection->decoder = decoder;
	connection->plaintext = true;
	connection->bound.adjacent = e->flags & WIRE_DATA_TLS_ADJACENT;
	connection->received = connection->sent = 0;
	bindings_decoded(c->bindings, &connection->bound);
	return true;
}

void calls_data(struct calls *c, const struct wire_data *e, size_t size)
{
	struct connection *connection;
	struct process *process;
	uint64_t seqs[DECODER_CURRENT_MAX];
	struct decoder_chunk chunk = {
		.direction = e->flags & WIRE_DATA_SEND ? DECODER_RESPONSE : DECODER_REQUEST,
		.offset = e->offset,
		.length = e->length,
		.data = (const uint8_t *)(e + 1),
		.captured = e->captured,
		.time = e->head.time,
	};

	HASH_FIND(hh, c->connections, &e->connection, sizeof(e->connection), connection);
	if (!connection || !connection->decoder || chunk.captured > size - sizeof(*e)) {
		c->stats.unknown++;
		return;
	}
	if (!takes_chunk(connection, e))
		return;
	if (chunk.direction == DECODER_RESPONSE)
		connection->sent += e->length;
	else
		connection->received += e->length;
	connection->process = e->head.process;
	process = processes_find(c->s->processes, e->head.process);
	if (process)
		process->active = process->worked = true;
	put_connection(connection);
	c->stats.chunks++;
	if (chunk.direction == DECODER_RESPONSE && e->context &&
	    decoder_current(connection->decoder, seqs, DECODER_CURRENT_MAX) == 1)
		bindings_answered(c->bindings, &connection->bound, seqs[0],
				  decoder_headed(connection->decoder, seqs[0]), e->context,
				  chunk.time);
	decoder_feed(connection->decoder, &chunk);
}

void calls_hop(struct calls *c, const struct wire_hop *e)
{
	struct connection *connection;

	HASH_FIND(hh, c->connections, &e->connection, sizeof(e->connection), connection);
	if (!connection) {
		c->stats.unknown++;
		return;
	}
	if (e->send)
		connection->sent += e->length;
	else
		connection->received += e->length;
	if (!connection->spoken && !connection->rec.joined)
		connection->spoken = hops_protocol(e->start);
	put_connection(connection);
	hops_use(c->s->hops, e, connection->spoken);
}

/* Nothing more is decoded on the connection. */
static void finish(struct connection *connection, enum decoder_end end, uint64_t time,
		   const char *reason)
{
	struct calls *c = connection->owner;
	struct decoder_stats stats = { .why = "outbound" };
	struct rec_connection_end rec;

	if (connection->finished)
		return;
	connection->finished = true;
	put_connection(connection);
	if (connection->decoder) {
		decoder_finish(connection->decoder, end, time);
		decoder_stats(connection->decoder, &stats);
		if (!connection->calls && !stats.why[0])
			stats.why = !connection->received ? "no-data"
				    : stats.suspect	  ? "suspect"
							  : "incomplete";
	}
	bindings_connection_ended(c->bindings, &connection->bound);
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
	connection->owner->unix_open -= connection->rec.family == FAMILY_UNIX;
	if (connection->decoder)
		decoder_free(connection->decoder);
	HASH_DEL(connection->owner->connections, connection);
	free(connection);
}

void calls_state(struct calls *c, const struct wire_state *e)
{
	struct connection *connection;
	enum decoder_end end;
	bool by_peer, in;

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
	by_peer = connection->client_closed || !e->closed_here;
	in = connection->rec.direction == DIRECTION_IN;
	end = by_peer ? DECODER_CLIENT_GONE : DECODER_SERVER_GONE;
	if (e->error == ETIMEDOUT)
		end = DECODER_TIMEOUT;
	if (e->closed_here && connection->decoder && !connection->finished)
		decoder_server_closed(connection->decoder);
	finish(connection, end, e->head.time,
	       end == DECODER_TIMEOUT ? "timed out"
	       : by_peer == in	      ? "client closed"
				      : "server closed");
	if (e->to == TCP_STATE_CLOSE)
		release(connection);
}

#define UNIX_LOOK_NS 100000000ULL

void calls_tick(struct calls *c, uint64_t now)
{
	if (!c->unix_open || now < c->unix_look_at)
		return;
	c->unix_look_at = now + UNIX_LOOK_NS;
	attach_unix_look(c->s->attach);
}

void calls_finish(struct calls *c, uint64_t time)
{
	struct connection *connection, *next;

	HASH_ITER(hh, c->connections, connection, next)
		finish(connection, DECODER_WINDOW_STOP, time, "window stop");
}

void calls_free(struct calls *c)
{
	struct connection *connection, *next;

	if (!c)
		return;
	HASH_ITER(hh, c->connections, connection, next) {
		bindings_connection_ended(c->bindings, &connection->bound);
		release(connection);
	}
	bindings_free(c->bindings);
	free(c);
}

void calls_stats(const struct calls *c, struct calls_stats *out)
{
	*out = c->stats;
	out->bindings = bindings_written(c->bindings);
	out->unbound_contexts = bindings_lost(c->bindings);
}
