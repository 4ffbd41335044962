/* Reads live Python objects of another process from outside. */
#include "collect/pyobjects.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "collect/procfs.h"

/* Bits of tp_flags: the same in all versions from 2.6 on. */
#define HEAP_TYPE (1ULL << 9)
#define LIST_TYPE (1ULL << 25)
#define TUPLE_TYPE (1ULL << 26)
#define TEXT_TYPE (1ULL << 28)
#define DICT_TYPE (1ULL << 29)
#define TYPE_TYPE (1ULL << 31)

/* Bits of a str's state: two for interning come first. */
#define STATE_KIND(state) ((state) >> 2 & 7)
#define STATE_COMPACT(state) ((state) >> 5 & 1)
#define STATE_ASCII(state) ((state) >> 6 & 1)

#define BASES_MAX 8 /* classes above a type that are looked at */
#define USER_END (1ULL << 47)
#define DIRECT_MIN 65536 /* more than this at once is not remembered */

int pyobjects_begin(struct pyobjects *o, pid_t pid, const struct python_layout *layout)
{
	memset(o, 0, sizeof(*o));
	o->pid = pid;
	o->layout = layout;
	o->pages = calloc(PYOBJECTS_PAGES, sizeof(*o->pages));
	return o->pages ? 0 : -1;
}

void pyobjects_end(struct pyobjects *o)
{
	free(o->pages);
	o->pages = NULL;
}

void pyobjects_refresh(struct pyobjects *o)
{
	for (size_t i = 0; i < PYOBJECTS_PAGES; i++)
		o->pages[i].address = 0;
}

/* Objects lie side by side: a page that is read once answers for many of them. */
static const uint8_t *page_of(struct pyobjects *o, uint64_t address)
{
	const uint64_t start = address & ~(uint64_t)(PYOBJECTS_PAGE - 1);
	struct pyobjects_page *page = &o->pages[start / PYOBJECTS_PAGE % PYOBJECTS_PAGES];

	if (page->address != start) {
		page->address = 0;
		o->reads++;
		if (procfs_memory(o->pid, start, page->bytes, sizeof(page->bytes)))
			return NULL;
		page->address = start;
	}
	return page->bytes + (address - start);
}

static bool get(struct pyobjects *o, uint64_t address, void *out, size_t size)
{
	uint8_t *to = out;

	if (address < PYOBJECTS_PAGE || address >= USER_END || size > USER_END - address)
		return false;
	if (size > DIRECT_MIN) {
		o->reads++;
		return !procfs_memory(o->pid, address, out, size);
	}
	while (size) {
		size_t n = PYOBJECTS_PAGE - address % PYOBJECTS_PAGE;
		const uint8_t *from = page_of(o, address);

		if (!from)
			return false;
		n = n < size ? n : size;
		memcpy(to, from, n);
		to += n;
		address += n;
		size -= n;
	}
	return true;
}

bool pyobjects_word(struct pyobjects *o, uint64_t address, int32_t at, uint64_t *out)
{
	*out = 0;
	return address % 8 == 0 && get(o, address + (uint64_t)(int64_t)at, out, sizeof(*out));
}

uint64_t pyobjects_type(struct pyobjects *o, uint64_t object)
{
	uint64_t type;

	return pyobjects_word(o, object, o->layout->object_type, &type) ? type : 0;
}

