/* What a new stack has in common with those before it. */
#include "collect/stack_bases.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS (1u << 18) /* 6 MiB */
#define NODES_MAX (SLOTS / 4 * 3)

/* Nodes are numbered by their slot, and moved never; slot and number 0 are the root. */
struct node {
	uint32_t parent;
	uint32_t used;
	uint64_t function;
	uint64_t stack; /* the first that had it */
};

struct stack_bases {
	struct node *nodes; /* open addressing by (parent, function) */
	uint32_t count;
};

struct stack_bases *stack_bases_new(void)
{
	struct stack_bases *b = calloc(1, sizeof(*b));

	/* Pages are taken as they are used. */
	if (b && !(b->nodes = calloc(SLOTS, sizeof(*b->nodes)))) {
		free(b);
		return NULL;
	}
	return b;
}

void stack_bases_free(struct stack_bases *b)
{
	if (b)
		free(b->nodes);
	free(b);
}

void stack_bases_forget(struct stack_bases *b)
{
	if (b && b->count)
		memset(b->nodes, 0, SLOTS * sizeof(*b->nodes));
	if (b)
		b->count = 0;
}

static uint32_t slot_of(const struct stack_bases *b, uint32_t parent, uint64_t function)
{
	uint64_t hash = (function + 1) * 0x9e3779b97f4a7c15ULL ^ parent * 0xc2b2ae3d27d4eb4fULL;
	uint32_t at = (uint32_t)(hash * 0x9e3779b97f4a7c15ULL >> 46);

	at = at ? at : 1;
	while (b->nodes[at].used &&
	       (b->nodes[at].parent != parent || b->nodes[at].function != function))
		at = at + 1 < SLOTS ? at + 1 : 1;
	return at;
}

uint32_t stack_bases_add(struct stack_bases *b, const uint64_t *frames, uint32_t count, uint64_t id,
			 uint64_t *base)
{
	uint32_t node = 0, kept = 0;

	if (!b || count > NODES_MAX)
		return 0;
	if (b->count > NODES_MAX - count)
		stack_bases_forget(b);
	while (count) {
		uint32_t at = slot_of(b, node, frames[--count]);

		if (!b->nodes[at].used) {
			b->nodes[at] = (struct node){ node, 1, frames[count], id };
			b->count++;
		} else if (b->nodes[at].stack != id) {
			kept++;
			*base = b->nodes[at].stack;
		}
		node = at;
	}
	return kept;
}
