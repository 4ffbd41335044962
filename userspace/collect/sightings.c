/* Stacks and who was seen in them. */
#include "collect/sightings.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "collect/attach.h"
#include "collect/modules.h"
#include "collect/stack_bases.h"
#include "collect/unwind.h"

struct sighting_key {
	uint64_t context;
	uint32_t stack;
	uint32_t source;
};

struct sighting {
	struct sighting_key key;
	uint64_t first, last, count;
	UT_hash_handle hh;
};

/* A native stack; the key is its process, whether it is partial, and its frames. */
struct native {
	uint64_t *key;
	uint32_t stack;
	UT_hash_handle hh;
};

struct sightings {
	struct session *s;
	struct native *natives;
	struct sighting *table;
	uint32_t *entries; /* stack of one frame by function id; 0: none yet */
	size_t entries_count;
	uint8_t *known; /* bit per stack id: its record was put */
	size_t known_bits;
	struct stack_bases *bases;
	uint64_t dropped; /* records, when that was last looked at */
	struct sightings_stats stats;
};

struct sightings *sightings_new(struct session *s)
{
	struct sightings *t = calloc(1, sizeof(*t));

	if (t) {
		t->s = s;
		t->bases = stack_bases_new();
	}
	return t;
}

void sightings_free(struct sightings *t)
{
	struct native *native, *next_native;
	struct sighting *e, *next;

	if (!t)
		return;
	HASH_ITER(hh, t->natives, native, next_native) {
		HASH_DEL(t->natives, native);
		free(native->key);
		free(native);
	}
	HASH_ITER(hh, t->table, e, next) {
		HASH_DEL(t->table, e);
		free(e);
	}
	stack_bases_free(t->bases);
	free(t->known);
	free(t->entries);
	free(t);
}

static bool is_known(const struct sightings *t, uint32_t stack)
{
	return stack < t->known_bits && t->known[stack / 8] >> stack % 8 & 1;
}

static void make_known(struct sightings *t, uint32_t stack)
{
	if (stack >= t->known_bits) {
		size_t bits = ((size_t)stack + 8192) & ~(size_t)7;
		uint8_t *grown = realloc(t->known, bits / 8);

		if (!grown)
			return;
		memset(grown + t->known_bits / 8, 0, (bits - t->known_bits) / 8);
		t->known = grown;
		t->known_bits = bits;
	}
	t->known[stack / 8] |= (uint8_t)(1u << stack % 8);
}

/* Puts a stack; frames that an earlier one has are left to it. */
static int put_stack(struct sightings *t, uint32_t id, uint32_t process, const uint64_t *frames,
		     uint32_t count, bool partial)
{
	struct bundle_writer_stats writer;
	struct rec_stack rec = {
		.id = id,
		.process = process,
		.frames = { frames, count },
		.partial = partial,
		.base = REC_NULL,
	};

	/* With what was dropped, stacks may be missing that later ones would name. */
	bundle_writer_stats(t->s->writer, &writer);
	if (writer.lost_queue + writer.lost_disk != t->dropped)
		stack_bases_forget(t->bases);
	t->dropped = writer.lost_queue + writer.lost_disk;
	rec.kept = stack_bases_add(t->bases, frames, count, id, &rec.base);
	rec.frames.count -= (uint32_t)rec.kept;
	return bundle_writer_put(t->s->writer, REC_STACK_KIND, &rec);
}

void sightings_stack(struct sightings *t, const struct wire_stack *stack)
{
	uint64_t frames[WIRE_FRAMES];
	uint32_t count = stack->count < WIRE_FRAMES ? stack->count : WIRE_FRAMES;

	for (uint32_t i = 0; i < count; i++) {
		frames[i] = modules_function(t->s->modules, stack->codes[i]);
		if (frames[i] == REC_NULL) {
			/* A stack with a hole would lie about who called whom. */
			t->stats.lost_code++;
			return;
		}
	}
	if (!put_stack(t, stack->stack, stack->head.process, frames, count, stack->partial)) {
		make_known(t, stack->stack);
		t->stats.stacks++;
	}
}

