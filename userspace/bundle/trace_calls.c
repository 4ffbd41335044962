/*
 * The functions of a call: its bindings, the sightings of their contexts at that time, the
 * functions of the sightings' stacks. Each step is gathered by id before the next one starts, so
 * that a sighting counts once and a stack is unfolded once.
 */
#include "bundle/trace_private.h"

#include <stdlib.h>
#include <string.h>

/* What is known under an id: of a sighting (its row), of a stack, or of a function. */
struct gather {
	struct trace_call_function f; /* f.function is the key */
	bool sure; /* f.sighting and f.binding are of a binding that is not ambiguous */
	uint64_t mark; /* 0: the slot is free */
};

/* Open addressing, at most half full. */
struct gather_map {
	struct gather *slots;
	size_t cap, count;
};

static size_t gather_hash(uint64_t key, size_t cap)
{
	key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9ULL;
	key = (key ^ key >> 27) * 0x94d049bb133111ebULL;
	return (key ^ key >> 31) & (cap - 1);
}

static struct gather *gather_slot(const struct gather_map *map, uint64_t key)
{
	size_t i = gather_hash(key, map->cap);

	while (map->slots[i].mark && map->slots[i].f.function != key)
		i = (i + 1) & (map->cap - 1);
	return &map->slots[i];
}

/* The slot of key; a free one has mark 0 and key set. NULL: no memory. */
static struct gather *gather_get(struct gather_map *map, uint64_t key)
{
	struct gather *slot;

	if (2 * (map->count + 1) > map->cap) {
		struct gather_map wide = { NULL, map->cap ? map->cap * 2 : 64, map->count };

		wide.slots = calloc(wide.cap, sizeof(*wide.slots));
		if (!wide.slots)
			return NULL;
		for (size_t i = 0; i < map->cap; i++)
			if (map->slots[i].mark)
				*gather_slot(&wide, map->slots[i].f.function) = map->slots[i];
		free(map->slots);
		*map = wide;
	}
	slot = gather_slot(map, key);
	if (!slot->mark) {
		slot->f.function = key;
		map->count++;
	}
	return slot;
}

static void gather_merge(struct gather *into, const struct gather *from)
{
	if (!into->mark || (from->sure && !into->sure)) {
		into->f.sighting = from->f.sighting;
		into->f.binding = from->f.binding;
		into->sure = from->sure;
	}
	into->f.links |= from->f.links;
	into->f.sources |= from->f.sources;
	into->f.sure_sources |= from->f.sure_sources;
	if (__builtin_add_overflow(into->f.count, from->f.count, &into->f.count))
		into->f.count = UINT64_MAX;
}

bool trace_link_sure(uint64_t link)
{
	return link < LINK_COUNT && link != LINK_AMBIGUOUS;
}

/* A bit of an enum value; a value that this version does not know has none. */
static uint32_t value_bit(uint64_t value, unsigned int count)
{
	return value < count ? 1U << value : 0;
}

static int gather_sighting(const struct trace *t, const struct rec_binding *binding, uint32_t row,
			   struct gather_map *out)
{
	const struct rec_sighting *s = trace_at(t, REC_SIGHTING_KIND, row);
	struct gather *slot = gather_get(out, row);
	struct gather seen = { .mark = 1 };

	if (!slot)
		return -1;
	seen.sure = trace_link_sure(binding->link);
	seen.f.sighting = s->id;
	seen.f.binding = binding->id;
	seen.f.links = value_bit(binding->link, LINK_COUNT);
	seen.f.sources = value_bit(s->source, SOURCE_COUNT);
	seen.f.sure_sources = seen.sure ? seen.f.sources : 0;
	if (!slot->mark && s->count != REC_NULL)
		seen.f.count = s->count;
	gather_merge(slot, &seen);
	slot->mark = 1;
	return 0;
}

