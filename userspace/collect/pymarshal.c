/* Code objects of a compiled Python file. Source of the format: CPython's Python/marshal.c. */
#include "collect/pymarshal.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "catalog/python_opcodes.h"

#define FLAG_REF 0x80
#define LONG_BITS 15 /* of a digit of an int in a file */

/* What was read: its canonical form, and the bytes of a text or of bytes. */
struct object {
	struct pycode_value value;
	const uint8_t *raw; /* NULL: neither */
	size_t raw_len;
	bool known; /* false: begun, and referred to from within */
};

struct reader {
	const struct python_code *how;
	unsigned int magic;
	struct bytes_reader in;
	struct object *refs;
	size_t refs_count, refs_cap;
	size_t held; /* items of tuples and sets that are being read */
	unsigned int depth;
	struct pymarshal *out;
	const char *why;
};

static int stop(struct reader *r, const char *why)
{
	if (!r->why)
		r->why = why;
	return -1;
}

static int read_object(struct reader *r, struct object *out);

/* ---- references ---- */

/* A place for an object that may be referred to; SIZE_MAX when it may not. */
static int ref_reserve(struct reader *r, bool flag, size_t *index)
{
	*index = SIZE_MAX;
	if (!flag)
		return 0;
	if (r->refs_count == PYMARSHAL_OBJECTS)
		return stop(r, "too-large");
	if (r->refs_count == r->refs_cap) {
		size_t cap = r->refs_cap ? 2 * r->refs_cap : 64;
		struct object *grown = realloc(r->refs, cap * sizeof(*grown));

		if (!grown)
			return stop(r, "failed");
		r->refs = grown;
		r->refs_cap = cap;
	}
	*index = r->refs_count++;
	memset(&r->refs[*index], 0, sizeof(r->refs[0]));
	return 0;
}

static void ref_set(struct reader *r, size_t index, const struct object *o)
{
	if (index == SIZE_MAX)
		return;
	r->refs[index] = *o;
	r->refs[index].known = true;
}

static int ref_get(struct reader *r, struct object *out)
{
	uint32_t index = bytes_get_le32(&r->in);

	if (r->in.bad || index >= r->refs_count || !r->refs[index].known)
		return stop(r, "damaged");
	*out = r->refs[index];
	return 0;
}

/* ---- leaves ---- */

static int simple(struct object *out, enum pycode_type type)
{
	return pycode_value(&out->value, type, NULL, 0);
}

static int read_raw(struct reader *r, size_t len, enum pycode_type type, struct object *out)
{
	const uint8_t *data = bytes_get(&r->in, len);

	if (!data)
		return stop(r, "damaged");
	if (pycode_value(&out->value, type, data, len))
		return stop(r, "failed");
	out->raw = data;
	out->raw_len = len;
	return 0;
}

/* Texts of the ascii types hold a byte a character. */
static int read_ascii(struct reader *r, size_t len, struct object *out)
{
	if (read_raw(r, len, PYCODE_TEXT, out) || !out->raw)
		return -1;
	for (size_t i = 0; i < len; i++)
		if (out->raw[i] >= 0x80)
			return stop(r, "damaged");
	return 0;
}

static int read_int32(struct reader *r, struct object *out)
{
	int32_t value = (int32_t)bytes_get_le32(&r->in);
	uint32_t magnitude = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;

	if (r->in.bad)
		return stop(r, "damaged");
	return pycode_int(&out->value, value < 0, &magnitude, 1, 32) ? stop(r, "failed") : 0;
}

