/* Interrupted bundles that are gone on with, and those that are not. */
#include "bundle_kit.h"

#include "bundle/resume.h"

/* Counts records, and remembers the last clock. */
struct seen {
	uint64_t records;
	uint64_t clock;
};

static int see(void *ctx, const struct bundle_reader *reader, const struct bundle_record *record,
	       struct err *err)
{
	struct seen *seen = ctx;

	(void)reader;
	(void)err;
	seen->records++;
	if (record->kind == REC_CLOCK_KIND)
		seen->clock = record->rec->clock.monotonic;
	return 0;
}

/* Opens and reads kit_path, or fails the test. */
static struct bundle_resume *resume(struct seen *seen)
{
	struct err err = ERR_INIT;
	struct bundle_resume *r = bundle_resume_open(kit_path, &err);

	memset(seen, 0, sizeof(*seen));
	if (!r || bundle_resume_read(r, see, seen, &err))
		fail_msg("%s", err.text);
	return r;
}

static struct bundle_writer *go_on(struct bundle_resume *r)
{
	const struct bundle_writer_options options = { .frame_ns = 1 };
	struct err err = ERR_INIT;
	struct bundle_writer *w = bundle_writer_resume(r, &options, &err);

	if (!w)
		fail_msg("%s", err.text);
	bundle_resume_free(r);
	return w;
}

static void refuse_now(const char *why)
{
	struct err err = ERR_INIT;
	struct bundle_resume *r = bundle_resume_open(kit_path, &err);

	if (r)
		fail_msg("gone on with, though: %s", why);
	assert_int_equal(err.kind, ERR_USAGE);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
	assert_null(strchr(err.text, '\n'));
}

/* And the file stays as it was. */
static void refuse(const char *why)
{
	struct bytes before = kit_load(kit_path), after;

	refuse_now(why);
	after = kit_load(kit_path);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, after.len);
	bytes_release(&before);
	bytes_release(&after);
}

/* Every id of a kind comes once, and every string that is named is there. */
static void check_records(uint64_t labels, const char *last)
{
	struct err err = ERR_INIT;
	struct bundle_reader *r = bundle_reader_open(kit_path, &err);
	uint64_t ids[REC_KIND_COUNT] = { 0 }, value = 0, seen = 0;
	struct bundle_record record;

	assert_non_null(r);
	while (bundle_reader_next(r, &record, &err) > 0) {
		assert_true(record.rec->id > ids[record.kind]);
		ids[record.kind] = record.rec->id;
		if (record.kind != REC_LABEL_KIND)
			continue;
		seen++;
		value = record.rec->label.value;
		assert_non_null(bundle_reader_string(r, record.rec->label.key));
		assert_non_null(bundle_reader_string(r, value));
	}
	assert_int_equal(seen, labels);
	assert_string_equal((const char *)bundle_reader_string(r, value)->data, last);
	bundle_reader_close(r);
}

static void check_sealed(void)
{
	struct verify_result result;
	struct err err = ERR_INIT;

	assert_int_equal(bundle_verify(kit_path, NULL, &result, &err), 0);
	assert_true(result.ok && result.sealed);
	verify_result_release(&result);
}

/* At every length: cut behind the last whole link, gone on with, sealed and intact. */
static void cut_anywhere(void **state)
{
	struct kit_frame frames[64];
	struct bytes whole;
	size_t n, resumed = 0;

	(void)state;
	kit_small("a", 3);
	whole = kit_load(kit_path);
	n = kit_frames(frames, 64);
	for (size_t len = 0; len < whole.len; len++) {
		uint64_t links = 0, end = 0, frame = 0;
		struct bundle_writer *w;
		struct bundle_resume *r;
		struct bytes again;
		struct seen seen;

		for (size_t i = 0; i < n; i++) {
			if (frames[i].kind != SCAN_CHAIN || frames[i].offset + frames[i].size > len)
				continue;
			links++;
			end = frames[i].offset + frames[i].size;
			frame = i + 1;
		}
		kit_store(whole.data, len);
		if (!links) {
			refuse(len < 44 ? "not a Daylight bundle"
					: "no record that was written whole");
			continue;
		}
		r = resume(&seen);
		assert_int_equal(r->links, links);
		assert_int_equal(r->offset, end);
		assert_int_equal(r->cut, len - end);
		assert_int_equal(r->frames, frame);
		assert_int_equal(r->records, seen.records);
		assert_int_equal(seen.records, 3 * links + (links == 3));
		assert_true(seen.clock);
		w = go_on(r);
		assert_int_equal(kit_label(w, "key-a-0", "more"), 0);
		bundle_writer_tick(w, UINT64_MAX);
		assert_int_equal(kit_label(w, "new", "last"), 0);
		kit_close(w);
		check_sealed();
		check_records(2 * links + 2, "last");
		again = kit_load(kit_path);
		assert_memory_equal(again.data, whole.data, end);
		bytes_release(&again);
		resumed++;
	}
	assert_true(resumed > 500);
	bytes_release(&whole);
}

/* What follows the last whole link may be anything. */
static void tails(void **state)
{
	struct kit_frame frames[64];
	struct bytes whole;

	(void)state;
	kit_small("a", 2);
	whole = kit_load(kit_path);
	whole.len = frames[kit_frames(frames, 64) - 1].offset;
	for (int fill = 0; fill < 2; fill++) {
		struct bytes tail = BYTES_INIT;
		struct bundle_resume *r;
		struct seen seen;

		bytes_put(&tail, whole.data, whole.len);
		for (size_t i = 0; i < 100000; i++)
			bytes_put_u8(&tail, fill ? (uint8_t)(i * 2654435761u >> 13) : 0);
		kit_store(tail.data, tail.len);
		r = resume(&seen);
		assert_int_equal(r->cut, 100000);
		assert_int_equal(r->links, 2);
		kit_close(go_on(r));
		check_sealed();
		bytes_release(&tail);
	}
	bytes_release(&whole);
}

