/*
 * The CPython walk with the layout of every version that is shipped, over a memory of our own: the
 * strategies find this thread's state and no other's, names of every kind count, and what shows no
 * function is passed over. Objects are built by the layout, so this proves the mechanism; the
 * numbers are proved on interpreters (tools/python-layout, tests/live/python-matrix.sh).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collect/layouts.h"
#include "wire.h"

#define BASE 0x7f0000000000ULL
#define SIZE (256 * 1024)
#define STACK 0x700000000000ULL /* sp of the thread at hand; its stack is outside the memory */
#define SPAN (8ULL << 20)
#define THREAD 0x7f00deadb000ULL

static wire_8 memory[SIZE];
static wire_64 used;
static unsigned int reads;
static struct catalog *catalog;
static struct wire_layout layout;

static int py_read(void *dst, wire_32 size, wire_64 address)
{
	reads++;
	/* A thread's own C stack is a window of this memory, too. */
	if (address >= STACK && address < STACK + 4096)
		address = BASE + SIZE - 4096 + (address - STACK);
	if (address < BASE || address - BASE > SIZE || size > SIZE - (address - BASE))
		return -1;
	memcpy(dst, memory + (address - BASE), size);
	return 0;
}

#include "pyframes.h"

static wire_64 take(wire_64 size)
{
	wire_64 at = BASE + used;

	used += (size + 63) / 64 * 64;
	assert_true(used <= SIZE - 4096);
	return at;
}

static void put(wire_64 address, wire_s32 offset, wire_64 value, size_t size)
{
	if (offset < 0)
		return;
	if (address >= STACK && address < STACK + 4096)
		address = BASE + SIZE - 4096 + (address - STACK);
	memcpy(memory + (address + (wire_64)offset - BASE), &value, size);
}

static void use(unsigned int major, unsigned int minor)
{
	assert_true(layouts_convert(catalog_python(catalog, major, minor), &layout));
	memset(memory, 0, sizeof(memory));
	used = 64;
	reads = 0;
}

static wire_64 new_text(const char *text)
{
	wire_64 at = take(128 + strlen(text));

	put(at, layout.unicode_length, strlen(text), 8);
	put(at, layout.unicode_hash, ~0ULL, 8);
	put(at, layout.unicode_state, 1 << 2 | 1 << 5 | 1 << 6, 4);
	memcpy(memory + (at + (wire_64)layout.unicode_ascii_data - BASE), text, strlen(text));
	return at;
}

static wire_64 new_code(const char *name, wire_32 line)
{
	wire_64 at = take(320), text = new_text(name);

	put(at, layout.code_word, 0x97, 2);
	put(at, layout.code_firstlineno, line, 4);
	put(at, layout.code_filename, new_text("/srv/app.py"), 8);
	put(at, layout.code_name, text, 8);
	put(at, layout.code_qualname, text, 8);
	return at;
}

static wire_64 fill_frame(wire_64 at, wire_64 code, wire_64 previous)
{
	put(at, layout.frame_code, code, 8);
	put(at, layout.frame_previous, previous, 8);
	put(at, layout.frame_owner, 0, 1);
	return at;
}

static wire_64 new_frame(wire_64 code, wire_64 previous)
{
	return fill_frame(take(128), code, previous);
}

/* A frame that the C stack owns, at this place. */
static wire_64 entry_frame(wire_64 at, wire_64 previous)
{
	fill_frame(at, 0, previous);
	put(at, layout.frame_owner, (wire_64)layout.owner_c_stack, 1);
	return at;
}

/* What makes a thread state this thread's: a record at `place`, or the thread's name. */
static wire_64 new_state(wire_64 next, wire_64 place, wire_64 thread, wire_64 frame)
{
	wire_64 at = take(256);

	put(at, layout.tstate_next, next, 8);
	put(at, layout.tstate_cframe, place, 8);
	put(at, layout.tstate_thread_id, thread, 8);
	put(at, layout.tstate_frame, frame, 8);
	if (layout.tstate_cframe >= 0 && place >= STACK && place < STACK + 4000)
		put(place, layout.cframe_current_frame, frame, 8);
	return at;
}

static wire_64 new_runtime(wire_64 states)
{
	wire_64 at = take(8192), interp = take(16384);

	put(at, layout.runtime_interpreters_head, interp, 8);
	put(interp, layout.interp_threads_head, states, 8);
	return at;
}

static struct py_search search(wire_64 runtime)
{
	struct py_search s = { .sp = STACK, .top = STACK + SPAN, .thread_id = THREAD };
	int steps = 0;

	py_search_begin(&layout, &s, runtime);
	while (steps < PY_SEARCH_STEPS && !py_search_step(&layout, &s))
		steps++;
	return s;
}

static struct py_frame frames[WIRE_FRAMES];

