/* What is put into a bundle comes out of it: every kind, every field, extremes, strings, files. */
#include "bundle_kit.h"

#include "base/clock.h"

#define ROWS 300
#define LIST 40

struct row {
	union rec_any rec;
	uint64_t items[4][LIST];
};

static uint64_t seed = 1;

static uint64_t random_number(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 11 ^ seed << 31;
}

/* Numbers as they are met and as they are feared. */
static uint64_t random_value(void)
{
	static const uint64_t odd[] = { 0,
					1,
					127,
					128,
					REC_NULL,
					REC_NULL - 1,
					1ULL << 63,
					(1ULL << 63) - 1,
					(1ULL << 63) + 1,
					UINT32_MAX };
	uint64_t n = random_number();

	if (n % 3 == 0)
		return odd[n / 3 % (sizeof(odd) / sizeof(odd[0]))];
	return n % 3 == 1 ? n % 1000 : n;
}

static void random_row(enum rec_kind kind, struct row *row)
{
	const struct rec_schema *schema = &rec_schemas[kind];
	size_t lists = 0;

	for (size_t f = 0; f < schema->fields_count; f++) {
		const struct rec_field *field = &schema->fields[f];
		void *at = (char *)&row->rec + field->offset;
		struct rec_list *list = at;

		if (field->type != REC_TYPE_L && field->type != REC_TYPE_M) {
			*(uint64_t *)at = random_value();
			continue;
		}
		list->items = row->items[lists];
		list->count = random_number() % (LIST + 1);
		for (uint32_t i = 0; i < list->count; i++)
			row->items[lists][i] = random_value();
		lists++;
	}
}

static void same_record(enum rec_kind kind, const union rec_any *a, const union rec_any *b)
{
	const struct rec_schema *schema = &rec_schemas[kind];

	for (size_t f = 0; f < schema->fields_count; f++) {
		const struct rec_field *field = &schema->fields[f];
		const void *x = (const char *)a + field->offset;
		const void *y = (const char *)b + field->offset;
		const struct rec_list *p = x, *q = y;

		if (field->type != REC_TYPE_L && field->type != REC_TYPE_M) {
			if (*(const uint64_t *)x != *(const uint64_t *)y)
				fail_msg("%s.%s differs", schema->name, field->name);
			continue;
		}
		assert_int_equal(p->count, q->count);
		for (uint32_t i = 0; i < p->count; i++)
			assert_int_equal(p->items[i], q->items[i]);
	}
}

static void every_kind(void **state)
{
	const struct bundle_writer_options options = { .frame_bytes = 20000 };
	struct bundle_writer *w = kit_open(&options);
	struct row *rows = calloc((size_t)REC_KIND_COUNT * ROWS, sizeof(*rows));
	size_t next[REC_KIND_COUNT] = { 0 };
	struct bundle_reader *r;
	struct bundle_record record;
	struct bundle_end end;
	struct err err = ERR_INIT;
	uint64_t frame = 0, frames = 0;

	(void)state;
	assert_non_null(rows);
	for (size_t i = 0; i < ROWS; i++) {
		for (int kind = 0; kind < REC_KIND_COUNT; kind++) {
			struct row *row = &rows[(size_t)kind * ROWS + i];

			if (kind == REC_CLOCK_KIND)
				continue;
			random_row(kind, row);
			assert_int_equal(bundle_writer_put(w, kind, &row->rec), 0);
		}
	}
	kit_close(w);
	r = bundle_reader_open(kit_path, &err);
	assert_non_null(r);
	while (bundle_reader_next(r, &record, &err) > 0) {
		if (record.frame != frame) {
			/* A data frame starts with the clocks. */
			assert_int_equal(record.kind, REC_CLOCK_KIND);
			frame = record.frame;
			frames++;
		}
		if (record.kind == REC_CLOCK_KIND)
			continue;
		assert_true(next[record.kind] < ROWS);
		same_record(record.kind, &rows[record.kind * ROWS + next[record.kind]++].rec,
			    record.rec);
	}
	bundle_reader_end(r, &end);
	assert_string_equal(end.end_reason, "sealed");
	assert_true(end.sealed && end.complete);
	assert_int_equal(end.end_offset, end.bytes);
	assert_true(frames > 5);
	for (int kind = 0; kind < REC_KIND_COUNT; kind++)
		assert_int_equal(next[kind], kind == REC_CLOCK_KIND ? 0 : ROWS);
	bundle_reader_close(r);
	free(rows);
}

