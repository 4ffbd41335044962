/* The trace: tables, lookups, what belongs to a call, the ledger, and hostile bundles. */
#include "trace_fixture.h"

#include <time.h>

#include "base/bytes.h"

static const struct trace *load_all(void **state)
{
	struct fixture *f = *state;

	fixture_host(f);
	fixture_calls(f);
	fixture_window_end(f);
	fixture_load(f);
	return f->t;
}

static void test_tables(void **state)
{
	const struct trace *t = load_all(state);
	const struct rec_call *call;
	const struct rec_stack *stack;
	struct bundle_end end;

	trace_end(t, &end);
	assert_true(end.complete);
	assert_int_equal(trace_count(t, REC_CALL_KIND), 3);
	call = trace_at(t, REC_CALL_KIND, 1);
	assert_int_equal(call->id, 2);
	assert_ptr_equal(trace_find(t, REC_CALL_KIND, 2), call);
	assert_null(trace_find(t, REC_CALL_KIND, 0));
	assert_null(trace_find(t, REC_CALL_KIND, 4));
	assert_null(trace_find(t, REC_CALL_KIND, REC_NULL));
	assert_null(trace_at(t, REC_CALL_KIND, 3));
	assert_string_equal(trace_text(t, call->method), "GET");
	assert_string_equal(trace_text(t, REC_EMPTY), "");
	assert_null(trace_text(t, REC_NULL));
	assert_null(trace_text(t, 1 << 20));
	stack = trace_find(t, REC_STACK_KIND, 1);
	assert_int_equal(stack->frames.count, 4);
	assert_int_equal(stack->frames.items[0], 3);
	assert_int_equal(stack->frames.items[3], 4);
	assert_int_equal(trace_window(t)->id, 1);
	assert_int_equal(trace_window_end(t)->id, 1);
	assert_int_equal(strlen(trace_sha256(t)), 64);
}

static void test_sha256_is_of_the_file(void **state)
{
	const struct trace *t = load_all(state);
	struct fixture *f = *state;
	char command[128], line[65] = "";
	FILE *p;

	snprintf(command, sizeof(command), "sha256sum %s", f->path);
	p = popen(command, "r");
	assert_non_null(p);
	assert_int_equal(fread(line, 1, 64, p), 64);
	pclose(p);
	assert_string_equal(trace_sha256(t), line);
}

static void test_relations(void **state)
{
	const struct trace *t = load_all(state);
	const struct rec_call *call;
	size_t first;

	assert_int_equal(trace_identity(t, 2)->size, 22334);
	assert_int_equal(trace_identity(t, 1)->size, 99);
	assert_null(trace_identity(t, 3));
	assert_null(trace_identity(t, REC_NULL));
	assert_int_equal(trace_pyc(t, 2)->proven, 1);
	assert_int_equal(trace_connection_end(t, 3)->suspect, 2);
	assert_null(trace_connection_end(t, 2));
	assert_int_equal(trace_process_end(t, 2)->exit_code, 9);
	assert_int_equal(trace_related(t, TRACE_CALL_CONNECTION, 1, &first), 3);
	call = trace_related_at(t, TRACE_CALL_CONNECTION, first + 2);
	assert_int_equal(call->id, 3);
	assert_int_equal(trace_related(t, TRACE_CALL_CONNECTION, 2, &first), 0);
	assert_int_equal(trace_related(t, TRACE_HOP_CALL, REC_NULL, &first), 0);
}

static void test_realtime(void **state)
{
	const struct trace *t = load_all(state);

	assert_int_equal(trace_realtime(t, FIXTURE_MONOTONIC + 7), FIXTURE_REALTIME + 7);
	assert_int_equal(trace_realtime(t, FIXTURE_MONOTONIC - 7), FIXTURE_REALTIME - 7);
	assert_true(trace_realtime(t, REC_NULL) == REC_NULL);
	assert_true(trace_realtime(t, REC_NULL - 1) == REC_NULL);
}

/* Checks one function of a call. */
static void check(const struct trace_call_function *f, uint64_t function, uint32_t links,
		  uint32_t sources, uint32_t sure, uint64_t count)
{
	assert_int_equal(f->function, function);
	assert_int_equal(f->links, links);
	assert_int_equal(f->sources, sources);
	assert_int_equal(f->sure_sources, sure);
	assert_int_equal(f->count, count);
}

