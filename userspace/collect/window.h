/* The records that frame a window: its start, its programs, the ledger, its end. */
#ifndef DAYLIGHT_COLLECT_WINDOW_H
#define DAYLIGHT_COLLECT_WINDOW_H

#include "collect/session.h"

/* First records: window, labels, targets, probes; or that the window is gone on with, and the gap.
 */
void window_begin(struct session *s);
/* After attaching: the programs with their tags. */
void window_programs(struct session *s);
/*
 * Reads the ledger; returns the sum of all that was lost. Writes what changed since the last time:
 * at once when something was lost, or for the whole, else once in 10 s.
 */
uint64_t window_ledger(struct session *s, bool whole);
/* Calls back for each thing that was lost. */
void window_lost(struct session *s,
		 void (*each)(const char *stage, const char *cause, uint64_t count));
/* Forgets the ledger. */
void window_release(struct session *s);
/* Last record. */
void window_end(struct session *s, const char *reason);

#endif
