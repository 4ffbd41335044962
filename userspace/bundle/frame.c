/* Records into columns, columns into the content of a data frame. */
#include "bundle/frame.h"

#include <stdlib.h>

struct column {
	struct bytes bytes;
	uint64_t previous;
};

/* The records of a kind. */
struct builder {
	uint64_t count;
	struct column *columns; /* one a field; NULL before the first record */
};

struct frame {
	uint64_t records;
	size_t size;
	struct builder builders[REC_KIND_COUNT];
	enum rec_kind order[REC_KIND_COUNT]; /* kinds as they came */
	size_t order_count;
};

struct frame *frame_new(void)
{
	return calloc(1, sizeof(struct frame));
}

void frame_free(struct frame *f)
{
	if (!f)
		return;
	for (size_t k = 0; k < REC_KIND_COUNT; k++) {
		for (size_t i = 0; f->builders[k].columns && i < rec_schemas[k].fields_count; i++)
			bytes_release(&f->builders[k].columns[i].bytes);
		free(f->builders[k].columns);
	}
	free(f);
}

uint64_t frame_records(const struct frame *f)
{
	return f->records;
}

uint64_t frame_count(const struct frame *f, enum rec_kind kind)
{
	return f->builders[kind].count;
}

size_t frame_size(const struct frame *f)
{
	return f->size;
}

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
	while (v >= 0x80) {
		*at++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*at++ = (uint8_t)v;
	return at;
}

/* The difference to the value before. Values are shifted by one, so that REC_NULL is 0. */
static inline uint8_t *put_delta(uint8_t *at, uint64_t value, uint64_t *previous)
{
	uint64_t delta = value + 1 - *previous;

	if (value != REC_NULL)
		*previous = value + 1;
	return put_varint(at, bytes_zigzag(delta));
}

static int column_put(struct column *c, uint64_t value)
{
	uint8_t *at;

	if (bytes_reserve(&c->bytes, 10))
		return -1;
	at = c->bytes.data + c->bytes.len;
	c->bytes.len += (size_t)(put_delta(at, value, &c->previous) - at);
	return 0;
}

static int column_put_list(struct column *c, const struct rec_list *list)
{
	uint8_t *at;

	if (list->count > BUNDLE_LIST_MAX || bytes_reserve(&c->bytes, 10 * (list->count + 1ul)))
		return -1;
	at = put_varint(c->bytes.data + c->bytes.len, list->count);
	for (uint32_t i = 0; i < list->count; i++)
		at = put_delta(at, list->items[i], &c->previous);
	c->bytes.len = (size_t)(at - c->bytes.data);
	return 0;
}

int frame_put(struct frame *f, enum rec_kind kind, const void *rec)
{
	const struct rec_schema *schema = &rec_schemas[kind];
	struct builder *b = &f->builders[kind];
	size_t marks[BUNDLE_FIELDS_MAX], added = 0, i;
	uint64_t previous[BUNDLE_FIELDS_MAX];

	if (!b->columns) {
		b->columns = calloc(schema->fields_count, sizeof(*b->columns));
		if (!b->columns)
			return -1;
	}
	for (i = 0; i < schema->fields_count; i++) {
		const struct rec_field *field = &schema->fields[i];
		const void *value = (const char *)rec + field->offset;
		struct column *c = &b->columns[i];
		int ret;

		marks[i] = c->bytes.len;
		previous[i] = c->previous;
		if (field->type == REC_TYPE_L || field->type == REC_TYPE_M)
			ret = column_put_list(c, value);
		else
			ret = column_put(c, *(const uint64_t *)value);
		if (ret)
			goto undo;
		added += c->bytes.len - marks[i];
	}
	if (!b->count++)
		f->order[f->order_count++] = kind;
	f->records++;
	f->size += added;
	return 0;
undo:
	do {
		b->columns[i].bytes.len = marks[i];
		b->columns[i].previous = previous[i];
	} while (i--);
	return -1;
}

/* kind, count, length, then each column: length, bytes. */
static int frame_batch(const struct frame *f, enum rec_kind kind, struct bytes *out)
{
	const struct builder *b = &f->builders[kind];
	size_t fields = rec_schemas[kind].fields_count;
	uint8_t lengths[BUNDLE_FIELDS_MAX][10];
	size_t sizes[BUNDLE_FIELDS_MAX], len = 0;

	for (size_t i = 0; i < fields; i++) {
		sizes[i] = (size_t)(put_varint(lengths[i], b->columns[i].bytes.len) - lengths[i]);
		len += sizes[i] + b->columns[i].bytes.len;
	}
	if (bytes_put_varint(out, (uint64_t)kind + 1) || bytes_put_varint(out, b->count) ||
	    bytes_put_varint(out, len))
		return -1;
	for (size_t i = 0; i < fields; i++) {
		if (bytes_put(out, lengths[i], sizes[i]) ||
		    bytes_put(out, b->columns[i].bytes.data, b->columns[i].bytes.len))
			return -1;
	}
	return 0;
}

int frame_encode(const struct frame *f, struct bytes *out)
{
	if (bytes_reserve(out, f->size + 4096) || bytes_put_u8(out, BUNDLE_CONTENT_RECORDS))
		return -1;
	for (size_t i = 0; i < f->order_count; i++) {
		if (frame_batch(f, f->order[i], out))
			return -1;
	}
	return 0;
}
