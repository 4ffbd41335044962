/* The writer's table of known strings: uthash over entries that live in large blocks. */
#include "bundle/intern.h"

#include <stdlib.h>
#include <string.h>

/* Without memory for the table an entry is left out; it is not worth the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define BLOCK_SIZE (256u << 10)

struct entry {
	uint64_t id;
	UT_hash_handle hh;
	uint8_t data[];
};

struct block {
	struct block *next;
	size_t used;
	_Alignas(max_align_t) uint8_t data[BLOCK_SIZE];
};

struct intern {
	struct entry *classes[2];
	struct block *blocks; /* the one being filled comes first */
	size_t held;
};

_Static_assert(sizeof(struct entry) + BUNDLE_STRING_MAX <= BLOCK_SIZE, "an entry fits a block");

struct intern *intern_new(void)
{
	return calloc(1, sizeof(struct intern));
}

static void intern_clear(struct intern *t)
{
	for (size_t i = 0; i < 2; i++)
		HASH_CLEAR(hh, t->classes[i]);
	while (t->blocks) {
		struct block *next = t->blocks->next;

		free(t->blocks);
		t->blocks = next;
	}
	t->held = 0;
}

void intern_free(struct intern *t)
{
	if (!t)
		return;
	intern_clear(t);
	free(t);
}

uint64_t intern_find(const struct intern *t, const void *data, size_t len, enum string_class class)
{
	struct entry *e = NULL;

	HASH_FIND(hh, t->classes[class == STRING_PRIVATE], data, len, e);
	return e ? e->id : 0;
}

static struct entry *intern_alloc(struct intern *t, size_t len)
{
	size_t want = (sizeof(struct entry) + len + 15) & ~(size_t)15;
	struct entry *e;

	if (t->held + want > INTERN_MAX)
		intern_clear(t);
	if (!t->blocks || t->blocks->used + want > BLOCK_SIZE) {
		struct block *b = malloc(sizeof(*b));

		if (!b)
			return NULL;
		b->used = 0;
		b->next = t->blocks;
		t->blocks = b;
	}
	e = (struct entry *)(t->blocks->data + t->blocks->used);
	t->blocks->used += want;
	t->held += want;
	return e;
}

void intern_add(struct intern *t, const void *data, size_t len, enum string_class class,
		uint64_t id)
{
	struct entry *e = intern_alloc(t, len);

	if (!e)
		return;
	e->id = id;
	memcpy(e->data, data, len);
	HASH_ADD_KEYPTR(hh, t->classes[class == STRING_PRIVATE], e->data, len, e);
}
