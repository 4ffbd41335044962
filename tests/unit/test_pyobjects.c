/*
 * Python objects read from outside, over objects that are made here, in this process, at the
 * places of CPython 3.11: what is read, and that no count, size or address is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/pyobjects.h"

#define SIZE (1 << 20)

static struct catalog *catalog;
static const struct python_layout *layout;
static const struct python_objects *at;
static struct pyobjects o;
#define UNREADABLE (16 << 20)
static uint8_t *memory;
static size_t used;
static uint64_t type_type, text_type, dict_type, tuple_type, list_type, function_type, code_type,
	module_type, instance_type;

static uint64_t take(size_t size)
{
	uint64_t address = (uint64_t)(uintptr_t)(memory + used);

	used += (size + 63) / 64 * 64;
	assert_true(used <= SIZE);
	return address;
}

static void put(uint64_t address, int32_t where, uint64_t value)
{
	assert_true(where >= 0);
	memcpy((void *)(uintptr_t)(address + (uint64_t)where), &value, sizeof(value));
	if (o.pages)
		pyobjects_refresh(&o);
}

static uint64_t new_object(uint64_t type, size_t size)
{
	uint64_t object = take(size);

	put(object, 0, 1);
	put(object, layout->object_type, type);
	return object;
}

static uint64_t new_type(const char *name, uint64_t flags, uint64_t base)
{
	uint64_t type = new_object(type_type, 1024), text = take(strlen(name) + 1);

	memcpy((void *)(uintptr_t)text, name, strlen(name) + 1);
	put(type, at->type_name, text);
	put(type, at->type_flags, flags);
	put(type, at->type_base, base);
	return type;
}

static uint64_t new_text(const char *text)
{
	uint64_t object = new_object(text_type, 64 + strlen(text));

	put(object, layout->unicode_length, strlen(text));
	put(object, layout->unicode_state, 1 << 2 | 1 << 5 | 1 << 6);
	memcpy((void *)(uintptr_t)(object + (uint64_t)layout->unicode_ascii_data), text,
	       strlen(text) + 1);
	return object;
}

/* A dict of texts: key, value, key, value, ... */
static uint64_t new_dict(const uint64_t *pairs, size_t count, bool general)
{
	uint64_t dict = new_object(dict_type, 64), keys = take(4096);
	int32_t size = general ? at->entry_size : at->unicode_entry_size;
	uint64_t entries = keys + (uint64_t)at->keys_indices + 8;

	put(dict, at->dict_keys, keys);
	*(uint8_t *)(uintptr_t)(keys + (uint64_t)at->keys_log2_index_bytes) = 3;
	*(uint8_t *)(uintptr_t)(keys + (uint64_t)at->keys_kind) = !general;
	put(keys, at->keys_nentries, count);
	for (size_t i = 0; i < count; i++) {
		uint64_t entry = entries + i * (uint64_t)size;

		put(entry, general ? at->entry_key : at->unicode_entry_key, pairs[2 * i]);
		put(entry, general ? at->entry_value : at->unicode_entry_value, pairs[2 * i + 1]);
	}
	return dict;
}

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	catalog = catalog_load(NULL, &err);
	assert_non_null(catalog);
	layout = catalog_python(catalog, 3, 11);
	assert_non_null(layout);
	at = &layout->objects;
	assert_true(at->known);
	/* Behind it nothing can be read, as far as a dict of PYOBJECTS_ENTRIES may reach. */
	memory = mmap(NULL, SIZE + UNREADABLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(mprotect(memory, SIZE, PROT_READ | PROT_WRITE), 0);
	type_type = take(1024);
	put(type_type, layout->object_type, type_type);
	type_type = new_type("type", 1ULL << 31, 0);
	text_type = new_type("str", 1ULL << 28, 0);
	dict_type = new_type("dict", 1ULL << 29, 0);
	tuple_type = new_type("tuple", 1ULL << 26, 0);
	list_type = new_type("list", 1ULL << 25, 0);
	function_type = new_type("function", 0, 0);
	code_type = new_type("code", 0, 0);
	module_type = new_type("module", 0, 0);
	instance_type = new_type("function", 1ULL << 9, 0); /* a program's own class of that name */
	assert_int_equal(pyobjects_begin(&o, getpid(), layout), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pyobjects_end(&o);
	munmap(memory, SIZE + UNREADABLE);
	catalog_free(catalog);
	return 0;
}

static void test_kinds(void **state)
{
	uint64_t special = new_type("LazyModule", 1ULL << 9, module_type), loop;

	(void)state;
	assert_int_equal(pyobjects_kind(&o, new_object(function_type, 128)), PYOBJECT_FUNCTION);
	assert_int_equal(pyobjects_kind(&o, new_object(instance_type, 128)), PYOBJECT_OTHER);
	assert_int_equal(pyobjects_kind(&o, new_object(module_type, 64)), PYOBJECT_MODULE);
	assert_int_equal(pyobjects_kind(&o, new_object(special, 64)), PYOBJECT_MODULE);
	assert_int_equal(pyobjects_kind(&o, function_type), PYOBJECT_TYPE);
	assert_int_equal(pyobjects_kind(&o, new_text("x")), PYOBJECT_TEXT);
	/* A class that is its own base. */
	loop = new_type("Loop", 1ULL << 9, 0);
	put(loop, at->type_base, loop);
	assert_int_equal(pyobjects_kind(&o, new_object(loop, 64)), PYOBJECT_OTHER);
}

static void test_text(void **state)
{
	static const uint16_t wide[] = { 0x20ac, 0x41, 0xfc };
	uint64_t object = new_text("module.name"), other = new_object(text_type, 256);
	char text[PYOBJECTS_TEXT], small[8];

	(void)state;
	assert_true(pyobjects_text(&o, object, text, sizeof(text)));
	assert_string_equal(text, "module.name");
	assert_false(pyobjects_text(&o, object, small, sizeof(small)));
	put(other, layout->unicode_length, 3);
	put(other, layout->unicode_state, 2 << 2 | 1 << 5);
	memcpy((void *)(uintptr_t)(other + (uint64_t)layout->unicode_compact_data), wide,
	       sizeof(wide));
	assert_true(pyobjects_text(&o, other, text, sizeof(text)));
	assert_string_equal(text, "\xe2\x82\xac"
				  "A\xc3\xbc");
	/* Lengths and forms that are not believed. */
	put(object, layout->unicode_length, UINT64_MAX / 4);
	pyobjects_refresh(&o);
	assert_false(pyobjects_text(&o, object, text, sizeof(text)));
	put(other, layout->unicode_state, 7 << 2 | 1 << 5);
	pyobjects_refresh(&o);
	assert_false(pyobjects_text(&o, other, text, sizeof(text)));
	assert_false(pyobjects_text(&o, 0, text, sizeof(text)));
	assert_false(pyobjects_text(&o, 0x1001, text, sizeof(text)));
	assert_false(pyobjects_text(&o, UINT64_MAX - 7, text, sizeof(text)));
}

static int count_entries(void *ctx, uint64_t key, uint64_t value)
{
	(void)key;
	(void)value;
	return ++*(int *)ctx == 100000;
}

static void test_dict(void **state)
{
	uint64_t pairs[] = {
		new_text("one"), 0x1110, new_text("gone"), 0, new_text("two"), 0x2220
	};
	uint64_t keys, values;
	int count = 0;

	(void)state;
	for (int general = 0; general < 2; general++) {
		uint64_t dict = new_dict(pairs, 3, general);

		pyobjects_refresh(&o);
		assert_int_equal(pyobjects_get(&o, dict, "one"), 0x1110);
		assert_int_equal(pyobjects_get(&o, dict, "two"), 0x2220);
		assert_int_equal(pyobjects_get(&o, dict, "gone"), 0);
		assert_int_equal(pyobjects_get(&o, dict, "three"), 0);
		/* Values of their own, as instances share their keys. */
		values = take(64);
		put(values, 0, 0x3330);
		put(values, 8, 0x4440);
		put(dict, at->dict_values, values);
		pyobjects_refresh(&o);
		assert_int_equal(pyobjects_get(&o, dict, "one"), 0x3330);
		assert_int_equal(pyobjects_get(&o, dict, "gone"), 0x4440);
		assert_int_equal(pyobjects_get(&o, dict, "two"), 0);
		put(dict, at->dict_values, 0);
		/* More entries than there can be, or than can be read. */
		memcpy(&keys, (void *)(uintptr_t)(dict + (uint64_t)at->dict_keys), sizeof(keys));
		put(keys, at->keys_nentries, UINT64_MAX);
		pyobjects_refresh(&o);
		assert_int_equal(pyobjects_dict(&o, dict, count_entries, &count), -1);
		put(keys, at->keys_nentries, PYOBJECTS_ENTRIES);
		pyobjects_refresh(&o);
		assert_int_equal(pyobjects_dict(&o, dict, count_entries, &count), -1);
		*(uint8_t *)(uintptr_t)(keys + (uint64_t)at->keys_log2_index_bytes) = 255;
		pyobjects_refresh(&o);
		assert_int_equal(pyobjects_dict(&o, dict, count_entries, &count), -1);
		put(dict, at->dict_keys, 0x10);
		pyobjects_refresh(&o);
		assert_int_equal(pyobjects_dict(&o, dict, count_entries, &count), -1);
	}
	assert_int_equal(count, 0);
	assert_int_equal(pyobjects_dict(&o, new_text("no dict"), count_entries, &count), -1);
}

static void test_items(void **state)
{
	uint64_t tuple = new_object(tuple_type, 128), list = new_object(list_type, 64), items[2];
	uint64_t array = take(64);

	(void)state;
	put(tuple, at->var_size, 2);
	put(tuple, at->tuple_items, 5);
	put(tuple, at->tuple_items + 8, 6);
	put(list, at->var_size, UINT64_MAX);
	put(list, at->list_items, array);
	put(array, 0, 7);
	assert_int_equal(pyobjects_items(&o, tuple, items, 2), 2);
	assert_int_equal(items[1], 6);
	assert_int_equal(pyobjects_items(&o, list, items, 2), 2);
	assert_int_equal(items[0], 7);
	put(list, at->list_items, 24);
	pyobjects_refresh(&o);
	assert_int_equal(pyobjects_items(&o, list, items, 2), 0);
	assert_int_equal(pyobjects_items(&o, new_text("x"), items, 2), 0);
}

static void test_function(void **state)
{
	uint64_t function = new_object(function_type, 256), code = new_object(code_type, 256);
	struct pyobjects_function f;
	struct pyobjects_code c;

	(void)state;
	put(function, at->function_code, code);
	put(function, at->function_globals, 0x5550);
	put(code, layout->code_filename, 0x6660);
	put(code, layout->code_firstlineno, 77);
	assert_true(pyobjects_function(&o, function, &f));
	assert_int_equal(f.code, code);
	assert_int_equal(f.globals, 0x5550);
	assert_true(pyobjects_code(&o, code, &c));
	assert_int_equal(c.filename, 0x6660);
	assert_int_equal(c.line, 77);
	assert_false(pyobjects_code(&o, function, &c));
	assert_false(pyobjects_function(&o, code, &f));
}

/* A name that runs to the end of its page, and one that is not readable text. */
static void test_type_name(void **state)
{
	uint64_t type = new_type("module.Name", 0, 0), page;
	char name[64];

	(void)state;
	assert_true(pyobjects_type_name(&o, type, name, sizeof(name)));
	assert_string_equal(name, "module.Name");
	used = (used + 4095) / 4096 * 4096;
	page = take(4096);
	memset((void *)(uintptr_t)page, 'x', 4096);
	put(type, at->type_name, page + 4090);
	pyobjects_refresh(&o);
	assert_false(pyobjects_type_name(&o, type, name, sizeof(name)));
	put(type, at->type_name, page);
	*(char *)(uintptr_t)(page + 3) = '\n';
	*(char *)(uintptr_t)(page + 4) = '\0';
	pyobjects_refresh(&o);
	assert_false(pyobjects_type_name(&o, type, name, sizeof(name)));
}

/* Memory of any content: nothing faults, nothing runs away. */
static void test_noise(void **state)
{
	uint64_t items[16], value;
	char text[PYOBJECTS_TEXT];
	struct pyobjects_function f;
	struct pyobjects_code c;
	int count = 0;

	(void)state;
	srandom(1);
	for (int round = 0; round < 200; round++) {
		uint64_t *words = (uint64_t *)(void *)memory;

		for (size_t i = 0; i < SIZE / 8; i += 1 + (size_t)random() % 3)
			words[i] = random() % 2 ? (uint64_t)(uintptr_t)memory +
							  (uint64_t)random() % SIZE / 8 * 8
						: (uint64_t)random() << (random() % 34);
		pyobjects_refresh(&o);
		for (size_t i = 0; i < 100; i++) {
			uint64_t object =
				(uint64_t)(uintptr_t)memory + (uint64_t)random() % SIZE / 8 * 8;

			count = 0;
			pyobjects_kind(&o, object);
			pyobjects_text(&o, object, text, sizeof(text));
			pyobjects_dict(&o, object, count_entries, &count);
			pyobjects_items(&o, object, items, 16);
			pyobjects_function(&o, object, &f);
			pyobjects_code(&o, object, &c);
			pyobjects_word(&o, object, -32, &value);
			pyobjects_type_name(&o, object, text, sizeof(text));
		}
	}
}

/* The places that are shipped, in each interpreter that is installed. */
static void test_shipped(void **state)
{
	static const char *const others[] = { "3.6",  "3.7",  "3.8",  "3.9",
					      "3.10", "3.11", "3.12", "3.13" };
	char command[512];
	int status;

	(void)state;
	status = system("tools/python-objects prove probes/python/cpython-3.11.json "
			"/usr/bin/python3 2>&1");
	assert_true(status == 0 || status == 77 << 8);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(command, sizeof(command),
			 "for p in \"${PYENV_ROOT:-$HOME/.pyenv}/versions/%s\".*/bin/python3; do "
			 "[ ! -x \"$p\" ] || tools/python-objects prove "
			 "probes/python/cpython-%s.json \"$p\" 2>&1 || exit 1; done",
			 others[i], others[i]);
		assert_int_equal(system(command), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),	 cmocka_unit_test(test_text),
		cmocka_unit_test(test_dict),	 cmocka_unit_test(test_items),
		cmocka_unit_test(test_function), cmocka_unit_test(test_type_name),
		cmocka_unit_test(test_noise),	 cmocka_unit_test(test_shipped),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
