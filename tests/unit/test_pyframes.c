/*
 * The CPython walk over a memory of our own: which thread state is found, which frames are visited,
 * what changes a fingerprint, and that loops and garbage end. bpf/pyframes.h runs unchanged; only
 * its reads of memory are ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collect/layouts.h"
#include "wire.h"

/* ---- the memory ---- */

#define BASE 0x7f0000000000ULL
#define SIZE (256 * 1024)

static wire_8 memory[SIZE];
static wire_64 used; /* bytes handed out */
static wire_64 forbidden; /* an address that cannot be read; 0: none */
static unsigned int reads;

static int py_read(void *dst, wire_32 size, wire_64 address)
{
	reads++;
	if (address < BASE || address - BASE > SIZE || size > SIZE - (address - BASE))
		return -1;
	if (forbidden && address <= forbidden && forbidden < address + size)
		return -1;
	memcpy(dst, memory + (address - BASE), size);
	return 0;
}

#include "pyframes.h"

static struct wire_layout layout; /* of 3.11; the objects below are laid out so */

static wire_64 take(wire_64 size)
{
	wire_64 at = BASE + used;

	used += (size + 63) / 64 * 64;
	assert_true(used <= SIZE);
	return at;
}

static void put(wire_64 address, wire_64 value)
{
	memcpy(memory + (address - BASE), &value, sizeof(value));
}

static wire_64 new_text(const char *text, wire_64 hash)
{
	wire_64 at = take(48 + strlen(text) + 1);

	put(at + 16, strlen(text));
	put(at + 24, hash);
	put(at + 32, 1 << 2 | 1 << 5 | 1 << 6); /* one byte a character, compact, ASCII */
	memcpy(memory + (at + 48 - BASE), text, strlen(text) + 1);
	return at;
}

static wire_64 new_code(wire_64 filename, wire_64 name, wire_32 line)
{
	wire_64 at = take(256);

	put(at + 72, line);
	put(at + 112, filename);
	put(at + 120, name);
	put(at + 128, name);
	put(at + 184, 0x97);
	return at;
}

static wire_64 new_frame(wire_64 code, wire_64 previous)
{
	wire_64 at = take(80);

	put(at + 32, code);
	put(at + 48, previous);
	return at;
}

/* A thread state in front of `next`, whose C frame record is at `cframe` and shows `frame`. */
static wire_64 new_thread(wire_64 next, wire_64 cframe, wire_64 frame)
{
	wire_64 at = take(64);

	put(at + 8, next);
	put(at + 56, cframe);
	if (cframe >= BASE && cframe < BASE + SIZE - 16)
		put(cframe + 8, frame);
	return at;
}

static wire_64 new_interp(wire_64 next, wire_64 threads)
{
	wire_64 at = take(64);

	put(at + 0, next);
	put(at + 16, threads);
	return at;
}

static wire_64 new_runtime(wire_64 interps)
{
	wire_64 at = take(64);

	put(at + 40, interps);
	return at;
}

static int load(void **state)
{
	struct err err = ERR_INIT;
	struct catalog *c = catalog_load(NULL, &err);
	bool done = c && layouts_convert(catalog_python(c, 3, 11), &layout);

	(void)state;
	catalog_free(c);
	return done ? 0 : -1;
}

static int setup(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	used = 64; /* so that no object is at BASE */
	forbidden = 0;
	reads = 0;
	return 0;
}

/* ---- as the programs drive it ---- */

#define SPAN (8ULL << 20) /* from sp to the top of a thread's stack */

static struct py_search search(wire_64 runtime, wire_64 sp)
{
	struct py_search s = { .sp = sp, .top = sp + SPAN };
	int steps = 0;

	py_search_begin(&layout, &s, runtime);
	while (steps < PY_SEARCH_STEPS && !py_search_step(&layout, &s))
		steps++;
	return s;
}

static struct py_frame frames[WIRE_FRAMES];

static struct py_walk walk(wire_64 cframe)
{
	struct py_walk w = { 0 };
	int i = 0;

	memset(frames, 0, sizeof(frames));
	py_walk_begin(&w, 0);
	if (cframe)
		w.failed = py_read(&w.frame, 8, cframe + 8) != 0;
	while (i < WIRE_FRAMES && !py_walk_step(&layout, &w, &frames[i]))
		i++;
	return w;
}

/* ---- the search ---- */

