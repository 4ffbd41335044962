/* What is known of TLS libraries, and where their functions return. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "catalog/catalog.h"
#include "catalog/probes.h"
#include "collect/tls_code.h"

/* ---- probe files ---- */

#define BEGIN \
	"{\"schema\":1,\"name\":\"x\",\"source\":\"s\",\"arch\":\"x86_64\",\"files\":[\"l.so\"],"
#define READ "{\"symbol\":\"r\",\"role\":\"read\",\"session\":1,\"buffer\":2}"
#define REST                                                                             \
	",{\"symbol\":\"w\",\"role\":\"write\",\"session\":1,\"buffer\":2,\"count\":4}," \
	"{\"symbol\":\"f\",\"role\":\"free\",\"session\":1}]}"

static void expect(const char *text, const char *error)
{
	struct err err = ERR_INIT;
	struct arena arena = { 0 };
	struct probe_reader r = { &arena, "x.json", &err };
	struct tls_library library;
	int ret = tls_library_read(&r, "x", text, strlen(text), &library);

	if (error) {
		assert_int_equal(ret, -1);
		assert_non_null(strstr(err.text, error));
	} else {
		assert_string_equal(err.text, "");
		assert_int_equal(ret, 0);
		assert_int_equal(library.functions_count, 3);
		assert_int_equal(library.functions[1].count, 4);
	}
	arena_release(&arena);
}

static void test_probe_errors(void **state)
{
	(void)state;
	expect(BEGIN "\"functions\":[" READ REST, NULL);
	expect(BEGIN "\"functions\":[" READ "]}", "functions: needs a 'read', a 'write'");
	expect(BEGIN "\"functions\":[" READ "," READ REST, "functions[1]: 'r' stands twice");
	expect(BEGIN "\"functions\":[{\"symbol\":\"r\",\"role\":\"rad\",\"session\":1}" REST,
	       "functions[0].role: is 'rad'");
	expect(BEGIN "\"functions\":[{\"symbol\":\"r\",\"role\":\"read\",\"session\":7}" REST,
	       "functions[0].session: is 7, out of range");
	expect(BEGIN "\"functions\":[{\"symbol\":\"r\",\"role\":\"read\",\"session\":2,"
		     "\"buffer\":2}" REST,
	       "must be different arguments");
	expect(BEGIN "\"functions\":[{\"symbol\":\"r\",\"role\":\"inside\",\"session\":1,"
		     "\"buffer\":2}" REST,
	       "moves no plaintext");
	expect(BEGIN "\"methods\":{\"function\":\"m\",\"at\":[12]},\"functions\":[" READ REST,
	       "methods.at[0]: must be a multiple of 8");
}

static void test_names(void **state)
{
	static const struct {
		const char *path, *library;
	} files[] = {
		{ "/usr/lib/libssl.so.3", "openssl" },
		{ "/opt/libssl.so.1.1", "openssl" },
		{ "/w/libssl-0e1f.so.1.1.1k", "openssl" },
		{ "/lib/libgnutls.so.30.34.3", "gnutls" },
		{ "/usr/lib/libssl3.so", NULL },
		{ "/usr/bin/server", NULL },
		{ "/usr/lib/libssl.so.3/other.so", NULL },
	};
	struct err err = ERR_INIT;
	struct catalog *c = catalog_load(NULL, &err);

	(void)state;
	assert_non_null(c);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const struct tls_library *l = catalog_tls(c, files[i].path);

		assert_int_equal(l != NULL, files[i].library != NULL);
		if (l)
			assert_string_equal(l->name, files[i].library);
	}
	catalog_free(c);
}

/* ---- code ---- */

#define AT 0x1000

