/* The writer's index: lines of its table, and its parts. */
#include "bundle/append_index.h"

void append_index_release(struct append_index *ix)
{
	bytes_release(&ix->table);
}

/* Pairs of kind and count, for the kinds that there are. */
static int append_index_counts(struct bytes *out, const uint64_t *counts)
{
	for (size_t i = 0; i < REC_KIND_COUNT; i++) {
		if (!counts[i])
			continue;
		if (bytes_put_varint(out, i + 1) || bytes_put_varint(out, counts[i]))
			return -1;
	}
	return 0;
}

int append_index_add(struct append_index *ix, const struct frame *frame, uint64_t opened,
		     uint64_t position, size_t len)
{
	struct bytes *t = &ix->table;
	uint64_t counts[REC_KIND_COUNT], kinds = 0;

	for (size_t i = 0; i < REC_KIND_COUNT; i++) {
		counts[i] = frame_count(frame, (enum rec_kind)i);
		ix->totals[i] += counts[i];
		kinds += counts[i] != 0;
	}
	ix->data_frames++;
	if (t->len > BUNDLE_TABLE_MAX - 4096)
		return 0;
	if (bytes_put_varint(t, position - ix->position) || bytes_put_varint(t, len) ||
	    bytes_put_varint(t, bytes_zigzag(opened - ix->opened)) || bytes_put_varint(t, kinds) ||
	    append_index_counts(t, counts))
		return -1;
	ix->position = position;
	ix->opened = opened;
	ix->listed++;
	return 0;
}

/* A part: tag, length, bytes. Empties `part`. */
static int append_index_part(struct bytes *out, enum bundle_index tag, struct bytes *part)
{
	int ret = bytes_put_varint(out, tag) || bytes_put_varint(out, part->len) ||
		  bytes_put(out, part->data, part->len);

	part->len = 0;
	return ret ? -1 : 0;
}

int append_index_write(const struct append_index *ix, uint64_t links, const uint8_t *chain,
		       uint64_t closed, struct bytes *out)
{
	struct bytes part = BYTES_INIT, table = ix->table;
	int ret = -1;

	if (bytes_put_le64(&part, links) || bytes_put(&part, chain, BUNDLE_HASH) ||
	    append_index_part(out, BUNDLE_INDEX_CHAIN, &part))
		goto out;
	if (append_index_counts(&part, ix->totals) ||
	    append_index_part(out, BUNDLE_INDEX_TOTALS, &part))
		goto out;
	if (append_index_part(out, BUNDLE_INDEX_FRAMES, &table))
		goto out;
	if (bytes_put_varint(&part, ix->data_frames) || bytes_put_varint(&part, ix->listed) ||
	    bytes_put_varint(&part, ix->strings) || bytes_put_varint(&part, closed) ||
	    append_index_part(out, BUNDLE_INDEX_END, &part))
		goto out;
	ret = 0;
out:
	bytes_release(&part);
	return ret;
}
