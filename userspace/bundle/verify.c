/*
 * The chain of a bundle, checked from its bytes.
 *
 * A link is what lies between two chain frames. Each is hashed from the hash that stands before it
 * in the file. Where that does not give the stored hash, it is tried from the hashes that stand
 * elsewhere: so one altered link is one finding, and a link in the wrong place is told from an
 * altered one.
 */
#include "bundle/verify.h"

#include <stdlib.h>
#include <string.h>

#include "bundle/scan.h"
#include "bundle/seal_key.h"
#include "bundle/verify_link.h"
#include "bundle/verify_seal.h"

#define CANDIDATES_MAX 8 /* other hashes that a link is tried from */
#define LEFT_OUT_MAX 16 /* frames of a link that are left out in turn */
#define LEFT_OUT_TRIES 2000 /* of all links: a hostile file must not be read for ever */
#define DIGEST_PIECE (256u << 10)

struct verify {
	struct verify_walk walk;
	struct verify_result *out;
	struct chain_link *links;
	size_t links_count, links_cap;
	size_t *by_number; /* rows of links, sorted by number */
	unsigned int left_out; /* tries so far */
};

const char *verify_kind_name(enum verify_kind kind)
{
	static const char *const names[] = { "altered",	 "cut",	     "reordered",
					     "inserted", "trailing", "resigned" };

	return names[kind];
}

static int verify_memory(struct verify *v, struct err *err)
{
	return err_set(err, ERR_INCOMPLETE, "%s: out of memory", v->walk.scan.path);
}

static int verify_find(struct verify *v, enum verify_kind kind, uint64_t frame, uint64_t offset,
		       struct err *err)
{
	struct verify_result *r = v->out;

	r->ok = false;
	if (r->findings_count == VERIFY_FINDINGS_MAX)
		return 0;
	if (!r->findings) {
		r->findings = calloc(VERIFY_FINDINGS_MAX, sizeof(*r->findings));
		if (!r->findings)
			return verify_memory(v, err);
	}
	r->findings[r->findings_count].kind = kind;
	r->findings[r->findings_count].frame = frame;
	r->findings[r->findings_count++].offset = offset;
	return 0;
}