static int read_long(struct reader *r, struct object *out)
{
	int32_t size = (int32_t)bytes_get_le32(&r->in);
	size_t count = size < 0 ? 0u - (uint32_t)size : (uint32_t)size;
	uint32_t *digits;
	int ret = 0;

	if (r->in.bad || count > (r->in.len - r->in.at) / 2)
		return stop(r, "damaged");
	digits = calloc(count + 1, sizeof(*digits));
	if (!digits)
		return stop(r, "failed");
	for (size_t i = 0; i < count && !ret; i++) {
		digits[i] = bytes_get_le16(&r->in);
		if (digits[i] >> LONG_BITS)
			ret = stop(r, "damaged");
	}
	if (!ret && pycode_int(&out->value, size < 0, digits, count, LONG_BITS))
		ret = stop(r, "failed");
	free(digits);
	return ret;
}

/* ---- containers ---- */

static int read_items(struct reader *r, size_t count, enum pycode_type type, struct object *out)
{
	struct pycode_value *items;
	int ret = 0;

	/* An item has a byte at least; all that are open at once are bounded together. */
	if (count > r->in.len - r->in.at)
		return stop(r, "damaged");
	if (count > PYMARSHAL_OBJECTS - r->held)
		return stop(r, "too-large");
	items = calloc(count + 1, sizeof(*items));
	if (!items)
		return stop(r, "failed");
	r->held += count;
	for (size_t i = 0; i < count && !ret; i++) {
		struct object item;

		ret = read_object(r, &item);
		items[i] = item.value;
	}
	if (!ret && pycode_items(&out->value, type, items, count))
		ret = stop(r, "failed");
	r->held -= count;
	free(items);
	return ret;
}

static int read_typed(struct reader *r, enum pycode_type type, struct object *out)
{
	if (read_object(r, out))
		return -1;
	return out->value.type == type ? 0 : stop(r, "damaged");
}

static int keep_code(struct reader *r, const struct pycode *c, const struct object *name,
		     const struct object *qualname, uint32_t line)
{
	struct pymarshal *m = r->out;
	struct pymarshal_code *code;

	if (m->count == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 32;
		struct pymarshal_code *grown = realloc(m->codes, cap * sizeof(*grown));

		if (!grown)
			return stop(r, "failed");
		m->codes = grown;
		m->cap = cap;
	}
	code = &m->codes[m->count++];
	memset(code, 0, sizeof(*code));
	code->name = name->raw;
	code->name_len = name->raw_len;
	code->qualname = qualname->raw;
	code->qualname_len = qualname->raw_len;
	code->line = line;
	code->why = pycode_digest(r->how, r->magic, c, code->digest);
	return 0;
}

/* The fields in the order of the version, which is known from the fields that it has. */
static int read_code(struct reader *r, struct object *out)
{
	const struct python_code *how = r->how;
	bool one_list = how->code_localsplusnames >= 0;
	struct object o, name, qualname = { 0 };
	struct pycode c;
	uint32_t line;

	pycode_begin(&c);
	c.argcount = bytes_get_le32(&r->in);
	if (how->code_posonlyargcount >= 0)
		c.posonlyargcount = bytes_get_le32(&r->in);
	if (how->code_kwonlyargcount >= 0)
		c.kwonlyargcount = bytes_get_le32(&r->in);
	if (!one_list)
		bytes_get_le32(&r->in); /* number of variables */
	c.stacksize = bytes_get_le32(&r->in);
	c.flags = bytes_get_le32(&r->in);
	if (read_typed(r, PYCODE_BYTES, &o))
		return -1;
	c.code = o.raw;
	c.code_len = o.raw_len;
	if (read_typed(r, PYCODE_TUPLE, &o))
		return -1;
	c.consts = o.value;
	if (read_typed(r, PYCODE_TUPLE, &o))
		return -1;
	c.names = o.value;
	for (int i = 0; i < (one_list ? 2 : 3); i++) {
		if (read_typed(r, one_list && i == 1 ? PYCODE_BYTES : PYCODE_TUPLE, &o))
			return -1;
		c.variables[i] = o.value;
	}
	if (read_typed(r, PYCODE_TEXT, &o) || read_typed(r, PYCODE_TEXT, &name))
		return -1;
	c.name = name.value;
	qualname.value.type = PYCODE_ABSENT;
	if (one_list && read_typed(r, PYCODE_TEXT, &qualname))
		return -1;
	c.qualname = qualname.value;
	line = bytes_get_le32(&r->in);
	if (read_typed(r, PYCODE_BYTES, &o))
		return -1;
	if (how->code_exceptiontable >= 0) {
		if (read_typed(r, PYCODE_BYTES, &o))
			return -1;
		c.exceptiontable = o.value;
	}
	if (r->in.bad)
		return stop(r, "damaged");
	if (keep_code(r, &c, &name, &qualname, line))
		return -1;
	return pycode_constant(&out->value, &c.name, &c.qualname) ? stop(r, "failed") : 0;
}

