/* The canonical form of a Python code object, and its digest. */
#include "collect/pycode.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "catalog/python_opcodes.h"

/* types.coroutine() sets it in the code object of a function that it decorates; compilers do not.
 */
#define FLAG_ITERABLE_COROUTINE 0x100u

/* ---- values ---- */

size_t pycode_utf8(uint8_t out[4], uint32_t c)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | (c >> 18 & 7));
	out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

int pycode_value(struct pycode_value *out, enum pycode_type type, const void *data, size_t len)
{
	memset(out, 0, sizeof(*out));
	out->type = (uint8_t)type;
	out->length = len;
	if (len > PYCODE_INLINE)
		return digest_sha256(data, len, out->data);
	if (len)
		memcpy(out->data, data, len);
	return 0;
}

int pycode_int(struct pycode_value *out, bool negative, const uint32_t *digits, size_t count,
	       unsigned int digit_bits)
{
	struct bytes b = BYTES_INIT;
	uint64_t bits = 0;
	unsigned int held = 0;
	int ret = -1;

	if (bytes_put_u8(&b, negative ? '-' : '+'))
		goto out;
	for (size_t i = 0; i < count; i++) {
		bits |= (uint64_t)digits[i] << held;
		for (held += digit_bits; held >= 8; held -= 8, bits >>= 8)
			if (bytes_put_u8(&b, (uint8_t)bits))
				goto out;
	}
	if (bytes_put_u8(&b, (uint8_t)bits))
		goto out;
	while (b.len > 1 && !b.data[b.len - 1])
		b.len--;
	if (b.len == 1)
		b.data[0] = '+';
	ret = pycode_value(out, PYCODE_INT, b.data, b.len);
out:
	bytes_release(&b);
	return ret;
}

static int put_value(struct bytes *b, const struct pycode_value *v)
{
	bool digest = v->type == PYCODE_TUPLE || v->type == PYCODE_FROZENSET ||
		      v->type == PYCODE_CODE || v->length > PYCODE_INLINE;

	return bytes_put_u8(b, v->type) || bytes_put_le64(b, v->length) ||
			       bytes_put(b, v->data, digest ? DIGEST_SIZE : v->length)
		       ? -1
		       : 0;
}

static int compare_values(const void *a, const void *b)
{
	const struct pycode_value *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	if (x->length != y->length)
		return x->length < y->length ? -1 : 1;
	return memcmp(x->data, y->data, sizeof(x->data));
}

int pycode_items(struct pycode_value *out, enum pycode_type type, struct pycode_value *items,
		 size_t count)
{
	struct bytes b = BYTES_INIT;
	int ret = 0;

	memset(out, 0, sizeof(*out));
	out->type = (uint8_t)type;
	out->length = count;
	if (type == PYCODE_FROZENSET && count)
		qsort(items, count, sizeof(*items), compare_values);
	for (size_t i = 0; i < count && !ret; i++)
		ret = put_value(&b, &items[i]);
	if (!ret)
		ret = digest_sha256(b.data ? b.data : (const uint8_t *)"", b.len, out->data);
	bytes_release(&b);
	return ret;
}

int pycode_constant(struct pycode_value *out, const struct pycode_value *name,
		    const struct pycode_value *qualname)
{
	struct pycode_value both[2] = { *name, *qualname };

	return pycode_items(out, PYCODE_CODE, both, 2);
}

/* ---- code ---- */

void pycode_begin(struct pycode *c)
{
	struct pycode_value *values[] = { &c->consts,	    &c->names,	     &c->exceptiontable,
					  &c->name,	    &c->qualname,    &c->variables[0],
					  &c->variables[1], &c->variables[2] };

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		values[i]->type = PYCODE_ABSENT;
}

/* Appends the bytecode as the compiler wrote it. */
static const char *put_instructions(const struct python_code *how, const struct pycode *c,
				    struct bytes *b)
{
	size_t units = c->code_len / 2, caches = 0;

	if (bytes_put_le64(b, c->code_len))
		return "failed";
	if (!how->specialises)
		return bytes_put(b, c->code, c->code_len) ? "failed" : NULL;
	if (c->code_len % 2)
		return "damaged";
	for (size_t i = 0; i < units; i++) {
		uint8_t unit[2] = { 0, 0 };

		if (caches) {
			caches--;
		} else if (how->unreadable[c->code[2 * i]]) {
			return "instrumented";
		} else {
			unit[0] = how->base[c->code[2 * i]];
			unit[1] = c->code[2 * i + 1];
			caches = how->caches[unit[0]];
		}
		if (bytes_put(b, unit, sizeof(unit)))
			return "failed";
	}
	return caches ? "damaged" : NULL;
}

const char *pycode_digest(const struct python_code *how, unsigned int magic, const struct pycode *c,
			  uint8_t out[DIGEST_SIZE])
{
	static const char head[] = "daylight python code 0\n";
	const uint32_t numbers[] = { magic,
				     c->argcount,
				     c->posonlyargcount,
				     c->kwonlyargcount,
				     c->stacksize,
				     c->flags & ~FLAG_ITERABLE_COROUTINE };
	const struct pycode_value *const values[] = { &c->consts,	&c->names,
						      &c->variables[0], &c->variables[1],
						      &c->variables[2], &c->exceptiontable,
						      &c->name,		&c->qualname };
	struct bytes b = BYTES_INIT;
	const char *why = NULL;

	if (bytes_put(&b, head, sizeof(head) - 1))
		why = "failed";
	for (size_t i = 0; !why && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		why = bytes_put_le32(&b, numbers[i]) ? "failed" : NULL;
	for (size_t i = 0; !why && i < sizeof(values) / sizeof(values[0]); i++)
		why = put_value(&b, values[i]) ? "failed" : NULL;
	if (!why)
		why = put_instructions(how, c, &b);
	if (!why && digest_sha256(b.data, b.len, out))
		why = "failed";
	bytes_release(&b);
	return why;
}
