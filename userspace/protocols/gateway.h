/*
 * Protocols by which a web server hands one request to an application, on a connection of its own:
 * an environment in one block, the body, and back the answer as text until the connection closes.
 * Part of the decoders.
 *
 * uwsgi: four bytes (modifier, length of the block, modifier), then names and values, each behind
 * its length in two bytes. The answer has a status line.
 *
 * mod_wsgi, from Apache to its daemon processes: length of the rest and number of strings in eight
 * bytes each, then the strings, each with its 0: names and values in turn. The answer has a Status
 * field. "200 Continue" is an interim one, by which the daemon asks for the body; "200 Rejected"
 * and "200 Timeout" say that the request was not served.
 *
 * A block counts only when it is whole, fills its length exactly, and has REQUEST_METHOD.
 */
#ifndef DAYLIGHT_PROTOCOLS_GATEWAY_H
#define DAYLIGHT_PROTOCOLS_GATEWAY_H

#include "protocols/decoder_kind.h"

#define GATEWAY_BLOCK_MAX 131072 /* a longer block is not known for one */

extern const struct decoder_kind uwsgi_kind, mod_wsgi_kind;

#endif
