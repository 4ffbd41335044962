/* One link of the chain. */
#include "bundle/verify_link.h"

#include <string.h>

#include "bundle/format.h"

#define PIECE (256u << 10)

static void link_break(struct chain_link *link, uint64_t frame, uint64_t offset)
{
	if (link->broken)
		return;
	link->broken = true;
	link->bad_frame = frame;
	link->bad_offset = offset;
}

/* The canonical form of a string frame: each private string as its commitment. */
static int verify_commit(struct verify_walk *w, size_t len)
{
	struct decode_strings in;
	struct decode_string s;
	struct bytes *out = &w->commit;
	uint8_t hash[BUNDLE_HASH], head[BUNDLE_SKIPPABLE_HEAD];
	struct bytes at = { head, 0, sizeof(head) };
	int ret = decode_strings_open(&in, w->content.data, len);

	out->len = 0;
	if (ret || bytes_put(out, w->content.data, in.head))
		return -1;
	while ((ret = decode_strings_next(&in, &s)) > 0) {
		const uint8_t *value = s.data;

		if (s.form == BUNDLE_FORM_PUBLIC) {
			if (bytes_put_u8(out, BUNDLE_FORM_PUBLIC) || bytes_put_varint(out, s.len))
				return -1;
		} else if (bytes_put_u8(out, BUNDLE_FORM_HIDDEN)) {
			return -1;
		}
		if (s.form == BUNDLE_FORM_PRIVATE) {
			EVP_MD_CTX *ctx = EVP_MD_CTX_new();
			bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
				  EVP_DigestUpdate(ctx, s.salt, BUNDLE_SALT) &&
				  EVP_DigestUpdate(ctx, s.data, s.len) &&
				  EVP_DigestFinal_ex(ctx, hash, NULL);

			EVP_MD_CTX_free(ctx);
			if (!ok)
				return -1;
			value = hash;
			s.len = sizeof(hash);
		}
		if (bytes_put(out, value, s.len))
			return -1;
		if (!w->quiet)
			w->index.strings++;
	}
	if (ret)
		return -1;
	bytes_put_le32(&at, BUNDLE_STRINGS_MAGIC);
	bytes_put_le32(&at, (uint32_t)out->len);
	return EVP_DigestUpdate(w->hash, head, sizeof(head)) &&
			       EVP_DigestUpdate(w->hash, out->data, out->len)
		       ? 0
		       : -1;
}

/* Raw bytes of the file into the hash, in pieces. */
static int verify_raw(struct verify_walk *w, uint64_t offset, uint64_t size, struct err *err)
{
	while (size) {
		size_t len = size < PIECE ? (size_t)size : PIECE;
		const uint8_t *p = scan_bytes(&w->scan, offset, &len, err);

		if (!p)
			return -1;
		if (!len)
			return err_set(err, ERR_INCOMPLETE, "%s: became shorter while it was read",
				       w->scan.path);
		EVP_DigestUpdate(w->hash, p, len);
		offset += len;
		size -= len;
	}
	return 0;
}

/* The frame behind a SCAN_STRINGS frame, which must be its string frame. */
static enum scan_result verify_strings(struct verify_walk *w, struct chain_link *link,
				       const struct scan_frame *head, struct err *err)
{
	struct bytes_reader in = { head->data, head->size, BUNDLE_SKIPPABLE_HEAD, false };
	uint64_t size = bytes_get_le32(&in);
	uint64_t head_frame = w->frames - 1, head_offset = head->offset;
	uint8_t stored[BUNDLE_STRINGS_DIGEST], digest[BUNDLE_HASH];
	struct scan_frame f;
	enum scan_result result;
	long len;

	memcpy(stored, in.data + in.at, sizeof(stored));
	result = scan_next(&w->scan, &f, err);
	if (result != SCAN_FRAME)
		return result;
	if (f.kind != SCAN_ZSTD || f.size != size) {
		/* Not its string frame: look at it again as a frame of its own. */
		w->scan.at = f.offset;
		link_break(link, head_frame, head_offset);
		return SCAN_FRAME;
	}
	EVP_Digest(f.data, (size_t)f.size, digest, NULL, EVP_sha256(), NULL);
	len = scan_decompress(&w->content, &f);
	if (len < 0 || verify_commit(w, (size_t)len)) {
		w->scan.at = f.offset;
		return SCAN_DAMAGED;
	}
	w->frames++;
	if (memcmp(stored, digest, sizeof(stored)))
		link_break(link, w->frames - 1, f.offset);
	return SCAN_FRAME;
}

/*
 * What a data frame holds, for the comparison with the index. A frame that cannot be read may be
 * wrong about its own length, so the scan goes back to its start.
 */
static enum scan_result verify_records(struct verify_walk *w, struct chain_link *link,
				       const struct scan_frame *f)
{
	long len;

	if (link->data_frames++)
		link_break(link, w->frames - 1, f->offset);
	if (w->quiet)
		return SCAN_FRAME;
	len = scan_decompress(&w->content, f);
	if (len >= 0 &&
	    !verify_index_frame(&w->index, &w->records, w->content.data, (size_t)len, f->size))
		return SCAN_FRAME;
	w->frames--;
	w->scan.at = f->offset;
	return SCAN_DAMAGED;
}

