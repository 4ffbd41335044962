/*
 * A request that waits for its answer: owns copies of what may be kept of both heads, and becomes
 * a call. Part of the decoders. Those of other protocols fill in a struct http1_head.
 */
#ifndef DAYLIGHT_PROTOCOLS_EXCHANGE_H
#define DAYLIGHT_PROTOCOLS_EXCHANGE_H

#include "protocols/decoder.h"
#include "protocols/http1_head.h"

struct exchange {
	struct exchange *next; /* the request after it on the connection */
	uint64_t seq, start, first_byte, request_bytes, response_bytes, lost;
	uint64_t headed; /* when its head was complete; UINT64_MAX: it was cut */
	unsigned int status;
	bool waits; /* its body has not begun, and waits for 100 Continue */
	const char *protocol; /* static */
	struct decoder_id asked[HTTP1_ID_NAMES], answered[HTTP1_ID_NAMES];
	size_t asked_count, answered_count;
	char *path, *host;
	char method[HTTP1_METHOD_MAX + 1];
};

/* From a request's head. protocol: static. NULL when memory is short. */
struct exchange *exchange_new(const struct http1_head *head, const char *protocol);
/* Adds the head of the final response. 0, or -1 when memory is short. */
int exchange_answer(struct exchange *e, const struct http1_head *head);
/* Hands the call to the callback. */
void exchange_report(const struct exchange *e, enum decoder_end end, uint64_t time,
		     const struct decoder_callbacks *callbacks);
/* Wipes and frees. NULL is nothing. */
void exchange_free(struct exchange *e);

#endif
