/* Reads and digests code objects of live processes. */
#include "collect/pymemory.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "catalog/catalog.h"
#include "catalog/python_opcodes.h"
#include "collect/procfs.h"
#include "collect/pycode.h"

#define PAGE 4096u
#define PAGES 24u /* remembered while one object is read; below what malloc maps anew each time */
#define BYTES_MAX (4u << 20) /* of one code, text or constant */
#define ITEMS_MAX 65536u /* of one tuple or set */
#define TOTAL_MAX (16u << 20) /* of one code object with all that it holds */
#define DEPTH_MAX 32 /* tuples in tuples */
#define TRIES 4

struct memory {
	pid_t pid;
	const struct python_layout *layout;
	const struct python_code *how;
	const struct pymemory_types *types;
	const char *why;
	size_t total;
	int depth;
	uint64_t tags[PAGES]; /* address | 1 of the page that is held; 0: none */
	uint8_t pages[PAGES][PAGE];
};

static int stop(struct memory *m, const char *why)
{
	if (!m->why)
		m->why = why;
	return -1;
}

/* ---- bytes ---- */

static const uint8_t *page(struct memory *m, uint64_t address)
{
	size_t slot = address / PAGE % PAGES;

	if (m->tags[slot] != (address | 1)) {
		m->tags[slot] = 0;
		if (procfs_memory(m->pid, address, m->pages[slot], PAGE))
			return NULL;
		m->tags[slot] = address | 1;
	}
	return m->pages[slot];
}

static int take(struct memory *m, uint64_t address, void *out, size_t size)
{
	uint8_t *to = out;

	m->total += size;
	if (m->total > TOTAL_MAX)
		return stop(m, "too-large");
	while (size) {
		size_t at = address % PAGE, part = PAGE - at < size ? PAGE - at : size;
		const uint8_t *from = page(m, address - at);

		if (!from)
			return stop(m, "gone");
		memcpy(to, from + at, part);
		to += part;
		address += part;
		size -= part;
	}
	return 0;
}

static int take_word(struct memory *m, uint64_t address, int32_t offset, uint64_t *out)
{
	return take(m, address + (uint64_t)(int64_t)offset, out, sizeof(*out));
}

static int take_number(struct memory *m, uint64_t address, int32_t offset, uint32_t *out)
{
	*out = 0;
	return offset < 0 ? 0 : take(m, address + (uint64_t)offset, out, sizeof(*out));
}

/* The object's type must be this one. */
static int check_type(struct memory *m, uint64_t object, uint64_t type)
{
	uint64_t have;

	if (take_word(m, object, m->layout->object_type, &have))
		return -1;
	return have == type && type ? 0 : stop(m, "unsupported-constant");
}

/* ---- leaves ---- */

/* A text as UTF-8, lone surrogates like other code points; free the buffer. */
static int take_text(struct memory *m, uint64_t object, uint8_t **out, size_t *out_len)
{
	const struct python_layout *l = m->layout;
	cleanup_free uint8_t *raw = NULL;
	uint64_t length, data;
	uint32_t state, kind;

	*out = NULL;
	*out_len = 0;
	if (check_type(m, object, m->types->text) ||
	    take_word(m, object, l->unicode_length, &length) ||
	    take(m, object + (uint64_t)l->unicode_state, &state, sizeof(state)))
		return -1;
	/* PyASCIIObject.state: interned 2 bits, kind 3 (bytes a character), compact 1, ascii 1. */
	kind = state >> 2 & 7;
	if (!(state & 1 << 5) || (kind != 1 && kind != 2 && kind != 4))
		return stop(m, "unsupported-constant");
	if (length > BYTES_MAX / kind)
		return stop(m, "too-large");
	data = object +
	       (uint64_t)(state & 1 << 6 ? l->unicode_ascii_data : l->unicode_compact_data);
	raw = malloc(length * kind + 1);
	*out = malloc(length * 4 + 1);
	if (!raw || !*out)
		return stop(m, "failed");
	if (take(m, data, raw, length * kind))
		return -1;
	for (size_t i = 0; i < length; i++) {
		uint32_t c = 0;

		memcpy(&c, raw + i * kind, kind);
		*out_len += pycode_utf8(*out + *out_len, c);
	}
	return 0;
}