/* The index frame: the last link, hashed up to its last bytes. */
static void verify_take_index(struct verify_walk *w, struct chain_link *link,
			      const struct scan_frame *f)
{
	const uint8_t *payload = f->data + BUNDLE_SKIPPABLE_HEAD;
	size_t len = (size_t)f->size - BUNDLE_SKIPPABLE_HEAD - BUNDLE_HASH;

	EVP_DigestUpdate(w->hash, f->data, (size_t)f->size - BUNDLE_HASH);
	EVP_DigestFinal_ex(w->hash, link->computed, NULL);
	memcpy(link->stored, payload + len, BUNDLE_HASH);
	link->hashed = !link->broken;
	link->frames = w->frames - link->frame;
	if (w->quiet)
		return;
	w->index_seen = true;
	w->index_frame = w->frames - 1;
	w->index_offset = f->offset;
	w->index_agrees = !verify_index_read(&w->index, payload, len);
	verify_index_facts(payload, len, &w->facts);
	memcpy(w->facts.seal, link->stored, BUNDLE_HASH);
	EVP_Digest(f->data, (size_t)f->size, w->index_digest, NULL, EVP_sha256(), NULL);
}

/*
 * After bytes that are no frame: the next place that looks like a chain or an index frame. Returns
 * 1 and moves there, 0 when there is none.
 */
static int verify_resync(struct verify_walk *w, struct err *err)
{
	static const uint8_t chain[8] = { BUNDLE_CHAIN_MAGIC & 0xff, 0x2a, 0x4d, 0x18,
					  BUNDLE_CHAIN_SIZE };
	static const uint8_t index[4] = { BUNDLE_INDEX_MAGIC & 0xff, 0x2a, 0x4d, 0x18 };
	uint64_t offset = w->scan.at + 1;

	if (++w->unreadable > VERIFY_FINDINGS_MAX)
		return 0;
	while (offset + sizeof(chain) <= w->scan.size) {
		size_t len = PIECE;
		const uint8_t *p = scan_bytes(&w->scan, offset, &len, err);

		if (!p)
			return -1;
		if (len < sizeof(chain))
			return 0;
		for (size_t i = 0; i + sizeof(chain) <= len; i++) {
			const uint8_t *hit = memchr(p + i, 0x2a, len - i);

			if (!hit)
				break;
			i = (size_t)(hit - p);
			if (!i || i - 1 + sizeof(chain) > len)
				continue;
			if (!memcmp(hit - 1, chain, sizeof(chain)) ||
			    !memcmp(hit - 1, index, sizeof(index))) {
				w->scan.at = offset + i - 1;
				return 1;
			}
		}
		offset += len - sizeof(chain) + 1;
	}
	return 0;
}

int verify_link(struct verify_walk *w, struct chain_link *link, const uint8_t *before,
		struct err *err)
{
	struct scan_frame f;

	memset(link, 0, sizeof(*link));
	link->offset = w->scan.at;
	link->frame = w->frames;
	EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL);
	EVP_DigestUpdate(w->hash, before, BUNDLE_HASH);
	for (;;) {
		enum scan_result result = scan_next(&w->scan, &f, err);
		int ret;

		if (result == SCAN_FRAME) {
			w->frames++;
			if (f.offset >= w->without && f.offset < w->without_end)
				continue;
			if (f.kind == SCAN_STRINGS)
				result = verify_strings(w, link, &f, err);
			else if (f.kind == SCAN_ZSTD)
				result = verify_records(w, link, &f);
		}
		if (result == SCAN_ERROR)
			return -1;
		if (result == SCAN_END)
			return 0;
		if (result != SCAN_FRAME) {
			uint64_t bad = w->scan.at;

			ret = verify_resync(w, err);
			if (ret <= 0)
				return ret;
			link_break(link, w->frames++, bad);
			continue;
		}
		switch (f.kind) {
		case SCAN_STRINGS:
			continue;
		case SCAN_CHAIN: {
			struct bytes_reader in = { f.data, f.size, BUNDLE_SKIPPABLE_HEAD, false };

			link->number = bytes_get_le64(&in);
			memcpy(link->stored, f.data + in.at, BUNDLE_HASH);
			EVP_DigestFinal_ex(w->hash, link->computed, NULL);
			if (!link->data_frames)
				link_break(link, w->frames - 1, f.offset);
			link->hashed = !link->broken;
			link->frames = w->frames - link->frame;
			link->end_frame = w->frames - 1;
			link->end_offset = f.offset;
			if (!w->quiet)
				verify_index_link(&w->index, link->stored, f.size);
			return 1;
		}
		case SCAN_INDEX:
			verify_take_index(w, link, &f);
			return 0;
		case SCAN_SIGNATURE:
		case SCAN_TIMESTAMP:
			w->misplaced = true;
			link_break(link, w->frames - 1, f.offset);
			break;
		case SCAN_HEADER:
			if (f.offset)
				link_break(link, w->frames - 1, f.offset);
			/* fall through */
		case SCAN_OTHER:
			if (!w->quiet)
				verify_index_skip(&w->index, f.size);
			break;
		case SCAN_ZSTD:
			break;
		}
		if (verify_raw(w, f.offset, f.size, err))
			return -1;
	}
}

void verify_walk_release(struct verify_walk *w)
{
	scan_close(&w->scan);
	scan_content_release(&w->content);
	decode_records_release(&w->records);
	verify_index_release(&w->index);
	EVP_MD_CTX_free(w->hash);
	bytes_release(&w->commit);
}