static void test_search_finds_own_thread(void **state)
{
	wire_64 stacks[3], threads = 0, own[3], runtime;

	(void)state;
	/* Three threads; their C stacks are 9 MiB apart, so only one record can be on each. */
	for (int i = 0; i < 3; i++) {
		stacks[i] = 0x700000000000ULL + (wire_64)i * (9 << 20);
		threads = own[i] = new_thread(threads, stacks[i] + 4096, 0);
	}
	runtime = new_runtime(new_interp(0, threads));
	for (int i = 0; i < 3; i++) {
		struct py_search s = search(runtime, stacks[i]);

		assert_int_equal(s.best, own[i]);
		assert_int_equal(s.best_place, stacks[i] + 4096);
		assert_int_equal(s.failed, 0);
	}
	/* A thread that has none: below all, between, above all. */
	assert_int_equal(search(runtime, stacks[0] - (9 << 20)).best, 0);
	assert_int_equal(search(runtime, stacks[0] + 4097).best, 0);
	assert_int_equal(search(runtime, stacks[2] + 4097).best, 0);
	/* The record at sp itself counts, the one a whole span above does not. */
	assert_int_equal(search(runtime, stacks[1] + 4096).best, own[1]);
	assert_int_equal(search(runtime, stacks[1] + 4096 - SPAN + 1).best, own[1]);
	assert_int_equal(search(runtime, stacks[1] + 4096 - SPAN).best, 0);
}

static void test_search_takes_the_lowest(void **state)
{
	const wire_64 sp = 0x700000000000ULL;
	/* One thread in three interpreters: each has a record on this stack. */
	wire_64 high = new_thread(0, sp + 30000, 0);
	wire_64 low = new_thread(new_thread(0, sp + 20000, 0), sp + 10000, 0);
	wire_64 middle = new_thread(0, sp + 20000, 0);
	wire_64 last = new_interp(0, middle);
	wire_64 runtime = new_runtime(new_interp(new_interp(last, low), high));
	struct py_search s = search(runtime, sp);

	(void)state;
	assert_int_equal(s.best, low);
	assert_int_equal(s.best_place, sp + 10000);
	/* Once its function has returned, the next one is current. */
	assert_int_equal(search(runtime, sp + 10001).best_place, sp + 20000);
}

static void test_search_of_empty_runtimes(void **state)
{
	struct py_search s;

	(void)state;
	s = search(new_runtime(0), 4096);
	assert_true(s.done && !s.failed && !s.best);
	s = search(new_runtime(new_interp(0, 0)), 4096);
	assert_true(s.done && !s.failed && !s.best);
	s = search(8, 4096);
	assert_true(s.done && s.failed && !s.best);
}

static void test_search_ends_in_loops_and_garbage(void **state)
{
	const wire_64 sp = 0x700000000000ULL;
	wire_64 first, second, runtime;
	struct py_search s;

	(void)state;
	/* Two threads that name each other: as many steps as there may be, no more. */
	first = new_thread(0, sp + 64, 0);
	second = new_thread(first, 0, 0);
	put(first + 8, second);
	runtime = new_runtime(new_interp(0, first));
	reads = 0;
	s = search(runtime, sp);
	assert_int_equal(s.best, first);
	assert_true(reads <= 2 * PY_SEARCH_STEPS + 2);
	/* Interpreters in a loop, without threads. */
	first = new_interp(0, 0);
	put(first, first);
	reads = 0;
	s = search(new_runtime(first), sp);
	assert_int_equal(s.best, 0);
	assert_true(reads <= 2 * PY_SEARCH_STEPS + 2);
	/* A pointer into nowhere ends it, and says so; what was found before stays. */
	first = new_thread(0xdeadbeef, sp + 64, 0);
	s = search(new_runtime(new_interp(0, first)), sp);
	assert_true(s.done && s.failed);
	assert_int_equal(s.best, first);
	s = search(new_runtime(new_interp(0xdeadbeef, new_thread(0, sp + 64, 0))), sp);
	assert_true(s.done && s.failed && s.best);
	s = search(new_runtime(0xdeadbeef), sp);
	assert_true(s.done && s.failed && !s.best);
	/* The next step of a search that is over does nothing. */
	reads = 0;
	assert_int_equal(py_search_step(&layout, &s), 1);
	assert_int_equal(reads, 0);
}

/* ---- the walk ---- */

static wire_64 new_stack(int depth, wire_64 *outermost, wire_64 *innermost)
{
	wire_64 file = new_text("/srv/app.py", ~0ULL), frame = 0, cframe = take(16);
	char name[] = "f00";

	for (int i = 0; i < depth; i++) {
		name[1] = (char)('0' + i / 10 % 10);
		name[2] = (char)('0' + i % 10);
		frame = new_frame(new_code(file, new_text(name, ~0ULL), (wire_32)i + 1), frame);
		if (!i)
			*outermost = frame;
	}
	*innermost = frame;
	put(cframe + 8, frame);
	return cframe;
}

