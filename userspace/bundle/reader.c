/* The reader's interface: frames to records, strings by id. */
#include "bundle/reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "bundle/decode.h"
#include "bundle/plan.h"
#include "bundle/scan.h"

/* Strings live in blocks, so that pointers to them stay good. */
#define BLOCK_STRINGS 1024

struct bundle_reader {
	char *path;
	struct scan scan;
	struct scan_header header;
	struct scan_content content;
	struct decode_records records;
	union rec_any rec;
	bool in_frame; /* records has more */
	uint64_t frames; /* read so far */
	uint64_t frame; /* number of the one that records are from */

	struct bundle_string **blocks;
	size_t blocks_count;
	uint8_t **texts; /* one allocation a string frame */
	size_t texts_count;
	uint64_t strings; /* ids 1 .. strings are defined */

	size_t memory, limit; /* bytes that strings take, and may take */
	bool no_memory;
	bool strings_wait; /* a string unit came; its data frame must be next */

	uint64_t want; /* 1 << enum rec_kind */
	uint64_t from;
	struct plan plan;
	size_t planned; /* frames of the plan that are behind */
	uint64_t counts[REC_KIND_COUNT];

	bool done, sealed;
	bool signature, timestamp; /* behind the index */
	const char *end_reason;
	uint64_t end_offset;
	struct err failed; /* why it is unreadable */
};

struct bundle_reader *bundle_reader_open(const char *path, struct err *err)
{
	struct bundle_reader *r = calloc(1, sizeof(*r));

	if (!r || !(r->path = strdup(path))) {
		err_set(err, ERR_INCOMPLETE, "%s: out of memory", path);
		free(r);
		return NULL;
	}
	r->want = UINT64_MAX;
	r->limit = BUNDLE_TEXT_MAX;
	if (scan_open(&r->scan, r->path, &r->header, err)) {
		free(r->path);
		free(r);
		return NULL;
	}
	return r;
}

void bundle_reader_close(struct bundle_reader *r)
{
	if (!r)
		return;
	scan_close(&r->scan);
	scan_content_release(&r->content);
	decode_records_release(&r->records);
	plan_release(&r->plan);
	for (size_t i = 0; i < r->blocks_count; i++)
		free(r->blocks[i]);
	free(r->blocks);
	for (size_t i = 0; i < r->texts_count; i++)
		free(r->texts[i]);
	free(r->texts);
	free(r->path);
	free(r);
}

void bundle_reader_want(struct bundle_reader *r, uint64_t kinds, uint64_t from)
{
	r->want = kinds;
	r->from = from;
	plan_release(&r->plan);
	plan_read(&r->plan, r->scan.fd, r->scan.size);
}

void bundle_reader_unwant(struct bundle_reader *r, enum rec_kind kind)
{
	r->want &= ~(1ULL << kind);
}

uint64_t bundle_reader_count(const struct bundle_reader *r, enum rec_kind kind)
{
	return r->counts[kind];
}

void bundle_reader_limit(struct bundle_reader *r, size_t bytes)
{
	r->limit = bytes;
}

size_t bundle_reader_memory(const struct bundle_reader *r)
{
	return r->memory;
}

const struct bundle_string *bundle_reader_string(const struct bundle_reader *r, uint64_t id)
{
	static const struct bundle_string empty = { (const uint8_t *)"", 0, STRING_PUBLIC, false };

	if (id == REC_EMPTY)
		return &empty;
	if (id > r->strings)
		return NULL;
	return &r->blocks[(id - 1) / BLOCK_STRINGS][(id - 1) % BLOCK_STRINGS];
}

/* Room for the string behind the last one. */
static struct bundle_string *reader_new_string(struct bundle_reader *r)
{
	if (r->strings / BLOCK_STRINGS == r->blocks_count) {
		size_t size = (r->blocks_count + 1) * sizeof(*r->blocks);
		struct bundle_string **blocks = realloc(r->blocks, size);

		if (!blocks)
			return NULL;
		r->blocks = blocks;
		blocks[r->blocks_count] = calloc(BLOCK_STRINGS, sizeof(**blocks));
		if (!blocks[r->blocks_count])
			return NULL;
		r->blocks_count++;
	}
	return &r->blocks[r->strings / BLOCK_STRINGS][r->strings % BLOCK_STRINGS];
}