static struct py_walk walk(const struct py_search *s, wire_64 state)
{
	struct py_walk w = { .own_from = BASE, .own_to = BASE + 64 };
	wire_64 frame = 0;
	int i = 0;

	assert_int_equal(py_first_frame(&layout, s, state, &frame), 0);
	py_walk_begin(&w, frame);
	while (i < WIRE_FRAMES && !py_walk_step(&layout, &w, &frames[i]))
		i++;
	return w;
}

/* ---- every version ---- */

static const unsigned int versions[][2] = { { 2, 7 },  { 3, 6 },  { 3, 7 },  { 3, 8 }, { 3, 9 },
					    { 3, 10 }, { 3, 11 }, { 3, 12 }, { 3, 13 } };

#define VERSIONS (sizeof(versions) / sizeof(versions[0]))

static void test_every_version_walks(void **state)
{
	struct layouts table = { 0 };

	(void)state;
	for (size_t v = 0; v < VERSIONS; v++) {
		wire_64 codes[4], top = 0, states, mine, runtime;
		struct py_search s;
		struct py_walk w;
		int place;

		use(versions[v][0], versions[v][1]);
		for (int i = 0; i < 4; i++) {
			codes[i] = new_code("f", (wire_32)i + 1);
			if (i == 2 && layout.owner_c_stack >= 0)
				top = entry_frame(STACK + 512, top);
			top = new_frame(codes[i], top);
		}
		states = new_state(0, STACK - 4096, THREAD + 8, new_frame(codes[0], 0));
		mine = states = new_state(states, STACK + 64, THREAD, top);
		states = new_state(states, STACK + SPAN, THREAD + 16, new_frame(codes[1], 0));
		runtime = new_runtime(states);
		s = search(runtime);
		assert_int_equal(s.best, mine);
		assert_int_equal(s.matches, 1);
		assert_false(py_search_ambiguous(&layout, &s));
		w = walk(&s, mine);
		assert_true(py_walk_ours(&layout, &s, &w));
		assert_true(!w.failed && !w.frame);
		assert_int_equal(w.count, 4);
		for (int i = 0; i < 4; i++)
			assert_int_equal(frames[i].code, codes[3 - i]);
		place = layouts_place(&table,
				      catalog_python(catalog, versions[v][0], versions[v][1]));
		assert_true(place >= 0 && place < (int)table.count);
	}
	/* Some versions share a layout; asking again adds none. */
	assert_true(table.count > 5 && table.count <= VERSIONS);
	for (size_t v = 0; v < VERSIONS; v++)
		assert_true(layouts_place(&table, catalog_python(catalog, versions[v][0],
								 versions[v][1])) >= 0);
	assert_true(table.count <= VERSIONS);
}

static void test_any_bytes(void **state)
{
	wire_64 seed = 777;

	(void)state;
	for (size_t v = 0; v < VERSIONS; v++) {
		for (int round = 0; round < 20; round++) {
			struct py_search s;
			wire_64 frame;

			use(versions[v][0], versions[v][1]);
			for (wire_64 at = 0; at < SIZE; at += 8) {
				seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
				put(BASE + at, 0,
				    seed >> 63 ? BASE + (seed >> 20) % SIZE / 8 * 8 : seed, 8);
			}
			s = search(BASE + (seed >> 30) % SIZE / 8 * 8);
			assert_true(reads <= 3 * PY_SEARCH_STEPS + 3);
			reads = 0;
			if (!py_first_frame(&layout, &s, s.best, &frame))
				walk(&s, s.best);
			assert_true(reads <= (5 + PY_PASS_MAX * 2) * WIRE_FRAMES + 6);
		}
	}
}

/* ---- thread-id-unique ---- */

static void test_one_thread_two_states(void **state)
{
	wire_64 code, runtime, first, second;
	struct py_search s;

	(void)state;
	use(3, 8);
	code = new_code("f", 1);
	first = new_state(0, 0, THREAD, new_frame(code, 0));
	second = new_state(first, 0, THREAD, new_frame(code, 0));
	runtime = new_runtime(second);
	s = search(runtime);
	assert_true(py_search_ambiguous(&layout, &s));
	/* One that runs nothing at the moment is none, as one of a thread that begins. */
	put(second, layout.tstate_frame, 0, 8);
	s = search(runtime);
	assert_false(py_search_ambiguous(&layout, &s));
	assert_int_equal(s.best, first);
	/* A list that breaks off may have held another one. */
	put(first, layout.tstate_next, 0xdeadbeef, 8);
	s = search(runtime);
	assert_true(s.best && py_search_ambiguous(&layout, &s));
	put(first, layout.tstate_next, second, 8);
	s = search(runtime);
	assert_true(s.best && py_search_ambiguous(&layout, &s));
	/* Nobody's. */
	put(first, layout.tstate_next, 0, 8);
	put(first, layout.tstate_thread_id, THREAD + 1, 8);
	s = search(runtime);
	assert_true(!s.best && !py_search_ambiguous(&layout, &s));
}

