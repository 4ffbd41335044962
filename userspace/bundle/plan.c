/*
 * The plan of a bundle: one walk over the heads of its frames, which reads no contents, and then
 * the table of its index.
 */
#include "bundle/plan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/bytes.h"

#define PLAN_FRAMES_MAX (1u << 20)
#define PLAN_STEPS_MAX (4u << 20) /* heads that are looked at */

_Static_assert(REC_KIND_COUNT <= 64, "kinds are bits of a number");

struct plan_walk {
	int fd;
	uint64_t size, at;
	uint32_t steps;
	struct plan *plan;
	size_t cap;
	uint8_t chain[BUNDLE_HASH]; /* H of the last chain frame */
	uint64_t chain_end; /* behind it; 0: there was none */
	uint64_t index_at, index_size;
};

static int plan_pread(int fd, void *out, size_t len, uint64_t offset)
{
	uint8_t *p = out;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* Size of the zstd frame here, from the heads of its blocks (RFC 8878); 0: it has none. */
static uint64_t plan_zstd_size(struct plan_walk *w)
{
	static const uint8_t dictionary[] = { 0, 1, 2, 4 }, content[] = { 0, 2, 4, 8 };
	uint64_t at = w->at;
	uint8_t head[5], block[3];
	uint32_t v;

	if (plan_pread(w->fd, head, sizeof(head), at))
		return 0;
	/* Single segment: no window descriptor, but at least a byte of content size. */
	at += 5 + dictionary[head[4] & 3] + content[head[4] >> 6] +
	      (head[4] & 0x20 ? !(head[4] >> 6) : 1);
	do {
		if (w->steps++ > PLAN_STEPS_MAX || plan_pread(w->fd, block, sizeof(block), at))
			return 0;
		v = block[0] | block[1] << 8 | (uint32_t)block[2] << 16;
		at += 3 + ((v >> 1 & 3) == 1 ? 1 : v >> 3);
		if ((v >> 1 & 3) == 3 || at - w->at > BUNDLE_FRAME_MAX)
			return 0;
	} while (!(v & 1));
	at += head[4] & 4 ? 4 : 0;
	return at <= w->size ? at - w->at : 0;
}

static int plan_add(struct plan_walk *w, uint64_t size)
{
	struct plan *p = w->plan;

	if (p->count == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 256;
		struct plan_frame *frames = realloc(p->frames, cap * sizeof(*frames));

		if (!frames)
			return -1;
		p->frames = frames;
		w->cap = cap;
	}
	p->frames[p->count++] = (struct plan_frame){ .offset = w->at, .size = size };
	return p->count > PLAN_FRAMES_MAX ? -1 : 0;
}

static int plan_skippable(struct plan_walk *w, uint32_t magic, uint64_t size)
{
	if (magic == BUNDLE_CHAIN_MAGIC) {
		if (size != BUNDLE_SKIPPABLE_HEAD + BUNDLE_CHAIN_SIZE || w->index_at ||
		    plan_pread(w->fd, w->chain, sizeof(w->chain),
			       w->at + BUNDLE_SKIPPABLE_HEAD + 8))
			return -1;
		w->chain_end = w->at + size;
	} else if (magic == BUNDLE_INDEX_MAGIC) {
		if (w->index_at || size > BUNDLE_INDEX_MAX ||
		    size < BUNDLE_SKIPPABLE_HEAD + BUNDLE_HASH)
			return -1;
		w->index_at = w->at;
		w->index_size = size;
	}
	return 0;
}

/* Every frame up to the end of the file: where the data frames are, and the index. */
static int plan_walk_frames(struct plan_walk *w)
{
	bool strings = false;

	while (w->at < w->size) {
		uint8_t bytes[BUNDLE_SKIPPABLE_HEAD];
		struct bytes_reader head = { bytes, sizeof(bytes), 0, false };
		uint32_t magic;
		uint64_t size;

		if (w->steps++ > PLAN_STEPS_MAX || plan_pread(w->fd, bytes, sizeof(bytes), w->at))
			return -1;
		magic = bytes_get_le32(&head);
		if (magic == BUNDLE_ZSTD_MAGIC) {
			size = plan_zstd_size(w);
			if (!size || w->index_at || (!strings && plan_add(w, size)))
				return -1;
		} else {
			size = BUNDLE_SKIPPABLE_HEAD + (uint64_t)bytes_get_le32(&head);
			if (!BUNDLE_IS_SKIPPABLE(magic) || size > w->size - w->at ||
			    plan_skippable(w, magic, size))
				return -1;
		}
		strings = magic == BUNDLE_STRINGS_MAGIC;
		w->at += size;
	}
	return w->index_at && w->chain_end ? 0 : -1;
}

/* The index's bytes, if its seal is right: it covers all from the last chain frame on. */
static int plan_read_index(struct plan_walk *w)
{
	uint64_t lead = w->index_at - w->chain_end, len = lead + w->index_size;
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	uint8_t seal[EVP_MAX_MD_SIZE], *index;
	int ret = -1;

	index = w->plan->index = hash && len <= BUNDLE_INDEX_MAX ? malloc(len) : NULL;
	if (index && !plan_pread(w->fd, index, len, w->chain_end) &&
	    EVP_DigestInit_ex(hash, EVP_sha256(), NULL) &&
	    EVP_DigestUpdate(hash, w->chain, sizeof(w->chain)) &&
	    EVP_DigestUpdate(hash, index, len - BUNDLE_HASH) &&
	    EVP_DigestFinal_ex(hash, seal, NULL) &&
	    !memcmp(seal, index + len - BUNDLE_HASH, BUNDLE_HASH)) {
		struct bytes_reader in = { index, len - BUNDLE_HASH, lead + BUNDLE_SKIPPABLE_HEAD,
					   false };

		while (in.at < in.len && !in.bad) {
			uint64_t tag = bytes_get_varint(&in), size = bytes_get_varint(&in);
			const uint8_t *part = bytes_get(&in, size);

			if (tag == BUNDLE_INDEX_FRAMES && part) {
				w->plan->table = part;
				w->plan->table_len = size;
			}
		}
		ret = in.bad || !w->plan->table ? -1 : 0;
	}
	EVP_MD_CTX_free(hash);
	return ret;
}

/* A line of the table onto its frame. */
static int plan_line(struct plan_frame *f, struct bytes_reader *in, uint64_t *opened)
{
	uint64_t size, z;

	bytes_get_varint(in); /* the position; the walk knows the offset */
	size = bytes_get_varint(in);
	z = bytes_get_varint(in);
	*opened += z >> 1 ^ -(z & 1);
	f->opened = *opened;
	f->kinds_count = (uint32_t)bytes_get_varint(in);
	f->counts = (uint32_t)in->at;
	for (uint32_t i = 0; i < f->kinds_count && !in->bad; i++) {
		uint64_t number = bytes_get_varint(in);

		bytes_get_varint(in);
		if (number && number <= REC_KIND_COUNT)
			f->kinds |= 1ULL << (number - 1);
	}
	return in->bad || size != f->size ? -1 : 0;
}

void plan_read(struct plan *p, int fd, uint64_t size)
{
	struct plan_walk w = { .fd = fd, .size = size, .plan = p };
	struct bytes_reader in = { NULL, 0, 0, false };
	uint64_t opened = 0;
	size_t lines = 0;
	int ret;

	memset(p, 0, sizeof(*p));
	ret = plan_walk_frames(&w) || plan_read_index(&w) ? -1 : 0;
	in.data = p->table;
	in.len = p->table_len;
	while (!ret && in.at < in.len) {
		ret = lines < p->count ? plan_line(&p->frames[lines], &in, &opened) : -1;
		lines++;
	}
	p->count = ret ? 0 : lines;
}

void plan_release(struct plan *p)
{
	free(p->frames);
	free(p->index);
	memset(p, 0, sizeof(*p));
}

void plan_count(const struct plan *p, size_t frame, uint64_t counts[REC_KIND_COUNT])
{
	const struct plan_frame *f = &p->frames[frame];
	struct bytes_reader in = { p->table, p->table_len, f->counts, false };

	for (uint32_t i = 0; i < f->kinds_count; i++) {
		uint64_t number = bytes_get_varint(&in), count = bytes_get_varint(&in);

		if (number && number <= REC_KIND_COUNT)
			counts[number - 1] += count;
	}
}
