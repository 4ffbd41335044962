/*
 * A connection that was open before it was first seen: watches both directions until it is
 * certain where a request begins (the rule is in http1.h). Part of the HTTP/1 decoder.
 */
#ifndef DAYLIGHT_PROTOCOLS_HTTP1_JOIN_H
#define DAYLIGHT_PROTOCOLS_HTTP1_JOIN_H

#include "protocols/http1.h"
#include "protocols/http1_stream.h"

/* Zero-initialised is ready. Release with http1_join_release. */
struct http1_join {
	enum { JOIN_WAIT, JOIN_ANSWER, JOIN_ANSWERED } state;
	struct http1_stream answer; /* the response that is being followed */
	uint64_t suspect; /* heads seen that were not certain to be any */
};

void http1_join_release(struct http1_join *j);

/*
 * Looks at bytes (data NULL: missing); first: they begin a send or receive. True when they begin
 * a request for certain: decoding starts with them.
 */
bool http1_join_take(struct http1_join *j, enum decoder_direction direction, const uint8_t *data,
		     uint64_t len, bool first);

#endif