bool pyobjects_type_name(struct pyobjects *o, uint64_t type, char *out, size_t size)
{
	uint64_t name;
	char text[128];
	size_t have = sizeof(text), len;

	out[0] = '\0';
	if (!pyobjects_word(o, type, o->layout->objects.type_name, &name))
		return false;
	/* The page may end behind the name. */
	if (have > 4096 - name % 4096)
		have = 4096 - name % 4096;
	if (!get(o, name, text, have))
		return false;
	len = strnlen(text, have);
	if (!len || len == have || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	memcpy(out, text, len + 1);
	return true;
}

static bool is_module_type(struct pyobjects *o, uint64_t type)
{
	char name[64];
	uint64_t flags;

	for (int i = 0; i < BASES_MAX && type; i++) {
		if (!pyobjects_word(o, type, o->layout->objects.type_flags, &flags))
			return false;
		if (!(flags & HEAP_TYPE))
			return pyobjects_type_name(o, type, name, sizeof(name)) &&
			       !strcmp(name, "module");
		if (!pyobjects_word(o, type, o->layout->objects.type_base, &type))
			return false;
	}
	return false;
}

/* lasts: the type is a static one, so its address stays its own. */
static enum pyobject_kind kind_of_type(struct pyobjects *o, uint64_t type, bool *lasts)
{
	static const struct {
		const char *name;
		enum pyobject_kind kind;
	} names[] = {
		{ "function", PYOBJECT_FUNCTION },
		{ "code", PYOBJECT_CODE },
		{ "cell", PYOBJECT_CELL },
		{ "method", PYOBJECT_METHOD },
		{ "classmethod", PYOBJECT_CLASSMETHOD },
		{ "property", PYOBJECT_PROPERTY },
		{ "staticmethod", PYOBJECT_STATICMETHOD },
		{ "module", PYOBJECT_MODULE },
	};
	uint64_t flags;
	char name[64];

	*lasts = false;
	if (!pyobjects_word(o, type, o->layout->objects.type_flags, &flags))
		return PYOBJECT_NONE;
	*lasts = !(flags & HEAP_TYPE);
	if (flags & TYPE_TYPE)
		return PYOBJECT_TYPE;
	if (flags & DICT_TYPE)
		return PYOBJECT_DICT;
	if (flags & TEXT_TYPE)
		return PYOBJECT_TEXT;
	if (flags & TUPLE_TYPE)
		return PYOBJECT_TUPLE;
	if (flags & LIST_TYPE)
		return PYOBJECT_LIST;
	if (flags & HEAP_TYPE)
		return is_module_type(o, type) ? PYOBJECT_MODULE : PYOBJECT_OTHER;
	if (pyobjects_type_name(o, type, name, sizeof(name)))
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strcmp(name, names[i].name))
				return names[i].kind;
	return PYOBJECT_OTHER;
}

enum pyobject_kind pyobjects_kind(struct pyobjects *o, uint64_t object)
{
	uint64_t type = pyobjects_type(o, object);
	size_t slot = (type >> 4) * 0x9e3779b97f4a7c15ULL >> 56;

	if (!type)
		return PYOBJECT_NONE;
	if (o->types[slot].type != type) {
		bool lasts;
		enum pyobject_kind kind = kind_of_type(o, type, &lasts);

		if (!lasts)
			return kind;
		o->types[slot].type = type;
		o->types[slot].kind = kind;
	}
	return o->types[slot].kind;
}

/* ---- text ---- */

/* Appends a code point as UTF-8; returns its length, or 0 when there is no room. */
static size_t put_utf8(uint32_t c, char *out, size_t room)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (room < n)
		return 0;
	if (n == 1) {
		out[0] = (char)c;
		return 1;
	}
	for (size_t i = n - 1; i; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | (c & 0x3f));
	return n;
}

bool pyobjects_text(struct pyobjects *o, uint64_t object, char *out, size_t size)
{
	const struct python_layout *l = o->layout;
	uint8_t raw[PYOBJECTS_TEXT * 4];
	uint64_t length, state, data;
	size_t width, at = 0;

	if (pyobjects_kind(o, object) != PYOBJECT_TEXT ||
	    !pyobjects_word(o, object, l->unicode_length, &length) ||
	    !pyobjects_word(o, object, l->unicode_state, &state))
		return false;
	width = STATE_KIND(state);
	if (!STATE_COMPACT(state) || (width != 1 && width != 2 && width != 4) ||
	    length >= PYOBJECTS_TEXT || length >= size)
		return false;
	data = object +
	       (uint64_t)(STATE_ASCII(state) ? l->unicode_ascii_data : l->unicode_compact_data);
	if (length && !get(o, data, raw, length * width))
		return false;
	for (size_t i = 0; i < length; i++) {
		uint32_t c = 0;
		size_t n;

		memcpy(&c, raw + i * width, width);
		if (!c || c > 0x10ffff)
			return false;
		n = put_utf8(c, out + at, size - 1 - at);
		if (!n)
			return false;
		at += n;
	}
	out[at] = '\0';
	return true;
}

/* ---- containers ---- */

struct table {
	uint64_t entries, values, count;
	int32_t key, value, size;
};

/* Where a dict's entries are. */
static bool find_table(struct pyobjects *o, uint64_t dict, struct table *t)
{
	const struct python_objects *at = &o->layout->objects;
	uint64_t keys, indices;
	uint8_t log2_bytes = 0, kind = 0;

	if (pyobjects_kind(o, dict) != PYOBJECT_DICT ||
	    !pyobjects_word(o, dict, at->dict_keys, &keys) ||
	    !pyobjects_word(o, dict, at->dict_values, &t->values) ||
	    !pyobjects_word(o, keys, at->keys_nentries, &t->count) || t->count > PYOBJECTS_ENTRIES)
		return false;
	if (at->keys_log2_index_bytes >= 0) {
		if (!get(o, keys + (uint64_t)at->keys_log2_index_bytes, &log2_bytes, 1) ||
		    !get(o, keys + (uint64_t)at->keys_kind, &kind, 1) || log2_bytes > 24)
			return false;
		indices = 1ULL << log2_bytes;
	} else {
		if (!pyobjects_word(o, keys, at->keys_size, &indices) ||
		    indices > 4 * PYOBJECTS_ENTRIES)
			return false;
		indices *= indices <= 0xff ? 1 : indices <= 0xffff ? 2 : 4;
	}
	t->entries = keys + (uint64_t)at->keys_indices + indices;
	/* Kind 0 holds keys of any type with their hashes, the others texts alone. */
	if (kind) {
		t->key = at->unicode_entry_key;
		t->value = at->unicode_entry_value;
		t->size = at->unicode_entry_size;
	} else {
		t->key = at->entry_key;
		t->value = at->entry_value;
		t->size = at->entry_size;
	}
	if (t->values)
		t->values += (uint64_t)(at->values_values < 0 ? 0 : at->values_values);
	return t->key + 8 <= t->size && t->value + 8 <= t->size && t->size <= 64;
}

