/* Reads the environment that begins a uwsgi or mod_wsgi connection. */
#include "protocols/gateway_block.h"

#include <string.h>

#include "protocols/gateway.h"

#define UWSGI_MODIFIERS 32 /* those of applications; '\r' and '\n' begin a line of text */

static size_t gateway_number(const uint8_t *data, size_t bytes)
{
	size_t n = 0;

	while (bytes-- > 0)
		n = n << 8 | data[bytes];
	return n;
}

enum http1_verdict gateway_block_uwsgi(const uint8_t *data, size_t len, struct cgi *c, size_t *size)
{
	size_t at = 4;

	if (len && (data[0] >= UWSGI_MODIFIERS || data[0] == '\r' || data[0] == '\n'))
		return HTTP1_NOT_HTTP;
	*size = len + 1;
	if (len < 4)
		return HTTP1_MORE;
	*size = 4 + gateway_number(data + 1, 2);
	memset(c, 0, sizeof(*c));
	while (at < *size) {
		struct http1_view part[2];

		for (size_t i = 0; i < 2; i++) {
			if (at + 2 > *size)
				return HTTP1_NOT_HTTP;
			if (at + 2 > len)
				return HTTP1_MORE;
			part[i].len = gateway_number(data + at, 2);
			part[i].p = (const char *)data + at + 2;
			at += 2 + part[i].len;
			if (at > *size || (!i && (!part[i].len || part[i].len > 255)))
				return HTTP1_NOT_HTTP;
			if (at > len)
				return HTTP1_MORE;
			if (!i && !cgi_is_name(part[i]))
				return HTTP1_NOT_HTTP;
		}
		cgi_put(c, part[0], part[1]);
	}
	return cgi_end(c) == HTTP1_OK ? HTTP1_OK : HTTP1_NOT_HTTP;
}

enum http1_verdict gateway_block_mod_wsgi(const uint8_t *data, size_t len, struct cgi *c,
					  size_t *size)
{
	size_t at = 16, count, total;
	bool own = false;

	/* The upper bytes of the length are the first that tell. */
	for (size_t i = 3; i < 8 && i < len; i++)
		if (data[i])
			return HTTP1_NOT_HTTP;
	*size = len + 1;
	if (len < 16)
		return HTTP1_MORE;
	total = gateway_number(data, 8);
	count = gateway_number(data + 8, 8);
	if (total < 16 || total > GATEWAY_BLOCK_MAX - 8 || count % 2 || count > total - 8)
		return HTTP1_NOT_HTTP;
	*size = 8 + total;
	memset(c, 0, sizeof(*c));
	for (size_t n = 0; n < count; n += 2) {
		struct http1_view part[2];

		for (size_t i = 0; i < 2; i++) {
			size_t end = len < *size ? len : *size;
			const uint8_t *zero = at < end ? memchr(data + at, 0, end - at) : NULL;

			if (!zero)
				return len < *size ? HTTP1_MORE : HTTP1_NOT_HTTP;
			part[i].p = (const char *)data + at;
			part[i].len = (size_t)(zero - (data + at));
			at += part[i].len + 1;
		}
		if (!cgi_is_name(part[0]))
			return HTTP1_NOT_HTTP;
		own |= part[0].len > 9 && !memcmp(part[0].p, "mod_wsgi.", 9);
		cgi_put(c, part[0], part[1]);
	}
	if (at != *size || !own)
		return HTTP1_NOT_HTTP;
	return cgi_end(c) == HTTP1_OK ? HTTP1_OK : HTTP1_NOT_HTTP;
}
