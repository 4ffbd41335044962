/*
 * HTTP/1.0 and 1.1 on one server-side connection. Part of the decoders (decoder.h).
 *
 * A candidate that cannot be decided (head after a gap, contradictory lengths, obsolete folding,
 * more than the limits) is counted `suspect`; from there on the connection is not decoded any more.
 * RFC 9112 (message framing) and RFC 9110 (methods, status) are the source of the rules.
 *
 * A connection that was joined in the middle: nothing is a call until one complete response (status
 * line at the start of a send, length known, its end reached with nothing received in between) has
 * been followed by a receive that starts with a request line; what looked like a head before that
 * is counted suspect.
 */
#ifndef DAYLIGHT_PROTOCOLS_HTTP1_H
#define DAYLIGHT_PROTOCOLS_HTTP1_H

#include "protocols/decoder_kind.h"

#define HTTP1_HEAD_MAX 65536 /* a longer head is suspect */
#define HTTP1_PENDING_MAX 64 /* pipelined requests waiting for an answer; more is suspect */

struct exchange;

extern const struct decoder_kind http1_kind;

/*
 * The connection became HTTP/2: the request that asked for it, which is answered there; NULL: it
 * did not, or the request was taken before. *left: bytes at the end of the last piece that are
 * HTTP/2's.
 */
struct exchange *http1_handed(void *state, uint64_t *left);

#endif