static void test_walk_visits_all_frames(void **state)
{
	wire_64 outermost, innermost, cframe = new_stack(20, &outermost, &innermost), frame;
	struct py_walk w;

	(void)state;
	reads = 0;
	w = walk(cframe);
	/* What a walk costs: frame, code, and the head and text of its name; the file's name once.
	 */
	assert_int_equal(reads, 1 + 20 * 4 + 2);
	assert_int_equal(w.count, 20);
	assert_int_equal(w.failed, 0);
	assert_int_equal(w.frame, 0);
	assert_int_equal(w.outermost, outermost);
	frame = innermost;
	for (int i = 0; i < 20; i++) {
		wire_64 code;

		memcpy(&code, memory + (frame + 32 - BASE), 8);
		assert_int_equal(frames[i].code, code);
		assert_int_not_equal(frames[i].fingerprint, 0);
		memcpy(&frame, memory + (frame + 48 - BASE), 8);
	}
}

/* A name that is not ASCII: two bytes a character, behind a longer head, its hash not computed. */
static wire_64 new_wide_text(const char *text, wire_64 cache)
{
	size_t len = strlen(text);
	wire_64 at = take(72 + 2 * len + 2);

	put(at + 16, len);
	put(at + 24, ~0ULL);
	put(at + 32, 2 << 2 | 1 << 5);
	put(at + 56, cache); /* the UTF-8 copy that may come and go */
	for (size_t i = 0; i < len; i++)
		memory[at + 72 + 2 * i - BASE] = (wire_8)text[i];
	return at;
}

static void test_walk_reads_wide_names(void **state)
{
	wire_64 file = new_text("/srv/app.py", ~0ULL), name = new_wide_text("fa", 0);
	wire_64 code = new_code(file, name, 1), cframe = take(16), before;

	(void)state;
	put(cframe + 8, new_frame(code, 0));
	walk(cframe);
	before = frames[0].fingerprint;
	put(name + 56, 0x7f0000001000ULL);
	walk(cframe);
	assert_int_equal(frames[0].fingerprint, before);
	memory[name + 74 - BASE] = 'b';
	walk(cframe);
	assert_int_not_equal(frames[0].fingerprint, before);
}

/* Marks a frame as a generator's, and its code object with co_flags. */
static void mark_generator(wire_64 frame, wire_32 flags)
{
	wire_64 code;

	memcpy(&code, memory + (frame + 32 - BASE), 8);
	memory[frame + 69 - BASE] = 1;
	memcpy(memory + (code + 48 - BASE), &flags, 4);
}

static void test_walk_tells_coroutines(void **state)
{
	wire_64 file = new_text("/srv/app.py", ~0ULL), name = new_text("f", ~0ULL), frame = 0;
	wire_64 at[5], cframe = take(16);
	struct py_walk w;

	(void)state;
	for (int i = 0; i < 5; i++)
		at[i] = frame = new_frame(new_code(file, name, (wire_32)i + 1), frame);
	put(cframe + 8, frame);
	assert_int_equal(walk(cframe).coroutine, 0);
	mark_generator(at[1], 0x20); /* a plain generator */
	w = walk(cframe);
	assert_int_equal(w.coroutine, 0);
	assert_int_equal(w.outermost, at[0]);
	mark_generator(at[3], 0x80); /* a coroutine */
	assert_int_equal(walk(cframe).coroutine, at[3]);
	mark_generator(at[2], 0x200); /* an async generator outside it: the outermost one counts */
	assert_int_equal(walk(cframe).coroutine, at[2]);
}

static void test_walk_without_frames(void **state)
{
	wire_64 cframe = take(16);
	struct py_walk w;

	(void)state;
	w = walk(cframe);
	assert_true(!w.count && !w.failed && !w.outermost);
	w = walk(0);
	assert_true(!w.count && !w.failed);
	w = walk(0xdeadbeef);
	assert_true(!w.count && w.failed);
}

