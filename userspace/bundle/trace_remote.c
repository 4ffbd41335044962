/* What a connection's own record shows of its far end: where it is, and what is spoken there. */
#include "bundle/trace.h"

#include <arpa/inet.h>
#include <string.h>

/* Registered for AMQP, in the clear and in TLS (RFC 6335's registry of ports). */
enum { PORT_AMQP = 5672, PORT_AMQPS = 5671 };

static const char *class_of_v4(const uint8_t a[4])
{
	if (a[0] == 127)
		return "loopback";
	if (a[0] == 10 || (a[0] == 172 && a[1] >> 4 == 1) || (a[0] == 192 && a[1] == 168))
		return "private";
	if (a[0] == 169 && a[1] == 254)
		return "link-local";
	return "public";
}

static const char *class_of_v6(const uint8_t a[16])
{
	static const uint8_t loopback[16] = { [15] = 1 };

	if (!memcmp(a, loopback, sizeof(loopback)))
		return "loopback";
	if ((a[0] & 0xfe) == 0xfc)
		return "private";
	if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
		return "link-local";
	return "public";
}

const char *trace_remote_class(const struct trace *t, const struct rec_connection *c)
{
	const char *text = trace_text(t, c->remote);
	uint8_t raw[16];

	if (c->family == FAMILY_UNIX)
		return "unix";
	if (text && c->family == FAMILY_TCP4 && inet_pton(AF_INET, text, raw) == 1)
		return class_of_v4(raw);
	if (text && c->family == FAMILY_TCP6 && inet_pton(AF_INET6, text, raw) == 1)
		return class_of_v6(raw);
	return NULL;
}

bool trace_remote_messages(const struct trace *t, const struct rec_connection *c, uint64_t protocol)
{
	const char *spoken = trace_text(t, protocol);

	if (spoken && !strcmp(spoken, "amqp"))
		return true;
	return c->direction == DIRECTION_OUT && c->family != FAMILY_UNIX &&
	       (c->remote_port == PORT_AMQP || c->remote_port == PORT_AMQPS);
}