static int text_value(struct memory *m, uint64_t object, struct pycode_value *out)
{
	cleanup_free uint8_t *text = NULL;
	size_t len;

	if (take_text(m, object, &text, &len))
		return -1;
	return pycode_value(out, PYCODE_TEXT, text, len) ? stop(m, "failed") : 0;
}

/* The content of a bytes object; free the buffer. */
static int take_bytes(struct memory *m, uint64_t object, uint8_t **out, size_t *out_len)
{
	uint64_t len;

	*out = NULL;
	if (check_type(m, object, m->types->bytes) || take_word(m, object, m->how->var_size, &len))
		return -1;
	if (len > BYTES_MAX)
		return stop(m, "too-large");
	*out_len = len;
	*out = malloc(len + 1);
	if (!*out)
		return stop(m, "failed");
	return take(m, object + (uint64_t)m->how->bytes_data, *out, len);
}

static int bytes_value(struct memory *m, uint64_t object, struct pycode_value *out)
{
	cleanup_free uint8_t *data = NULL;
	size_t len = 0;

	if (take_bytes(m, object, &data, &len))
		return -1;
	return pycode_value(out, PYCODE_BYTES, data, len) ? stop(m, "failed") : 0;
}

static int int_value(struct memory *m, uint64_t object, struct pycode_value *out)
{
	const struct python_code *how = m->how;
	cleanup_free uint32_t *digits = NULL;
	unsigned int bits = how->digit_size == 4 ? 30 : 15;
	size_t digit = (size_t)how->digit_size;
	bool negative;
	uint64_t count;

	/* 3.12 on: two bits of sign (0, 1: zero, 2: negative), one reserved, then the count. */
	if (how->long_tag >= 0) {
		if (take_word(m, object, how->long_tag, &count))
			return -1;
		negative = (count & 3) == 2;
		count = (count & 3) == 1 ? 0 : count >> 3;
	} else {
		if (take_word(m, object, how->var_size, &count))
			return -1;
		negative = count >> 63;
		count = negative ? 0 - count : count;
	}
	if (count > BYTES_MAX / digit)
		return stop(m, "too-large");
	digits = calloc(count + 1, sizeof(*digits));
	if (!digits)
		return stop(m, "failed");
	for (size_t i = 0; i < count; i++) {
		if (take(m, object + (uint64_t)how->long_digits + i * digit, &digits[i], digit))
			return -1;
		if (digits[i] >> bits)
			return stop(m, "unsupported-constant");
	}
	return pycode_int(out, negative, digits, count, bits) ? stop(m, "failed") : 0;
}

static int plain_value(struct memory *m, uint64_t address, enum pycode_type type, size_t size,
		       struct pycode_value *out)
{
	uint8_t data[16];

	if (take(m, address, data, size))
		return -1;
	return pycode_value(out, type, data, size) ? stop(m, "failed") : 0;
}

/* ---- containers ---- */

static int constant_value(struct memory *m, uint64_t object, struct pycode_value *out);

static int tuple_value(struct memory *m, uint64_t object, struct pycode_value *out)
{
	cleanup_free struct pycode_value *items = NULL;
	uint64_t count, item;

	if (check_type(m, object, m->types->tuple) ||
	    take_word(m, object, m->how->var_size, &count))
		return -1;
	if (count > ITEMS_MAX)
		return stop(m, "too-large");
	items = calloc(count + 1, sizeof(*items));
	if (!items)
		return stop(m, "failed");
	for (size_t i = 0; i < count; i++)
		if (take_word(m, object + 8 * i, m->how->tuple_items, &item) ||
		    constant_value(m, item, &items[i]))
			return -1;
	return pycode_items(out, PYCODE_TUPLE, items, count) ? stop(m, "failed") : 0;
}

static int frozenset_value(struct memory *m, uint64_t object, struct pycode_value *out)
{
	cleanup_free struct pycode_value *items = NULL;
	uint64_t used, mask, table, key;
	size_t count = 0;

	if (take_word(m, object, m->how->set_used, &used) ||
	    take_word(m, object, m->how->set_mask, &mask) ||
	    take_word(m, object, m->how->set_table, &table))
		return -1;
	if (used > ITEMS_MAX || mask > 16 * ITEMS_MAX)
		return stop(m, "too-large");
	items = calloc(used + 1, sizeof(*items));
	if (!items)
		return stop(m, "failed");
	for (uint64_t i = 0; i <= mask; i++) {
		if (take_word(m, table + i * (uint64_t)m->how->setentry_size, 0, &key))
			return -1;
		if (!key)
			continue;
		if (count == used)
			return stop(m, "unsteady");
		if (constant_value(m, key, &items[count++]))
			return -1;
	}
	if (count != used)
		return stop(m, "unsteady");
	return pycode_items(out, PYCODE_FROZENSET, items, count) ? stop(m, "failed") : 0;
}

