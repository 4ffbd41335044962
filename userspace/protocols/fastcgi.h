/*
 * FastCGI (the specification of version 1): records of both directions, each with the id of its
 * request, several of which may be under way. Part of the decoders.
 *
 * A request counts when its parameters are whole and have REQUEST_METHOD; it is complete with the
 * server's END_REQUEST. Its sizes are those of all its records. Bytes may be missing where only
 * their number matters: bodies, error text, padding.
 */
#ifndef DAYLIGHT_PROTOCOLS_FASTCGI_H
#define DAYLIGHT_PROTOCOLS_FASTCGI_H

#include "protocols/decoder_kind.h"

#define FASTCGI_REQUESTS_MAX 64 /* under way on one connection; more is suspect */
#define FASTCGI_PARAMS_MAX 131072 /* bytes of a request's parameters; more is suspect */

extern const struct decoder_kind fastcgi_kind;

#endif
