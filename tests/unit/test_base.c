/* The base parts: times, durations, hex, bounded reads, errors, options of verbs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/digest.h"
#include "base/err.h"

static void test_times(void **state)
{
	static const char *const wrong[] = { "",
					     "2026-11-22",
					     "2026-11-22T20:43:32",
					     "2026-11-22T20:43:32.Z",
					     "2026-11-22T20:43:32Zx",
					     "2026-13-22T20:43:32Z",
					     "2026-11-22T20:43:32+1",
					     "1969-12-31T23:59:59Z" };
	char text[CLOCK_TEXT];
	uint64_t ns;

	(void)state;
	clock_format(1795380212000000001ULL, text);
	assert_string_equal(text, "2026-11-22T20:43:32.000000001Z");
	assert_int_equal(clock_parse(text, &ns), 0);
	assert_int_equal(ns, 1795380212000000001ULL);
	assert_int_equal(clock_parse("2026-11-22T20:43:32Z", &ns), 0);
	assert_int_equal(ns, 1795380212000000000ULL);
	assert_int_equal(clock_parse("2026-11-22T22:43:32.5+02:00", &ns), 0);
	assert_int_equal(ns, 1795380212500000000ULL);
	assert_int_equal(clock_parse("2026-11-22T15:13:32-05:30", &ns), 0);
	assert_int_equal(ns, 1795380212000000000ULL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(clock_parse(wrong[i], &ns), -1);
	clock_format(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000000Z");
}

static void test_durations(void **state)
{
	static const char *const wrong[] = { "",   "0",	   "0s",  "-1s", "s",
					     "1y", "1.5s", " 1s", "1 s", "99999999999999999999" };
	uint64_t ns;

	(void)state;
	assert_int_equal(clock_parse_duration("90", &ns), 0);
	assert_int_equal(ns, 90000000000ULL);
	assert_int_equal(clock_parse_duration("500ms", &ns), 0);
	assert_int_equal(ns, 500000000ULL);
	assert_int_equal(clock_parse_duration("15m", &ns), 0);
	assert_int_equal(ns, 900000000000ULL);
	assert_int_equal(clock_parse_duration("2h", &ns), 0);
	assert_int_equal(ns, 7200000000000ULL);
	assert_int_equal(clock_parse_duration("1d", &ns), 0);
	assert_int_equal(ns, 86400000000000ULL);
	assert_int_equal(clock_parse_duration("300000d", &ns), -1); /* too long for 64 bits */
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(clock_parse_duration(wrong[i], &ns), -1);
}

static void test_clocks_agree(void **state)
{
	struct clock_triple t;
	uint64_t before = clock_monotonic();

	(void)state;
	clock_read(&t);
	assert_true(t.monotonic >= before && t.monotonic <= clock_monotonic());
	assert_true(t.boottime >= t.monotonic);
	assert_true(t.realtime > 1700000000000000000ULL);
}

