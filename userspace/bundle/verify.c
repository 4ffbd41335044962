/*
 * The chain of a bundle, checked from its bytes.
 *
 * A link is what lies between two chain frames. Each is hashed from the hash that stands before it
 * in the file. Where that does not give the stored hash, it is tried from the hashes that stand
 * elsewhere: so one altered link is one finding, and a link in the wrong place is told from an
 * altered one.
 */
#include "bundle/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "bundle/decode.h"
#include "bundle/scan.h"
#include "bundle/verify_index.h"

#define FINDINGS_MAX 1000
#define CANDIDATES_MAX 8 /* other hashes that a link is tried from */
#define PIECE (256u << 10)

struct chain_link {
	uint64_t offset;
	uint64_t frame, frames;		/* number of the first, how many */
	uint64_t bad_frame, bad_offset; /* what is wrong by itself, if broken */
	uint64_t end_frame, end_offset; /* the chain frame */
	uint64_t number;		/* stored in the chain frame */
	uint8_t stored[BUNDLE_HASH], computed[BUNDLE_HASH];
	bool broken; /* something in it is wrong whatever the hash says */
	bool hashed; /* computed is valid */
	uint64_t data_frames;
	bool intact;	  /* stored is its hash, from some hash before it */
	bool direct;	  /* ... from the one that stands before it in the file */
	bool by_computed; /* ... from the one that was computed for the link before it */
};

struct verify {
	struct scan scan;
	struct scan_content content;
	struct decode_records records;
	struct verify_index index; /* what the index must say */
	EVP_MD_CTX *hash;
	struct bytes commit;
	struct verify_result *out;
	struct chain_link *links;
	size_t links_count, links_cap;
	size_t *by_number; /* rows of links, sorted by number */
	uint64_t frames;
	bool quiet; /* hashing again: nothing is to be counted */
	bool index_seen, seal_good, index_agrees;
	uint64_t index_frame, index_offset;
	uint64_t unreadable; /* stretches that are no frames */
};

const char *verify_kind_name(enum verify_kind kind)
{
	static const char *const names[] = { "altered",	 "cut",	     "reordered",
					     "inserted", "trailing", "resigned" };

	return names[kind];
}

static int verify_memory(struct verify *v, struct err *err)
{
	return err_set(err, ERR_INCOMPLETE, "%s: out of memory", v->scan.path);
}

static int verify_find(struct verify *v, enum verify_kind kind, uint64_t frame, uint64_t offset,
		       struct err *err)
{
	struct verify_result *r = v->out;

	r->ok = false;
	if (r->findings_count == FINDINGS_MAX)
		return 0;
	if (!r->findings) {
		r->findings = calloc(FINDINGS_MAX, sizeof(*r->findings));
		if (!r->findings)
			return verify_memory(v, err);
	}
	r->findings[r->findings_count].kind = kind;
	r->findings[r->findings_count].frame = frame;
	r->findings[r->findings_count++].offset = offset;
	return 0;
}

static void link_break(struct chain_link *link, uint64_t frame, uint64_t offset)
{
	if (link->broken)
		return;
	link->broken = true;
	link->bad_frame = frame;
	link->bad_offset = offset;
}

/* The canonical form of a string frame: each private string as its commitment. */
static int verify_commit(struct verify *v, size_t len)
{
	struct decode_strings in;
	struct decode_string s;
	struct bytes *out = &v->commit;
	uint8_t hash[BUNDLE_HASH], head[BUNDLE_SKIPPABLE_HEAD];
	struct bytes at = { head, 0, sizeof(head) };
	int ret = decode_strings_open(&in, v->content.data, len);

	out->len = 0;
	if (ret || bytes_put(out, v->content.data, in.head))
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
		if (!v->quiet)
			v->index.strings++;
	}
	if (ret)
		return -1;
	bytes_put_le32(&at, BUNDLE_STRINGS_MAGIC);
	bytes_put_le32(&at, (uint32_t)out->len);
	return EVP_DigestUpdate(v->hash, head, sizeof(head)) &&
			       EVP_DigestUpdate(v->hash, out->data, out->len)
		       ? 0
		       : -1;
}

