/*
 * The block of an environment that begins a uwsgi or mod_wsgi connection. Part of the decoders;
 * gateway.h says how they look.
 */
#ifndef DAYLIGHT_PROTOCOLS_GATEWAY_BLOCK_H
#define DAYLIGHT_PROTOCOLS_GATEWAY_BLOCK_H

#include "protocols/cgi.h"

/*
 * HTTP1_OK: the block is whole, is `size` bytes long, and c holds what it says; HTTP1_MORE: so many
 * bytes are needed; HTTP1_NOT_HTTP: this is none. c may be used as long as the data.
 */
enum http1_verdict gateway_block_uwsgi(const uint8_t *data, size_t len, struct cgi *c,
				       size_t *size);
enum http1_verdict gateway_block_mod_wsgi(const uint8_t *data, size_t len, struct cgi *c,
					  size_t *size);

#endif