static void clocks(void **state)
{
	struct bundle_writer *w = kit_open(NULL);
	struct bundle_reader *r;
	struct bundle_record record;
	struct clock_triple before, after;
	struct err err = ERR_INIT;

	(void)state;
	clock_read(&before);
	kit_label(w, "k", "v");
	clock_read(&after);
	kit_close(w);
	r = bundle_reader_open(kit_path, &err);
	assert_int_equal(bundle_reader_next(r, &record, &err), 1);
	assert_int_equal(record.kind, REC_CLOCK_KIND);
	assert_int_equal(record.rec->clock.id, 1);
	assert_in_range(record.rec->clock.monotonic, before.monotonic, after.monotonic);
	assert_in_range(record.rec->clock.boottime, before.boottime, after.boottime);
	assert_in_range(record.rec->clock.realtime, before.realtime, after.realtime);
	bundle_reader_close(r);
}

static void strings(void **state)
{
	struct bundle_writer *w = kit_open(NULL);
	static char big[BUNDLE_STRING_MAX + 10];
	const struct bundle_string *s;
	struct bundle_reader *r;
	struct bundle_record record;
	struct err err = ERR_INIT;
	uint64_t nul, public, private, cut;

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(bundle_writer_text(w, NULL, STRING_PUBLIC), REC_NULL);
	assert_int_equal(bundle_writer_text(w, "", STRING_PRIVATE), REC_EMPTY);
	nul = bundle_writer_string(w, "a\0b\xff", 4, STRING_PUBLIC);
	public = bundle_writer_text(w, "same", STRING_PUBLIC);
	private = bundle_writer_text(w, "same", STRING_PRIVATE);
	cut = bundle_writer_string(w, big, sizeof(big), STRING_PUBLIC);
	assert_int_not_equal(public, private);
	assert_int_equal(bundle_writer_text(w, "same", STRING_PUBLIC), public);
	assert_int_equal(bundle_writer_text(w, "same", STRING_PRIVATE), private);
	assert_int_equal(bundle_writer_string(w, big, sizeof(big), STRING_PUBLIC), cut);
	kit_label(w, "k", "v");
	kit_close(w);
	r = bundle_reader_open(kit_path, &err);
	assert_null(bundle_reader_string(r, public));
	assert_int_equal(bundle_reader_next(r, &record, &err), 1);
	s = bundle_reader_string(r, nul);
	assert_int_equal(s->len, 4);
	assert_memory_equal(s->data, "a\0b\xff", 5);
	s = bundle_reader_string(r, public);
	assert_string_equal((const char *)s->data, "same");
	assert_int_equal(s->class, STRING_PUBLIC);
	s = bundle_reader_string(r, private);
	assert_string_equal((const char *)s->data, "same");
	assert_int_equal(s->class, STRING_PRIVATE);
	assert_false(s->hidden);
	assert_int_equal(bundle_reader_string(r, cut)->len, BUNDLE_STRING_MAX);
	assert_int_equal(bundle_reader_string(r, REC_EMPTY)->len, 0);
	assert_null(bundle_reader_string(r, REC_NULL));
	assert_null(bundle_reader_string(r, 1000));
	bundle_reader_close(r);
}