/* Memory for the strings of a frame; NULL: there is none. */
static uint8_t *reader_take(struct bundle_reader *r, size_t len, uint64_t strings)
{
	uint8_t **texts = realloc(r->texts, (r->texts_count + 1) * sizeof(*texts));

	r->no_memory = true;
	if (!texts)
		return NULL;
	r->texts = texts;
	r->memory += len + strings * sizeof(struct bundle_string) + sizeof(*texts);
	if (r->memory > r->limit)
		return NULL;
	texts[r->texts_count] = malloc(len);
	if (!texts[r->texts_count])
		return NULL;
	r->no_memory = false;
	return texts[r->texts_count++];
}

/* All strings of a frame into one allocation; each entry has a byte to spare for its NUL. */
static int reader_strings(struct bundle_reader *r, size_t len)
{
	struct decode_strings in;
	struct decode_string s;
	uint8_t *text;
	int ret;

	if (decode_strings_open(&in, r->content.data, len) || in.next != r->strings + 1 ||
	    in.left > len)
		return -1;
	text = reader_take(r, len, in.left);
	if (!text)
		return -1;
	while ((ret = decode_strings_next(&in, &s)) > 0) {
		struct bundle_string *out = reader_new_string(r);

		r->no_memory = !out;
		if (!out)
			return -1;
		out->class = s.form == BUNDLE_FORM_PUBLIC ? STRING_PUBLIC : STRING_PRIVATE;
		out->hidden = s.form == BUNDLE_FORM_HIDDEN;
		out->len = out->hidden ? 0 : s.len;
		out->data = text;
		memcpy(text, s.data, out->len);
		text[out->len] = '\0';
		text += out->len + 1;
		r->strings++;
	}
	return ret;
}

static void reader_end(struct bundle_reader *r, const char *reason, uint64_t offset)
{
	r->done = true;
	r->in_frame = false;
	r->end_reason = reason;
	r->end_offset = offset;
}

/* The string frame that the skippable frame `head` announced. */
static void reader_string_unit(struct bundle_reader *r, uint64_t start, uint64_t announced,
			       struct err *err)
{
	struct scan_frame f;
	enum scan_result result = scan_next(&r->scan, &f, err);
	long len = -1;

	if (result == SCAN_ERROR || result == SCAN_CUT || result == SCAN_END) {
		reader_end(r, result == SCAN_ERROR ? "unreadable" : "cut", start);
		return;
	}
	if (result == SCAN_FRAME && f.kind == SCAN_ZSTD && f.size == announced)
		len = scan_decompress(&r->content, &f);
	if (len < 0 || reader_strings(r, (size_t)len)) {
		reader_end(r, r->no_memory ? "unreadable" : "damaged", start);
		if (r->no_memory)
			err_set(err, ERR_INCOMPLETE,
				"%s: its strings take more than %zu MiB of memory: allow more "
				"with --memory",
				r->path, (r->memory < r->limit ? r->memory : r->limit) >> 20);
	} else {
		r->strings_wait = true;
		r->frames++;
	}
}

/* The header promises a signature, and it has not come. */
static bool reader_promised(const struct bundle_reader *r)
{
	return r->header.compatible & BUNDLE_FLAG_SIGNED && !r->signature;
}

/* Is the next frame one that need not be read? Then it is passed over. */
static bool reader_pass_over(struct bundle_reader *r)
{
	const struct plan_frame *f = &r->plan.frames[r->planned];

	if (r->planned == r->plan.count || f->offset != r->scan.at)
		return false;
	r->planned++;
	if (f->kinds & r->want && (r->planned == r->plan.count || f[1].opened >= r->from))
		return false;
	plan_count(&r->plan, r->planned - 1, r->counts);
	r->scan.at += f->size;
	r->strings_wait = false;
	r->frames++;
	return true;
}

/* May this frame stand here, behind the index? A signature, then a timestamp, each once at most. */
static bool reader_behind_index(struct bundle_reader *r, enum scan_kind kind)
{
	bool fits = (kind == SCAN_SIGNATURE && !r->signature && !r->timestamp) ||
		    (kind == SCAN_TIMESTAMP && !r->timestamp);

	r->signature |= kind == SCAN_SIGNATURE;
	r->timestamp |= kind == SCAN_TIMESTAMP;
	return fits;
}