static void test_walk_is_partial_when_a_read_fails(void **state)
{
	wire_64 outermost, innermost, cframe = new_stack(5, &outermost, &innermost), code, name;
	wire_64 places[4];
	struct py_walk w;

	(void)state;
	memcpy(&code, memory + (outermost + 32 - BASE), 8);
	memcpy(&name, memory + (code + 128 - BASE), 8);
	places[0] = outermost + 40;
	places[1] = code + 100;
	places[2] = name + 20; /* length and hash */
	places[3] = name + 49; /* the text */
	for (int i = 0; i < 4; i++) {
		forbidden = places[i];
		w = walk(cframe);
		assert_int_equal(w.failed, 1);
		assert_int_equal(w.count, 4);
		assert_int_not_equal(w.outermost, outermost);
		/* Over is over. */
		assert_int_equal(py_walk_step(&layout, &w, &frames[0]), 1);
	}
	forbidden = 0;
	put(outermost + 32, 0); /* a frame half made: no code yet */
	w = walk(cframe);
	assert_true(w.failed && w.count == 4);
}

static void test_walk_ends_in_loops_and_depth(void **state)
{
	wire_64 outermost, innermost, cframe = new_stack(8, &outermost, &innermost);
	struct py_walk w;

	(void)state;
	put(outermost + 48, innermost);
	reads = 0;
	w = walk(cframe);
	/* Not at the end: the programs take that for partial. */
	assert_int_equal(w.count, WIRE_FRAMES);
	assert_int_not_equal(w.frame, 0);
	assert_true(reads <= 6 * WIRE_FRAMES + 1);
	put(outermost + 48, 0xdeadbeef);
	w = walk(cframe);
	assert_true(w.failed && w.count == 8);
}

/* ---- the fingerprint ---- */

static wire_64 hash_of(wire_64 cframe)
{
	struct py_walk w = walk(cframe), again = walk(cframe);

	assert_int_equal(w.count, 1);
	assert_int_equal(w.failed, 0);
	assert_int_equal(w.hash1, again.hash1);
	assert_int_equal(w.hash2, again.hash2);
	return w.hash1;
}

static void test_same_address_other_code(void **state)
{
	wire_64 file = new_text("/srv/a.py", ~0ULL), file2 = new_text("/srv/b.py", ~0ULL);
	wire_64 name = new_text("handle", ~0ULL), interned = new_text("other", 0x1234);
	wire_64 code = new_code(file, name, 10), cframe = take(16), seen[11];
	int n = 0;

	(void)state;
	put(cframe + 8, new_frame(code, 0));
	seen[n++] = hash_of(cframe);
	put(code + 72, 11); /* the line */
	seen[n++] = hash_of(cframe);
	put(code + 72, 10);
	put(code + 112, file2); /* the file's name, elsewhere */
	seen[n++] = hash_of(cframe);
	put(code + 112, new_text("/srv/a.py", ~0ULL)); /* an equal one: told apart, too */
	seen[n++] = hash_of(cframe);
	put(code + 112, file);
	memcpy(memory + (name + 48 - BASE), "hundle", 6); /* the name's text, in place */
	seen[n++] = hash_of(cframe);
	put(name + 16, 5); /* "hundl" */
	seen[n++] = hash_of(cframe);
	put(code + 128, interned); /* a name whose hash is known */
	seen[n++] = hash_of(cframe);
	put(interned + 24, 0x1235); /* another name at its address */
	seen[n++] = hash_of(cframe);
	put(code + 184, 0x98); /* the first instruction */
	seen[n++] = hash_of(cframe);
	put(code + 112, file);
	memcpy(memory + (file + 48 - BASE), "/srv/c", 6); /* the file name's text, in place */
	seen[n++] = hash_of(cframe);
	put(file + 24, 0x1234); /* its hash, computed meanwhile */
	seen[n++] = hash_of(cframe);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < i; k++)
			assert_int_not_equal(seen[i], seen[k]);
}

static void test_specialised_code_is_the_same(void **state)
{
	wire_64 name = new_text("handle", ~0ULL), cframe = take(16);
	wire_64 code = new_code(new_text("/srv/a.py", ~0ULL), name, 10), before;

	(void)state;
	put(cframe + 8, new_frame(code, 0));
	before = hash_of(cframe);
	/* Past the first instruction's opcode and in unread fields the code may change. */
	put(code + 184, 0x7f0097);
	put(code + 192, ~0ULL);
	put(code + 76, 0xffffffffULL << 32);
	assert_int_equal(hash_of(cframe), before);
}