/* More strings than the table of known ones keeps, in both classes: each id says its own text. */
static void many_strings(void **state)
{
	struct bundle_writer *w = kit_open(NULL);
	const size_t count = 400000;
	uint64_t *ids = calloc(count, sizeof(*ids));
	struct bundle_reader *r;
	struct bundle_record record;
	struct err err = ERR_INIT;
	char text[64];

	(void)state;
	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "string number %zu", i);
		ids[i] = bundle_writer_text(w, text, i % 2 ? STRING_PUBLIC : STRING_PRIVATE);
		assert_int_not_equal(ids[i], REC_NULL);
	}
	kit_label(w, "k", "v");
	kit_close(w);
	r = bundle_reader_open(kit_path, &err);
	while (bundle_reader_next(r, &record, &err) > 0)
		;
	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "string number %zu", i);
		assert_string_equal((const char *)bundle_reader_string(r, ids[i])->data, text);
	}
	bundle_reader_close(r);
	free(ids);
}

static void long_list(void **state)
{
	static uint64_t items[BUNDLE_LIST_MAX + 1];
	struct bundle_writer *w = kit_open(NULL);
	struct rec_stack stack = { 1, 2, { items, BUNDLE_LIST_MAX + 1 }, 0, REC_NULL, REC_NULL };
	struct bundle_writer_stats stats;
	struct kit_read got;

	(void)state;
	memset(items, 0xff, sizeof(items));
	assert_int_equal(bundle_writer_put(w, REC_STACK_KIND, &stack), -1);
	stack.frames.count--;
	assert_int_equal(bundle_writer_put(w, REC_STACK_KIND, &stack), 0);
	bundle_writer_stats(w, &stats);
	assert_int_equal(stats.records, 3); /* with the clock */
	assert_int_equal(stats.lost_queue, 1);
	kit_close(w);
	assert_int_equal(kit_read(&got), 0);
	assert_int_equal(got.records, 1);
}

static void ids(void **state)
{
	struct bundle_writer *w = kit_open(NULL);

	(void)state;
	assert_int_equal(bundle_writer_id(w, REC_CALL_KIND), 1);
	assert_int_equal(bundle_writer_id(w, REC_CALL_KIND), 2);
	assert_int_equal(bundle_writer_id(w, REC_HOP_KIND), 1);
	kit_close(w);
}

static void standard_zstd(void **state)
{
	char command[256];

	(void)state;
	kit_small("z", 3);
	snprintf(command, sizeof(command), "zstd -q -t %s", kit_path);
	assert_int_equal(system(command), 0);
}

static int open_fails(const char *path, bool force, const char *says)
{
	const struct bundle_writer_options options = { .force = force };
	struct err err = ERR_INIT;
	struct bundle_writer *w = bundle_writer_open(path, &options, &err);

	if (w) {
		bundle_writer_abandon(w);
		return 0;
	}
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	return err.kind == ERR_USAGE;
}

static void files(void **state)
{
	const struct bundle_writer_options force = { .force = true };
	struct bundle_writer *w;
	struct err err = ERR_INIT;
	char other[128];
	struct stat st;
	struct kit_read got;

	(void)state;
	snprintf(other, sizeof(other), "%s/other", kit_folder);
	kit_small("old", 1);
	assert_int_equal(stat(kit_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(open_fails(kit_path, false, "exists: name another file or pass --force"));
	assert_true(open_fails("/nowhere/at/all", false, "No such file"));
	assert_true(open_fails("/nowhere/at/all", true, "No such file"));
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_true(open_fails(other, false, "exists"));
	assert_true(open_fails(other, true, "not a regular file"));
	unlink(other);
	assert_int_equal(symlink(kit_path, other), 0);
	assert_true(open_fails(other, false, "exists"));
	assert_true(open_fails(other, true, "not a regular file"));
	unlink(other);
	assert_true(open_fails(kit_folder, true, "not a regular file"));
	assert_int_equal(kit_read(&got), 0);
	assert_true(got.end.sealed);
	w = bundle_writer_open(kit_path, &force, &err);
	assert_non_null(w);
	kit_close(w);
	assert_int_equal(kit_read(&got), 0);
	assert_int_equal(got.records, 0);
	assert_int_equal(stat(kit_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind), cmocka_unit_test(clocks),
		cmocka_unit_test(strings),    cmocka_unit_test(many_strings),
		cmocka_unit_test(long_list),  cmocka_unit_test(ids),
		cmocka_unit_test(files),      cmocka_unit_test(standard_zstd),
	};

	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
