/* The PROXY protocol before the first byte of a connection. */
#include "protocols/proxy.h"

#include <string.h>

#define PROXY_LINE_MAX 107 /* of version 1, with its end */
#define PROXY_HEAD 16 /* of version 2: signature, version and command, family, length */

static enum decoder_begins proxy_line(const uint8_t *data, size_t len, size_t *size)
{
	static const char name[] = "PROXY ";
	const uint8_t *lf;
	size_t n = sizeof(name) - 1;

	if (memcmp(data, name, len < n ? len : n))
		return DECODER_NO;
	lf = memchr(data, '\n', len < PROXY_LINE_MAX ? len : PROXY_LINE_MAX);
	if (!lf) {
		*size = len + 1;
		return len < PROXY_LINE_MAX ? DECODER_MORE : DECODER_NO;
	}
	*size = (size_t)(lf - data) + 1;
	n = *size;
	if (n < 9 || data[n - 2] != '\r')
		return DECODER_NO;
	return (n > 10 && (!memcmp(data + 6, "TCP4 ", 5) || !memcmp(data + 6, "TCP6 ", 5))) ||
			       (n >= 15 && !memcmp(data + 6, "UNKNOWN", 7))
		       ? DECODER_YES
		       : DECODER_NO;
}

enum decoder_begins proxy_begins(const uint8_t *data, size_t len, size_t *size)
{
	static const uint8_t signature[12] = { '\r', '\n', '\r', '\n', 0,   '\r',
					       '\n', 'Q',  'U',	 'I',  'T', '\n' };

	if (memcmp(data, signature, len < sizeof(signature) ? len : sizeof(signature)))
		return proxy_line(data, len, size);
	*size = PROXY_HEAD;
	if (len < PROXY_HEAD)
		return DECODER_MORE;
	/* Version 2; LOCAL or PROXY. */
	if (data[12] >> 4 != 2 || (data[12] & 15) > 1)
		return DECODER_NO;
	*size += (size_t)data[14] << 8 | data[15];
	return len < *size ? DECODER_MORE : DECODER_YES;
}
