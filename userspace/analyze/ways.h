/*
 * The ways of calls: through which processes they came, and which other services they used. Both
 * rest on hops (bundle/trace.h); docs/evidence.md says what they mean and what not.
 */
#ifndef DAYLIGHT_ANALYZE_WAYS_H
#define DAYLIGHT_ANALYZE_WAYS_H

#include <jansson.h>

#include "analyze/survey.h"

/*
 * Rows {component, calls, steps, records}: calls that came by the same steps {exe, package,
 * component}, the outermost first, the last one being the process that answered the component's
 * call. Of calls without a component only those that asked no other call. NULL: no memory.
 */
json_t *ways_rows(const struct survey *s);

/*
 * Rows {component, program, peer, protocol, note, calls, calls_ambiguous, records}: the far ends
 * of outbound connections that calls used. calls_ambiguous: calls that may have used it, no more is
 * known. NULL: no memory.
 */
json_t *ways_hops(const struct survey *s);

#endif
