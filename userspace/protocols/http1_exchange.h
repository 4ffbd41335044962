/*
 * A request that waits for its answer: owns copies of what may be kept of both heads, and becomes
 * a call. Part of the HTTP/1 decoder.
 */
#ifndef DAYLIGHT_PROTOCOLS_HTTP1_EXCHANGE_H
#define DAYLIGHT_PROTOCOLS_HTTP1_EXCHANGE_H

#include "protocols/http1.h"
#include "protocols/http1_head.h"

struct http1_exchange {
	struct http1_exchange *next; /* the request after it on the connection */
	uint64_t seq, start, first_byte, request_bytes, response_bytes, lost;
	unsigned int status, minor;
	struct http1_id asked[HTTP1_ID_NAMES], answered[HTTP1_ID_NAMES];
	size_t asked_count, answered_count;
	char *path, *host;
	char method[HTTP1_METHOD_MAX + 1];
};

/* From a request's head. NULL when memory is short. */
struct http1_exchange *http1_exchange_new(const struct http1_head *head);
/* Adds the head of the final response. 0, or -1 when memory is short. */
int http1_exchange_answer(struct http1_exchange *e, const struct http1_head *head);
/* Hands the call to the callback. */
void http1_exchange_report(const struct http1_exchange *e, enum http1_end end, uint64_t time,
			   const struct http1_callbacks *callbacks);
/* Wipes and frees. NULL is nothing. */
void http1_exchange_free(struct http1_exchange *e);

#endif