static void test_bytes(void **state)
{
	static const uint64_t values[] = {
		0, 1, 127, 128, 16383, 16384, UINT64_MAX - 1, UINT64_MAX
	};
	struct bytes b = BYTES_INIT;
	struct bytes_reader r;
	uint8_t out[4];
	char hex[9];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(bytes_put_varint(&b, values[i]), 0);
	assert_int_equal(bytes_put_le16(&b, 0x1234), 0);
	assert_int_equal(bytes_put_le32(&b, 0x12345678), 0);
	assert_int_equal(bytes_put_le64(&b, 0x123456789abcdef0ULL), 0);
	r = (struct bytes_reader){ .data = b.data, .len = b.len };
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(bytes_get_varint(&r), values[i]);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(bytes_zigzag(i % 2 ? 0 - (i + 1) / 2 : i / 2), i);
	assert_int_equal(bytes_zigzag(1ULL << 63), UINT64_MAX);
	assert_int_equal(bytes_get_le16(&r), 0x1234);
	assert_int_equal(bytes_get_le32(&r), 0x12345678);
	assert_int_equal(bytes_get_le64(&r), 0x123456789abcdef0ULL);
	assert_false(r.bad);
	assert_int_equal(bytes_get_u8(&r), 0);
	assert_true(r.bad);
	bytes_release(&b);

	/* Too many bytes, or a tenth byte that says more than 64 bits. */
	r = (struct bytes_reader){
		.data = (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", .len = 10
	};
	bytes_get_varint(&r);
	assert_true(r.bad);
	r = (struct bytes_reader){ .data = (const uint8_t *)"\x80\x80", .len = 2 };
	bytes_get_varint(&r);
	assert_true(r.bad);

	assert_int_equal(bytes_from_hex("00fFa0", out, sizeof(out)), 3);
	bytes_to_hex(out, 3, hex);
	assert_string_equal(hex, "00ffa0");
	assert_int_equal(bytes_from_hex("0", out, sizeof(out)), -1);
	assert_int_equal(bytes_from_hex("0g", out, sizeof(out)), -1);
	assert_int_equal(bytes_from_hex("0011223344", out, sizeof(out)), -1);
}

static void test_digest(void **state)
{
	uint8_t digest[DIGEST_SIZE];
	char hex[65];

	(void)state;
	assert_int_equal(digest_sha256("abc", 3, digest), 0);
	bytes_to_hex(digest, sizeof(digest), hex);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_errors(void **state)
{
	struct err err = ERR_INIT;
	char longer[2000];

	(void)state;
	assert_int_equal(err_set(&err, ERR_USAGE, "first %d", 1), -1);
	assert_int_equal(err_set(&err, ERR_MACHINE, "second"), -1); /* the first one stands */
	assert_int_equal(err.kind, ERR_USAGE);
	err_prefix(&err, "%s", "file");
	assert_string_equal(err.text, "file: first 1");
	assert_int_equal(err_set(NULL, ERR_USAGE, "nobody asks"), -1);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_prefix(&err, "%s", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

/* ---- options ---- */

struct opts {
	const char *name;
	int flags, arguments;
};

static int set_name(void *opts, const char *text, struct err *err)
{
	(void)err;
	((struct opts *)opts)->name = text;
	return 0;
}

static int set_flag(void *opts, const char *text, struct err *err)
{
	(void)err;
	assert_null(text);
	((struct opts *)opts)->flags++;
	return 0;
}

static int argument(void *opts, const char *text, struct err *err)
{
	(void)text;
	(void)err;
	((struct opts *)opts)->arguments++;
	return 0;
}

static struct opts seen;
static int command_argc;

static int run(void *opts, int argc, char **argv, struct err *err)
{
	(void)argv;
	(void)err;
	seen = *(struct opts *)opts;
	command_argc = argc;
	return 7;
}

static const struct command_option options[] = {
	{ "name", 'n', "TEXT", "A name.", false, set_name },
	{ "flag", 'f', NULL, "A switch.", true, set_flag },
	{ NULL, 0, NULL, NULL, false, NULL },
};

static const struct command command = {
	.name = "test",
	.args = "FILE",
	.summary = "A test.",
	.options = options,
	.opts_size = sizeof(struct opts),
	.argument = argument,
	.takes_command = true,
	.run = run,
};

static int call(struct err *err, int argc, const char *const *argv)
{
	char *copy[16];

	memset(&seen, 0, sizeof(seen));
	memset(err, 0, sizeof(*err));
	for (int i = 0; i < argc; i++)
		copy[i] = (char *)argv[i];
	copy[argc] = NULL;
	return command_run(&command, argc, copy, err);
}

#define CALL(...)                                                                             \
	call(&err, (int)(sizeof((const char *[]){ "test", ##__VA_ARGS__ }) / sizeof(char *)), \
	     (const char *[]){ "test", ##__VA_ARGS__ })

static void test_options(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(CALL("--name", "a", "-f", "--flag", "file"), 7);
	assert_string_equal(seen.name, "a");
	assert_int_equal(seen.flags, 2);
	assert_int_equal(seen.arguments, 1);
	assert_int_equal(CALL("--name=a=b"), 7);
	assert_string_equal(seen.name, "a=b");
	assert_int_equal(CALL("-nab"), 7);
	assert_string_equal(seen.name, "ab");
	assert_int_equal(CALL("-", "--", "x", "-f"), 7);
	assert_int_equal(seen.arguments, 1);
	assert_int_equal(seen.flags, 0);
	assert_int_equal(command_argc, 2);
}

static void test_wrong_options(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(CALL("--nam", "a"), ERR_USAGE); /* no abbreviations */
	assert_non_null(strstr(err.text, "--nam"));
	assert_int_equal(CALL("--name"), ERR_USAGE);
	assert_int_equal(CALL("--flag=1"), ERR_USAGE);
	assert_int_equal(CALL("-fx"), ERR_USAGE);
	assert_int_equal(CALL("-x"), ERR_USAGE);
	assert_int_equal(CALL("--name", "a", "--name", "b"), ERR_USAGE);
	assert_int_equal(CALL("--"), ERR_USAGE);
}

static void test_numbers(void **state)
{
	struct err err = ERR_INIT;
	uint64_t n;

	(void)state;
	assert_int_equal(command_number("--n", "65535", 1, 65535, &n, &err), 0);
	assert_int_equal(n, 65535);
	assert_int_equal(command_number("--n", "65536", 1, 65535, &n, &err), -1);
	assert_non_null(strstr(err.text, "from 1 to 65535"));
	assert_int_equal(command_number("--n", "-1", 1, 65535, &n, &err), -1);
	assert_int_equal(command_number("--n", " 1", 1, 65535, &n, &err), -1);
	assert_int_equal(command_number("--n", "1x", 1, 65535, &n, &err), -1);
	assert_int_equal(command_number("--n", "", 1, 65535, &n, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),	     cmocka_unit_test(test_durations),
		cmocka_unit_test(test_clocks_agree), cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_digest),	     cmocka_unit_test(test_errors),
		cmocka_unit_test(test_options),	     cmocka_unit_test(test_wrong_options),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
