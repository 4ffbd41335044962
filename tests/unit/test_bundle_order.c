/* Links removed, moved, repeated, inserted, appended: each is named, at its place. */
#include "bundle_kit.h"

#define LINKS 6
#define FRAMES_MAX 64

/* A bundle in pieces: the header, its links, the index. */
struct pieces {
	struct bytes whole;
	uint64_t start[LINKS + 2]; /* of links 1 .. LINKS; [0] is the header, then the index */
};

static struct pieces pieces_make(const char *name)
{
	struct kit_frame frames[FRAMES_MAX];
	struct pieces p;
	size_t n, link = 1;

	kit_small(name, LINKS);
	p.whole = kit_load(kit_path);
	n = kit_frames(frames, FRAMES_MAX);
	p.start[0] = 0;
	p.start[1] = frames[0].size;
	for (size_t i = 1; i < n; i++) {
		if (frames[i].kind == SCAN_CHAIN)
			p.start[++link] = frames[i].offset + frames[i].size;
	}
	assert_int_equal(link, LINKS + 1);
	assert_int_equal(frames[n - 1].kind, SCAN_INDEX);
	return p;
}

/* Appends piece `i`: 0 the header, 1 .. LINKS a link, LINKS + 1 the index. */
static void add(struct bytes *out, const struct pieces *p, size_t i)
{
	uint64_t end = i == LINKS + 1 ? p->whole.len : p->start[i + 1];

	bytes_put(out, p->whole.data + p->start[i], end - p->start[i]);
}

/*
 * Stores the pieces named by the letters of `plan` (h header, 1-6 links, i index; capital letters
 * A-F: links of another bundle) and compares the findings with `says`: "kind@position ...", where
 * position counts the letters of the plan from 0.
 */
static void check(const char *plan, const char *says, bool sealed)
{
	struct pieces own = pieces_make("own"), other = pieces_make("other");
	struct bytes out = BYTES_INIT;
	struct verify_result result;
	struct err err = ERR_INIT;
	uint64_t starts[32];
	char got[512] = "";
	size_t n = strlen(plan);

	for (size_t i = 0; i < n; i++) {
		starts[i] = out.len;
		if (plan[i] == 'h')
			add(&out, &own, 0);
		else if (plan[i] == 'i')
			add(&out, &own, LINKS + 1);
		else if (plan[i] >= 'A' && plan[i] <= 'F')
			add(&out, &other, (size_t)(plan[i] - 'A' + 1));
		else
			add(&out, &own, (size_t)(plan[i] - '0'));
	}
	starts[n] = out.len;
	starts[0] = 0;
	kit_store(out.data, out.len);
	assert_int_equal(bundle_verify(kit_path, NULL, &result, &err), 0);
	for (size_t i = 0; i < result.findings_count; i++) {
		size_t at = 0, len = strlen(got);

		/* The first link begins with the header. */
		while (at <= n && starts[at] != result.findings[i].offset)
			at++;
		snprintf(got + len, sizeof(got) - len, "%s%s@%zu", len ? " " : "",
			 verify_kind_name(result.findings[i].kind), at);
	}
	if (strcmp(got, says))
		fail_msg("%s: \"%s\", not \"%s\"", plan, got, says);
	assert_int_equal(result.ok, !*says);
	assert_int_equal(result.sealed, sealed);
	verify_result_release(&result);
	bytes_release(&own.whole);
	bytes_release(&other.whole);
	bytes_release(&out);
}

static void whole(void **state)
{
	(void)state;
	check("h123456i", "", true);
	check("h123456", "cut@7", false);
	check("h123", "cut@4", false);
	check("h", "cut@0", false);
}

static void removed(void **state)
{
	(void)state;
	check("h12456i", "cut@3", true);
	check("h1236i", "cut@4", true);
	check("h1346", "cut@2 cut@4 cut@5", false);
	check("h12345i", "altered@6", true);
}

