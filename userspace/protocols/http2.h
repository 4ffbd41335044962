/*
 * HTTP/2 in cleartext (RFC 9113) on one server-side connection: from its preface on, or after an
 * upgrade from HTTP/1.1 (RFC 7540 section 3.2). Part of the decoders.
 *
 * Header blocks are decompressed with libnghttp2, whose tables hold what both directions said
 * since the beginning. So a connection that was joined later cannot be decoded, and one whose
 * header block was missed is given up. Bytes may be missing where only their number matters: in the
 * payload of DATA. A call's sizes are those of its frames. It is complete with the end of its
 * stream, or when its client left with all content that content-length says.
 */
#ifndef DAYLIGHT_PROTOCOLS_HTTP2_H
#define DAYLIGHT_PROTOCOLS_HTTP2_H

#include "protocols/decoder_kind.h"
#include "protocols/exchange.h"

#define HTTP2_STREAMS_MAX 1024 /* under way on one connection; more is suspect */
#define HTTP2_BLOCK_MAX 131072 /* bytes of a header block; more is suspect */

extern const struct decoder_kind http2_kind;

/* Can a server that speaks first begin so? It may send its settings at once. */
enum decoder_begins http2_server_begins(const uint8_t *data, size_t len);

/*
 * A connection that was upgraded: e is the request that asked for it, answered on stream 1; it is
 * taken over when the result is not NULL.
 */
void *http2_new_upgraded(const struct decoder_callbacks *callbacks, struct exchange *e);

#endif
