/* Helpers of the bundle tests: a scratch file, small bundles, reading and counting. */
#ifndef DAYLIGHT_TESTS_BUNDLE_KIT_H
#define DAYLIGHT_TESTS_BUNDLE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "bundle/reader.h"
#include "bundle/scan.h"
#include "bundle/verify.h"
#include "bundle/writer.h"

static char kit_folder[64], kit_path[96];

static inline int kit_setup(void **state)
{
	(void)state;
	snprintf(kit_folder, sizeof(kit_folder), "/tmp/daylight-bundle-XXXXXX");
	if (!mkdtemp(kit_folder))
		return -1;
	snprintf(kit_path, sizeof(kit_path), "%s/b.daylight", kit_folder);
	return 0;
}

static inline int kit_teardown(void **state)
{
	(void)state;
	unlink(kit_path);
	return rmdir(kit_folder);
}

static inline struct bundle_writer *kit_open(const struct bundle_writer_options *options)
{
	struct err err = ERR_INIT;
	struct bundle_writer *w;

	unlink(kit_path);
	w = bundle_writer_open(kit_path, options, &err);
	if (!w)
		fail_msg("%s", err.text);
	return w;
}

static inline void kit_close(struct bundle_writer *w)
{
	struct err err = ERR_INIT;

	if (bundle_writer_close(w, &err))
		fail_msg("%s", err.text);
}

static inline struct bytes kit_load(const char *path)
{
	struct bytes b = BYTES_INIT;
	uint8_t piece[65536];
	ssize_t n;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		assert_int_equal(bytes_put(&b, piece, (size_t)n), 0);
	close(fd);
	return b;
}

static inline void kit_store(const void *data, size_t len)
{
	int fd = open(kit_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* Puts a label: the plainest record. */
static inline int kit_label(struct bundle_writer *w, const char *key, const char *value)
{
	struct rec_label label;

	label.id = bundle_writer_id(w, REC_LABEL_KIND);
	label.key = bundle_writer_text(w, key, STRING_PUBLIC);
	label.value = bundle_writer_text(w, value, STRING_PRIVATE);
	return bundle_writer_put(w, REC_LABEL_KIND, &label);
}

/*
 * A sealed bundle of `links` links with two strings and two labels each, ended by a window_end
 * record. `name` makes the strings of two bundles differ.
 */
static inline void kit_small(const char *name, int links)
{
	const struct bundle_writer_options options = { .frame_ns = 1 };
	struct bundle_writer *w = kit_open(&options);

	for (int i = 0; i < links; i++) {
		char key[64], value[64];

		snprintf(key, sizeof(key), "key-%s-%d", name, i);
		snprintf(value, sizeof(value), "secret-%s-%d", name, i);
		assert_int_equal(kit_label(w, key, value), 0);
		assert_int_equal(kit_label(w, "again", value), 0);
		if (i == links - 1) {
			struct rec_window_end end = { 1, 2, 3, 4, 1, REC_EMPTY };

			assert_int_equal(bundle_writer_put(w, REC_WINDOW_END_KIND, &end), 0);
		}
		bundle_writer_tick(w, UINT64_MAX);
	}
	kit_close(w);
}

/* Reads kit_path to its end; counts records without the writer's own clocks. */
struct kit_read {
	uint64_t records;
	uint64_t clocks;
	struct bundle_end end;
};

static inline int kit_read(struct kit_read *out)
{
	struct err err = ERR_INIT;
	struct bundle_reader *r = bundle_reader_open(kit_path, &err);
	struct bundle_record record;
	int ret;

	memset(out, 0, sizeof(*out));
	if (!r)
		return -1;
	while ((ret = bundle_reader_next(r, &record, &err)) > 0) {
		if (record.kind == REC_CLOCK_KIND)
			out->clocks++;
		else
			out->records++;
	}
	if (ret < 0)
		fail_msg("%s", err.text);
	bundle_reader_end(r, &out->end);
	bundle_reader_close(r);
	return 0;
}

/* The frames of kit_path: offsets, sizes, kinds; returns how many. */
struct kit_frame {
	enum scan_kind kind;
	uint64_t offset, size;
};

static inline size_t kit_frames(struct kit_frame *out, size_t cap)
{
	struct err err = ERR_INIT;
	struct scan_header header;
	struct scan_frame f;
	struct scan scan;
	size_t n = 0;

	if (scan_open(&scan, kit_path, &header, &err))
		fail_msg("%s", err.text);
	while (scan_next(&scan, &f, &err) == SCAN_FRAME) {
		assert_true(n < cap);
		out[n].kind = f.kind;
		out[n].offset = f.offset;
		out[n++].size = f.size;
	}
	scan_close(&scan);
	return n;
}

#endif
