/*
 * Stacks and who was seen in them. The kernel sends a sighting for each walk; here they become one
 * record a second for each (context, stack, source). Records: stack, sighting.
 */
#ifndef DAYLIGHT_COLLECT_SIGHTINGS_H
#define DAYLIGHT_COLLECT_SIGHTINGS_H

#include "collect/session.h"
#include "wire.h"

struct sightings *sightings_new(struct session *s);
void sightings_free(struct sightings *t);

void sightings_stack(struct sightings *t, const struct wire_stack *stack);
/* A function that was entered: a sighting of a stack of which only that is known. */
void sightings_entry(struct sightings *t, const struct wire_entry *e);
/*
 * A stack of native functions, and of Python functions among them, innermost first. Returns the id
 * of its record: `id`, or the one that the same stack got before; REC_NULL: it could not be put.
 */
uint64_t sightings_native(struct sightings *t, uint32_t id, uint32_t process,
			  const uint64_t *frames, uint32_t count, bool partial);
void sightings_event(struct sightings *t, const struct wire_sighting *e);
/* Writes what has been counted since the last time. */
void sightings_flush(struct sightings *t);

struct sightings_stats {
	uint64_t stacks, sightings; /* distinct stacks; walks */
	uint64_t lost_stack; /* sightings whose stack never arrived */
	uint64_t lost_code; /* stacks with a code object that never arrived */
};
void sightings_stats(const struct sightings *t, struct sightings_stats *out);

#endif
