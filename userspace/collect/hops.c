/* Outbound connections at work. */
#include "collect/hops.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* What is being counted on a connection. */
struct hop {
	uint64_t connection, context, process;
	uint64_t first, last, received, sent;
	const char *protocol;
	UT_hash_handle hh;
};

struct hops {
	struct session *s;
	struct hop *table;
};

struct hops *hops_new(struct session *s)
{
	struct hops *h = calloc(1, sizeof(*h));

	if (h)
		h->s = s;
	return h;
}

void hops_free(struct hops *h)
{
	struct hop *e, *next;

	if (!h)
		return;
	HASH_ITER(hh, h->table, e, next) {
		HASH_DEL(h->table, e);
		free(e);
	}
	free(h);
}

enum family hops_addresses(const struct wire_address *a, char local[HOPS_ADDRESS],
			   char remote[HOPS_ADDRESS])
{
	struct in6_addr both[2];

	memcpy(&both[0], a->local, sizeof(both[0]));
	memcpy(&both[1], a->remote, sizeof(both[1]));
	if (a->family == AF_INET6 &&
	    !(IN6_IS_ADDR_V4MAPPED(&both[0]) && IN6_IS_ADDR_V4MAPPED(&both[1]))) {
		inet_ntop(AF_INET6, &both[0], local, HOPS_ADDRESS);
		inet_ntop(AF_INET6, &both[1], remote, HOPS_ADDRESS);
		return FAMILY_TCP6;
	}
	inet_ntop(AF_INET, a->local + (a->family == AF_INET6 ? 12 : 0), local, HOPS_ADDRESS);
	inet_ntop(AF_INET, a->remote + (a->family == AF_INET6 ? 12 : 0), remote, HOPS_ADDRESS);
	return FAMILY_TCP4;
}

const char *hops_protocol(const uint8_t start[WIRE_HOP_START])
{
	/* AMQP 0-8 to 1.0: the name, then four bytes of protocol id and version. */
	return memcmp(start, "AMQP", 4) ? NULL : "amqp";
}

static void put(struct hops *h, const struct hop *e)
{
	struct rec_hop rec = {
		.id = bundle_writer_id(h->s->writer, REC_HOP_KIND),
		.call = REC_NULL,
		.connection = e->connection,
		.time = e->first,
		.context = e->context ? e->context : REC_NULL,
		.last = e->last,
		.received = e->received,
		.sent = e->sent,
		.process = e->process,
		.protocol = e->protocol ? session_public(h->s, e->protocol) : REC_NULL,
	};

	bundle_writer_put(h->s->writer, REC_HOP_KIND, &rec);
}

void hops_use(struct hops *h, const struct wire_hop *e, const char *protocol)
{
	struct hop alone = {
		.connection = e->connection,
		.context = e->context,
		.process = e->head.process,
		.first = e->head.time,
		.protocol = protocol,
	};
	struct hop *use;

	HASH_FIND(hh, h->table, &e->connection, sizeof(e->connection), use);
	if (use && (use->context != e->context || use->process != e->head.process)) {
		/* Uses of one connection must not seem to overlap when they followed each other. */
		put(h, use);
		HASH_DEL(h->table, use);
		free(use);
		use = NULL;
	}
	if (!use && (use = malloc(sizeof(*use)))) {
		*use = alone;
		HASH_ADD(hh, h->table, connection, sizeof(use->connection), use);
	}
	if (!use)
		use = &alone; /* memory is short: a record of its own */
	use->last = e->head.time;
	if (e->send)
		use->sent += e->length;
	else
		use->received += e->length;
	if (use == &alone)
		put(h, use);
}

void hops_flush(struct hops *h)
{
	struct hop *e, *next;

	HASH_ITER(hh, h->table, e, next) {
		put(h, e);
		HASH_DEL(h->table, e);
		free(e);
	}
}
