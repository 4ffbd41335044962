/*
 * A writer that is killed at a random moment, its file then perhaps cut or spoilt behind what was
 * reported durable: at least that is read back, in order and whole, and the window can be gone on
 * with. CRASH_ROUNDS says how often (200), CRASH_SEED repeats a run.
 */
#include "bundle_kit.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "bundle/resume.h"

/* What a round does to the file after the kill. */
enum harm {
	HARM_NONE,
	HARM_CUT_BEHIND, /* somewhere behind what is durable */
	HARM_ZEROS, /* and zeros from there on, as of blocks that were never written */
	HARM_GARBAGE,
	HARM_CUT_ANYWHERE, /* an older report holds then */
	HARM_COUNT,
};

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

static uint64_t rounds(void)
{
	const char *text = getenv("CRASH_ROUNDS");

	return text ? strtoull(text, NULL, 10) : 200;
}

/* ---- the writer ---- */

static void report(void *ctx, const struct bundle_durable *durable)
{
	(void)!write(*(int *)ctx, durable, sizeof(*durable));
}

/* Record `n` of the row: its kind and all its values follow from n. */
static void put_nth(struct bundle_writer *w, uint64_t n)
{
	char text[32];

	if (n % 3 == 0) {
		uint64_t frames[40];
		struct rec_stack stack = { n, 1, { frames, (uint32_t)(n % 40) }, n, n, n };

		for (size_t i = 0; i < n % 40; i++)
			frames[i] = n + i;
		bundle_writer_put(w, REC_STACK_KIND, &stack);
	} else if (n % 3 == 1) {
		struct rec_sighting sighting = { n, n, n, SOURCE_DEEP, n, n, n };

		bundle_writer_put(w, REC_SIGHTING_KIND, &sighting);
	} else {
		struct rec_label label = { .id = n };

		snprintf(text, sizeof(text), "key %llu", (unsigned long long)n % 50);
		label.key = bundle_writer_text(w, text, STRING_PUBLIC);
		snprintf(text, sizeof(text), "value %llu", (unsigned long long)n);
		label.value = bundle_writer_text(w, text, STRING_PRIVATE);
		bundle_writer_put(w, REC_LABEL_KIND, &label);
	}
}

/* Writes as a collector does, and never ends. */
static void write_for_ever(int pipe, uint64_t shape)
{
	const struct bundle_writer_options options = {
		.frame_bytes = shape & 1 ? 700 : 30000,
		.frame_ns = 2000000,
		.durable = report,
		.ctx = &pipe,
	};
	struct err err = ERR_INIT;
	struct bundle_writer *w = bundle_writer_open(kit_path, &options, &err);

	if (!w)
		_exit(1);
	for (uint64_t n = 1;; n++) {
		struct timespec now;

		put_nth(w, n);
		if (n % 64)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &now);
		bundle_writer_tick(w, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
		if (shape & 2)
			usleep(500);
	}
}

/* ---- what is read back ---- */

/* Each record must be the next one; returns how many, without clocks; *all counts those too. */
static uint64_t read_row(uint64_t *all, struct bundle_end *end)
{
	struct err err = ERR_INIT;
	struct bundle_reader *r = bundle_reader_open(kit_path, &err);
	uint64_t highest = 0, rows = 0, next[3] = { 3, 1, 2 };
	struct bundle_record record;
	char text[32];

	assert_non_null(r);
	*all = 0;
	while (bundle_reader_next(r, &record, &err) > 0) {
		const union rec_any *rec = record.rec;
		uint64_t n = rec->id;

		(*all)++;
		if (record.kind == REC_CLOCK_KIND)
			continue;
		/* Kinds are batches, so the row is in order within each kind only. */
		assert_int_equal(n, next[n % 3]);
		next[n % 3] += 3;
		highest = n > highest ? n : highest;
		rows++;
		switch (record.kind) {
		case REC_STACK_KIND:
			assert_int_equal(rec->stack.partial, n);
			assert_int_equal(rec->stack.frames.count, n % 40);
			for (uint32_t i = 0; i < n % 40; i++)
				assert_int_equal(rec->stack.frames.items[i], n + i);
			break;
		case REC_SIGHTING_KIND:
			assert_int_equal(rec->sighting.count, n);
			break;
		case REC_LABEL_KIND:
			snprintf(text, sizeof(text), "value %llu", (unsigned long long)n);
			assert_string_equal(
				(const char *)bundle_reader_string(r, rec->label.value)->data,
				text);
			break;
		default:
			fail();
		}
	}
	assert_int_equal(err.kind, ERR_NONE);
	/* No hole in the row: all up to the highest. */
	assert_int_equal(rows, highest);
	bundle_reader_end(r, end);
	bundle_reader_close(r);
	return rows;
}