/* Functions at AT, AT + 16, AT + 32, ...; a last one only says where the one before ends. */
static int ends_of(const uint8_t *bytes, size_t size, size_t functions, struct tls_code_ends *out,
		   const char **why)
{
	const struct taps_code code = { { { bytes, size, AT } }, 1 };
	const uint64_t entry = AT;
	uint64_t at[8];

	for (size_t i = 0; i <= functions; i++)
		at[i] = AT + 16 * i;
	return tls_code_ends(&code, &(struct tls_code_starts){ at, functions + 1 }, &entry, 1, out,
			     why);
}

static void test_returns(void **state)
{
	/* je to the second one, ret; two nops, ret; never reached: ret. */
	uint8_t code[48];
	struct tls_code_ends ends;
	const char *why = NULL;

	(void)state;
	memset(code, 0x90, sizeof(code));
	code[0] = 0x74;
	code[1] = 16 - 2 + 1;
	code[5] = 0xc3;
	code[18] = 0xf3; /* repz ret */
	code[19] = 0xc3;
	code[40] = 0xc3;
	assert_int_equal(ends_of(code, sizeof(code), 3, &ends, &why), 0);
	assert_int_equal(ends.count, 2);
	assert_int_equal(ends.returns[0], AT + 5);
	assert_int_equal(ends.returns[1], AT + 18);
	assert_false(ends.computed);
	/* The same in the range of the function itself leads nowhere else. */
	code[1] = 3;
	assert_int_equal(ends_of(code, sizeof(code), 3, &ends, &why), 0);
	assert_int_equal(ends.count, 1);
}

static void test_jumps(void **state)
{
	uint8_t code[48];
	struct tls_code_ends ends;
	const char *why = NULL;

	(void)state;
	memset(code, 0x90, sizeof(code));
	/* jmp to a stub: jmp *0x100(%rip) */
	memcpy(code, "\xe9\x0b\x00\x00\x00", 5);
	memcpy(code + 16, "\xff\x25\x00\x01\x00\x00", 6);
	assert_int_equal(ends_of(code, sizeof(code), 3, &ends, &why), 0);
	assert_int_equal(ends.jumps_count, 1);
	assert_int_equal(ends.jumps[0], AT + 22 + 0x100);
	assert_int_equal(ends.count, 0);
	/* jmp *%rax */
	memcpy(code, "\xff\xe0\x90\x90\x90", 5);
	assert_int_equal(ends_of(code, sizeof(code), 3, &ends, &why), 0);
	assert_true(ends.computed);
}

static void test_refused(void **state)
{
	uint8_t code[48];
	struct tls_code_ends ends;
	const char *why = NULL;

	(void)state;
	memset(code, 0x90, sizeof(code));
	/* To where nothing is described: behind the last one, before the first one. */
	memcpy(code, "\xe9\x00\x10\x00\x00", 5);
	assert_int_equal(ends_of(code, sizeof(code), 3, &ends, &why), -1);
	assert_string_equal(why, "it jumps to where no function is described");
	memcpy(code, "\x0e\x90\x90\x90\x90", 5); /* no instruction of 64-bit code */
	assert_int_equal(ends_of(code, sizeof(code), 3, &ends, &why), -1);
	assert_string_equal(why, "it cannot be disassembled");
	/* The code ends before the description does. */
	memset(code, 0x90, sizeof(code));
	assert_int_equal(ends_of(code, 8, 3, &ends, &why), -1);
}

static void test_constant(void **state)
{
	/* endbr64; lea 0x10(%rip), %rax; ret */
	uint8_t bytes[] = "\xf3\x0f\x1e\xfa\x48\x8d\x05\x10\x00\x00\x00\xc3\x90\x90";
	const struct taps_code code = { { { bytes, sizeof(bytes) - 1, AT } }, 1 };

	(void)state;
	assert_int_equal(tls_code_constant(&code, AT), AT + 11 + 0x10);
	bytes[11] = 0x90;
	assert_int_equal(tls_code_constant(&code, AT), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe_errors), cmocka_unit_test(test_names),
		cmocka_unit_test(test_returns),	     cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_refused),	     cmocka_unit_test(test_constant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
