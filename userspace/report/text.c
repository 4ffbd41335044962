/* Members of a report as text that a terminal may have. */
#include "report/text.h"

#include <string.h>

const char *text_get(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

bool text_is_null(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return !value || json_is_null(value);
}

long long text_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

void text_put(FILE *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f) {
			fprintf(out, "\\x%02x", *p);
		} else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
			fprintf(out, "\\x%02x\\x%02x", p[0], p[1]);
			p++;
		} else {
			putc(*p, out);
		}
	}
}

void text_put_folded(FILE *out, int indent, const char *text)
{
	int column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");
		char word[1024];

		if (column && column + 1 + (int)len > 96) {
			putc('\n', out);
			column = 0;
		}
		column += column ? fprintf(out, " ") : fprintf(out, "%*s", indent, "");
		snprintf(word, sizeof(word), "%.*s", len < sizeof(word) ? (int)len : 1023, text);
		text_put(out, word);
		column += (int)len;
		text += len;
		text += strspn(text, " ");
	}
	putc('\n', out);
}

const char *text_plural(long long count)
{
	return count == 1 ? "" : "s";
}

void text_put_or_unknown(FILE *out, const json_t *object, const char *key)
{
	text_put(out, text_is_null(object, key) ? "not known" : text_get(object, key));
}

void text_put_number(FILE *out, const json_t *object, const char *key)
{
	if (text_is_null(object, key))
		fprintf(out, "%8s", "?");
	else
		fprintf(out, "%8lld", text_number(object, key));
}

void text_put_part(FILE *out, const char *word, const json_t *object, const char *key)
{
	if (text_is_null(object, key) || !*text_get(object, key))
		return;
	fputs(word, out);
	text_put(out, text_get(object, key));
}
