/*
 * Any records in a bundle that is otherwise as it should be: every view and filter ends in order,
 * with and without the index, and both ways say the same. The input is a row of pieces: a letter,
 * two bytes length (little endian), bytes. 'S': the content of a string frame, 'R': of a data frame
 * with its clock before it, 'T': the index's frame table, in place of the right one.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <zstd.h>

#include "base/bytes.h"
#include "bundle/decode.h"
#include "inspect/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct maker {
	struct bytes out, table;
	uint8_t chain[BUNDLE_HASH];
	size_t link; /* where the link begins in out; there are no private strings */
	uint64_t links, clocks;
	bool own_table;
};

static void maker_skippable(struct maker *m, uint32_t magic, const void *payload, size_t len)
{
	CHECK(!bytes_put_le32(&m->out, magic) && !bytes_put_le32(&m->out, (uint32_t)len) &&
	      !bytes_put(&m->out, payload, len));
}

static size_t maker_zstd(struct maker *m, const void *content, size_t len)
{
	static ZSTD_CCtx *zstd;
	size_t bound = ZSTD_compressBound(len), n;

	if (!zstd) {
		zstd = ZSTD_createCCtx();
		ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
		ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
	}
	CHECK(!bytes_reserve(&m->out, bound));
	n = ZSTD_compress2(zstd, m->out.data + m->out.len, bound, content, len);
	CHECK(!ZSTD_isError(n));
	m->out.len += n;
	return n;
}

static void maker_hash(struct maker *m, uint8_t out[BUNDLE_HASH])
{
	EVP_MD_CTX *h = EVP_MD_CTX_new();

	CHECK(h && EVP_DigestInit_ex(h, EVP_sha256(), NULL) &&
	      EVP_DigestUpdate(h, m->chain, BUNDLE_HASH) &&
	      EVP_DigestUpdate(h, m->out.data + m->link, m->out.len - m->link) &&
	      EVP_DigestFinal_ex(h, out, NULL));
	EVP_MD_CTX_free(h);
}

/* The frame's line of the table: all that is in the content, as far as it can be read. */
static void maker_line(struct maker *m, const struct bytes *content, size_t frame)
{
	struct decode_records d = { 0 };
	struct bytes pairs = BYTES_INIT;
	uint64_t kinds = 0;

	CHECK(!decode_records_open(&d, content->data, content->len));
	while (decode_records_batch(&d) > 0 && !bytes_put_varint(&pairs, d.number) &&
	       !bytes_put_varint(&pairs, d.count))
		kinds++;
	/* Opened at the end of all time: no sighting is too young for its frame. */
	CHECK(!bytes_put_varint(&m->table, 0) && !bytes_put_varint(&m->table, frame) &&
	      !bytes_put_varint(&m->table, !m->links) && !bytes_put_varint(&m->table, kinds) &&
	      !bytes_put(&m->table, pairs.data, pairs.len));
	bytes_release(&pairs);
	decode_records_release(&d);
}

static void maker_records(struct maker *m, const uint8_t *data, size_t len)
{
	static const uint8_t clock[] = { 2, 6, 1, 4, 1, 4, 1, 4 }; /* id 1 and monotonic 1 */
	struct bytes content = BYTES_INIT;
	uint8_t payload[BUNDLE_CHAIN_SIZE] = { 0 };
	size_t frame;

	CHECK(!bytes_put(&content, clock, sizeof(clock)) && !bytes_put(&content, data, len));
	frame = maker_zstd(m, content.data, content.len);
	if (!m->own_table)
		maker_line(m, &content, frame);
	bytes_release(&content);
	maker_hash(m, m->chain);
	m->links++;
	for (size_t i = 0; i < 8; i++)
		payload[i] = (uint8_t)(m->links >> 8 * i);
	memcpy(payload + 8, m->chain, BUNDLE_HASH);
	maker_skippable(m, BUNDLE_CHAIN_MAGIC, payload, sizeof(payload));
	m->link = m->out.len;
}

static void maker_strings(struct maker *m, const uint8_t *data, size_t len)
{
	uint8_t payload[BUNDLE_STRINGS_SIZE] = { 0 };
	size_t at = m->out.len, frame;

	maker_skippable(m, BUNDLE_STRINGS_MAGIC, payload, sizeof(payload));
	frame = maker_zstd(m, data, len);
	for (size_t i = 0; i < 4; i++)
		m->out.data[at + BUNDLE_SKIPPABLE_HEAD + i] = (uint8_t)(frame >> 8 * i);
}

