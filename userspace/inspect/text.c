/* JSON values as text that is safe for a terminal. */
#include "inspect/rows.h"

#include <inttypes.h>
#include <string.h>

size_t inspect_utf8(const uint8_t *p, size_t len, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? p[0] : p[0] & (0x7fU >> n);

	if (!n || n > len || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fU);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code = c;
	return n;
}

/* Characters that act on a terminal, change the direction of text, or cannot be seen. */
static bool text_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe0fff);
}

static int put_text(struct bytes *out, const char *text)
{
	return bytes_put(out, text, strlen(text));
}

static int put_escaped(struct bytes *out, const uint8_t *p, size_t len)
{
	char escape[16];
	int rc = 0;

	while (len && !rc) {
		uint32_t c = 0;
		size_t n = inspect_utf8(p, len, &c);

		if (n && !text_unsafe(c)) {
			rc = bytes_put(out, p, n);
		} else {
			if (!n || c < 0x80)
				snprintf(escape, sizeof(escape), "\\x%02x", p[0]);
			else
				snprintf(escape, sizeof(escape), "\\u{%x}", c);
			rc = put_text(out, escape);
		}
		n = n ? n : 1;
		p += n;
		len -= n;
	}
	return rc;
}

int inspect_put_text(struct bytes *out, const char *text)
{
	return put_escaped(out, (const uint8_t *)text, strlen(text));
}

static int put_scalar(struct bytes *out, const json_t *value)
{
	char number[32];

	switch (json_typeof(value)) {
	case JSON_STRING:
		return put_escaped(out, (const uint8_t *)json_string_value(value),
				   json_string_length(value));
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
		return put_text(out, number);
	case JSON_TRUE:
		return put_text(out, "yes");
	case JSON_FALSE:
		return put_text(out, "no");
	default:
		return put_text(out, "-");
	}
}

static int put_list(struct bytes *out, const json_t *list)
{
	size_t count = json_array_size(list);
	char number[32];
	int rc = 0;

	if (!count)
		return put_text(out, "-");
	if (json_is_object(json_array_get(list, 0)) || json_is_array(json_array_get(list, 0))) {
		snprintf(number, sizeof(number), "%zu", count);
		return put_text(out, number);
	}
	for (size_t i = 0; i < count && !rc; i++)
		rc = (i && put_text(out, ",")) || put_scalar(out, json_array_get(list, i));
	return rc ? -1 : 0;
}

static int put_object(struct bytes *out, json_t *object)
{
	const char *key;
	json_t *value;
	bool first = true;

	if (!json_object_size(object))
		return put_text(out, "-");
	json_object_foreach(object, key, value) {
		if ((!first && put_text(out, " ")) || inspect_put_text(out, key) ||
		    put_text(out, "=") || put_scalar(out, value))
			return -1;
		first = false;
	}
	return 0;
}

int inspect_put_value(struct bytes *out, const json_t *value)
{
	if (json_is_array(value))
		return put_list(out, value);
	if (json_is_object(value))
		return put_object(out, (json_t *)(uintptr_t)value);
	return value ? put_scalar(out, value) : put_text(out, "-");
}

int inspect_print_value(FILE *out, const json_t *value)
{
	struct bytes b = BYTES_INIT;
	int rc = inspect_put_value(&b, value);

	if (!rc && b.len)
		fwrite(b.data, 1, b.len, out);
	bytes_release(&b);
	return rc;
}

const json_t *inspect_get(const json_t *root, const char *path)
{
	while (root && *path) {
		size_t len = strcspn(path, ".");
		char part[64];

		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		if (json_is_array(root)) {
			long at = strtol(part, NULL, 10);

			root = json_array_get(root, at < 0 ? json_array_size(root) + (size_t)at
							   : (size_t)at);
		} else {
			root = json_object_get(root, part);
		}
		path += len;
		path += *path == '.';
	}
	return root;
}
