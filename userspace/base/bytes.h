/* A growing byte buffer, bounded reads from a byte range, hex. */
#ifndef DAYLIGHT_BASE_BYTES_H
#define DAYLIGHT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A buffer owns data; release with bytes_release. Zero-initialised is empty. */
struct bytes {
	uint8_t *data;
	size_t len;
	size_t cap;
};

#define BYTES_INIT         \
	{                  \
		NULL, 0, 0 \
	}

void bytes_release(struct bytes *b);
/* Each returns 0, or -1 when memory is short (the buffer is then unchanged). */
int bytes_reserve(struct bytes *b, size_t more);
int bytes_put(struct bytes *b, const void *data, size_t len);
int bytes_put_u8(struct bytes *b, uint8_t v);
int bytes_put_le16(struct bytes *b, uint16_t v);
int bytes_put_le32(struct bytes *b, uint32_t v);
int bytes_put_le64(struct bytes *b, uint64_t v);
/* LEB128, at most 10 bytes. */
int bytes_put_varint(struct bytes *b, uint64_t v);
/* A difference of either sign as a small number: 0, -1, 1, -2 as 0, 1, 2, 3. */
static inline uint64_t bytes_zigzag(uint64_t difference)
{
	return difference << 1 ^ (0 - (difference >> 63));
}

/*
 * A bounded reader: every get checks the range; after the first failure `bad` stays set and every
 * get returns 0, so a caller may check once at the end.
 */
struct bytes_reader {
	const uint8_t *data;
	size_t len;
	size_t at;
	bool bad;
};

uint8_t bytes_get_u8(struct bytes_reader *r);
uint16_t bytes_get_le16(struct bytes_reader *r);
uint32_t bytes_get_le32(struct bytes_reader *r);
uint64_t bytes_get_le64(struct bytes_reader *r);
uint64_t bytes_get_varint(struct bytes_reader *r);
/* A pointer to the next len bytes, or NULL (and bad is set). */
const uint8_t *bytes_get(struct bytes_reader *r, size_t len);

/* Writes 2*len lower-case digits and a NUL into out (2*len+1 bytes). */
void bytes_to_hex(const void *data, size_t len, char *out);
/* Value of a hex digit, or -1. */
int bytes_hex_digit(uint8_t c);
/* Reads hex into out; returns the number of bytes, or -1 on odd length, bad digit or > cap. */
int bytes_from_hex(const char *hex, uint8_t *out, size_t cap);

#endif
