/* Contents of zstd frames back to strings and records. */
#include "bundle/decode.h"

#include <stdlib.h>
#include <string.h>

/* One character for each field of each kind, so that their number can be checked here. */
#define COUNT_FIELD(type, name) "."
#define CHECK_FIELDS(UP, low) \
	_Static_assert(sizeof(REC_##UP(COUNT_FIELD)) - 1 <= BUNDLE_FIELDS_MAX, "fields of " #low);
REC_KINDS(CHECK_FIELDS)

int decode_strings_open(struct decode_strings *d, const uint8_t *content, size_t len)
{
	memset(d, 0, sizeof(*d));
	d->in.data = content;
	d->in.len = len;
	if (bytes_get_u8(&d->in) != BUNDLE_CONTENT_STRINGS)
		return -1;
	d->next = bytes_get_varint(&d->in);
	d->left = bytes_get_varint(&d->in);
	d->head = d->in.at;
	if (d->in.bad || !d->next || d->next > UINT64_MAX / 2 || d->left > BUNDLE_STRINGS_MAX)
		return -1;
	return 0;
}

int decode_strings_next(struct decode_strings *d, struct decode_string *out)
{
	if (!d->left)
		return d->in.at == d->in.len ? 0 : -1;
	d->left--;
	out->id = d->next++;
	out->form = bytes_get_u8(&d->in);
	out->salt = NULL;
	switch (out->form) {
	case BUNDLE_FORM_HIDDEN:
		out->len = BUNDLE_HASH;
		break;
	case BUNDLE_FORM_PRIVATE:
		out->salt = bytes_get(&d->in, BUNDLE_SALT);
		/* fall through */
	case BUNDLE_FORM_PUBLIC:
		out->len = bytes_get_varint(&d->in);
		if (!out->len || out->len > BUNDLE_STRING_MAX)
			return -1;
		break;
	default:
		return -1;
	}
	out->data = bytes_get(&d->in, out->len);
	return d->in.bad ? -1 : 1;
}

int decode_records_open(struct decode_records *d, const uint8_t *content, size_t len)
{
	d->in.data = content;
	d->in.len = len;
	d->in.at = 0;
	d->in.bad = false;
	d->left = 0;
	memset(d->met, 0, sizeof(d->met));
	return bytes_get_u8(&d->in) == BUNDLE_CONTENT_RECORDS ? 0 : -1;
}

void decode_records_release(struct decode_records *d)
{
	for (size_t f = 0; f < BUNDLE_FIELDS_MAX; f++)
		free(d->list[f].items);
	memset(d, 0, sizeof(*d));
}

/* Columns of the batch; those behind the last known field are of a newer writer. */
static int decode_columns(struct decode_records *d, struct bytes_reader *body)
{
	size_t known = rec_schemas[d->kind].fields_count;

	for (d->columns = 0; d->columns < known && body->at < body->len; d->columns++) {
		struct decode_column *c = &d->column[d->columns];
		uint64_t len = bytes_get_varint(body);

		c->at = bytes_get(body, len);
		/* Every value takes a byte at least. */
		if (body->bad || len < d->count)
			return -1;
		c->end = c->at + len;
		c->previous = 0;
	}
	return d->columns ? 0 : -1;
}

int decode_records_batch(struct decode_records *d)
{
	struct bytes_reader body = { NULL, 0, 0, false };

	if (d->in.at == d->in.len)
		return 0;
	d->number = bytes_get_varint(&d->in);
	d->count = bytes_get_varint(&d->in);
	body.len = bytes_get_varint(&d->in);
	body.data = bytes_get(&d->in, body.len);
	if (d->in.bad || !d->number || d->number > BUNDLE_KINDS_MAX || !d->count ||
	    d->count > body.len || d->met[d->number / 8] & 1u << d->number % 8)
		return -1;
	d->met[d->number / 8] |= (uint8_t)(1u << d->number % 8);
	if (d->number > REC_KIND_COUNT) {
		d->kind = REC_KIND_COUNT;
		d->left = 0;
		return 1;
	}
	d->kind = (enum rec_kind)(d->number - 1);
	d->left = d->count;
	return decode_columns(d, &body) ? -1 : 1;
}

/* As bytes_get_varint, but in line: there are very many of them. */
static inline int decode_varint(struct decode_column *c, uint64_t *out)
{
	uint64_t v = 0;

	if (c->at < c->end && *c->at < 0x80) {
		*out = *c->at++;
		return 0;
	}
	for (unsigned int shift = 0; shift < 64 && c->at < c->end; shift += 7) {
		uint8_t byte = *c->at++;

		if (shift == 63 && byte > 1)
			return -1;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*out = v;
			return 0;
		}
	}
	return -1;
}

static inline int decode_value(struct decode_column *c, uint64_t *out)
{
	uint64_t z, shifted;

	if (decode_varint(c, &z))
		return -1;
	shifted = c->previous + (z >> 1 ^ -(z & 1));
	if (shifted)
		c->previous = shifted;
	*out = shifted - 1;
	return 0;
}

static int decode_list(struct decode_column *c, struct decode_list *list, struct rec_list *out)
{
	uint64_t count;

	if (decode_varint(c, &count) || count > BUNDLE_LIST_MAX ||
	    count > (uint64_t)(c->end - c->at))
		return -1;
	if (count > list->cap) {
		uint64_t *items = realloc(list->items, count * sizeof(*items));

		if (!items)
			return -1;
		list->items = items;
		list->cap = (uint32_t)count;
	}
	for (uint64_t i = 0; i < count; i++)
		if (decode_value(c, &list->items[i]))
			return -1;
	out->items = list->items;
	out->count = (uint32_t)count;
	return 0;
}

int decode_records_next(struct decode_records *d, union rec_any *out)
{
	const struct rec_schema *schema = &rec_schemas[d->kind];

	if (!d->left)
		return 0;
	d->left--;
	for (size_t f = 0; f < schema->fields_count; f++) {
		const struct rec_field *field = &schema->fields[f];
		void *value = (char *)out + field->offset;
		bool list = field->type == REC_TYPE_L || field->type == REC_TYPE_M;
		struct decode_column *c = &d->column[f];
		int ret;

		if (f >= d->columns) {
			/* The writer was older. */
			if (list)
				memset(value, 0, sizeof(struct rec_list));
			else
				*(uint64_t *)value = REC_NULL;
			continue;
		}
		if (list)
			ret = decode_list(c, &d->list[f], value);
		else
			ret = decode_value(c, value);
		if (ret || (!d->left && c->at != c->end))
			return -1;
	}
	return 1;
}