static void test_names_of_any_length(void **state)
{
	char text[200];
	wire_64 file = new_text("/srv/a.py", ~0ULL), cframe = take(16), name, code, seen[3];

	(void)state;
	memset(text, 'n', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	name = new_text(text, ~0ULL);
	code = new_code(file, name, 1);
	put(cframe + 8, new_frame(code, 0));
	seen[0] = hash_of(cframe);
	memory[name + 48 + PY_TEXT_SPAN - 1 - BASE] = 'm'; /* the last byte that is read */
	seen[1] = hash_of(cframe);
	put(name + 16, ~0ULL >> 1); /* a length that lies */
	seen[2] = hash_of(cframe);
	assert_int_not_equal(seen[0], seen[1]);
	assert_int_not_equal(seen[1], seen[2]);
	/* Each length counts, and none is read past its room. */
	for (wire_64 length = 0; length < sizeof(text); length++) {
		seen[0] = seen[1];
		put(name + 16, length);
		seen[1] = hash_of(cframe);
		assert_int_not_equal(seen[0], seen[1]);
	}
}

/* Paths of one tree begin alike: their ends count. */
static void test_long_file_names(void **state)
{
	char text[300];
	wire_64 file, cframe = take(16), before;

	(void)state;
	memset(text, 'd', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	file = new_text(text, ~0ULL);
	put(cframe + 8, new_frame(new_code(file, new_text("f", ~0ULL), 1), 0));
	before = hash_of(cframe);
	memory[file + 48 + sizeof(text) - 2 - BASE] = 'e'; /* its last character */
	assert_int_not_equal(hash_of(cframe), before);
}

static void test_order_of_frames_counts(void **state)
{
	wire_64 file = new_text("/srv/a.py", ~0ULL), cframe = take(16), hashes[3][2];
	wire_64 a = new_code(file, new_text("a", ~0ULL), 1),
		b = new_code(file, new_text("b", ~0ULL), 2);
	wire_64 tops[3] = { new_frame(a, new_frame(b, 0)), new_frame(b, new_frame(a, 0)),
			    new_frame(a, new_frame(b, new_frame(b, 0))) };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct py_walk w;

		put(cframe + 8, tops[i]);
		w = walk(cframe);
		hashes[i][0] = w.hash1;
		hashes[i][1] = w.hash2;
		for (int k = 0; k < i; k++) {
			assert_int_not_equal(hashes[i][0], hashes[k][0]);
			assert_int_not_equal(hashes[i][1], hashes[k][1]);
		}
	}
	/* The same stack in other frames is the same stack. */
	put(cframe + 8, new_frame(a, new_frame(b, 0)));
	assert_int_equal(walk(cframe).hash1, hashes[0][0]);
	assert_int_equal(walk(cframe).hash2, hashes[0][1]);
}

/* Any bytes at all: every search and walk ends within its bounds. */
static void test_random_memory(void **state)
{
	wire_64 seed = 12345;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct py_search s;

		for (wire_64 at = 0; at < SIZE; at += 8) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			/* Half of the words are pointers into the memory. */
			put(BASE + at, seed >> 63 ? BASE + (seed >> 20) % SIZE / 8 * 8 : seed);
		}
		reads = 0;
		s = search(BASE + (seed >> 30) % SIZE / 8 * 8, BASE);
		assert_true(reads <= 2 * PY_SEARCH_STEPS + 2);
		reads = 0;
		walk(s.best_place ? s.best_place : BASE + 8);
		assert_true(reads <= 6 * WIRE_FRAMES + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_search_finds_own_thread, setup),
		cmocka_unit_test_setup(test_search_takes_the_lowest, setup),
		cmocka_unit_test_setup(test_search_of_empty_runtimes, setup),
		cmocka_unit_test_setup(test_search_ends_in_loops_and_garbage, setup),
		cmocka_unit_test_setup(test_walk_visits_all_frames, setup),
		cmocka_unit_test_setup(test_walk_reads_wide_names, setup),
		cmocka_unit_test_setup(test_walk_tells_coroutines, setup),
		cmocka_unit_test_setup(test_walk_without_frames, setup),
		cmocka_unit_test_setup(test_walk_is_partial_when_a_read_fails, setup),
		cmocka_unit_test_setup(test_walk_ends_in_loops_and_depth, setup),
		cmocka_unit_test_setup(test_same_address_other_code, setup),
		cmocka_unit_test_setup(test_specialised_code_is_the_same, setup),
		cmocka_unit_test_setup(test_names_of_any_length, setup),
		cmocka_unit_test_setup(test_long_file_names, setup),
		cmocka_unit_test_setup(test_order_of_frames_counts, setup),
		cmocka_unit_test_setup(test_random_memory, setup),
	};

	return cmocka_run_group_tests(tests, load, NULL);
}
