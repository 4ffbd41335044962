/* Full disks, full queues, and what the durable callback promises. */
#include "bundle_kit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* The size of the file that was synced last; stands before the C library's. */
static _Atomic uint64_t synced;

int fdatasync(int fd)
{
	struct stat st;

	if (!fstat(fd, &st))
		synced = (uint64_t)st.st_size;
	return (int)syscall(SYS_fdatasync, fd);
}

static void full_disk(void **state)
{
	const struct bundle_writer_options options = { .frame_ns = 1 };
	struct rlimit old, small;
	struct bundle_writer *w;
	struct bundle_writer_stats stats;
	struct kit_read got;
	struct err err = ERR_INIT, why = ERR_INIT;
	struct verify_result result;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 20000;
	w = kit_open(&options);
	/* SIGXFSZ keeps its deadly default: the writer's thread must not receive it. */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 100000 && !bundle_writer_failed(w, &why); i++) {
		char text[64];

		snprintf(text, sizeof(text), "value %d", i);
		kit_label(w, "key", text);
		bundle_writer_tick(w, UINT64_MAX);
	}
	assert_true(bundle_writer_failed(w, NULL));
	assert_int_equal(why.kind, ERR_INCOMPLETE);
	assert_non_null(strstr(why.text, kit_path));
	assert_non_null(strstr(why.text, "File too large"));
	assert_int_equal(kit_label(w, "after", "all"), -1);
	usleep(100000); /* what was queued is dropped and counted */
	bundle_writer_stats(w, &stats);
	assert_int_equal(bundle_writer_close(w, &err), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(err.kind, ERR_INCOMPLETE);
	assert_int_equal(kit_read(&got), 0);
	assert_true(got.records > 10);
	assert_string_equal(got.end.end_reason, "cut");
	assert_int_equal(got.end.end_offset, got.end.bytes);
	assert_true(stats.lost_disk > 0);
	assert_int_equal(stats.lost_queue, 0);
	assert_int_equal(got.records + got.clocks, stats.records - stats.lost_disk);
	assert_int_equal(bundle_verify(kit_path, NULL, &result, &err), 0);
	assert_int_equal(result.findings_count, 1);
	assert_int_equal(result.findings[0].kind, VERIFY_CUT);
	assert_int_equal(result.findings[0].offset, got.end.bytes);
	verify_result_release(&result);
}

/* A disk that stands still until it is let go. */
struct stall {
	pthread_mutex_t lock;
	bool entered;
};