uint64_t sightings_native(struct sightings *t, uint32_t id, uint32_t process,
			  const uint64_t *frames, uint32_t count, bool partial)
{
	size_t size = (count + 2) * sizeof(uint64_t);
	uint64_t *key = malloc(size);
	struct native *native;

	if (!key)
		return REC_NULL;
	key[0] = process;
	key[1] = partial;
	memcpy(key + 2, frames, count * sizeof(*frames));
	HASH_FIND(hh, t->natives, key, size, native);
	if (native) {
		free(key);
		return native->stack;
	}
	native = calloc(1, sizeof(*native));
	if (!native || put_stack(t, id, process, frames, count, partial)) {
		free(native);
		free(key);
		return REC_NULL;
	}
	native->key = key;
	native->stack = id;
	HASH_ADD_KEYPTR(hh, t->natives, native->key, size, native);
	make_known(t, id);
	return id;
}

static enum source source_of(uint16_t wire)
{
	return wire == WIRE_SOURCE_SYSCALL  ? SOURCE_SYSCALL
	       : wire == WIRE_SOURCE_SOCKET ? SOURCE_SOCKET
					    : SOURCE_SAMPLE;
}

static void count(struct sightings *t, uint64_t context, uint32_t stack, enum source source,
		  uint64_t time)
{
	struct sighting_key key = { context, stack, source };
	struct sighting *sighting;

	HASH_FIND(hh, t->table, &key, sizeof(key), sighting);
	if (!sighting) {
		sighting = calloc(1, sizeof(*sighting));
		if (!sighting)
			return;
		sighting->key = key;
		sighting->first = time;
		HASH_ADD(hh, t->table, key, sizeof(key), sighting);
	}
	/* Those of native stacks come when these are unwound. */
	if (time < sighting->first)
		sighting->first = time;
	if (time > sighting->last)
		sighting->last = time;
	sighting->count++;
}

void sightings_event(struct sightings *t, const struct wire_sighting *e)
{
	if (!is_known(t, e->stack) && unwind_sighting(t->s->unwind, e))
		return;
	t->stats.sightings++;
	if (is_known(t, e->stack))
		count(t, e->context, e->stack, source_of(e->source), e->head.time);
	else
		t->stats.lost_stack++;
}

/* The stack that shows nothing but this function; 0: memory is short. */
static uint32_t entry_stack(struct sightings *t, uint64_t function, uint32_t process)
{
	struct rec_stack rec = {
		.process = process,
		.frames = { &function, 1 },
		.partial = 1,
		.base = REC_NULL,
	};

	if (function >= t->entries_count) {
		size_t want = (size_t)function + 1024;
		uint32_t *grown = realloc(t->entries, want * sizeof(*grown));

		if (!grown)
			return 0;
		memset(grown + t->entries_count, 0, (want - t->entries_count) * sizeof(*grown));
		t->entries = grown;
		t->entries_count = want;
	}
	if (!t->entries[function]) {
		rec.id = attach_stack(t->s->attach);
		if (bundle_writer_put(t->s->writer, REC_STACK_KIND, &rec))
			return 0;
		t->entries[function] = (uint32_t)rec.id;
		t->stats.stacks++;
	}
	return t->entries[function];
}

void sightings_entry(struct sightings *t, const struct wire_entry *e)
{
	uint64_t function = modules_function(t->s->modules, e->code);
	uint32_t stack = 0;

	t->stats.sightings++;
	if (function != REC_NULL)
		stack = entry_stack(t, function, e->head.process);
	if (stack)
		count(t, e->context, stack, SOURCE_DEEP, e->head.time);
	else
		t->stats.lost_stack++;
}

void sightings_flush(struct sightings *t)
{
	struct sighting *e, *next;

	HASH_ITER(hh, t->table, e, next) {
		struct rec_sighting rec = {
			.id = bundle_writer_id(t->s->writer, REC_SIGHTING_KIND),
			.context = e->key.context,
			.stack = e->key.stack,
			.source = e->key.source,
			.first = e->first,
			.last = e->last,
			.count = e->count,
		};

		bundle_writer_put(t->s->writer, REC_SIGHTING_KIND, &rec);
		HASH_DEL(t->table, e);
		free(e);
	}
}

void sightings_stats(const struct sightings *t, struct sightings_stats *out)
{
	*out = t->stats;
}
