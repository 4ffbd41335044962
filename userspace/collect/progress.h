/* What the operator sees while a window is open. */
#ifndef DAYLIGHT_COLLECT_PROGRESS_H
#define DAYLIGHT_COLLECT_PROGRESS_H

#include "collect/session.h"

/* A live line on a terminal once a second; a plain line every 10 s otherwise. */
void progress_tick(struct session *s, uint64_t now, uint64_t lost);
/* Ends the live line, if one is open. */
void progress_clear(void);
/* The summary at the end. */
void progress_summary(struct session *s, uint64_t elapsed_ns, uint64_t lost);

#endif
