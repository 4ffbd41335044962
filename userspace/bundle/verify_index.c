/* The index of a bundle against its frames. */
#include "bundle/verify_index.h"

#include <string.h>

void verify_index_release(struct verify_index *ix)
{
	bytes_release(&ix->table);
}

/* The line that a writer must have put into the table for this frame. */
static int verify_index_line(struct verify_index *ix, const uint64_t *counts, uint64_t opened,
			     uint64_t size)
{
	uint64_t delta = opened - ix->table_opened, kinds = 0;
	struct bytes *t = &ix->table;
	int ret;

	if (t->len > BUNDLE_TABLE_MAX - 4096)
		return 0;
	for (size_t i = 0; i <= BUNDLE_KINDS_MAX; i++)
		kinds += counts[i] != 0;
	ret = bytes_put_varint(t, ix->position - ix->table_position);
	ret |= bytes_put_varint(t, size);
	ret |= bytes_put_varint(t, bytes_zigzag(delta));
	ret |= bytes_put_varint(t, kinds);
	for (size_t i = 0; i <= BUNDLE_KINDS_MAX; i++) {
		if (!counts[i])
			continue;
		ret |= bytes_put_varint(t, i);
		ret |= bytes_put_varint(t, counts[i]);
	}
	ix->table_position = ix->position;
	ix->table_opened = opened;
	ix->listed++;
	return ret;
}

/* The window's own records, if this is a batch of them. */
static int verify_index_window(struct verify_index *ix, struct decode_records *records)
{
	union rec_any rec;
	int ret = 0;

	if (records->kind == REC_WINDOW_KIND && !ix->window_seen) {
		ret = decode_records_next(records, &rec);
		ix->window_seen = true;
		ix->window = rec.window.window;
		ix->start = rec.window.realtime;
		return ret > 0 ? 0 : -1;
	}
	while (records->kind == REC_WINDOW_END_KIND && records->left) {
		ret = decode_records_next(records, &rec);
		if (ret <= 0)
			return -1;
		ix->stop = rec.window_end.realtime;
	}
	return 0;
}

int verify_index_frame(struct verify_index *ix, struct decode_records *records,
		       const uint8_t *content, size_t len, uint64_t size)
{
	uint64_t counts[BUNDLE_KINDS_MAX + 1] = { 0 };
	union rec_any first;
	int ret;

	ix->data_frames++;
	if (decode_records_open(records, content, len) || decode_records_batch(records) <= 0 ||
	    records->kind != REC_CLOCK_KIND || decode_records_next(records, &first) <= 0)
		return -1;
	do {
		if (counts[records->number])
			return -1;
		counts[records->number] = records->count;
		ix->totals[records->number] += records->count;
		if (verify_index_window(ix, records))
			return -1;
		ret = decode_records_batch(records);
	} while (ret > 0);
	if (ret || verify_index_line(ix, counts, first.clock.monotonic, size))
		return -1;
	ix->position += size;
	return 0;
}

void verify_index_link(struct verify_index *ix, const uint8_t *hash, uint64_t size)
{
	ix->links++;
	memcpy(ix->hash, hash, BUNDLE_HASH);
	ix->position += size;
}

void verify_index_skip(struct verify_index *ix, uint64_t size)
{
	ix->position += size;
}

static int verify_index_totals(const struct verify_index *ix, struct bytes_reader *part)
{
	uint64_t last = 0, kinds = 0;

	for (size_t i = 0; i <= BUNDLE_KINDS_MAX; i++)
		kinds += ix->totals[i] != 0;
	while (part->at < part->len) {
		uint64_t number = bytes_get_varint(part), count = bytes_get_varint(part);

		if (part->bad || number <= last || number > BUNDLE_KINDS_MAX || !count ||
		    count != ix->totals[number])
			return -1;
		last = number;
		kinds--;
	}
	return kinds ? -1 : 0;
}

static int verify_index_part(const struct verify_index *ix, uint64_t tag, struct bytes_reader *part)
{
	switch (tag) {
	case BUNDLE_INDEX_CHAIN:
		return bytes_get_le64(part) == ix->links && part->len == BUNDLE_CHAIN_SIZE &&
				       !memcmp(part->data + 8, ix->hash, BUNDLE_HASH)
			       ? 0
			       : -1;
	case BUNDLE_INDEX_TOTALS:
		return verify_index_totals(ix, part);
	case BUNDLE_INDEX_FRAMES:
		/* No data frame, no table. */
		return part->len == ix->table.len &&
				       (!part->len ||
					!memcmp(part->data, ix->table.data, part->len))
			       ? 0
			       : -1;
	case BUNDLE_INDEX_END:
		if (bytes_get_varint(part) != ix->data_frames ||
		    bytes_get_varint(part) != ix->listed || bytes_get_varint(part) != ix->strings)
			return -1;
		bytes_get_varint(
			part); /* when the last frame was closed: known to the writer only */
		return part->bad ? -1 : 0;
	default:
		return 0; /* of a newer writer */
	}
}

int verify_index_read(const struct verify_index *ix, const uint8_t *payload, size_t len)
{
	struct bytes_reader in = { payload, len, 0, false };
	unsigned int seen = 0;

	while (in.at < in.len) {
		uint64_t tag = bytes_get_varint(&in);
		struct bytes_reader part = { NULL, 0, 0, false };

		part.len = bytes_get_varint(&in);
		part.data = bytes_get(&in, part.len);
		if (in.bad || verify_index_part(ix, tag, &part))
			return -1;
		if (tag < 8)
			seen |= 1u << tag;
	}
	/* Each of the four parts must be there. */
	return (seen & 0x1e) == 0x1e ? 0 : -1;
}

void verify_index_facts(const uint8_t *payload, size_t len, struct seal_facts *facts)
{
	struct bytes_reader in = { payload, len, 0, false };

	while (in.at < in.len && !in.bad) {
		uint64_t tag = bytes_get_varint(&in);
		struct bytes_reader part = { NULL, 0, 0, false };

		part.len = bytes_get_varint(&in);
		part.data = bytes_get(&in, part.len);
		if (in.bad)
			return;
		if (tag == BUNDLE_INDEX_CHAIN && part.len == BUNDLE_CHAIN_SIZE) {
			facts->links = bytes_get_le64(&part);
			memcpy(facts->chain, part.data + part.at, BUNDLE_HASH);
		} else if (tag == BUNDLE_INDEX_TOTALS) {
			facts->records = 0;
			while (part.at < part.len && !part.bad) {
				bytes_get_varint(&part);
				facts->records += bytes_get_varint(&part);
			}
		} else if (tag == BUNDLE_INDEX_END) {
			facts->data_frames = bytes_get_varint(&part);
			bytes_get_varint(&part);
			facts->strings = bytes_get_varint(&part);
		}
	}
}
