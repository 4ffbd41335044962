/*
 * Format 1 is frozen: kinds, fields, types, enumerations, numbers, limits, and the bytes that the
 * writer makes of fixed records are those of tests/golden/format-1.txt, line by line. Lines of that
 * file are never changed and never removed. What is new (a field at the end of a kind, a kind, a
 * value of an enumeration) gets a line of its own: GOLDEN_ADD=1 in the environment adds it.
 */
#include "bundle_kit.h"

#include <stdarg.h>

#include <openssl/evp.h>
#include <zstd.h>

#include "bundle/frame.h"

#define FROZEN "tests/golden/format-1.txt"
#define ROWS 4

static struct bytes now; /* the lines that this program makes */

__attribute__((format(printf, 1, 2))) static void line(const char *format, ...)
{
	char text[4096];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert_true(n > 0 && n < (int)sizeof(text));
	assert_int_equal(bytes_put(&now, text, (size_t)n), 0);
}

/* ---- numbers ---- */

#define NUMBER(name) line("number " #name " %llu\n", (unsigned long long)(name));

static void numbers(void)
{
	NUMBER(BUNDLE_FORMAT)
	NUMBER(BUNDLE_HEADER_MAGIC)
	NUMBER(BUNDLE_STRINGS_MAGIC)
	NUMBER(BUNDLE_CHAIN_MAGIC)
	NUMBER(BUNDLE_INDEX_MAGIC)
	NUMBER(BUNDLE_SIGNATURE_MAGIC)
	NUMBER(BUNDLE_TIMESTAMP_MAGIC)
	NUMBER(BUNDLE_HASH)
	NUMBER(BUNDLE_SALT)
	NUMBER(BUNDLE_ID)
	NUMBER(BUNDLE_HEADER_SIZE)
	NUMBER(BUNDLE_STRINGS_SIZE)
	NUMBER(BUNDLE_STRINGS_DIGEST)
	NUMBER(BUNDLE_CHAIN_SIZE)
	NUMBER(BUNDLE_SIGNER_KEY)
	NUMBER(BUNDLE_SIGNATURE)
	NUMBER(BUNDLE_SIGNATURE_MIN)
	NUMBER(BUNDLE_FLAG_SIGNED)
	NUMBER(BUNDLE_CONTENT_STRINGS)
	NUMBER(BUNDLE_CONTENT_RECORDS)
	NUMBER(BUNDLE_FORM_PUBLIC)
	NUMBER(BUNDLE_FORM_PRIVATE)
	NUMBER(BUNDLE_FORM_HIDDEN)
	NUMBER(BUNDLE_INDEX_CHAIN)
	NUMBER(BUNDLE_INDEX_TOTALS)
	NUMBER(BUNDLE_INDEX_FRAMES)
	NUMBER(BUNDLE_INDEX_END)
	NUMBER(BUNDLE_CONTENT_MAX)
	NUMBER(BUNDLE_FRAME_MAX)
	NUMBER(BUNDLE_STRING_MAX)
	NUMBER(BUNDLE_STRINGS_MAX)
	NUMBER(BUNDLE_LIST_MAX)
	NUMBER(BUNDLE_TABLE_MAX)
	NUMBER(BUNDLE_INDEX_MAX)
	NUMBER(BUNDLE_SIGNATURE_MAX)
	NUMBER(BUNDLE_TIMESTAMP_MAX)
	NUMBER(BUNDLE_KINDS_MAX)
	NUMBER(REC_NULL)
	NUMBER(REC_EMPTY)
}

#define VALUE(symbol, name) line("enum %s %zu %s\n", at, value++, name);
#define ENUM(UP, low)                  \
	{                              \
		const char *at = #low; \
		size_t value = 0;      \
		REC_ENUM_##UP(VALUE)   \
	}

/* ---- records ---- */

/* Of each width that a varint has, up and down, and null. */
static uint64_t value_of(size_t kind, size_t field, size_t row)
{
	if (!field)
		return row + 1;
	if (row == 2)
		return REC_NULL;
	return (kind * 41 + field * 7 + 1) << (row * 13 + field) % 60;
}

