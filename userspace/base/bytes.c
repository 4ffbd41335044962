/* A growing byte buffer, bounded reads from a byte range, hex. */
#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

void bytes_release(struct bytes *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

int bytes_reserve(struct bytes *b, size_t more)
{
	size_t want, cap;
	uint8_t *p;

	if (__builtin_add_overflow(b->len, more, &want))
		return -1;
	if (want <= b->cap)
		return 0;
	cap = b->cap ? b->cap : 256;
	while (cap < want) {
		if (cap > SIZE_MAX / 2)
			return -1;
		cap *= 2;
	}
	p = realloc(b->data, cap);
	if (!p)
		return -1;
	b->data = p;
	b->cap = cap;
	return 0;
}

int bytes_put(struct bytes *b, const void *data, size_t len)
{
	if (bytes_reserve(b, len))
		return -1;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

int bytes_put_u8(struct bytes *b, uint8_t v)
{
	return bytes_put(b, &v, 1);
}

static int bytes_put_le(struct bytes *b, uint64_t v, size_t width)
{
	uint8_t out[8];

	for (size_t i = 0; i < width; i++)
		out[i] = (uint8_t)(v >> (8 * i));
	return bytes_put(b, out, width);
}

int bytes_put_le16(struct bytes *b, uint16_t v)
{
	return bytes_put_le(b, v, 2);
}

int bytes_put_le32(struct bytes *b, uint32_t v)
{
	return bytes_put_le(b, v, 4);
}

int bytes_put_le64(struct bytes *b, uint64_t v)
{
	return bytes_put_le(b, v, 8);
}

int bytes_put_varint(struct bytes *b, uint64_t v)
{
	uint8_t out[10];
	size_t n = 0;

	do {
		out[n] = (uint8_t)(v & 0x7f);
		v >>= 7;
		if (v)
			out[n] |= 0x80;
		n++;
	} while (v);
	return bytes_put(b, out, n);
}

const uint8_t *bytes_get(struct bytes_reader *r, size_t len)
{
	const uint8_t *p;

	if (r->bad || len > r->len - r->at) {
		r->bad = true;
		return NULL;
	}
	p = r->data + r->at;
	r->at += len;
	return p;
}

static uint64_t bytes_get_le(struct bytes_reader *r, size_t width)
{
	const uint8_t *p = bytes_get(r, width);
	uint64_t v = 0;

	if (!p)
		return 0;
	for (size_t i = 0; i < width; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t bytes_get_u8(struct bytes_reader *r)
{
	return (uint8_t)bytes_get_le(r, 1);
}

uint16_t bytes_get_le16(struct bytes_reader *r)
{
	return (uint16_t)bytes_get_le(r, 2);
}

uint32_t bytes_get_le32(struct bytes_reader *r)
{
	return (uint32_t)bytes_get_le(r, 4);
}

uint64_t bytes_get_le64(struct bytes_reader *r)
{
	return bytes_get_le(r, 8);
}

uint64_t bytes_get_varint(struct bytes_reader *r)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		uint8_t b = bytes_get_u8(r);

		if (r->bad)
			return 0;
		if (shift == 63 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	r->bad = true;
	return 0;
}

void bytes_to_hex(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
}

int bytes_hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int bytes_from_hex(const char *hex, uint8_t *out, size_t cap)
{
	size_t len = strlen(hex);

	if (len % 2 || len / 2 > cap)
		return -1;
	for (size_t i = 0; i < len / 2; i++) {
		int hi = bytes_hex_digit((uint8_t)hex[2 * i]),
		    lo = bytes_hex_digit((uint8_t)hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -1;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return (int)(len / 2);
}
