/*
 * The line, or block, that a load balancer puts before the first byte of a connection to say whose
 * it is: the PROXY protocol, versions 1 and 2. Nothing of it is kept. Part of the decoders.
 */
#ifndef DAYLIGHT_PROTOCOLS_PROXY_H
#define DAYLIGHT_PROTOCOLS_PROXY_H

#include "protocols/decoder_kind.h"

/* YES: it is whole, and *size bytes long. MORE: so many are needed. */
enum decoder_begins proxy_begins(const uint8_t *data, size_t len, size_t *size);

#endif