static void moved(void **state)
{
	(void)state;
	check("h132456i", "reordered@2 reordered@3", true);
	check("h145236i", "reordered@2 reordered@4 reordered@5", true);
	check("h123465i", "reordered@5 reordered@6 altered@7", true);
}

static void repeated(void **state)
{
	(void)state;
	check("h1223456i", "inserted@3", true);
	check("h1232456i", "inserted@4", true);
	check("h123456i6", "trailing@8", false);
	check("h123456ii", "trailing@8", false);
	check("h123456ih123456i", "trailing@8", false);
}

static void foreign(void **state)
{
	(void)state;
	check("h12C3456i", "inserted@3", true);
	check("h12F3456i", "inserted@3", true);
	check("h12A3456i", "inserted@3", true);
	/* Nobody can tell what link 4 should follow. */
	check("h12C456i", "altered@3 altered@4", true);
	check("h123456D", "inserted@7 cut@8", false);
}

/* One altered frame is one finding, and it is told which; what follows is still checked. */
static void altered(void **state)
{
	struct pieces p = pieces_make("own");
	struct kit_frame frames[FRAMES_MAX];
	size_t n = kit_frames(frames, FRAMES_MAX);
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 1; i < n; i++) {
		struct verify_result result;

		/* A byte near the end of each frame: a checksum, a hash, the index's seal. */
		p.whole.data[frames[i].offset + frames[i].size - 2] ^= 0x10;
		kit_store(p.whole.data, p.whole.len);
		p.whole.data[frames[i].offset + frames[i].size - 2] ^= 0x10;
		assert_int_equal(bundle_verify(kit_path, NULL, &result, &err), 0);
		assert_int_equal(result.findings[0].kind, VERIFY_ALTERED);
		/*
		 * The head of a string frame is wrong about the frame behind it; of the last chain
		 * frame nobody can tell whether it or its link is wrong.
		 */
		assert_in_range(result.findings[0].frame, i == n - 2 ? n - 5 : i, i + 1);
		if (i != n - 2)
			assert_int_equal(result.findings_count, 1);
		assert_true(result.sealed);
		assert_true(result.frames_good >= n - 6);
		verify_result_release(&result);
	}
	/* Two links at once. */
	p.whole.data[p.start[2] + 70] ^= 1;
	p.whole.data[p.start[5] + 70] ^= 1;
	kit_store(p.whole.data, p.whole.len);
	{
		struct verify_result result;

		assert_int_equal(bundle_verify(kit_path, NULL, &result, &err), 0);
		assert_int_equal(result.findings_count, 2);
		assert_in_range(result.findings[0].offset, p.start[2], p.start[3] - 1);
		assert_in_range(result.findings[1].offset, p.start[5], p.start[6] - 1);
		verify_result_release(&result);
	}
	bytes_release(&p.whole);
}

/* The number in a chain frame is not hashed, but it is checked. */
static void renumbered(void **state)
{
	struct pieces p = pieces_make("own");
	struct err err = ERR_INIT;

	(void)state;
	for (size_t link = 1; link <= LINKS; link++) {
		uint64_t at = p.start[link + 1] - BUNDLE_CHAIN_SIZE;
		struct verify_result result;

		p.whole.data[at] ^= 0x08;
		kit_store(p.whole.data, p.whole.len);
		p.whole.data[at] ^= 0x08;
		assert_int_equal(bundle_verify(kit_path, NULL, &result, &err), 0);
		assert_int_equal(result.findings_count, 1);
		assert_int_equal(result.findings[0].kind, VERIFY_ALTERED);
		assert_int_equal(result.findings[0].offset, at - BUNDLE_SKIPPABLE_HEAD);
		verify_result_release(&result);
	}
	bytes_release(&p.whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),      cmocka_unit_test(removed), cmocka_unit_test(moved),
		cmocka_unit_test(repeated),   cmocka_unit_test(foreign), cmocka_unit_test(altered),
		cmocka_unit_test(renumbered),
	};

	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