/* Raw bytes of the file into the hash, in pieces. */
static int verify_raw(struct verify *v, uint64_t offset, uint64_t size, struct err *err)
{
	while (size) {
		size_t len = size < PIECE ? (size_t)size : PIECE;
		const uint8_t *p = scan_bytes(&v->scan, offset, &len, err);

		if (!p)
			return -1;
		if (!len)
			return err_set(err, ERR_INCOMPLETE, "%s: became shorter while it was read",
				       v->scan.path);
		EVP_DigestUpdate(v->hash, p, len);
		offset += len;
		size -= len;
	}
	return 0;
}

/* The frame behind a SCAN_STRINGS frame, which must be its string frame. */
static enum scan_result verify_strings(struct verify *v, struct chain_link *link,
				       const struct scan_frame *head, struct err *err)
{
	struct bytes_reader in = { head->data, head->size, BUNDLE_SKIPPABLE_HEAD, false };
	uint64_t size = bytes_get_le64(&in);
	uint64_t head_frame = v->frames - 1, head_offset = head->offset;
	uint8_t stored[BUNDLE_HASH], digest[BUNDLE_HASH];
	struct scan_frame f;
	enum scan_result result;
	long len;

	memcpy(stored, in.data + in.at, sizeof(stored));
	result = scan_next(&v->scan, &f, err);
	if (result != SCAN_FRAME)
		return result;
	if (f.kind != SCAN_ZSTD || f.size != size) {
		/* Not its string frame: look at it again as a frame of its own. */
		v->scan.at = f.offset;
		link_break(link, head_frame, head_offset);
		return SCAN_FRAME;
	}
	EVP_Digest(f.data, (size_t)f.size, digest, NULL, EVP_sha256(), NULL);
	len = scan_decompress(&v->content, &f);
	if (len < 0 || verify_commit(v, (size_t)len)) {
		v->scan.at = f.offset;
		return SCAN_DAMAGED;
	}
	v->frames++;
	if (memcmp(stored, digest, sizeof(stored)))
		link_break(link, v->frames - 1, f.offset);
	return SCAN_FRAME;
}

/*
 * What a data frame holds, for the comparison with the index. A frame that cannot be read may be
 * wrong about its own length, so the scan goes back to its start.
 */
static enum scan_result verify_records(struct verify *v, struct chain_link *link,
				       const struct scan_frame *f)
{
	long len;

	if (link->data_frames++)
		link_break(link, v->frames - 1, f->offset);
	if (v->quiet)
		return SCAN_FRAME;
	len = scan_decompress(&v->content, f);
	if (len >= 0 &&
	    !verify_index_frame(&v->index, &v->records, v->content.data, (size_t)len, f->size))
		return SCAN_FRAME;
	v->frames--;
	v->scan.at = f->offset;
	return SCAN_DAMAGED;
}

/* The index frame: the last link, hashed up to its last bytes. */
static void verify_seal(struct verify *v, const struct scan_frame *f)
{
	const uint8_t *seal = f->data + f->size - BUNDLE_HASH;
	uint8_t hash[BUNDLE_HASH];

	v->index_seen = true;
	v->index_frame = v->frames - 1;
	v->index_offset = f->offset;
	EVP_DigestUpdate(v->hash, f->data, (size_t)f->size - BUNDLE_HASH);
	EVP_DigestFinal_ex(v->hash, hash, NULL);
	v->seal_good = !memcmp(hash, seal, sizeof(hash));
	v->index_agrees = !verify_index_read(&v->index, f->data + BUNDLE_SKIPPABLE_HEAD,
					     (size_t)f->size - BUNDLE_SKIPPABLE_HEAD - BUNDLE_HASH);
}

/*
 * After bytes that are no frame: the next place that looks like a chain or an index frame. Returns
 * 1 and moves there, 0 when there is none.
 */
