/* The frames behind the index. */
#include "bundle/verify_seal.h"

#include <string.h>

#include <openssl/evp.h>

#include "bundle/decode.h"

/* The string of this id in a decompressed string frame; 0: it is not there, or not public. */
static size_t seal_find_string(const struct verify_walk *w, size_t len, uint64_t id,
			       uint8_t out[SEAL_WINDOW_MAX])
{
	struct decode_strings in;
	struct decode_string s;

	if (decode_strings_open(&in, w->content.data, len) || id < in.next ||
	    id - in.next >= in.left)
		return 0;
	while (decode_strings_next(&in, &s) > 0) {
		if (s.id != id)
			continue;
		if (s.form != BUNDLE_FORM_PUBLIC || s.len > SEAL_WINDOW_MAX)
			return 0;
		memcpy(out, s.data, s.len);
		return s.len;
	}
	return 0;
}

int verify_seal_window(struct verify_walk *w, struct seal_facts *facts, struct err *err)
{
	struct verify_index *ix = &w->index;
	struct scan_frame f;
	bool strings = false;

	facts->start = facts->stop = REC_NULL;
	if (ix->totals[REC_WINDOW_END_KIND + 1])
		facts->stop = ix->stop;
	if (!ix->window_seen)
		return 0;
	facts->start = ix->start;
	if (ix->window == REC_NULL || ix->window == REC_EMPTY)
		return 0;
	w->scan.at = 0;
	while (!facts->window_len && scan_next(&w->scan, &f, err) == SCAN_FRAME) {
		long len;

		if (strings && f.kind == SCAN_ZSTD) {
			len = scan_decompress(&w->content, &f);
			if (len > 0)
				facts->window_len =
					seal_find_string(w, (size_t)len, ix->window, facts->window);
		}
		strings = f.kind == SCAN_STRINGS;
	}
	return err->kind == ERR_NONE ? 0 : -1;
}

static void seal_find(struct verify_seal *seal, enum verify_kind kind, uint64_t frame,
		      uint64_t offset)
{
	if (seal->findings_count < VERIFY_SEAL_FINDINGS)
		seal->findings[seal->findings_count++] =
			(struct verify_finding){ kind, frame, offset };
}

static int seal_signature(struct verify_walk *w, struct verify_seal *seal,
			  struct verify_result *out, const struct scan_frame *f, struct err *err)
{
	struct seal_signature s;
	bool fits;

	if (seal_check(f->data, (size_t)f->size, &out->facts, &s))
		return err_set(err, ERR_INCOMPLETE, "%s: out of memory", w->scan.path);
	fits = s.genuine && (seal->damaged ? s.agrees_but_window : s.agrees);
	out->signature = fits ? VERIFY_SIGNATURE_VALID : VERIFY_SIGNATURE_INVALID;
	bytes_to_hex(s.key_id, sizeof(s.key_id), out->key_sha256);
	out->trusted = fits && seal->key && !memcmp(s.key_id, seal->key->id, BUNDLE_HASH);
	if (fits && (out->trusted || !seal->key))
		seal->good++;
	else if (fits)
		seal_find(seal, VERIFY_RESIGNED, w->frames - 1, f->offset);
	/* A genuine one that says something else of a damaged bundle: the damage is what is named.
	 */
	else if (!s.genuine || !seal->damaged)
		seal_find(seal, VERIFY_ALTERED, w->frames - 1, f->offset);
	EVP_Digest(f->data, (size_t)f->size, out->imprint, NULL, EVP_sha256(), NULL);
	return 0;
}

static void seal_timestamp(struct verify_walk *w, struct verify_seal *seal,
			   struct verify_result *out, const struct scan_frame *f)
{
	bool good = seal->signature ? out->signature == VERIFY_SIGNATURE_VALID : !seal->damaged;
	struct seal_time said;

	seal_time_check(f->data, (size_t)f->size, out->imprint, seal->authorities, &said);
	memcpy(out->authority, said.authority, sizeof(out->authority));
	out->timestamp_time = said.time;
	if (!said.fits || !said.genuine) {
		out->timestamp = VERIFY_TIMESTAMP_INVALID;
		/* It cannot fit a frame that is wrong itself. */
		if (!said.genuine || good)
			seal_find(seal, VERIFY_ALTERED, w->frames - 1, f->offset);
	} else if (seal->authorities && !said.trusted) {
		out->timestamp = VERIFY_TIMESTAMP_INVALID;
		seal_find(seal, VERIFY_RESIGNED, w->frames - 1, f->offset);
	} else {
		out->timestamp = said.trusted ? VERIFY_TIMESTAMP_VALID : VERIFY_TIMESTAMP_UNCHECKED;
		seal->good++;
	}
}

/* What comes behind the last frame that belongs here: nothing, a part of one that does, or more. */
static void seal_end(struct verify_walk *w, struct verify_seal *seal, struct verify_result *out,
		     enum scan_result result, enum scan_kind kind)
{
	bool promised = seal->promised && !seal->signature;
	bool half = result == SCAN_CUT && kind == SCAN_SIGNATURE && !seal->signature &&
		    !seal->timestamp;

	if (result == SCAN_CUT && kind == SCAN_TIMESTAMP && !seal->timestamp)
		out->unfinished = VERIFY_UNFINISHED_TIMESTAMP;
	else if (half || (promised && (result == SCAN_CUT || result == SCAN_END)))
		out->unfinished = VERIFY_UNFINISHED_SIGNATURE;
	if (out->unfinished)
		seal_find(seal, VERIFY_CUT, w->frames, seal->end);
	else if (result != SCAN_END)
		seal_find(seal, VERIFY_TRAILING, w->frames, seal->end);
}

int verify_seal_read(struct verify_walk *w, struct verify_seal *seal, struct verify_result *out,
		     struct err *err)
{
	struct scan_frame f;

	for (;;) {
		enum scan_result result;

		seal->end = w->scan.at;
		result = scan_next(&w->scan, &f, err);
		if (result == SCAN_ERROR)
			return -1;
		if (result != SCAN_FRAME ||
		    (f.kind != SCAN_SIGNATURE && f.kind != SCAN_TIMESTAMP)) {
			seal_end(w, seal, out, result, f.kind);
			return 0;
		}
		w->frames++;
		if (f.kind == SCAN_SIGNATURE && !seal->signature && !seal->timestamp) {
			seal->signature = true;
			if (seal_signature(w, seal, out, &f, err))
				return -1;
		} else if (f.kind == SCAN_TIMESTAMP && !seal->timestamp) {
			seal->timestamp = true;
			seal_timestamp(w, seal, out, &f);
		} else if (f.kind == SCAN_SIGNATURE) {
			seal_find(seal, VERIFY_RESIGNED, w->frames - 1, f.offset);
		} else {
			seal_find(seal, VERIFY_INSERTED, w->frames - 1, f.offset);
		}
	}
}