/* The spans of [lo, hi) that meet the binding's time. */
static int gather_spans(const struct trace *t, const struct rec_binding *binding, size_t lo,
			size_t hi, struct gather_map *out)
{
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct trace_span *span = &t->spans[mid];
		const struct rec_sighting *seen = trace_at(t, REC_SIGHTING_KIND, span->row);

		if (span->max_last < binding->from)
			return 0;
		if (gather_spans(t, binding, lo, mid, out))
			return -1;
		if (seen->first > binding->until)
			return 0;
		if (seen->last >= binding->from && gather_sighting(t, binding, span->row, out))
			return -1;
		lo = mid + 1;
		/* The rest is the right subtree, whose root is its own middle. */
	}
	return 0;
}

static size_t span_search(const struct trace *t, uint64_t context)
{
	size_t lo = 0, hi = t->spans_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		const struct rec_sighting *seen = trace_at(t, REC_SIGHTING_KIND, t->spans[mid].row);

		if (seen->context < context)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int gather_bindings(const struct trace *t, uint64_t call, struct gather_map *out)
{
	size_t first, n = trace_related(t, TRACE_BINDING_CALL, call, &first);

	for (size_t i = 0; i < n; i++) {
		const struct rec_binding *b = trace_related_at(t, TRACE_BINDING_CALL, first + i);

		if (b->context == REC_NULL || b->from == REC_NULL)
			continue;
		if (gather_spans(t, b, span_search(t, b->context), span_search(t, b->context + 1),
				 out))
			return -1;
	}
	return 0;
}

static int gather_stacks(const struct trace *t, const struct gather_map *sightings,
			 struct gather_map *out)
{
	for (size_t i = 0; i < sightings->cap; i++) {
		const struct gather *seen = &sightings->slots[i];
		const struct rec_sighting *s;
		struct gather *slot;

		if (!seen->mark)
			continue;
		s = trace_at(t, REC_SIGHTING_KIND, seen->f.function);
		slot = gather_get(out, s->stack);
		if (!slot)
			return -1;
		gather_merge(slot, seen);
		slot->mark = 1;
	}
	return 0;
}

static int gather_functions(const struct trace *t, const struct gather_map *stacks,
			    struct gather_map *out)
{
	for (size_t i = 0; i < stacks->cap; i++) {
		const struct gather *seen = &stacks->slots[i];
		const struct rec_stack *stack;

		if (!seen->mark)
			continue;
		stack = trace_find(t, REC_STACK_KIND, seen->f.function);
		for (uint32_t j = 0; stack && j < stack->frames.count; j++) {
			uint64_t function = stack->frames.items[j];
			struct gather *slot;

			if (function == REC_NULL || !function)
				continue;
			slot = gather_get(out, function);
			if (!slot)
				return -1;
			if (slot->mark == i + 1)
				continue; /* recursion: once a stack */
			gather_merge(slot, seen);
			slot->mark = i + 1;
		}
	}
	return 0;
}

static int compare_functions(const void *a, const void *b)
{
	const struct trace_call_function *x = a, *y = b;

	return x->function < y->function ? -1 : x->function > y->function;
}

long trace_call_functions(const struct trace *t, uint64_t call, struct trace_call_function **out)
{
	struct gather_map sightings = { 0 }, stacks = { 0 }, functions = { 0 };
	long n = -1;

	*out = NULL;
	if (gather_bindings(t, call, &sightings) || gather_stacks(t, &sightings, &stacks) ||
	    gather_functions(t, &stacks, &functions))
		goto done;
	n = 0;
	if (!functions.count)
		goto done;
	*out = malloc(functions.count * sizeof(**out));
	if (!*out) {
		n = -1;
		goto done;
	}
	for (size_t i = 0; i < functions.cap; i++)
		if (functions.slots[i].mark)
			(*out)[n++] = functions.slots[i].f;
	qsort(*out, (size_t)n, sizeof(**out), compare_functions);
done:
	free(sightings.slots);
	free(stacks.slots);
	free(functions.slots);
	return n;
}