#define THREAD (1U << LINK_THREAD)
#define FLOW (1U << LINK_FLOW)
#define AMBIGUOUS (1U << LINK_AMBIGUOUS)
#define DEEP (1U << SOURCE_DEEP)
#define SYSCALL (1U << SOURCE_SYSCALL)
#define SOCKET (1U << SOURCE_SOCKET)
#define SAMPLE (1U << SOURCE_SAMPLE)

static void test_call_functions(void **state)
{
	const struct trace *t = load_all(state);
	struct trace_call_function *f;

	/* Stack 1 (3, 2, 4, 4) deep twice and by system calls ten times, stack 2 (1, 4) once. */
	assert_int_equal(trace_call_functions(t, 1, &f), 4);
	check(&f[0], 1, FLOW, SOCKET, SOCKET, 1);
	check(&f[1], 2, FLOW | THREAD, DEEP | SYSCALL, DEEP | SYSCALL, 12);
	check(&f[2], 3, FLOW | THREAD, DEEP | SYSCALL, DEEP | SYSCALL, 12);
	check(&f[3], 4, FLOW | THREAD, DEEP | SYSCALL | SOCKET, DEEP | SYSCALL | SOCKET, 13);
	assert_int_equal(f[0].sighting, 2);
	assert_int_equal(f[0].binding, 1);
	free(f);
	/* The long sighting meets call 2, too; sighting 6 at 900 ms meets none. */
	assert_int_equal(trace_call_functions(t, 2, &f), 4);
	check(&f[0], 1, THREAD, SAMPLE, SAMPLE, 1);
	check(&f[1], 2, THREAD, SYSCALL, SYSCALL, 10);
	assert_int_equal(f[0].sighting, 4);
	assert_int_equal(f[0].binding, 3);
	free(f);
	assert_int_equal(trace_call_functions(t, 3, &f), 1);
	check(&f[0], 1, AMBIGUOUS, SOCKET, 0, 1);
	free(f);
	assert_int_equal(trace_call_functions(t, 99, &f), 0);
	assert_null(f);
	assert_int_equal(trace_call_functions(t, REC_NULL, &f), 0);
}

/* A sighting that two bindings tie counts once, and the pointer prefers the sure binding. */
static void test_call_functions_bound_twice(void **state)
{
	struct fixture *f = *state;
	struct trace_call_function *out;

	fixture_host(f);
	fixture_call(f, 1, 1, "GET", "/", 100);
	put(f, SIGHTING, sighting, .context = 1, .stack = 3, .source = SOURCE_DEEP,
	    .first = at_ms(101), .last = at_ms(102), .count = 5);
	put(f, SIGHTING, sighting, .context = 2, .stack = 3, .source = SOURCE_SAMPLE,
	    .first = at_ms(101), .last = at_ms(102), .count = 1);
	put(f, BINDING, binding, .context = 1, .call = 1, .from = at_ms(100), .until = at_ms(109),
	    .link = LINK_AMBIGUOUS);
	put(f, BINDING, binding, .context = 1, .call = 1, .from = at_ms(100), .until = at_ms(109),
	    .link = LINK_AMBIGUOUS);
	/* Open to the end. */
	put(f, BINDING, binding, .context = 2, .call = 1, .from = at_ms(102), .until = REC_NULL,
	    .link = LINK_THREAD);
	fixture_load(f);
	assert_int_equal(trace_call_functions(f->t, 1, &out), 1);
	check(&out[0], 1, AMBIGUOUS | THREAD, DEEP | SAMPLE, SAMPLE, 6);
	assert_int_equal(out[0].sighting, 2);
	assert_int_equal(out[0].binding, 3);
	free(out);
}