/* ---- entry-frame-on-stack ---- */

static void test_entry_frames(void **state)
{
	wire_64 code, inner, outer, high, low, runtime;
	struct py_search s;
	struct py_walk w;

	(void)state;
	use(3, 13);
	code = new_code("f", 1);
	/* Two interpreters' states on one stack: the lower entry is the current one. */
	high = new_state(0, 0, THREAD, new_frame(code, entry_frame(STACK + 2048, 0)));
	inner = new_frame(code, new_frame(code, entry_frame(STACK + 1024, 0)));
	low = new_state(high, 0, THREAD, inner);
	/* And one of another thread, whose entry lies elsewhere. */
	outer = new_frame(code, entry_frame(take(128), 0));
	runtime = new_runtime(new_state(low, 0, THREAD, outer));
	s = search(runtime);
	assert_int_equal(s.best, low);
	assert_int_equal(s.best_place, STACK + 1024);
	w = walk(&s, low);
	assert_true(py_walk_ours(&layout, &s, &w));
	assert_int_equal(w.count, 2);
	/* What was this thread's state may be another one's by now: the walk tells. */
	put(low, layout.tstate_frame, outer, 8);
	w = walk(&s, low);
	assert_int_equal(w.count, 1);
	assert_false(py_walk_ours(&layout, &s, &w));
	/* So may one without any entry. */
	put(low, layout.tstate_frame, new_frame(code, 0), 8);
	w = walk(&s, low);
	assert_false(py_walk_ours(&layout, &s, &w));
	s = search(runtime);
	assert_int_equal(s.best, high);
	/* No end of entries is no stack. */
	put(high, layout.tstate_frame, entry_frame(STACK + 64, STACK + 64), 8);
	w = walk(&s, high);
	assert_true(w.failed && !w.count);
}

/* The interpreter's own glue is passed over; other code without a line is not. */
static void test_glue(void **state)
{
	wire_64 code, glue, frame;
	struct py_search s = { .sp = STACK, .top = STACK + SPAN };
	struct py_walk w;

	(void)state;
	use(3, 13);
	used = 0;
	glue = take(64);
	used = 512;
	code = new_code("__init__", 1);
	frame = new_frame(code, new_frame(glue, new_frame(new_code("g", 0), 0)));
	w = walk(&s, new_state(0, 0, THREAD, frame));
	assert_int_equal(w.count, 2);
	assert_int_equal(frames[0].code, code);
	assert_int_not_equal(frames[1].code, glue);
	put(glue, layout.code_firstlineno, 7, 4);
	put(glue, layout.code_name, new_text("frozen"), 8);
	put(glue, layout.code_qualname, new_text("frozen"), 8);
	put(glue, layout.code_filename, new_text("<frozen x>"), 8);
	w = walk(&s, new_state(0, 0, THREAD, frame));
	assert_int_equal(w.count, 3);
}

/* ---- names ---- */

static void test_names_of_bytes(void **state)
{
	wire_64 code, name, tstate;
	struct py_search s = { .thread_id = THREAD };
	wire_64 before;

	(void)state;
	use(2, 7);
	assert_true(layout.unicode_state < 0);
	code = new_code("handle", 3);
	memcpy(&name, memory + (code + (wire_64)layout.code_name - BASE), 8);
	tstate = new_state(0, 0, THREAD, new_frame(code, 0));
	before = walk(&s, tstate).hash1;
	/* The whole state word is nothing but how the string is interned. */
	put(name, layout.unicode_hash + 8, ~0ULL, 4);
	assert_int_equal(walk(&s, tstate).hash1, before);
	memory[name + (wire_64)layout.unicode_ascii_data + 5 - BASE] = 'r';
	assert_int_not_equal(walk(&s, tstate).hash1, before);
}

static void test_coroutines_by_flags(void **state)
{
	wire_64 inner, outer, tstate, top;
	struct py_search s = { .thread_id = THREAD };

	(void)state;
	use(3, 8);
	inner = new_code("inner", 1);
	outer = new_code("outer", 2);
	top = new_frame(outer, 0);
	tstate = new_state(0, 0, THREAD, new_frame(inner, top));
	assert_int_equal(walk(&s, tstate).coroutine, 0);
	put(outer, layout.code_flags, 0x20, 4); /* a plain generator */
	assert_int_equal(walk(&s, tstate).coroutine, 0);
	put(outer, layout.code_flags, 0x80, 4);
	assert_int_equal(walk(&s, tstate).coroutine, top);
}

static int load(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	catalog = catalog_load(NULL, &err);
	return catalog ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	catalog_free(catalog);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_version_walks),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_one_thread_two_states),
		cmocka_unit_test(test_entry_frames),
		cmocka_unit_test(test_glue),
		cmocka_unit_test(test_names_of_bytes),
		cmocka_unit_test(test_coroutines_by_flags),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