static void judge(const struct bundle_durable *durable)
{
	struct verify_result result;
	struct err err = ERR_INIT;
	struct bundle_end end;
	uint64_t all;

	read_row(&all, &end);
	if (all < durable->records || end.end_offset < durable->offset ||
	    end.frames < durable->frame)
		fail_msg("durable: %llu records, %llu bytes; read: %llu, %llu",
			 (unsigned long long)durable->records, (unsigned long long)durable->offset,
			 (unsigned long long)all, (unsigned long long)end.end_offset);
	assert_false(end.sealed || end.complete);
	assert_int_equal(bundle_verify(kit_path, NULL, &result, &err), 0);
	assert_false(result.ok || result.sealed);
	assert_true(result.frames_good >= durable->frame);
	verify_result_release(&result);
}

static int ignore(void *ctx, const struct bundle_reader *reader, const struct bundle_record *record,
		  struct err *err)
{
	(void)reader;
	(void)err;
	if (record->kind != REC_CLOCK_KIND && record->rec->id > *(uint64_t *)ctx)
		*(uint64_t *)ctx = record->rec->id;
	return 0;
}

/* 300 records more, sealed; the row goes on. */
static void go_on(void)
{
	const struct bundle_writer_options options = { .frame_bytes = 2000 };
	struct err err = ERR_INIT;
	struct bundle_resume *r = bundle_resume_open(kit_path, &err);
	struct verify_result result;
	struct bundle_writer *w;
	struct bundle_end end;
	uint64_t last = 0, all;

	if (!r || bundle_resume_read(r, ignore, &last, &err))
		fail_msg("%s", err.text);
	w = bundle_writer_resume(r, &options, &err);
	assert_non_null(w);
	bundle_resume_free(r);
	for (uint64_t n = last + 1; n <= last + 300; n++)
		put_nth(w, n);
	kit_close(w);
	assert_int_equal(read_row(&all, &end), last + 300);
	assert_string_equal(end.end_reason, "sealed");
	assert_int_equal(bundle_verify(kit_path, NULL, &result, &err), 0);
	assert_true(result.ok && result.sealed);
	verify_result_release(&result);
}

/* ---- rounds ---- */

struct reports {
	size_t count;
	struct bundle_durable at[4096];
};

/* Starts a writer, kills it, and returns what it reported. */
static void kill_one(struct reports *reports)
{
	uint64_t wait = draw(25000);
	int ends[2], status;
	pid_t pid;

	unlink(kit_path);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(ends[0]);
		write_for_ever(ends[1], draw(4));
	}
	close(ends[1]);
	reports->count = 0;
	if (read(ends[0], &reports->at[0], sizeof(reports->at[0])) == sizeof(reports->at[0]))
		reports->count = 1;
	usleep((useconds_t)wait);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	while (reports->count < 4096 && read(ends[0], &reports->at[reports->count],
					     sizeof(reports->at[0])) == sizeof(reports->at[0]))
		reports->count++;
	close(ends[0]);
	assert_true(reports->count);
}

static void spoil(uint64_t at, uint64_t size, enum harm harm)
{
	int fd = open(kit_path, O_WRONLY);
	uint8_t piece[4096] = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)at), 0);
	while (at < size && (harm == HARM_ZEROS || harm == HARM_GARBAGE)) {
		size_t len = size - at < sizeof(piece) ? size - at : sizeof(piece);

		for (size_t i = 0; harm == HARM_GARBAGE && i < len; i++)
			piece[i] = (uint8_t)draw(256);
		assert_int_equal(pwrite(fd, piece, len, (off_t)at), len);
		at += len;
	}
	close(fd);
}

static void kills(void **state)
{
	static struct reports reports[1];
	uint64_t count = rounds(), records = 0, promises = 0, spoilt = 0;

	(void)state;
	for (uint64_t i = 0; i < count; i++) {
		enum harm harm = (enum harm)draw(HARM_COUNT);
		struct bundle_durable durable;
		struct stat st;

		kill_one(reports);
		durable = reports->at[reports->count - 1];
		assert_int_equal(stat(kit_path, &st), 0);
		if (harm == HARM_CUT_ANYWHERE) {
			uint64_t at = 44 + draw((uint64_t)st.st_size - 43);

			spoil(at, at, harm);
			memset(&durable, 0, sizeof(durable));
			for (size_t k = 0; k < reports->count && reports->at[k].offset <= at; k++)
				durable = reports->at[k];
		} else if (harm != HARM_NONE) {
			uint64_t behind = (uint64_t)st.st_size - durable.offset;
			uint64_t at = durable.offset + draw(behind + 1);
			uint64_t size = at + draw(20000);

			spoil(at, size, harm);
			spoilt += at < (uint64_t)st.st_size || size > at;
		}
		judge(&durable);
		records += durable.records;
		promises += reports->count;
		if (durable.records)
			go_on();
	}
	printf("SHOW %llu kills, %llu of them with a cut or spoilt tail: all of %llu records that "
	       "%llu reports called durable were read back\n",
	       (unsigned long long)count, (unsigned long long)spoilt, (unsigned long long)records,
	       (unsigned long long)promises);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(kills) };
	const char *text = getenv("CRASH_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = text ? strtoull(text, NULL, 10) : (uint64_t)now.tv_nsec;
	printf("CRASH_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