/* The tree of spans against a plain scan, on many random sightings and bindings. */
static void test_call_functions_as_plain_scan(void **state)
{
	struct fixture *f = *state;
	uint64_t first[400], last[400], context[400];
	unsigned int seed = 7;

	fixture_window(f);
	for (int i = 0; i < 400; i++) {
		context[i] = 1 + (uint64_t)rand_r(&seed) % 5;
		first[i] = (uint64_t)rand_r(&seed) % 1000;
		last[i] = first[i] + (uint64_t)rand_r(&seed) % (i % 10 ? 5 : 500);
		put(f, STACK, stack, .process = 1, .frames = list((uint64_t)i + 1));
		put(f, SIGHTING, sighting, .context = context[i], .stack = (uint64_t)i + 1,
		    .source = SOURCE_SOCKET, .first = first[i], .last = last[i], .count = 1);
	}
	for (uint64_t call = 1; call <= 200; call++)
		put(f, BINDING, binding, .context = 1 + call % 6, .call = call, .from = 5 * call,
		    .until = 5 * call + call % 9, .link = LINK_THREAD);
	fixture_load(f);
	for (uint64_t call = 1; call <= 200; call++) {
		struct trace_call_function *out;
		long n = trace_call_functions(f->t, call, &out), want = 0;

		for (int i = 0; i < 400; i++) {
			if (context[i] != 1 + call % 6 || first[i] > 5 * call + call % 9 ||
			    last[i] < 5 * call)
				continue;
			assert_true(want < n);
			assert_int_equal(out[want].function, i + 1);
			want++;
		}
		assert_int_equal(n, want);
		free(out);
	}
}

static void test_losses(void **state)
{
	const struct trace *t = load_all(state);
	struct trace_loss *l;

	assert_int_equal(trace_losses(t, &l), 7);
	assert_string_equal(l[0].stage, "stacks");
	assert_int_equal(l[0].class, LOSS_ATTEMPTED);
	assert_int_equal(l[0].count, 30); /* a running total: the last one holds */
	assert_int_equal(l[0].record, 3);
	assert_string_equal(l[3].cause, "budget");
	assert_int_equal(l[4].count, 2);
	assert_string_equal(l[5].stage, "bundle");
	free(l);
	assert_int_equal(trace_lost_total(t), 3);
}

static void test_empty(void **state)
{
	struct fixture *f = *state;
	struct trace_call_function *functions;
	struct trace_loss *losses;

	fixture_load(f);
	assert_null(trace_window(f->t));
	assert_null(trace_window_end(f->t));
	assert_null(trace_find(f->t, REC_CALL_KIND, 1));
	assert_int_equal(trace_call_functions(f->t, 1, &functions), 0);
	assert_int_equal(trace_losses(f->t, &losses), 0);
	assert_int_equal(trace_lost_total(f->t), 0);
	assert_true(trace_realtime(f->t, 5) == REC_NULL);
}

/* References that lead nowhere or round in circles, and values out of every range. */
static void test_hostile_references(void **state)
{
	struct fixture *f = *state;
	struct trace_call_function *out;

	fixture_window(f);
	put(f, PROCESS, process, .parent = 1, .exe = 77);
	put(f, MODULE, module, .kind = 999, .path = 1 << 30, .language = 99);
	put(f, STACK, stack, .process = 9,
	    .frames = list(0, REC_NULL, 5, 5, 1ULL << 40, UINT64_MAX - 1), .partial = 7);
	fixture_call(f, 99, 1, "GET", "/", 100);
	put(f, SIGHTING, sighting, .context = 50, .stack = 1, .source = 200, .first = 10, .last = 5,
	    .count = UINT64_MAX - 1);
	put(f, SIGHTING, sighting, .context = 50, .stack = 1, .source = SOURCE_DEEP, .first = 0,
	    .last = UINT64_MAX - 1, .count = UINT64_MAX - 1);
	put(f, SIGHTING, sighting, .context = 50, .stack = 1234, .source = SOURCE_DEEP, .first = 0,
	    .last = 20, .count = 1);
	put(f, SIGHTING, sighting, .context = REC_NULL, .stack = REC_NULL, .source = REC_NULL,
	    .first = REC_NULL, .last = REC_NULL, .count = REC_NULL);
	put(f, BINDING, binding, .context = 50, .call = 1, .from = 0, .until = 100, .link = 64);
	put(f, BINDING, binding, .context = REC_NULL, .call = 1, .from = 0, .until = REC_NULL,
	    .link = LINK_THREAD);
	put(f, BINDING, binding, .context = 51, .call = 1, .from = 9, .until = 3,
	    .link = LINK_THREAD);
	fixture_load(f);
	assert_int_equal(trace_call_functions(f->t, 1, &out), 3);
	check(&out[0], 5, 0, DEEP, 0, UINT64_MAX);
	check(&out[2], UINT64_MAX - 1, 0, DEEP, 0, UINT64_MAX);
	free(out);
}