static void fill(struct frame *frame, enum rec_kind kind, size_t row)
{
	const struct rec_schema *schema = &rec_schemas[kind];
	union rec_any rec;
	uint64_t items[3];

	for (size_t f = 0; f < schema->fields_count; f++) {
		void *at = (char *)&rec + schema->fields[f].offset;
		enum rec_type type = schema->fields[f].type;
		uint64_t value = value_of(kind, f, row);

		if (type == REC_TYPE_L || type == REC_TYPE_M) {
			items[0] = value;
			items[1] = value + 1;
			items[2] = REC_NULL;
			*(struct rec_list *)at = (struct rec_list){ items, (uint32_t)row };
		} else {
			*(uint64_t *)at = value;
		}
	}
	assert_int_equal(frame_put(frame, kind, &rec), 0);
}

/* The batch of a kind, column by column. */
static void columns(struct bytes_reader *in, enum rec_kind kind)
{
	static const char *const types[] = {
		[REC_TYPE_U] = "number",    [REC_TYPE_B] = "0/1",     [REC_TYPE_T] = "time",
		[REC_TYPE_W] = "wall-time", [REC_TYPE_S] = "string",  [REC_TYPE_X] = "bytes",
		[REC_TYPE_L] = "numbers",   [REC_TYPE_M] = "strings", [REC_TYPE_E] = "enum",
	};
	const struct rec_schema *schema = &rec_schemas[kind];
	struct bytes_reader body = { NULL, 0, 0, false };

	assert_int_equal(bytes_get_varint(in), kind + 1);
	assert_int_equal(bytes_get_varint(in), ROWS);
	body.len = bytes_get_varint(in);
	body.data = bytes_get(in, body.len);
	for (size_t f = 0; f < schema->fields_count; f++) {
		const struct rec_field *field = &schema->fields[f];
		size_t len = bytes_get_varint(&body);
		char hex[1024];

		assert_true(!body.bad && 2 * len + 1 <= sizeof(hex));
		bytes_to_hex(bytes_get(&body, len), len, hex);
		/* An enumeration is known by its first word. */
		line("field %zu %s %zu %s %s%s%s %s\n", (size_t)kind + 1, schema->name, f,
		     field->name, types[field->type], field->type == REC_TYPE_E ? ":" : "",
		     field->type == REC_TYPE_E ? field->names[0] : "", hex);
	}
	assert_true(!body.bad && body.at == body.len);
}

static void records(void)
{
	struct bytes content = BYTES_INIT;
	struct frame *frame = frame_new();
	struct bytes_reader in;

	for (size_t kind = 0; kind < REC_KIND_COUNT; kind++)
		for (size_t row = 0; row < ROWS; row++)
			fill(frame, (enum rec_kind)kind, row);
	assert_int_equal(frame_encode(frame, &content), 0);
	in = (struct bytes_reader){ content.data, content.len, 0, false };
	assert_int_equal(bytes_get_u8(&in), BUNDLE_CONTENT_RECORDS);
	for (size_t kind = 0; kind < REC_KIND_COUNT; kind++)
		columns(&in, (enum rec_kind)kind);
	assert_int_equal(in.at, in.len);
	frame_free(frame);
	bytes_release(&content);
}

/* ---- against what is frozen ---- */

/* Is the line that begins here, its end with it, also in the other text? */
static bool has_line(const char *text, const char *begin, size_t len)
{
	for (const char *at = text; *at; at = strchr(at, '\n') + 1)
		if (!strncmp(at, begin, len))
			return true;
	return false;
}

static void as_frozen(void **state)
{
	bool add = getenv("GOLDEN_ADD");
	struct bytes frozen;
	const char *next;

	(void)state;
	line("# Format 1, frozen: tests/unit/test_bundle_frozen.c says what these lines are.\n");
	numbers();
	REC_ENUMS(ENUM)
	records();
	bytes_put_u8(&now, 0);
	if (add)
		fclose(fopen(FROZEN, "ae"));
	frozen = kit_load(FROZEN);
	bytes_put_u8(&frozen, 0);
	for (const char *at = (const char *)frozen.data; *at; at = next) {
		next = strchr(at, '\n') + 1;
		if (!has_line((const char *)now.data, at, (size_t)(next - at)))
			fail_msg("the format has changed; frozen is: %.*s", (int)(next - at - 1),
				 at);
	}
	for (const char *at = (const char *)now.data; *at; at = next) {
		next = strchr(at, '\n') + 1;
		if (has_line((const char *)frozen.data, at, (size_t)(next - at)))
			continue;
		if (!add)
			fail_msg("this is not in " FROZEN " yet: %.*s", (int)(next - at - 1), at);
		{
			FILE *f = fopen(FROZEN, "ae");

			assert_non_null(f);
			fwrite(at, 1, (size_t)(next - at), f);
			assert_int_equal(fclose(f), 0);
		}
	}
	bytes_release(&frozen);
	bytes_release(&now);
}