/* Takes in the next frame. */
static void reader_frame(struct bundle_reader *r, struct err *err)
{
	uint64_t start = r->scan.at;
	struct bytes_reader head;
	struct scan_frame f;
	long len;

	switch (scan_next(&r->scan, &f, err)) {
	case SCAN_FRAME:
		break;
	case SCAN_END:
		/* A signature that the header promises belongs to the end. */
		if (reader_promised(r))
			r->sealed = false;
		reader_end(r, r->sealed ? "sealed" : "cut", start);
		return;
	case SCAN_CUT:
		/* What is missing behind an index can only be a signature or a timestamp. */
		if (!r->sealed || reader_promised(r) || reader_behind_index(r, f.kind))
			reader_end(r, "cut", start);
		else
			reader_end(r, "trailing", start);
		r->sealed = false;
		return;
	case SCAN_DAMAGED:
		reader_end(r, r->sealed ? "trailing" : "damaged", start);
		r->sealed = false;
		return;
	case SCAN_ERROR:
		reader_end(r, "unreadable", start);
		return;
	}
	if (r->sealed && !reader_behind_index(r, f.kind)) {
		r->sealed = false;
		reader_end(r, "trailing", start);
		return;
	}
	r->frames++;
	switch (f.kind) {
	case SCAN_HEADER:
		if (start) {
			r->frames--;
			reader_end(r, "damaged", start);
		}
		return;
	case SCAN_STRINGS:
		if (r->strings_wait) {
			r->frames--;
			reader_end(r, "damaged", start);
			return;
		}
		head = (struct bytes_reader){ f.data, f.size, BUNDLE_SKIPPABLE_HEAD, false };
		reader_string_unit(r, start, bytes_get_le32(&head), err);
		if (r->done)
			r->frames--;
		return;
	case SCAN_INDEX:
		r->sealed = true;
		return;
	case SCAN_SIGNATURE:
	case SCAN_TIMESTAMP:
		if (!r->sealed) {
			r->frames--;
			reader_end(r, "damaged", start);
		}
		return;
	case SCAN_CHAIN:
	case SCAN_OTHER:
		return;
	case SCAN_ZSTD:
		break;
	}
	r->strings_wait = false;
	len = scan_decompress(&r->content, &f);
	if (len <= 0 || decode_records_open(&r->records, r->content.data, (size_t)len)) {
		r->frames--;
		reader_end(r, "damaged", start);
		return;
	}
	r->frame = r->frames - 1;
	r->end_offset = start;
	r->in_frame = true;
}

/* The next batch; of one that is not wanted no record is left. */
static int reader_batch(struct bundle_reader *r)
{
	struct decode_records *d = &r->records;
	int ret = decode_records_batch(d);

	if (ret <= 0 || d->kind == REC_KIND_COUNT)
		return ret;
	r->counts[d->kind] += d->count;
	if (!(r->want >> d->kind & 1))
		d->left = 0;
	return ret;
}

int bundle_reader_next(struct bundle_reader *r, struct bundle_record *out, struct err *err)
{
	while (!r->done) {
		int ret;

		if (!r->in_frame) {
			if (!r->plan.count || !reader_pass_over(r))
				reader_frame(r, &r->failed);
			continue;
		}
		ret = r->records.left ? decode_records_next(&r->records, &r->rec) : 0;
		if (ret > 0) {
			out->kind = r->records.kind;
			out->rec = &r->rec;
			out->frame = r->frame;
			return 1;
		}
		if (!ret)
			ret = reader_batch(r);
		if (!ret) {
			r->in_frame = false;
		} else if (ret < 0) {
			r->frames--;
			reader_end(r, "damaged", r->end_offset);
		}
	}
	return r->failed.kind != ERR_NONE ? err_set(err, r->failed.kind, "%s", r->failed.text) : 0;
}

void bundle_reader_end(const struct bundle_reader *r, struct bundle_end *out)
{
	out->bytes = r->scan.size;
	out->end_offset = r->end_offset;
	out->end_reason = r->end_reason ? r->end_reason : "open";
	out->sealed = r->sealed;
	out->complete = r->sealed && r->counts[REC_WINDOW_END_KIND];
	out->format = r->header.format;
	out->frames = r->frames;
}
