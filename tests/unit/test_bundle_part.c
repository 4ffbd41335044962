/*
 * Reading a part of a bundle: kinds that are not wanted, frames that are passed over by the index,
 * sightings that stay in the file. What is given must be what reading all gives.
 */
#include "bundle_kit.h"
#include "trace_fixture.h"

#define BIT(KIND) (1ULL << REC_##KIND##_KIND)

struct part {
	uint64_t records, labels, ends; /* given; there, given or not */
	struct bundle_end end;
};

static struct part read_part(uint64_t kinds, uint64_t from)
{
	struct err err = ERR_INIT;
	struct bundle_reader *r = bundle_reader_open(kit_path, &err);
	struct bundle_record record;
	struct part out = { 0 };

	assert_non_null(r);
	bundle_reader_want(r, kinds, from);
	while (bundle_reader_next(r, &record, &err) > 0) {
		assert_true(kinds >> record.kind & 1);
		out.records++;
	}
	assert_int_equal(err.kind, ERR_NONE);
	out.labels = bundle_reader_count(r, REC_LABEL_KIND);
	out.ends = bundle_reader_count(r, REC_WINDOW_END_KIND);
	bundle_reader_end(r, &out.end);
	bundle_reader_close(r);
	return out;
}

/* Two links: frame 2 has two labels, frame 5 two more and the window's end; 7 is the index. */
static struct bytes two_links(struct kit_frame frames[8])
{
	struct kit_frame all[16];
	size_t n, data = 0;

	kit_small("part", 2);
	n = kit_frames(all, 16);
	for (size_t i = 0; i < n; i++)
		if ((all[i].kind == SCAN_ZSTD && all[i - 1].kind != SCAN_STRINGS) ||
		    all[i].kind == SCAN_INDEX)
			frames[data++] = all[i];
	assert_int_equal(data, 3);
	return kit_load(kit_path);
}

static void kinds(void **state)
{
	struct kit_frame frames[8];
	struct bytes b = two_links(frames);
	struct part p = read_part(BIT(WINDOW_END), 0);

	(void)state;
	assert_int_equal(p.records, 1);
	assert_int_equal(p.labels, 4);
	assert_true(p.end.sealed && p.end.complete);
	p = read_part(BIT(LABEL), 0);
	assert_int_equal(p.records, 4);
	assert_true(p.end.complete);
	p = read_part(BIT(CALL), 0);
	assert_int_equal(p.records, 0);
	assert_int_equal(p.labels, 4);
	assert_int_equal(p.ends, 1);
	assert_true(p.end.complete);
	/* The last frame is always looked at: nothing says when it was closed. */
	p = read_part(BIT(LABEL), UINT64_MAX);
	assert_int_equal(p.records, 2);
	assert_int_equal(p.labels, 4);
	bytes_release(&b);
}

/* A frame that is not read is not judged; one that is read is. */
static void damage(void **state)
{
	struct kit_frame frames[8];
	struct bytes b = two_links(frames);
	uint8_t *first = b.data + frames[0].offset + frames[0].size - 6;
	uint8_t *index = b.data + frames[2].offset + 20;
	struct part p;

	(void)state;
	*first ^= 1;
	kit_store(b.data, b.len);
	p = read_part(BIT(WINDOW_END), 0);
	assert_int_equal(p.records, 1);
	assert_string_equal(p.end.end_reason, "sealed");
	p = read_part(BIT(LABEL), 0);
	assert_int_equal(p.records, 0);
	assert_string_equal(p.end.end_reason, "damaged");
	/* An index whose seal is wrong is not believed: all is read. */
	*index ^= 1;
	kit_store(b.data, b.len);
	p = read_part(BIT(WINDOW_END), 0);
	assert_string_equal(p.end.end_reason, "damaged");
	*first ^= 1;
	kit_store(b.data, b.len);
	p = read_part(BIT(WINDOW_END), 0);
	assert_int_equal(p.records, 1);
	assert_int_equal(p.labels, 4);
	/* Nor is one that is cut off. */
	kit_store(b.data, frames[2].offset);
	p = read_part(BIT(WINDOW_END), 0);
	assert_int_equal(p.records, 1);
	assert_string_equal(p.end.end_reason, "cut");
	bytes_release(&b);
}

static void memory(void **state)
{
	struct err err = ERR_INIT;
	struct bundle_reader *r;
	struct bundle_record record;
	struct kit_frame frames[8];
	struct bytes b = two_links(frames);

	(void)state;
	r = bundle_reader_open(kit_path, &err);
	bundle_reader_limit(r, 64);
	assert_int_equal(bundle_reader_next(r, &record, &err), -1);
	assert_int_equal(err.kind, ERR_INCOMPLETE);
	bundle_reader_close(r);
	bytes_release(&b);
}

static void same_functions(const struct trace *want, const struct trace *got, uint64_t call)
{
	struct trace_call_function *one, *two;
	long n = trace_call_functions(want, call, &one);

	assert_true(n > 0);
	assert_int_equal(trace_call_functions(got, call, &two), n);
	assert_memory_equal(two, one, (size_t)n * sizeof(*one));
	free(one);
	free(two);
}

/* The functions of each call, whether sightings are held all at once or for some calls at a time.
 */
static void sightings(void **state)
{
	static const struct trace_options options[] = {
		{ .sightings = 1 },
		{ .sightings = 7 },
		{ .sightings = 7, .kinds = ~BIT(SIGHTING) },
	};
	static const uint64_t orders[][3] = { { 3, 1, 2 }, { 1, 2, 3 }, { 3, 1, 2 } };
	struct fixture *f = *state;
	struct err err = ERR_INIT;

	fixture_host(f);
	fixture_calls(f);
	fixture_code(f);
	fixture_window_end(f);
	fixture_load(f);
	assert_int_equal(trace_count(f->t, REC_SIGHTING_KIND), 8);
	for (size_t i = 0; i < 3; i++) {
		struct trace *t = trace_load_some(f->path, &options[i], &err);
		const uint64_t *calls = orders[i];
		size_t most = 0;

		assert_non_null(t);
		assert_true(trace_sightings_away(t) && !trace_sightings_away(f->t));
		assert_int_equal(trace_count(t, REC_SIGHTING_KIND), 0);
		assert_int_equal(trace_total(t, REC_SIGHTING_KIND), 8);
		for (size_t at = 0, count; at < 3; at += count) {
			count = 3 - at;
			assert_int_equal(trace_hold_sightings(t, calls + at, &count, &err), 0);
			assert_in_range(count, 1, 3 - at);
			for (size_t k = at; k < at + count; k++)
				same_functions(f->t, t, calls[k]);
			most = count > most ? count : most;
		}
		assert_true(i ? most > 1 : most == 1);
		trace_free(t);
	}
}

static void too_much(void **state)
{
	struct fixture *f = *state;
	struct err err = ERR_INIT;

	fixture_host(f);
	fixture_load(f);
	trace_set_memory(2000);
	assert_null(trace_load(f->path, &err));
	assert_int_equal(err.kind, ERR_INCOMPLETE);
	assert_non_null(strstr(err.text, "--memory"));
	trace_set_memory(TRACE_MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds), cmocka_unit_test(damage), cmocka_unit_test(memory),
		fixture_test(sightings), fixture_test(too_much),
	};

	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