/* An index of nothing but the table, with its seal. */
static void maker_index(struct maker *m)
{
	struct bytes part = BYTES_INIT;
	uint8_t seal[BUNDLE_HASH];

	CHECK(!bytes_put_varint(&part, BUNDLE_INDEX_FRAMES) &&
	      !bytes_put_varint(&part, m->table.len) &&
	      !bytes_put(&part, m->table.data, m->table.len));
	CHECK(!bytes_put_le32(&m->out, BUNDLE_INDEX_MAGIC) &&
	      !bytes_put_le32(&m->out, (uint32_t)(part.len + BUNDLE_HASH)) &&
	      !bytes_put(&m->out, part.data, part.len));
	maker_hash(m, seal);
	CHECK(!bytes_put(&m->out, seal, sizeof(seal)));
	bytes_release(&part);
}

static void maker_file(struct maker *m, const uint8_t *data, size_t size)
{
	static const uint8_t header[BUNDLE_HEADER_SIZE] = BUNDLE_NAME "\1"; /* the format */

	maker_skippable(m, BUNDLE_HEADER_MAGIC, header, sizeof(header));
	while (size > 3) {
		size_t len = data[1] | (size_t)data[2] << 8;
		char letter = (char)data[0];

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		if (letter == 'S')
			maker_strings(m, data, len);
		else if (letter == 'R')
			maker_records(m, data, len);
		else if (letter == 'T') {
			m->own_table = true;
			m->table.len = 0;
			CHECK(!bytes_put(&m->table, data, len));
		}
		data += len;
		size -= len;
	}
	maker_index(m);
}

/* Can all of it be read? */
static bool is_whole(const char *path)
{
	struct err err = ERR_INIT;
	struct bundle_reader *r = bundle_reader_open(path, &err);
	struct bundle_record record;
	struct bundle_end end;

	CHECK(r);
	while (bundle_reader_next(r, &record, &err) > 0)
		;
	bundle_reader_end(r, &end);
	bundle_reader_close(r);
	return end.sealed;
}

/* What a view says; NULL: an error. */
static char *view_text(const char *path, const char *view, const struct inspect_filter *filter,
		       enum inspect_format format, const struct trace_options *needs)
{
	struct err err = ERR_INIT;
	struct trace *t = trace_load_some(path, needs, &err);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	CHECK(out);
	if (!t || inspect_print(t, "FILE", view, filter, format, out, &err)) {
		CHECK(err.kind != ERR_NONE);
		fclose(out);
		free(text);
		text = NULL;
	} else {
		fclose(out);
	}
	trace_free(t);
	return text;
}

static void inspect_all(const char *path, bool same)
{
	static const char *const views[] = { "calls",	    "processes", "modules",
					     "functions",   "stacks",	 "interpositions",
					     "connections", "loss",	 "summary" };
	static const struct inspect_filter all, some = { .module = "a", .until = UINT64_MAX };
	static const struct trace_options everything = { 0 };

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		struct err none = ERR_INIT;
		struct trace_options needs;
		char *part, *few, *whole;

		inspect_needs(views[i], NULL, INSPECT_TEXT, &needs);
		part = view_text(path, views[i], &all, INSPECT_JSONL, &needs);
		needs.sightings = 1;
		few = view_text(path, views[i], &all, INSPECT_JSONL, &needs);
		whole = view_text(path, views[i], &all, INSPECT_JSONL, &everything);
		/* The summary of all has a digest more. */
		if (same && whole && strcmp(views[i], "summary")) {
			CHECK(part && !strcmp(part, whole));
			CHECK(few && !strcmp(few, whole));
		}
		free(part);
		free(few);
		free(whole);
		if (!inspect_check_filter(views[i], &some, &none))
			free(view_text(path, views[i], &some, INSPECT_TEXT, &needs));
	}
}

static void inspect_one(const char *path, enum rec_kind kind)
{
	struct err err = ERR_INIT;
	struct trace_options needs;
	FILE *out = fopen("/dev/null", "w");
	struct trace *t;

	CHECK(out);
	inspect_needs("record", rec_schemas[kind].name, INSPECT_TEXT, &needs);
	t = trace_load_some(path, &needs, &err);
	if (t &&
	    inspect_print_record(t, "FILE", rec_schemas[kind].name, "1", INSPECT_TEXT, out, &err))
		CHECK(err.kind != ERR_NONE);
	trace_free(t);
	fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct maker m = { 0 };
	static int fd = -1;
	static char path[64];

	if (size > 16384)
		return 0;
	if (fd < 0) {
		fd = memfd_create("bundle", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		trace_set_memory(8 << 20);
		CHECK(fd >= 0);
	}
	maker_file(&m, data, size);
	CHECK(!ftruncate(fd, 0) && pwrite(fd, m.out.data, m.out.len, 0) == (ssize_t)m.out.len);
	/* A table that lies, or a frame that is damaged, may make a difference. */
	inspect_all(path, !m.own_table && is_whole(path));
	inspect_one(path, (enum rec_kind)(size % REC_KIND_COUNT));
	bytes_release(&m.out);
	bytes_release(&m.table);
	return 0;
}