/* All links; *tail is what comes behind the last chain frame. */
static int verify_links(struct verify *v, struct chain_link *tail, struct err *err)
{
	static const uint8_t zeros[BUNDLE_HASH];
	const uint8_t *before = zeros;

	for (;;) {
		int ret = verify_link(&v->walk, tail, before, err);

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

/* Does the link, or what stands before the index, fit behind the hash `before`? */
static bool verify_try(struct verify *v, struct chain_link *link, const uint8_t *before,
		       struct err *err)
{
	struct chain_link again;

	v->walk.scan.at = link->offset;
	if (verify_link(&v->walk, &again, before, err) < 0)
		return false;
	return again.hashed && !memcmp(again.computed, link->stored, BUNDLE_HASH);
}

/* Does it fit behind `before` once one of its frames is left out? That frame was put in. */
static bool verify_without(struct verify *v, struct chain_link *link, const uint8_t *before,
			   struct err *err)
{
	struct verify_walk *w = &v->walk;
	uint64_t at = link->offset;

	for (uint64_t n = 0; n + 1 < link->frames && n < LEFT_OUT_MAX; n++) {
		struct scan_frame f;

		w->scan.at = at;
		if (scan_next(&w->scan, &f, err) != SCAN_FRAME)
			return false;
		w->without = at;
		/* A string frame goes with its head. */
		if (f.kind == SCAN_STRINGS && scan_next(&w->scan, &f, err) != SCAN_FRAME)
			return false;
		at = w->without_end = w->scan.at;
		link->extra_frame = link->frame + n;
		link->extra_offset = w->without;
		n += w->without != f.offset;
		link->extra = v->left_out++ < LEFT_OUT_TRIES && verify_try(v, link, before, err);
		w->without = w->without_end = 0;
		if (link->extra)
			return true;
	}
	return false;
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
	v->walk.quiet = true;
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
	for (size_t i = 0; i < v->links_count; i++) {
		if (!v->links[i].intact)
			verify_without(v, &v->links[i], i ? v->links[i - 1].stored : zeros, err);
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

		if (link->extra && link->number == expected) {
			if (verify_find(v, VERIFY_INSERTED, link->extra_frame, link->extra_offset,
					err))
				return -1;
			v->out->frames_good += link->frames - 1;
			expected++;
			continue;
		}
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

/* What stands between the last chain frame and the index, and the index itself. */
static int verify_index(struct verify *v, struct chain_link *tail, struct err *err)
{
	static const uint8_t zeros[BUNDLE_HASH];
	const uint8_t *before = v->links_count ? v->links[v->links_count - 1].stored : zeros;
	bool good = tail->hashed && !memcmp(tail->computed, tail->stored, BUNDLE_HASH);

	v->walk.quiet = true;
	if (!good && verify_without(v, tail, before, err)) {
		v->out->frames_good += tail->frames - 1;
		return verify_find(v, VERIFY_INSERTED, tail->extra_frame, tail->extra_offset, err);
	}
	if (tail->broken)
		return verify_find(v, VERIFY_ALTERED, tail->bad_frame, tail->bad_offset, err);
	if (!good || (v->out->ok && !v->walk.index_agrees))
		return verify_find(v, VERIFY_ALTERED, v->walk.index_frame, v->walk.index_offset,
				   err);
	v->out->frames_good += tail->frames;
	return 0;
}

/*
 * What stands behind the last chain frame: an index, a signature, a timestamp and nothing more, or
 * the file was cut. Behind `end` the signature is looked for.
 */
static int verify_tail(struct verify *v, struct chain_link *tail, uint64_t end,
		       struct verify_seal *seal, struct err *err)
{
	struct verify_result *r = v->out;

	if (!v->walk.index_seen) {
		r->end_reason = "cut";
		/* A signature without its index: the end is there, so it was not cut off. */
		if (v->walk.misplaced)
			r->signature = VERIFY_SIGNATURE_INVALID;
		return verify_find(v, v->walk.misplaced ? VERIFY_ALTERED : VERIFY_CUT, tail->frame,
				   tail->offset, err);
	}
	if (verify_index(v, tail, err) || verify_seal_window(&v->walk, &r->facts, err))
		return -1;
	seal->damaged = !r->ok;
	v->walk.scan.at = end;
	v->walk.frames = r->frames_total; /* some were read again */
	if (verify_seal_read(&v->walk, seal, r, err))
		return -1;
	for (size_t i = 0; i < seal->findings_count; i++) {
		const struct verify_finding *f = &seal->findings[i];

		if (verify_find(v, f->kind, f->frame, f->offset, err))
			return -1;
	}
	r->frames_good += seal->good;
	r->frames_total = v->walk.frames;
	r->end = seal->end;
	r->sealed = seal->end == v->walk.scan.size && !r->unfinished;
	r->end_reason = r->sealed ? "sealed" : r->unfinished ? "cut" : "trailing";
	r->complete = r->sealed && v->walk.index.totals[REC_WINDOW_END_KIND + 1];
	return 0;
}

/* The digest of the file that was checked, and where its chain stands. */
static int verify_digests(struct verify *v, struct err *err)
{
	struct scan *s = &v->walk.scan;
	uint8_t digest[BUNDLE_HASH];
	size_t len;

	EVP_DigestInit_ex(v->walk.hash, EVP_sha256(), NULL);
	for (uint64_t at = 0; at < s->size; at += len) {
		const uint8_t *p;

		len = DIGEST_PIECE;
		p = scan_bytes(s, at, &len, err);
		if (!p)
			return -1;
		EVP_DigestUpdate(v->walk.hash, p, len);
	}
	EVP_DigestFinal_ex(v->walk.hash, digest, NULL);
	bytes_to_hex(digest, sizeof(digest), v->out->sha256);
	if (v->links_count)
		bytes_to_hex(v->links[v->links_count - 1].stored, BUNDLE_HASH, v->out->chain);
	return 0;
}

/* Keys and certificates, before anything is read. */
static int verify_open(const struct verify_options *options, struct seal_key **key,
		       struct seal_authorities **authorities, struct err *err)
{
	if (options && options->key) {
		*key = seal_key_load(options->key, false, err);
		if (!*key)
			return -1;
	}
	if (options && options->authorities) {
		*authorities = seal_time_authorities(options->authorities, err);
		if (!*authorities)
			return -1;
	}
	return 0;
}

/* Everything, once the file is open. */
static int verify_all(struct verify *v, const struct scan_header *header, struct verify_seal *seal,
		      struct err *err)
{
	struct chain_link tail;
	uint64_t end;

	v->walk.hash = EVP_MD_CTX_new();
	if (!v->walk.hash)
		return verify_memory(v, err);
	if (verify_links(v, &tail, err))
		return -1;
	end = v->walk.scan.at;
	v->out->frames_total = v->walk.frames;
	v->out->facts = v->walk.facts;
	seal->promised = header->compatible & BUNDLE_FLAG_SIGNED;
	v->out->facts.format = header->format;
	memcpy(v->out->facts.bundle, header->id, BUNDLE_ID);
	memcpy(v->out->imprint, v->walk.index_digest, BUNDLE_HASH);
	if (verify_again(v, err) || verify_order(v, err) || verify_tail(v, &tail, end, seal, err) ||
	    verify_digests(v, err))
		return -1;
	v->out->size = v->walk.scan.size;
	return 0;
}

int bundle_verify(const char *path, const struct verify_options *options, struct verify_result *out,
		  struct err *err)
{
	struct seal_authorities *authorities = NULL;
	struct verify_seal seal = { 0 };
	struct verify v = { .out = out };
	struct err failed = ERR_INIT;
	struct seal_key *key = NULL;
	struct scan_header header;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	out->ok = true;
	out->end_reason = "unreadable";
	out->timestamp_time = REC_NULL;
	if (!verify_open(options, &key, &authorities, err) &&
	    !scan_open(&v.walk.scan, path, &header, err)) {
		seal.key = key;
		seal.authorities = authorities;
		ret = verify_all(&v, &header, &seal, &failed);
		if (ret)
			err_set(err, failed.kind, "%s", failed.text);
		verify_walk_release(&v.walk);
		free(v.links);
		free(v.by_number);
	}
	seal_key_free(key);
	seal_time_authorities_free(authorities);
	return ret;
}

void verify_result_release(struct verify_result *result)
{
	free(result->findings);
	result->findings = NULL;
	result->findings_count = 0;
}
