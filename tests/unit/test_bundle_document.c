/* docs/bundle-format.md says what format.h says: kinds, fields, types, enumerations, example. */
#include "bundle_kit.h"

static struct bytes document;

static int load(void **state)
{
	(void)state;
	document = kit_load("docs/bundle-format.md");
	return bytes_put_u8(&document, 0);
}

static int release(void **state)
{
	(void)state;
	bytes_release(&document);
	return 0;
}

/* The text from `from` on must go on with exactly this line. */
static const char *expect_line(const char *from, const char *line)
{
	size_t len = strlen(line);

	if (!from || strncmp(from, line, len) || from[len] != '\n')
		fail_msg("the document does not say \"%s\" where it should", line);
	return from + len + 1;
}

static const char *type_name(const struct rec_field *field)
{
	static const char *const names[] = {
		[REC_TYPE_U] = "number",    [REC_TYPE_B] = "0/1",     [REC_TYPE_T] = "time",
		[REC_TYPE_W] = "wall time", [REC_TYPE_S] = "string",  [REC_TYPE_X] = "bytes",
		[REC_TYPE_L] = "numbers",   [REC_TYPE_M] = "strings", [REC_TYPE_E] = "enum ",
	};

	return names[field->type];
}

static void kinds(void **state)
{
	(void)state;
	for (size_t k = 0; k < REC_KIND_COUNT; k++) {
		const struct rec_schema *schema = &rec_schemas[k];
		char text[128];
		const char *at;

		snprintf(text, sizeof(text), "\n### %zu `%s`\n", k + 1, schema->name);
		at = strstr((const char *)document.data, text);
		at = at ? strstr(at, "|---|---|---|\n") : NULL;
		if (!at)
			fail_msg("the document has no table for %s", schema->name);
		at += strlen("|---|---|---|\n");
		for (size_t f = 0; f < schema->fields_count; f++) {
			const char *end = strchr(at, '\n');

			snprintf(text, sizeof(text), "| `%s` | %s", schema->fields[f].name,
				 type_name(&schema->fields[f]));
			if (strncmp(at, text, strlen(text)))
				fail_msg("%s: the document has \"%.*s\", not \"%s\"", schema->name,
					 (int)(end - at), at, text);
			at = end + 1;
		}
		if (*at == '|')
			fail_msg("the document has more fields for %s", schema->name);
	}
}

#define DOCUMENT_VALUE(symbol, name) name,
#define DOCUMENT_ENUM(UP, low)                                                        \
	{                                                                             \
		static const char *const names[] = { REC_ENUM_##UP(DOCUMENT_VALUE) }; \
		expect_enum(#low, names, sizeof(names) / sizeof(names[0]));           \
	}

static void expect_enum(const char *name, const char *const *names, size_t count)
{
	char line[512];
	const char *at;
	int n = snprintf(line, sizeof(line), "| %s | ", name);

	at = strstr((const char *)document.data, line);
	for (size_t i = 0; i < count; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%s%zu `%s`", i ? ", " : "", i,
			      names[i]);
	snprintf(line + n, sizeof(line) - (size_t)n, " |");
	expect_line(at, line);
}

static void enumerations(void **state)
{
	(void)state;
	REC_ENUMS(DOCUMENT_ENUM)
}

/* The lines of the example are the golden file, byte for byte. */
static void example(void **state)
{
	struct bytes golden = kit_load("tests/golden/bundles/sealed.daylight");
	const char *at = strstr((const char *)document.data, "\n## Example\n");
	size_t lines = 0;

	(void)state;
	assert_non_null(at);
	while ((at = strchr(at, '\n'))) {
		unsigned int offset, byte;
		int n = 0, used = 0;

		at++;
		if (strspn(at, "0123456789abcdef") != 4 ||
		    sscanf(at, "%4x  %n", &offset, &n) != 1 || at[4] != ' ' || at[5] != ' ')
			continue;
		lines++;
		for (at += 6; sscanf(at, "%2x%n", &byte, &used) == 1; at += used) {
			assert_true(offset < golden.len);
			assert_int_equal(golden.data[offset++], byte);
			if (at[used] == '\n')
				break;
		}
	}
	assert_true(lines > 25);
	bytes_release(&golden);
}

static void magics(void **state)
{
	static const uint32_t all[] = { BUNDLE_HEADER_MAGIC,	BUNDLE_STRINGS_MAGIC,
					BUNDLE_CHAIN_MAGIC,	BUNDLE_INDEX_MAGIC,
					BUNDLE_SIGNATURE_MAGIC, BUNDLE_TIMESTAMP_MAGIC };
	const size_t count = sizeof(all) / sizeof(all[0]);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		char text[32];

		snprintf(text, sizeof(text), "| `0x%08X` |", all[i]);
		assert_non_null(strstr((const char *)document.data, text));
		for (size_t j = 0; j < i; j++)
			assert_true(__builtin_popcount(all[i] ^ all[j]) > 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(enumerations),
		cmocka_unit_test(example),
		cmocka_unit_test(magics),
	};

	return cmocka_run_group_tests(tests, load, release);
}