int pyobjects_dict(struct pyobjects *o, uint64_t dict,
		   int (*each)(void *ctx, uint64_t key, uint64_t value), void *ctx)
{
	cleanup_free uint8_t *entries = NULL;
	cleanup_free uint64_t *values = NULL;
	struct table t;
	int result = 0;

	if (!find_table(o, dict, &t))
		return -1;
	if (!t.count)
		return 0;
	entries = malloc(t.count * (size_t)t.size);
	if (!entries || !get(o, t.entries, entries, t.count * (size_t)t.size))
		return -1;
	if (t.values) {
		values = malloc(t.count * sizeof(*values));
		if (!values || !get(o, t.values, values, t.count * sizeof(*values)))
			return -1;
	}
	for (uint64_t i = 0; i < t.count && !result; i++) {
		uint64_t key, value;

		memcpy(&key, entries + i * (size_t)t.size + t.key, sizeof(key));
		memcpy(&value, entries + i * (size_t)t.size + t.value, sizeof(value));
		if (values)
			value = values[i];
		if (key && value)
			result = each(ctx, key, value);
	}
	return result;
}

struct search {
	struct pyobjects *o;
	const char *name;
	uint64_t value;
};

static int each_of_search(void *ctx, uint64_t key, uint64_t value)
{
	struct search *s = ctx;
	char text[PYOBJECTS_TEXT];

	if (!pyobjects_text(s->o, key, text, sizeof(text)) || strcmp(text, s->name))
		return 0;
	s->value = value;
	return 1;
}

uint64_t pyobjects_get(struct pyobjects *o, uint64_t dict, const char *name)
{
	struct search s = { o, name, 0 };

	return pyobjects_dict(o, dict, each_of_search, &s) == 1 ? s.value : 0;
}

size_t pyobjects_items(struct pyobjects *o, uint64_t object, uint64_t *out, size_t max)
{
	const struct python_objects *at = &o->layout->objects;
	enum pyobject_kind kind = pyobjects_kind(o, object);
	uint64_t size, items;

	if ((kind != PYOBJECT_TUPLE && kind != PYOBJECT_LIST) ||
	    !pyobjects_word(o, object, at->var_size, &size) || !size)
		return 0;
	if (size > max)
		size = max;
	items = object + (uint64_t)at->tuple_items;
	if (kind == PYOBJECT_LIST && !pyobjects_word(o, object, at->list_items, &items))
		return 0;
	return get(o, items, out, size * sizeof(*out)) ? size : 0;
}

/* ---- functions ---- */

bool pyobjects_function(struct pyobjects *o, uint64_t object, struct pyobjects_function *out)
{
	const struct python_objects *at = &o->layout->objects;

	return pyobjects_kind(o, object) == PYOBJECT_FUNCTION &&
	       pyobjects_word(o, object, at->function_code, &out->code) &&
	       pyobjects_word(o, object, at->function_globals, &out->globals) &&
	       pyobjects_word(o, object, at->function_closure, &out->closure) &&
	       pyobjects_word(o, object, at->function_dict, &out->dict) &&
	       pyobjects_word(o, object, at->function_qualname, &out->qualname);
}

bool pyobjects_code(struct pyobjects *o, uint64_t object, struct pyobjects_code *out)
{
	const struct python_layout *l = o->layout;

	memset(out, 0, sizeof(*out));
	return pyobjects_kind(o, object) == PYOBJECT_CODE &&
	       pyobjects_word(o, object, l->code_filename, &out->filename) &&
	       pyobjects_word(o, object, l->code_name, &out->name) &&
	       (l->code_qualname < 0 ||
		pyobjects_word(o, object, l->code_qualname, &out->qualname)) &&
	       get(o, object + (uint64_t)l->code_firstlineno, &out->line, sizeof(out->line));
}