/* Ids that do not rise, as a hostile writer may choose them. */
static void test_ids_out_of_order(void **state)
{
	static const uint64_t ids[] = { 7, 3, 3, UINT64_MAX - 1, 1, 0 };
	struct fixture *f = *state;
	const struct rec_label *label;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct rec_label r = { .id = ids[i], .key = pub(f, "k"), .value = i };

		bundle_writer_put(f->w, REC_LABEL_KIND, &r);
	}
	fixture_load(f);
	if (trace_count(f->t, REC_LABEL_KIND) != sizeof(ids) / sizeof(ids[0]))
		skip(); /* refused below the trace */
	label = trace_find(f->t, REC_LABEL_KIND, 3);
	assert_int_equal(label->value, 1); /* the first of them */
	label = trace_find(f->t, REC_LABEL_KIND, 1);
	assert_int_equal(label->value, 4);
	assert_null(trace_find(f->t, REC_LABEL_KIND, 2));
}

static void test_ids_with_holes(void **state)
{
	struct fixture *f = *state;
	const struct rec_label *label;

	for (uint64_t id = 3; id < 300; id += 3) {
		struct rec_label r = { .id = id, .key = pub(f, "k"), .value = id };

		bundle_writer_put(f->w, REC_LABEL_KIND, &r);
	}
	fixture_load(f);
	for (uint64_t id = 0; id < 310; id++) {
		label = trace_find(f->t, REC_LABEL_KIND, id);
		if (id % 3 || !id || id >= 300)
			assert_null(label);
		else
			assert_int_equal(label->value, id);
	}
}

static void test_not_a_bundle(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_null(trace_load("/nowhere/at/all", &err));
	assert_int_equal(err.kind, ERR_USAGE);
}

/*
 * One long-lived thread context, 10,000 calls, 100,000 sightings, one of them over the whole
 * window: all calls with functions without looking at what is not theirs. A scan of the context
 * for each call would be a billion steps, far beyond the bound even where sanitizers are slow.
 */
static void test_large(void **state)
{
	struct fixture *f = *state;
	struct timespec before, after;
	long total = 0;

	fixture_window(f);
	for (uint64_t i = 0; i < 100; i++)
		put(f, STACK, stack, .process = 1, .frames = list(i + 1, i + 2, i + 3, 1, 2, 3));
	put(f, SIGHTING, sighting, .context = 1, .stack = 1, .source = SOURCE_SYSCALL, .first = 0,
	    .last = 100000000, .count = 9);
	for (uint64_t i = 0; i < 100000; i++)
		put(f, SIGHTING, sighting, .context = 1, .stack = 1 + i % 100,
		    .source = SOURCE_SOCKET, .first = i * 10, .last = i * 10 + 5, .count = 1);
	for (uint64_t i = 0; i < 10000; i++)
		put(f, BINDING, binding, .context = 1, .call = i + 1, .from = i * 100,
		    .until = i * 100 + 95, .link = LINK_THREAD);
	fixture_load(f);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	for (uint64_t call = 1; call <= 10000; call++) {
		struct trace_call_function *out;
		long n = trace_call_functions(f->t, call, &out);

		assert_true(n > 0);
		total += n;
		free(out);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_true(total > 100000);
	assert_true((after.tv_sec - before.tv_sec) * 1000 +
			    (after.tv_nsec - before.tv_nsec) / 1000000 <
		    2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_tables),
		fixture_test(test_sha256_is_of_the_file),
		fixture_test(test_relations),
		fixture_test(test_realtime),
		fixture_test(test_call_functions),
		fixture_test(test_call_functions_bound_twice),
		fixture_test(test_call_functions_as_plain_scan),
		fixture_test(test_losses),
		fixture_test(test_empty),
		fixture_test(test_hostile_references),
		fixture_test(test_ids_out_of_order),
		fixture_test(test_ids_with_holes),
		cmocka_unit_test(test_not_a_bundle),
		fixture_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