/* ---- the frames that the writer makes of strings and records ---- */

/* One string unit after the text, with the salt that is in it; its canonical form into `hash`. */
static void strings_unit(const uint8_t *head, const uint8_t *frame, size_t size, EVP_MD_CTX *hash)
{
	static const uint8_t before[] = "\x01\x01\x03\x00\x0ckey-golden-0\x01";
	static const uint8_t behind[] = "\x0fsecret-golden-0\x00\x05"
					"again";
	const size_t salt = sizeof(before) - 1, text = salt + BUNDLE_SALT,
		     end = text + sizeof(behind) - 1;
	uint8_t content[256], digest[BUNDLE_HASH], salted[BUNDLE_SALT + 15];
	const uint8_t canonical[8] = { 0x52, 0x2a, 0x4d, 0x18, (uint8_t)(end - 16 - 16 + 32) };

	assert_int_equal(ZSTD_decompress(content, sizeof(content), frame, size), end);
	assert_memory_equal(content, before, salt);
	assert_memory_equal(content + text, behind, end - text);
	EVP_Digest(frame, size, digest, NULL, EVP_sha256(), NULL);
	assert_memory_equal(head, "\x52\x2a\x4d\x18\x14\0\0\0", 8);
	assert_int_equal(head[8] | head[9] << 8, size);
	assert_memory_equal(head + 12, digest, 16);
	memcpy(salted, content + salt, BUNDLE_SALT);
	memcpy(salted + BUNDLE_SALT, behind + 1, 15);
	EVP_Digest(salted, sizeof(salted), digest, NULL, EVP_sha256(), NULL);
	EVP_DigestUpdate(hash, canonical, sizeof(canonical));
	EVP_DigestUpdate(hash, content, salt - 1);
	EVP_DigestUpdate(hash, "\x02", 1);
	EVP_DigestUpdate(hash, digest, sizeof(digest));
	EVP_DigestUpdate(hash, behind + 16, sizeof(behind) - 1 - 16);
}

static void frames(void **state)
{
	static const uint8_t header[] =
		"\x51\x2a\x4d\x18\x24\0\0\0DAYLIGHT\x01\0\0\0\0\0\0\0\0\0\0";
	static const uint8_t chain[] = "\x54\x2a\x4d\x18\x28\0\0\0\x01\0\0\0\0\0\0";
	uint8_t h[BUNDLE_HASH] = { 0 };
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	struct kit_frame f[16];
	struct bytes b;

	(void)state;
	kit_small("golden", 2);
	assert_int_equal(kit_frames(f, 16), 10);
	b = kit_load(kit_path);
	assert_memory_equal(b.data, header, sizeof(header));
	EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
	EVP_DigestUpdate(hash, h, sizeof(h));
	EVP_DigestUpdate(hash, b.data, f[1].offset);
	strings_unit(b.data + f[1].offset, b.data + f[2].offset, f[2].size, hash);
	EVP_DigestUpdate(hash, b.data + f[3].offset, f[3].size);
	EVP_DigestFinal_ex(hash, h, NULL);
	assert_memory_equal(b.data + f[4].offset, chain, sizeof(chain));
	assert_memory_equal(b.data + f[4].offset + 16, h, sizeof(h));
	/* The seal. */
	EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
	EVP_DigestUpdate(hash, b.data + f[8].offset + 16, BUNDLE_HASH);
	EVP_DigestUpdate(hash, b.data + f[9].offset, f[9].size - BUNDLE_HASH);
	EVP_DigestFinal_ex(hash, h, NULL);
	assert_memory_equal(b.data + b.len - BUNDLE_HASH, h, sizeof(h));
	EVP_MD_CTX_free(hash);
	bytes_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_frozen),
		cmocka_unit_test(frames),
	};

	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