static int verify_resync(struct verify *v, struct err *err)
{
	static const uint8_t chain[8] = { BUNDLE_CHAIN_MAGIC & 0xff, 0x2a, 0x4d, 0x18,
					  BUNDLE_CHAIN_SIZE };
	static const uint8_t index[4] = { BUNDLE_INDEX_MAGIC & 0xff, 0x2a, 0x4d, 0x18 };
	uint64_t offset = v->scan.at + 1;

	if (++v->unreadable > FINDINGS_MAX)
		return 0;
	while (offset + sizeof(chain) <= v->scan.size) {
		size_t len = PIECE;
		const uint8_t *p = scan_bytes(&v->scan, offset, &len, err);

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
				v->scan.at = offset + i - 1;
				return 1;
			}
		}
		offset += len - sizeof(chain) + 1;
	}
	return 0;
}

/*
 * Reads one link from where the scan stands, hashing from `before`. 1: it ended with a chain frame.
 * 0: the file ended, or the index came. -1: error.
 */
static int verify_link(struct verify *v, struct chain_link *link, const uint8_t *before,
		       struct err *err)
{
	struct scan_frame f;

	memset(link, 0, sizeof(*link));
	link->offset = v->scan.at;
	link->frame = v->frames;
	EVP_DigestInit_ex(v->hash, EVP_sha256(), NULL);
	EVP_DigestUpdate(v->hash, before, BUNDLE_HASH);
	for (;;) {
		enum scan_result result = scan_next(&v->scan, &f, err);
		int ret;

		if (result == SCAN_FRAME) {
			v->frames++;
			if (f.kind == SCAN_STRINGS)
				result = verify_strings(v, link, &f, err);
			else if (f.kind == SCAN_ZSTD)
				result = verify_records(v, link, &f);
		}
		if (result == SCAN_ERROR)
			return -1;
		if (result == SCAN_END)
			return 0;
		if (result != SCAN_FRAME) {
			uint64_t bad = v->scan.at;

			ret = verify_resync(v, err);
			if (ret <= 0)
				return ret;
			link_break(link, v->frames++, bad);
			continue;
		}
		switch (f.kind) {
		case SCAN_STRINGS:
			continue;
		case SCAN_CHAIN: {
			struct bytes_reader in = { f.data, f.size, BUNDLE_SKIPPABLE_HEAD, false };

			link->number = bytes_get_le64(&in);
			memcpy(link->stored, f.data + in.at, BUNDLE_HASH);
			EVP_DigestFinal_ex(v->hash, link->computed, NULL);
			if (!link->data_frames)
				link_break(link, v->frames - 1, f.offset);
			link->hashed = !link->broken;
			link->frames = v->frames - link->frame;
			link->end_frame = v->frames - 1;
			link->end_offset = f.offset;
			if (!v->quiet)
				verify_index_link(&v->index, link->stored, f.size);
			return 1;
		}
		case SCAN_INDEX:
			if (!v->quiet)
				verify_seal(v, &f);
			return 0;
		case SCAN_HEADER:
			if (f.offset)
				link_break(link, v->frames - 1, f.offset);
			/* fall through */
		case SCAN_OTHER:
			if (!v->quiet)
				verify_index_skip(&v->index, f.size);
			break;
		case SCAN_ZSTD:
			break;
		}
		if (verify_raw(v, f.offset, f.size, err))
			return -1;
	}
}

/* All links; *tail is what comes behind the last chain frame. */
static int verify_links(struct verify *v, struct chain_link *tail, struct err *err)
{
	static const uint8_t zeros[BUNDLE_HASH];
	const uint8_t *before = zeros;

	for (;;) {
		int ret = verify_link(v, tail, before, err);

		if (ret <= 0)
			return ret;
		if (v->links_count == v->links_cap) {
			size_t cap = v->links_cap ? v->links_cap * 2 : 64;
			struct chain_link *links = realloc(v->links, cap * sizeof(*links));

			if (!links)
				return verify_memory(v, err);
			v->links = links;
			v->links_cap = cap;
		}
		tail->direct = tail->hashed && !memcmp(tail->computed, tail->stored, BUNDLE_HASH);
		tail->intact = tail->direct;
		v->links[v->links_count] = *tail;
		before = v->links[v->links_count++].stored;
	}
}