/* ---- one object ---- */

static int read_content(struct reader *r, uint8_t type, struct object *out)
{
	switch (type) {
	case 'N':
		return simple(out, PYCODE_NONE);
	case '.':
		return simple(out, PYCODE_ELLIPSIS);
	case 'T':
		return simple(out, PYCODE_TRUE);
	case 'F':
		return simple(out, PYCODE_FALSE);
	case 'i':
		return read_int32(r, out);
	case 'l':
		return read_long(r, out);
	case 'g':
		return read_raw(r, 8, PYCODE_FLOAT, out);
	case 'y':
		return read_raw(r, 16, PYCODE_COMPLEX, out);
	case 's':
		return read_raw(r, bytes_get_le32(&r->in), PYCODE_BYTES, out);
	case 'u':
	case 't':
		return read_raw(r, bytes_get_le32(&r->in), PYCODE_TEXT, out);
	case 'a':
	case 'A':
		return read_ascii(r, bytes_get_le32(&r->in), out);
	case 'z':
	case 'Z':
		return read_ascii(r, bytes_get_u8(&r->in), out);
	case ')':
		return read_items(r, bytes_get_u8(&r->in), PYCODE_TUPLE, out);
	case '(':
		return read_items(r, bytes_get_le32(&r->in), PYCODE_TUPLE, out);
	case '>':
		return read_items(r, bytes_get_le32(&r->in), PYCODE_FROZENSET, out);
	case 'c':
		return read_code(r, out);
	default:
		return stop(r,
			    strchr("fxI<[{S", type) && type ? "unsupported-constant" : "damaged");
	}
}

static int read_object(struct reader *r, struct object *out)
{
	uint8_t head = bytes_get_u8(&r->in), type = head & (FLAG_REF - 1);
	/* These are one object each and never referred to. */
	bool flag = head & FLAG_REF && !strchr("N.TF", type);
	size_t index;
	int ret;

	memset(out, 0, sizeof(*out));
	if (r->in.bad || !type)
		return stop(r, "damaged");
	if (type == 'r')
		return ref_get(r, out);
	if (r->depth == PYMARSHAL_DEPTH)
		return stop(r, "too-large");
	if (ref_reserve(r, flag, &index))
		return -1;
	r->depth++;
	ret = read_content(r, type, out);
	r->depth--;
	if (!ret && r->in.bad)
		ret = stop(r, "damaged");
	if (!ret)
		ref_set(r, index, out);
	return ret;
}

const char *pymarshal_read(const struct python_code *how, unsigned int magic, const uint8_t *data,
			   size_t len, struct pymarshal *out)
{
	struct reader r = { .how = how, .magic = magic, .in = { .data = data, .len = len } };
	struct object whole;

	memset(out, 0, sizeof(*out));
	r.out = out;
	if (len > PYMARSHAL_MAX)
		return "too-large";
	if (!read_object(&r, &whole) && whole.value.type != PYCODE_CODE)
		stop(&r, "damaged");
	free(r.refs);
	if (r.why)
		pymarshal_release(out);
	return r.why;
}

void pymarshal_release(struct pymarshal *m)
{
	free(m->codes);
	memset(m, 0, sizeof(*m));
}
