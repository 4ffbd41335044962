/*
 * Bundles whose records point anywhere and hold any value: every view, the analysis and the report
 * come to an end, and every record that the report names is in the bundle.
 */
#include "analyze_kit.h"

#include "inspect/inspect.h"
#include "report/report.h"

#define BUNDLES 100
#define ROWS 7 /* of a kind, at most */

struct words {
	uint64_t text[24], bytes[2];
};

static void make_words(struct fixture *f, struct words *w)
{
	static const char *const texts[] = { "",
					     "GET",
					     "demo-service",
					     "/v1/things",
					     "/srv/code/demo/api.py",
					     "/srv/code/demo/extra.py",
					     "Things.get",
					     "open",
					     "absent",
					     "dpkg",
					     "memory",
					     "rebound",
					     "preload",
					     "stack-walks",
					     "sightings",
					     "-X",
					     "\xff\xfe",
					     "a\nb" };
	size_t n = 0;

	for (; n < sizeof(texts) / sizeof(texts[0]); n++)
		w->text[n] = pub(f, texts[n]);
	for (; n < 20; n++)
		w->text[n] = priv(f, "hidden");
	w->text[n++] = REC_NULL;
	w->text[n++] = 1 << 30;
	w->text[n++] = digest(f, 0x22);
	w->text[n++] = REC_EMPTY;
	w->bytes[0] = digest(f, 0x22);
	w->bytes[1] = digest(f, 0x51);
}

static uint64_t any_number(unsigned int *seed)
{
	static const uint64_t odd[] = { 0, REC_NULL, UINT64_MAX - 1, INT64_MAX, 1ULL << 63 };
	int pick = rand_r(seed) % 12;

	return pick < 5 ? odd[pick] : 1 + (uint64_t)rand_r(seed) % (ROWS + 1);
}

static uint64_t any_value(const struct rec_field *field, const struct words *w, unsigned int *seed)
{
	switch (field->type) {
	case REC_TYPE_S:
		return w->text[rand_r(seed) % 24];
	case REC_TYPE_X:
		return rand_r(seed) % 8 ? w->bytes[rand_r(seed) % 2] : w->text[rand_r(seed) % 24];
	case REC_TYPE_T:
		return rand_r(seed) % 10 ? at_ms((uint64_t)rand_r(seed) % 50) : any_number(seed);
	case REC_TYPE_B:
		return rand_r(seed) % 8 ? (uint64_t)rand_r(seed) % 2 : any_number(seed);
	case REC_TYPE_E:
		return rand_r(seed) % 8 ? (uint64_t)rand_r(seed) % 3 : any_number(seed);
	default:
		return any_number(seed);
	}
}

static void put_any(struct fixture *f, enum rec_kind kind, const struct words *w,
		    unsigned int *seed)
{
	const struct rec_schema *schema = &rec_schemas[kind];
	uint64_t items[BUNDLE_FIELDS_MAX][4];
	union {
		union rec_any any;
		uint8_t bytes[1024];
	} rec = { 0 };
	uint64_t id = bundle_writer_id(f->w, kind);

	assert_true(schema->size <= sizeof(rec));
	memcpy(rec.bytes, &id, sizeof(id));
	for (uint16_t i = 1; i < schema->fields_count; i++) {
		const struct rec_field *field = &schema->fields[i];
		bool texts = field->type == REC_TYPE_M;

		if (texts || field->type == REC_TYPE_L) {
			struct rec_list list = { items[i], (uint32_t)rand_r(seed) % 5 };

			for (uint32_t j = 0; j < list.count; j++)
				items[i][j] = texts ? w->text[rand_r(seed) % 24] : any_number(seed);
			memcpy(rec.bytes + field->offset, &list, sizeof(list));
		} else {
			uint64_t value = any_value(field, w, seed);

			memcpy(rec.bytes + field->offset, &value, sizeof(value));
		}
	}
	bundle_writer_put(f->w, kind, &rec);
}

static void check_records(const struct trace *t, json_t *value)
{
	const char *kind = json_string_value(json_object_get(value, "kind")), *key;
	json_t *id = json_object_get(value, "id"), *member;
	size_t i;

	if (kind && json_is_integer(id) && json_object_get(value, "bundle") &&
	    !trace_find(t, rec_kind_find(kind), (uint64_t)json_integer_value(id)))
		fail_msg("no %s %lld", kind, json_integer_value(id));
	json_object_foreach(value, key, member)
		check_records(t, member);
	json_array_foreach(value, i, member)
		check_records(t, member);
}

static void print_all(struct trace *t, const json_t *report)
{
	static const char *const views[] = { "summary", "calls",	  "processes",
					     "modules", "functions",	  "stacks",
					     "loss",	"interpositions", "connections" };
	struct err err = ERR_INIT;
	FILE *out = fopen("/dev/null", "w");

	assert_non_null(out);
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		for (int format = INSPECT_TEXT; format <= INSPECT_JSONL; format++)
			assert_int_equal(inspect_print(t, "FILE", views[i], NULL,
						       (enum inspect_format)format, out, &err),
					 0);
	assert_int_equal(report_print_text(report, out, &err), 0);
	fclose(out);
}

static void check_one(unsigned int seed)
{
	struct analyze_result result;
	struct err err = ERR_INIT;
	const char *path;
	struct words words;
	struct fixture f;

	fixture_open(&f);
	make_words(&f, &words);
	if (seed % 4)
		fixture_window(&f);
	for (int kind = 0; kind < REC_KIND_COUNT; kind++) {
		int rows = kind == REC_CLOCK_KIND ? 0 : rand_r(&seed) % ROWS;

		for (int i = 0; i < rows; i++)
			put_any(&f, (enum rec_kind)kind, &words, &seed);
	}
	fixture_load(&f);
	path = f.path;
	if (scene_run(&path, 1, "tests/golden/report/reference-functions.json", &result, &err))
		fail_msg("%s", err.text);
	check_records(f.t, result.report);
	print_all(f.t, result.report);
	json_decref(result.report);
	fixture_release(&f);
}

static void test_any_records(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < BUNDLES; i++)
		check_one(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_any_records) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
