/*
 * What the code of functions was in memory, compared with what their file gives. A function is
 * judged in each process that it ran in; docs/evidence.md has the table of what that means for its
 * file.
 */
#ifndef DAYLIGHT_ANALYZE_MEMORY_H
#define DAYLIGHT_ANALYZE_MEMORY_H

#include "analyze/compare.h"

struct group_instance;

/* From the strongest statement to the one that overrules all others. */
enum memory_state { MEMORY_EQUAL, MEMORY_UNKNOWN, MEMORY_DIFFERS };

/*
 * Of a function (its row) in a process: all records agree that it is equal; one says that it
 * differs
 * (*differs is it); or neither.
 */
enum memory_state memory_of_function(const struct evidence *e, uint32_t function, uint64_t process,
				     const struct rec_function_memory **differs);

/* Adds to the verdict on a file what the memory of its functions that ran says. */
void memory_judge(const struct group_instance *instance, struct verdict *v);

#endif
