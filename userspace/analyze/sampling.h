/*
 * How thin the samples are: walks of stacks that were attempted, delivered and passed over by
 * policy, and the options of the window that say when system calls made walks at all.
 */
#ifndef DAYLIGHT_ANALYZE_SAMPLING_H
#define DAYLIGHT_ANALYZE_SAMPLING_H

#include <jansson.h>
#include <stdbool.h>

#include "analyze/evidence.h"

/*
 * {walks: {attempted, delivered, skipped: {cause: count}}, system_calls: [option, ...]}; walks is
 * null when the bundle's ledger does not speak of them. NULL: no memory.
 */
json_t *sampling_row(const struct evidence *e);
/* The same in words, for a claim that something was not seen; null when every walk was delivered
 * and system calls were watched all the time. NULL: no memory. */
json_t *sampling_text(const struct evidence *e);

#endif