static void stalled(void *ctx, const struct bundle_durable *durable)
{
	struct stall *s = ctx;

	(void)durable;
	__atomic_store_n(&s->entered, true, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void full_queue(void **state)
{
	struct stall s = { PTHREAD_MUTEX_INITIALIZER, false };
	const struct bundle_writer_options options = {
		.frame_ns = 1, .queue_bytes = 50000, .durable = stalled, .ctx = &s
	};
	struct bundle_writer *w = kit_open(&options);
	struct bundle_writer_stats stats;
	struct bundle_reader *r;
	struct bundle_record record;
	struct err err = ERR_INIT;
	uint64_t last = 0, seen = 0;
	char text[64];

	(void)state;
	pthread_mutex_lock(&s.lock);
	kit_label(w, "first", "one");
	bundle_writer_tick(w, UINT64_MAX);
	while (!__atomic_load_n(&s.entered, __ATOMIC_SEQ_CST))
		usleep(1000);
	for (int i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "while the disk stood still %d", i);
		kit_label(w, "key", text);
		bundle_writer_tick(w, UINT64_MAX);
	}
	bundle_writer_stats(w, &stats);
	assert_true(stats.lost_queue > 1000);
	assert_int_equal(stats.lost_disk, 0);
	pthread_mutex_unlock(&s.lock);
	kit_label(w, "last", "while the disk stood still 1999");
	bundle_writer_stats(w, &stats);
	kit_close(w);
	/* What was dropped is counted, and no string of what was kept is missing. */
	r = bundle_reader_open(kit_path, &err);
	while (bundle_reader_next(r, &record, &err) > 0) {
		seen++;
		if (record.kind != REC_LABEL_KIND)
			continue;
		assert_non_null(bundle_reader_string(r, record.rec->label.key));
		last = record.rec->label.value;
		assert_non_null(bundle_reader_string(r, last));
	}
	assert_string_equal((const char *)bundle_reader_string(r, last)->data,
			    "while the disk stood still 1999");
	assert_int_equal(seen, stats.records - stats.lost_queue);
	bundle_reader_close(r);
	assert_int_equal(kit_read(&(struct kit_read){ 0 }), 0);
}

/* At each promise the file is copied as far as promised. */
struct promises {
	size_t count;
	struct {
		struct bundle_durable durable;
		struct bytes copy;
	} at[200];
};

static void promised(void *ctx, const struct bundle_durable *durable)
{
	struct promises *p = ctx;

	/* A kill would not show it: what is not synced yet is not durable. */
	assert_true(durable->offset <= synced);
	if (p->count == 200)
		return;
	p->at[p->count].durable = *durable;
	p->at[p->count].copy = kit_load(kit_path);
	__atomic_add_fetch(&p->count, 1, __ATOMIC_SEQ_CST);
}

static void durable(void **state)
{
	struct promises *p = calloc(1, sizeof(*p));
	const struct bundle_writer_options options = { .frame_bytes = 4000,
						       .durable = promised,
						       .ctx = p };
	struct bundle_writer *w = kit_open(&options);
	char text[64];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "durable %d", i);
		kit_label(w, "key", text);
		/* Let the disk keep up now and then, so that there are several promises. */
		if (i % 1000 == 999) {
			size_t before = __atomic_load_n(&p->count, __ATOMIC_SEQ_CST);

			kit_label(w, "key", "one more");
			bundle_writer_tick(w, UINT64_MAX);
			for (int n = 0; n < 5000; n++) {
				if (__atomic_load_n(&p->count, __ATOMIC_SEQ_CST) > before)
					break;
				usleep(1000);
			}
		}
	}
	kit_close(w);
	assert_true(p->count > 2);
	for (size_t i = 0; i < p->count; i++) {
		const struct bundle_durable *d = &p->at[i].durable;
		struct kit_read got;

		assert_true(p->at[i].copy.len >= d->offset);
		kit_store(p->at[i].copy.data, d->offset);
		assert_int_equal(kit_read(&got), 0);
		assert_int_equal(got.records + got.clocks, d->records);
		assert_int_equal(got.end.end_offset, d->offset);
		assert_int_equal(got.end.frames, d->frame);
		bytes_release(&p->at[i].copy);
	}
	free(p);
}

/* Ended without a seal, as by kill -9: all that was handed over is there. */
static void abandoned(void **state)
{
	const struct bundle_writer_options options = { .frame_ns = 1 };
	struct bundle_writer *w = kit_open(&options);
	struct kit_read got;

	(void)state;
	kit_label(w, "a", "b");
	bundle_writer_tick(w, UINT64_MAX);
	kit_label(w, "c", "d");
	bundle_writer_abandon(w);
	assert_int_equal(kit_read(&got), 0);
	assert_int_equal(got.records, 1);
	assert_string_equal(got.end.end_reason, "cut");
	assert_false(got.end.sealed || got.end.complete);
}

/* The age that closes a frame. */
static void age(void **state)
{
	const struct bundle_writer_options options = { .frame_ns = 1000000000 };
	struct bundle_writer *w = kit_open(&options);
	struct timespec now;
	uint64_t ns;
	struct kit_read got;

	(void)state;
	for (int i = 0; i < 3; i++) {
		kit_label(w, "a", "b");
		clock_gettime(CLOCK_MONOTONIC, &now);
		ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
		bundle_writer_tick(w, ns + 500000000);
		bundle_writer_tick(w, ns + 500000000);
	}
	bundle_writer_tick(w, ns + 1000000001);
	kit_label(w, "a", "b");
	kit_close(w);
	assert_int_equal(kit_read(&got), 0);
	assert_int_equal(got.records, 4);
	assert_int_equal(got.clocks, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_disk), cmocka_unit_test(full_queue),
		cmocka_unit_test(durable),   cmocka_unit_test(abandoned),
		cmocka_unit_test(age),
	};

	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
