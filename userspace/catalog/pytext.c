/* The text of a Python source file: byte order mark, declared encoding (PEP 263), line ends. */
#include "catalog/pytext.h"

#include <string.h>

enum encoding { UTF8, LATIN1, ASCII, OTHER };

#define NAME_MAX_LEN 32 /* longer than any name that is known */

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\f';
}

static bool name_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '_' || c == '.';
}

/* "utf-8" itself, or what begins with "utf-8-": an editor's own names ("utf-8-unix"). */
static bool is_or_extends(const char *name, const char *base)
{
	size_t n = strlen(base);

	return !strncmp(name, base, n) && (!name[n] || name[n] == '-');
}

static enum encoding named(const uint8_t *text, size_t len)
{
	static const char *const utf8[] = { "utf8", "u8" };
	static const char *const latin1[] = { "latin1", "iso8859-1", "l1" };
	static const char *const ascii[] = { "ascii", "us-ascii" };
	char name[NAME_MAX_LEN + 1] = "";

	if (len > NAME_MAX_LEN)
		return OTHER;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = text[i];

		name[i] = (char)(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	if (is_or_extends(name, "utf-8"))
		return UTF8;
	if (is_or_extends(name, "latin-1") || is_or_extends(name, "iso-8859-1") ||
	    is_or_extends(name, "iso-latin-1"))
		return LATIN1;
	for (size_t i = 0; i < sizeof(utf8) / sizeof(utf8[0]); i++)
		if (!strcmp(name, utf8[i]))
			return UTF8;
	for (size_t i = 0; i < sizeof(latin1) / sizeof(latin1[0]); i++)
		if (!strcmp(name, latin1[i]))
			return LATIN1;
	for (size_t i = 0; i < sizeof(ascii) / sizeof(ascii[0]); i++)
		if (!strcmp(name, ascii[i]))
			return ASCII;
	return OTHER;
}

/* "# ... coding: NAME" in one line; false when the line declares nothing. */
static bool declared_in(const uint8_t *line, size_t len, enum encoding *out)
{
	for (size_t i = 0; i + 7 < len; i++) {
		size_t from = i + 7, to;

		if (memcmp(line + i, "coding", 6) || (line[i + 6] != ':' && line[i + 6] != '='))
			continue;
		while (from < len && (line[from] == ' ' || line[from] == '\t'))
			from++;
		to = from;
		while (to < len && name_byte(line[to]))
			to++;
		if (to > from) {
			*out = named(line + from, to - from);
			return true;
		}
	}
	return false;
}

static enum encoding declared(const uint8_t *data, size_t len, bool mark)
{
	enum encoding e = UTF8;
	size_t at = 0;

	for (int i = 0; i < 2; i++) {
		size_t end = at, first = at;

		while (end < len && data[end] != '\n' && data[end] != '\r')
			end++;
		while (first < end && blank(data[first]))
			first++;
		if (first < end && data[first] != '#')
			break; /* code: a declaration after it does not count */
		if (first < end && declared_in(data + first, end - first, &e))
			return mark && e != UTF8 ? OTHER : e;
		at = end + (end < len);
		if (end + 1 < len && data[end] == '\r' && data[end + 1] == '\n')
			at++;
	}
	return UTF8;
}

/* Length of the character at data, or 0: no surrogates, nothing overlong, nothing beyond U+10FFFF.
 */
static size_t utf8_length(const uint8_t *data, size_t len)
{
	uint8_t c = data[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((data[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && data[1] < 0xa0) || (c == 0xed && data[1] > 0x9f) ||
	    (c == 0xf0 && data[1] < 0x90) || (c == 0xf4 && data[1] > 0x8f))
		return 0;
	return n;
}

static int put_text(const uint8_t *data, size_t len, enum encoding e, struct bytes *out)
{
	for (size_t i = 0; i < len;) {
		uint8_t c = data[i];
		size_t n = 1;

		if (c == '\r') {
			if (bytes_put_u8(out, '\n'))
				return -1;
			i += 1 + (i + 1 < len && data[i + 1] == '\n');
			continue;
		}
		if (c >= 0x80 && e == LATIN1) {
			if (bytes_put_u8(out, (uint8_t)(0xc0 | c >> 6)) ||
			    bytes_put_u8(out, (uint8_t)(0x80 | (c & 0x3f))))
				return -1;
			i++;
			continue;
		}
		if (c >= 0x80) {
			n = e == UTF8 ? utf8_length(data + i, len - i) : 0;
			if (!n)
				return 1;
		}
		if (bytes_put(out, data + i, n))
			return -1;
		i += n;
	}
	return 0;
}

int pytext_read(const uint8_t *data, size_t len, struct bytes *out)
{
	bool mark = len >= 3 && !memcmp(data, "\xef\xbb\xbf", 3);
	enum encoding e;

	out->len = 0;
	if (mark) {
		data += 3;
		len -= 3;
	}
	e = declared(data, len, mark);
	if (e == OTHER)
		return 1;
	return put_text(data, len, e, out);
}
