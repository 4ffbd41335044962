/*
 * What a new stack has in common with those before it. Stacks of one service share most of their
 * frames, so a record names an earlier stack and gives only the frames that are new.
 *
 * A tree of the frames, outermost first; each node knows the stack that brought it. Memory is
 * bounded: a full tree is emptied, and later stacks are whole again.
 */
#ifndef DAYLIGHT_COLLECT_STACK_BASES_H
#define DAYLIGHT_COLLECT_STACK_BASES_H

#include <stdint.h>

struct stack_bases;

/* NULL: no memory; then all stacks stay whole. */
struct stack_bases *stack_bases_new(void);
void stack_bases_free(struct stack_bases *b);

/* Nothing is known to be in the bundle any more. */
void stack_bases_forget(struct stack_bases *b);

/*
 * Takes in a stack (frames innermost first) under its id. Returns how many of its outermost frames
 * are also those of *base, a stack taken in earlier; 0: none, *base is not set. b may be NULL.
 */
uint32_t stack_bases_add(struct stack_bases *b, const uint64_t *frames, uint32_t count, uint64_t id,
			 uint64_t *base);

#endif