/* Does the link fit behind the hash `before`? */
static bool verify_try(struct verify *v, struct chain_link *link, const uint8_t *before,
		       struct err *err)
{
	struct chain_link again;

	v->scan.at = link->offset;
	if (verify_link(v, &again, before, err) <= 0)
		return false;
	return again.hashed && !memcmp(again.computed, link->stored, BUNDLE_HASH);
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct chain_link *links = arg;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;

	if (links[i].number != links[j].number)
		return links[i].number < links[j].number ? -1 : 1;
	return i < j ? -1 : i > j;
}

/* The first row of by_number with this number or a greater one. */
static size_t verify_lookup(const struct verify *v, uint64_t number)
{
	size_t low = 0, high = v->links_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (v->links[v->by_number[middle]].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Links whose hash did not fit: do they fit elsewhere? */
static int verify_again(struct verify *v, struct err *err)
{
	static const uint8_t zeros[BUNDLE_HASH];

	v->by_number = calloc(v->links_count + 1, sizeof(*v->by_number));
	if (!v->by_number)
		return verify_memory(v, err);
	for (size_t i = 0; i < v->links_count; i++)
		v->by_number[i] = i;
	qsort_r(v->by_number, v->links_count, sizeof(*v->by_number), compare_rows, v->links);
	v->quiet = true;
	for (size_t i = 0; i < v->links_count; i++) {
		struct chain_link *link = &v->links[i], *last = i ? &v->links[i - 1] : NULL;
		size_t row;

		if (link->intact || link->broken)
			continue;
		if (last && !last->intact && last->hashed &&
		    verify_try(v, link, last->computed, err)) {
			link->intact = link->by_computed = true;
			continue;
		}
		if (link->number == 1 && i)
			link->intact = verify_try(v, link, zeros, err);
		row = verify_lookup(v, link->number - 1);
		for (size_t n = 0; !link->intact && n < CANDIDATES_MAX; n++, row++) {
			if (row >= v->links_count ||
			    v->links[v->by_number[row]].number != link->number - 1)
				break;
			link->intact = verify_try(v, link, v->links[v->by_number[row]].stored, err);
		}
	}
	return err->kind == ERR_NONE ? 0 : -1;
}

/* Is there an intact link of this number in rows [from, until)? */
static bool verify_has(const struct verify *v, uint64_t number, size_t from, size_t until)
{
	for (size_t row = verify_lookup(v, number); row < v->links_count; row++) {
		size_t i = v->by_number[row];

		if (v->links[i].number != number)
			return false;
		if (i >= from && i < until && v->links[i].intact)
			return true;
	}
	return false;
}

/* What is wrong with the link at row i, where `expected` should stand; false: nothing. */
static bool verify_judge(const struct verify *v, size_t i, uint64_t expected,
			 enum verify_kind *kind)
{
	const struct chain_link *link = &v->links[i];
	uint64_t number = link->number;

	if (link->intact && number == expected)
		return false;
	if (number < expected)
		*kind = !link->intact || verify_has(v, number, 0, i) ? VERIFY_INSERTED
								     : VERIFY_REORDERED;
	else if (!link->intact && verify_has(v, number, i + 1, v->links_count))
		*kind = VERIFY_INSERTED;
	else if (number == expected)
		*kind = VERIFY_ALTERED;
	else if (verify_has(v, expected, i + 1, v->links_count))
		*kind = VERIFY_REORDERED;
	else
		*kind = link->broken ? VERIFY_ALTERED : VERIFY_CUT;
	return true;
}

/* Was nothing but the chain frame's own number or hash changed? */
static bool verify_chain_frame(const struct verify *v, size_t i, uint64_t expected)
{
	const struct chain_link *link = &v->links[i];
	uint64_t before = i ? link[-1].number : 0;

	if (link->direct)
		return link->number != expected && link->number != before + 1;
	return link->hashed && !link->intact && i + 1 < v->links_count && link[1].by_computed;
}

static int verify_order(struct verify *v, struct err *err)
{
	uint64_t expected = 1;

	for (size_t i = 0; i < v->links_count; i++) {
		const struct chain_link *link = &v->links[i];
		uint64_t frame = link->broken ? link->bad_frame : link->frame;
		uint64_t offset = link->broken ? link->bad_offset : link->offset;
		enum verify_kind kind;

		if (verify_chain_frame(v, i, expected)) {
			if (verify_find(v, VERIFY_ALTERED, link->end_frame, link->end_offset, err))
				return -1;
			expected++;
			continue;
		}
		if (!verify_judge(v, i, expected, &kind)) {
			v->out->frames_good += link->frames;
			expected++;
			continue;
		}
		if (verify_find(v, kind, frame, offset, err))
			return -1;
		if (link->number >= expected && kind != VERIFY_INSERTED)
			expected = link->number + 1;
	}
	return 0;
}

/* What stands behind the last chain frame: an index and nothing more, or the file was cut. */
static int verify_tail(struct verify *v, const struct chain_link *tail, uint64_t end,
		       struct err *err)
{
	struct verify_result *r = v->out;

	if (!v->index_seen) {
		r->end_reason = "cut";
		return verify_find(v, VERIFY_CUT, tail->frame, tail->offset, err);
	}
	if (tail->broken) {
		if (verify_find(v, VERIFY_ALTERED, tail->bad_frame, tail->bad_offset, err))
			return -1;
	} else if (!v->seal_good || (r->ok && !v->index_agrees)) {
		if (verify_find(v, VERIFY_ALTERED, v->index_frame, v->index_offset, err))
			return -1;
	} else {
		r->frames_good += v->frames - tail->frame;
	}
	r->sealed = end == v->scan.size;
	r->complete = r->sealed && v->index.totals[REC_WINDOW_END_KIND + 1];
	r->end_reason = r->sealed ? "sealed" : "trailing";
	return r->sealed ? 0 : verify_find(v, VERIFY_TRAILING, v->frames, end, err);
}

/* Format 0 has no signature; a key that cannot be one is still said to be none. */
static int verify_key(const char *path, struct err *err)
{
	cleanup_fclose FILE *f = fopen(path, "re");
	EVP_PKEY *key;

	if (!f)
		return err_errno(err, ERR_USAGE, "%s: cannot open the key", path);
	key = PEM_read_PUBKEY(f, NULL, NULL, NULL);
	if (!key)
		return err_set(err, ERR_USAGE, "%s is not a public key in PEM form: name one",
			       path);
	EVP_PKEY_free(key);
	return 0;
}

int bundle_verify(const char *path, const char *key_path, struct verify_result *out,
		  struct err *err)
{
	struct verify v = { .out = out };
	struct err failed = ERR_INIT;
	struct scan_header header;
	struct chain_link tail;
	uint64_t end;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	out->ok = true;
	out->end_reason = "unreadable";
	if (key_path && verify_key(key_path, err))
		return -1;
	if (scan_open(&v.scan, path, &header, err))
		return -1;
	v.hash = EVP_MD_CTX_new();
	if (!v.hash) {
		verify_memory(&v, &failed);
		goto out;
	}
	if (verify_links(&v, &tail, &failed))
		goto out;
	end = v.scan.at;
	out->frames_total = v.frames;
	if (verify_again(&v, &failed) || verify_order(&v, &failed) ||
	    verify_tail(&v, &tail, end, &failed))
		goto out;
	ret = 0;
out:
	if (ret)
		err_set(err, failed.kind, "%s", failed.text);
	scan_close(&v.scan);
	scan_content_release(&v.content);
	decode_records_release(&v.records);
	verify_index_release(&v.index);
	EVP_MD_CTX_free(v.hash);
	bytes_release(&v.commit);
	free(v.links);
	free(v.by_number);
	return ret;
}

void verify_result_release(struct verify_result *result)
{
	free(result->findings);
	result->findings = NULL;
	result->findings_count = 0;
}
