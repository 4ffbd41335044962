/*
 * Layouts of CPython: what a file must and may not say, and the table of offsets that an
 * interpreter carries itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "catalog/embedded.h"
#include "catalog/probes.h"

static struct catalog *catalog;

/* The shipped file, with its first `old` replaced by `new`. */
static int read_changed(const char *name, const char *old, const char *new, struct err *err)
{
	struct arena arena = { 0 };
	struct probe_reader r = { &arena, name, err };
	struct python_layout layout;
	char path[64], *text = NULL;
	int ret = -2;

	snprintf(path, sizeof(path), "python/%s.json", name);
	for (size_t i = 0; i < catalog_embedded_count; i++) {
		const struct catalog_embedded *e = &catalog_embedded[i];
		char *copy, *at;

		if (strcmp(e->name, path) != 0)
			continue;
		copy = strndup((const char *)e->data, e->size);
		at = strstr(copy, old);
		assert_non_null(at);
		assert_true(asprintf(&text, "%.*s%s%s", (int)(at - copy), copy, new,
				     at + strlen(old)) > 0);
		ret = python_layout_read(&r, name, text, strlen(text), &layout);
		free(text);
		free(copy);
	}
	arena_release(&arena);
	return ret;
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *file, *old, *new, *wanted;
	} bad[] = {
		{ "cpython-3.11", "\"_PyRuntime\"", "\"_Py Runtime\"", "anchor: must be the name" },
		{ "cpython-3.11", "\"generator\": 1", "\"generator\": 256",
		  "owners.generator: is 256" },
		{ "cpython-3.11", "\"generator\": 1", "\"generator\": null",
		  "offsets: 'frame.owner' must be null as" },
		{ "cpython-3.11", "\"cframe.current_frame\": 8", "\"cframe.current_frame\": null",
		  "offsets: 'cframe.current_frame' or 'tstate.frame'" },
		{ "cpython-3.11", "\"code.code\": null", "\"code.code\": 48",
		  "offsets: one of 'code.code'" },
		{ "cpython-3.11", "\"unicode.state\": 32", "\"unicode.state\": null",
		  "offsets: 'unicode.state' and" },
		{ "cpython-3.11", "\"header\": 16", "\"header\": 4", "pyc.header: is 4, out of" },
		{ "cpython-3.13", "\"c_stack\": 3", "\"c_stack\": null",
		  "owners: 'c_stack' must be a number (strategy entry" },
		{ "cpython-3.13", "\"tstate.frame\": 72", "\"tstate.frame\": null",
		  "offsets.tstate.frame: must be a number (strategy entry" },
		{ "cpython-3.8", "\"tstate.frame\": 24", "\"tstate.frame\": null",
		  "offsets.tstate.frame: must be a number (strategy thread" },
		{ "cpython-3.13", "\"xdebugpy\"", "\"xdebug\"",
		  "debug_offsets.cookie: must have 8" },
		{ "cpython-3.13", "\"free_threaded\": 16", "\"free_threaded\": 12",
		  "debug_offsets.free_threaded: is 12, not" },
		{ "cpython-3.13", "\"frame.owner\": 264", "\"frame.owner\": 4096",
		  "debug_offsets.fields.frame.owner: is 4096, out" },
		{ "cpython-3.13", "\"frame.owner\": 264", "\"frame.is_entry\": 264",
		  "debug_offsets.fields.frame.is_entry: stands in the table but" },
		{ "cpython-3.13", "\"frame.owner\": 264", "\"frame.owners\": 264",
		  "debug_offsets.fields: unknown key" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(read_changed(bad[i].file, bad[i].old, bad[i].new, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		if (!strstr(err.text, bad[i].wanted))
			fail_msg("'%s' does not say '%s'", err.text, bad[i].wanted);
	}
}

/* ---- the interpreter's own table ---- */

#define VERSION 0x030d00f0

static uint8_t table[PYTHON_TABLE_MAX];
static const struct python_layout *layout;

static void put(int32_t at, uint64_t value)
{
	memcpy(table + at, &value, sizeof(value));
}

static void fill(void)
{
	memset(table, 0, sizeof(table));
	memcpy(table, "xdebugpy", 8);
	put(layout->table.version, VERSION);
#define FILL(name)                   \
	if (layout->table.name >= 0) \
		put(layout->table.name, (uint64_t)layout->name);
	PYTHON_OFFSETS(FILL)
}

static const char *apply(struct python_layout *out)
{
	static char why[160];

	why[0] = '\0';
	return python_table_apply(layout, table, python_table_size(layout), VERSION, out, why,
				  sizeof(why))
		       ? why
		       : "";
}

static void test_table(void **state)
{
	struct python_layout out;

	(void)state;
	layout = catalog_python(catalog, 3, 13);
	assert_non_null(layout);
	assert_true(python_table_size(layout) > 500);
	fill();
	assert_string_equal(apply(&out), "");
	assert_memory_equal(&out, layout, sizeof(out));
	/* What the table says counts; what it does not have stays. */
	put(layout->table.code_name, 4000);
	assert_string_equal(apply(&out), "");
	assert_int_equal(out.code_name, 4000);
	assert_int_equal(out.code_flags, layout->code_flags);
	put(layout->table.code_name, 4001);
	assert_non_null(strstr(apply(&out), "impossible"));
	put(layout->table.code_name, 65544);
	assert_non_null(strstr(apply(&out), "impossible"));
	put(layout->table.code_name, ~7ULL);
	assert_non_null(strstr(apply(&out), "impossible"));
	fill();
	put(layout->table.free_threaded, 1);
	assert_non_null(strstr(apply(&out), "free-threaded"));
	fill();
	put(layout->table.version, VERSION + 0x100);
	assert_non_null(strstr(apply(&out), "another version"));
	fill();
	table[7] = 'Y';
	assert_non_null(strstr(apply(&out), "does not begin"));
	/* Shorter than what it must hold. */
	fill();
	assert_int_equal(python_table_apply(layout, table, python_table_size(layout) - 1, VERSION,
					    &out, (char[160]){ 0 }, 160),
			 -1);
	/* Versions before have none. */
	assert_int_equal(python_table_size(catalog_python(catalog, 3, 12)), 0);
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
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