/* A code object as a constant counts by its names. */
static int code_value(struct memory *m, uint64_t object, struct pycode_value *out)
{
	struct pycode_value name, qualname;
	uint64_t text;

	memset(&qualname, 0, sizeof(qualname));
	qualname.type = PYCODE_ABSENT;
	if (take_word(m, object, m->layout->code_name, &text) || text_value(m, text, &name))
		return -1;
	if (m->layout->code_qualname >= 0 &&
	    (take_word(m, object, m->layout->code_qualname, &text) ||
	     text_value(m, text, &qualname)))
		return -1;
	return pycode_constant(out, &name, &qualname) ? stop(m, "failed") : 0;
}

static int typed_value(struct memory *m, uint64_t object, uint64_t type, struct pycode_value *out)
{
	const struct pymemory_types *t = m->types;

	if (type == t->text)
		return text_value(m, object, out);
	if (type == t->integer)
		return int_value(m, object, out);
	if (type == t->tuple)
		return tuple_value(m, object, out);
	if (type == t->bytes)
		return bytes_value(m, object, out);
	if (type == t->code)
		return code_value(m, object, out);
	if (type == t->real)
		return plain_value(m, object + (uint64_t)m->how->float_value, PYCODE_FLOAT, 8, out);
	if (type == t->imaginary)
		return plain_value(m, object + (uint64_t)m->how->complex_value, PYCODE_COMPLEX, 16,
				   out);
	if (type == t->frozenset)
		return frozenset_value(m, object, out);
	return stop(m, "unsupported-constant");
}

static int constant_value(struct memory *m, uint64_t object, struct pycode_value *out)
{
	const struct pymemory_types *t = m->types;
	uint64_t type;
	int ret;

	if (object == t->none)
		return pycode_value(out, PYCODE_NONE, NULL, 0);
	if (object == t->yes)
		return pycode_value(out, PYCODE_TRUE, NULL, 0);
	if (object == t->no)
		return pycode_value(out, PYCODE_FALSE, NULL, 0);
	if (object == t->ellipsis)
		return pycode_value(out, PYCODE_ELLIPSIS, NULL, 0);
	if (take_word(m, object, m->layout->object_type, &type))
		return -1;
	if (m->depth == DEPTH_MAX)
		return stop(m, "too-large");
	m->depth++;
	ret = typed_value(m, object, type, out);
	m->depth--;
	return ret;
}

/* ---- the code object ---- */

static int check_text(struct memory *m, uint64_t object, const char *want, size_t want_len,
		      bool cut)
{
	cleanup_free uint8_t *text = NULL;
	size_t len;

	if (take_text(m, object, &text, &len) || !text)
		return stop(m, "gone");
	return len < want_len || (len > want_len && !cut) || memcmp(text, want, want_len)
		       ? stop(m, "gone")
		       : 0;
}

static int check_expected(struct memory *m, uint64_t code, const struct pymemory_expected *e)
{
	const struct python_layout *l = m->layout;
	uint64_t type, filename, name;
	uint32_t line;

	if (take_word(m, code, l->object_type, &type) ||
	    take_number(m, code, l->code_firstlineno, &line) ||
	    take_word(m, code, l->code_filename, &filename) ||
	    take_word(m, code, l->code_name, &name))
		return -1;
	if (type != m->types->code || line != e->line)
		return stop(m, "gone");
	if (check_text(m, filename, e->filename, e->filename_len, e->filename_cut) ||
	    check_text(m, name, e->name, e->name_len, e->name_cut)) {
		/* Whatever kept it from being read, it is not the object that was met. */
		m->why = "gone";
		return -1;
	}
	return 0;
}

