/*
 * Connections of targets and the calls on them. Records: connection, connection_end, call; and, by
 * bindings.h, context and binding.
 */
#ifndef DAYLIGHT_COLLECT_CALLS_H
#define DAYLIGHT_COLLECT_CALLS_H

#include "collect/session.h"
#include "wire.h"

struct calls *calls_new(struct session *s);
void calls_free(struct calls *c);

void calls_connection(struct calls *c, const struct wire_connection *e);
void calls_state(struct calls *c, const struct wire_state *e);
/* size: of the event, captured bytes included. */
void calls_data(struct calls *c, const struct wire_data *e, size_t size);
void calls_hop(struct calls *c, const struct wire_hop *e);
void calls_context(struct calls *c, const struct wire_context *e);
/* Looks whether Unix connections have ended, now and then. */
void calls_tick(struct calls *c, uint64_t now);
/* Ends what is in flight when the window stops. */
void calls_finish(struct calls *c, uint64_t time);

struct calls_stats {
	uint64_t connections, calls, complete;
	uint64_t unknown; /* events of a connection whose first event was lost */
	uint64_t chunks; /* of data, given to decoders */
	uint64_t bindings; /* records written */
	uint64_t unbound_contexts; /* contexts that could not be remembered */
	uint64_t last_call; /* monotonic ns */
};
void calls_stats(const struct calls *c, struct calls_stats *out);

#endif