static void refused(void **state)
{
	const struct bundle_writer_options options = { .frame_ns = 1 };
	struct kit_frame frames[64];
	struct bundle_writer *w;
	struct bytes whole;

	(void)state;
	kit_small("a", 2);
	refuse("is sealed: its window has ended");
	whole = kit_load(kit_path);
	whole.len = frames[kit_frames(frames, 64) - 1].offset;
	/* A byte of the first link's data frame; then its chain frame's number. */
	for (size_t i = 3; i < 5; i++) {
		size_t at = frames[i].offset + 8;

		whole.data[at] ^= 1;
		kit_store(whole.data, whole.len);
		whole.data[at] ^= 1;
		refuse("is damaged behind byte");
	}
	kit_store("#!/bin/sh\n", 10);
	refuse("not a Daylight bundle");
	w = kit_open(&options);
	kit_label(w, "a", "b");
	bundle_writer_tick(w, UINT64_MAX);
	refuse_now("still being written"); /* by a thread that goes on meanwhile */
	bundle_writer_abandon(w);
	bytes_release(&whole);
	unlink(kit_path);
	assert_int_equal(symlink("/etc/passwd", kit_path), 0);
	refuse("cannot be opened for writing");
	unlink(kit_path);
}

/* Ids that are spoken of are taken, though their records never came. */
static void ids_spoken_of(void **state)
{
	const struct bundle_writer_options options = { .frame_ns = 1 };
	const uint64_t frames[] = { 8, 21, 9 };
	struct rec_stack stack = { 3, 40, { frames, 3 }, 0, 3, 0 };
	struct rec_process process = { .id = 2,
				       .parent = 44,
				       .exe = 17,
				       .comm = REC_NULL,
				       .argv0 = REC_NULL,
				       .runtime = REC_NULL };
	struct rec_binding binding = { 5, 6, 77, 1, REC_NULL, LINK_FLOW };
	struct rec_interposition between = { .id = 1, .module = REC_NULL, .by = 18 };
	struct bundle_writer *w = kit_open(&options);
	struct bundle_resume *r;
	struct seen seen;

	(void)state;
	bundle_writer_put(w, REC_STACK_KIND, &stack);
	bundle_writer_put(w, REC_PROCESS_KIND, &process);
	bundle_writer_put(w, REC_BINDING_KIND, &binding);
	bundle_writer_put(w, REC_INTERPOSITION_KIND, &between);
	bundle_writer_tick(w, UINT64_MAX);
	bundle_writer_abandon(w);
	r = resume(&seen);
	assert_int_equal(r->ids[REC_STACK_KIND], 3);
	assert_int_equal(r->ids[REC_PROCESS_KIND], 44);
	assert_int_equal(r->ids[REC_MODULE_KIND], 18);
	assert_int_equal(r->ids[REC_FUNCTION_KIND], 21);
	assert_int_equal(r->ids[REC_CONTEXT_KIND], 6);
	assert_int_equal(r->ids[REC_CALL_KIND], 77);
	assert_int_equal(r->ids[REC_BINDING_KIND], 5);
	w = go_on(r);
	assert_int_equal(bundle_writer_id(w, REC_CALL_KIND), 78);
	assert_int_equal(bundle_writer_id(w, REC_PROCESS_KIND), 45);
	kit_close(w);
	check_sealed();
}

/* Strings of before are known again, in their class. */
static void strings_again(void **state)
{
	const struct bundle_writer_options options = { .frame_ns = 1 };
	struct bundle_writer *w = kit_open(&options);
	uint64_t shown = bundle_writer_text(w, "twice", STRING_PUBLIC);
	uint64_t hidden = bundle_writer_text(w, "twice", STRING_PRIVATE);
	struct seen seen;

	(void)state;
	kit_label(w, "a", "b");
	bundle_writer_tick(w, UINT64_MAX);
	bundle_writer_abandon(w);
	w = go_on(resume(&seen));
	assert_int_not_equal(shown, hidden);
	assert_int_equal(bundle_writer_text(w, "twice", STRING_PUBLIC), shown);
	assert_int_equal(bundle_writer_text(w, "twice", STRING_PRIVATE), hidden);
	assert_int_equal(bundle_writer_text(w, "once", STRING_PUBLIC), 5);
	kit_close(w);
}

/* A flush is a clock record behind what was put; when nothing is put, nothing is written. */
static void flush(void **state)
{
	struct bundle_writer *w = kit_open(NULL);
	struct kit_read got;

	(void)state;
	kit_label(w, "a", "b");
	bundle_writer_flush(w);
	bundle_writer_flush(w);
	bundle_writer_flush(w);
	kit_close(w);
	assert_int_equal(kit_read(&got), 0);
	assert_int_equal(got.records, 1);
	assert_int_equal(got.clocks, 2);
}

/* Whoever puts records may be busy: the frame is on disk within a second all the same. */
static void timed(void **state)
{
	struct bundle_writer *w = kit_open(NULL);
	struct kit_read got = { 0 };

	(void)state;
	kit_label(w, "a", "b");
	for (int i = 0; i < 300 && !got.records; i++) {
		usleep(10000);
		assert_int_equal(kit_read(&got), 0);
	}
	assert_int_equal(got.records, 1);
	bundle_writer_abandon(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_anywhere),	 cmocka_unit_test(tails),
		cmocka_unit_test(refused),	 cmocka_unit_test(ids_spoken_of),
		cmocka_unit_test(strings_again), cmocka_unit_test(flush),
		cmocka_unit_test(timed),
	};

	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