/* Bytecode; free the buffer. */
static int take_code(struct memory *m, uint64_t code, uint8_t **out, size_t *len)
{
	uint64_t object, units;

	*out = NULL;
	if (m->layout->code_code >= 0)
		return take_word(m, code, m->layout->code_code, &object) ||
				       take_bytes(m, object, out, len)
			       ? -1
			       : 0;
	if (take_word(m, code, m->how->var_size, &units))
		return -1;
	if (units > BYTES_MAX / 2)
		return stop(m, "too-large");
	*len = 2 * units;
	*out = malloc(*len + 1);
	if (!*out)
		return stop(m, "failed");
	return take(m, code + (uint64_t)m->layout->code_code_adaptive, *out, *len);
}

/* A member that is a tuple, bytes or a text; absent when the version has none. */
static int member_value(struct memory *m, uint64_t code, int32_t offset,
			int (*value)(struct memory *, uint64_t, struct pycode_value *),
			struct pycode_value *out)
{
	uint64_t object = 0;

	if (offset < 0)
		return 0;
	return take_word(m, code, offset, &object) ? -1 : value(m, object, out);
}

static int read_fields(struct memory *m, uint64_t code, struct pycode *c)
{
	const struct python_code *how = m->how;
	const struct python_layout *l = m->layout;

	if (take_number(m, code, how->code_argcount, &c->argcount) ||
	    take_number(m, code, how->code_posonlyargcount, &c->posonlyargcount) ||
	    take_number(m, code, how->code_kwonlyargcount, &c->kwonlyargcount) ||
	    take_number(m, code, how->code_stacksize, &c->stacksize) ||
	    take_number(m, code, l->code_flags, &c->flags) ||
	    member_value(m, code, how->code_consts, tuple_value, &c->consts) ||
	    member_value(m, code, how->code_names, tuple_value, &c->names) ||
	    member_value(m, code, how->code_exceptiontable, bytes_value, &c->exceptiontable) ||
	    member_value(m, code, l->code_name, text_value, &c->name) ||
	    member_value(m, code, l->code_qualname, text_value, &c->qualname))
		return -1;
	if (how->code_localsplusnames >= 0)
		return member_value(m, code, how->code_localsplusnames, tuple_value,
				    &c->variables[0]) ||
				       member_value(m, code, how->code_localspluskinds, bytes_value,
						    &c->variables[1])
			       ? -1
			       : 0;
	return member_value(m, code, how->code_varnames, tuple_value, &c->variables[0]) ||
			       member_value(m, code, how->code_freevars, tuple_value,
					    &c->variables[1]) ||
			       member_value(m, code, how->code_cellvars, tuple_value,
					    &c->variables[2])
		       ? -1
		       : 0;
}

static const char *read_once(struct memory *m, uint64_t address,
			     const struct pymemory_expected *expected, uint8_t out[DIGEST_SIZE])
{
	cleanup_free uint8_t *code = NULL;
	struct pycode c;

	m->why = NULL;
	m->total = 0;
	m->depth = 0;
	memset(m->tags, 0, sizeof(m->tags));
	pycode_begin(&c);
	if (check_expected(m, address, expected) || take_code(m, address, &code, &c.code_len) ||
	    read_fields(m, address, &c))
		return m->why ? m->why : "failed";
	c.code = code;
	return pycode_digest(m->how, m->layout->pyc_magic, &c, out);
}

const char *pymemory_supported(const struct python_layout *layout)
{
	return layout->code ? NULL : "no-opcodes";
}

const char *pymemory_read(pid_t pid, const struct python_layout *layout,
			  const struct pymemory_types *types, uint64_t address,
			  const struct pymemory_expected *expected, uint8_t out[DIGEST_SIZE])
{
	struct memory *m = calloc(1, sizeof(*m));
	uint8_t before[DIGEST_SIZE];
	const char *why, *why_before;

	if (!m)
		return "failed";
	m->pid = pid;
	m->layout = layout;
	m->how = layout->code;
	m->types = types;
	why_before = read_once(m, address, expected, before);
	for (int i = 0;; i++) {
		why = read_once(m, address, expected, out);
		if (why == why_before && (why || !memcmp(before, out, DIGEST_SIZE)))
			break;
		if (i == TRIES) {
			why = "unsteady";
			break;
		}
		why_before = why;
		memcpy(before, out, DIGEST_SIZE);
	}
	free(m);
	return why;
}
