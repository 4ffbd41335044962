/*
 * Outbound connections at work: which context moved bytes on which of them, and when. Records: hop.
 *
 * A hop says nothing of calls: the bindings of its context do, as for sightings (bundle/trace.h).
 * So what was bound late, or ambiguously, holds for hops as it does for code. Uses without a
 * context are kept too: only with all uses of a connection is it known whose request came next.
 */
#ifndef DAYLIGHT_COLLECT_HOPS_H
#define DAYLIGHT_COLLECT_HOPS_H

#include "bundle/format.h"
#include "collect/session.h"
#include "wire.h"

#define HOPS_ADDRESS 64 /* room for the text of an address */

struct hops *hops_new(struct session *s);
void hops_free(struct hops *h);

/*
 * The texts of both addresses of a TCP connection, and its family. IPv4 in the form of IPv6, as a
 * socket that listens on both has it, is IPv4: the other end must find the same text.
 */
enum family hops_addresses(const struct wire_address *a, char local[HOPS_ADDRESS],
			   char remote[HOPS_ADDRESS]);

/* The protocol whose header these first bytes are: "amqp"; NULL: not known. */
const char *hops_protocol(const uint8_t start[WIRE_HOP_START]);

/* Bytes were moved. protocol: of the connection, or NULL; the text must live on. */
void hops_use(struct hops *h, const struct wire_hop *e, const char *protocol);
/* Puts what was counted since the last time. */
void hops_flush(struct hops *h);

#endif
