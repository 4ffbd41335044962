/* From what the operator asked for to processes and ports. */
#ifndef DAYLIGHT_COLLECT_TARGETS_H
#define DAYLIGHT_COLLECT_TARGETS_H

#include "base/err.h"
#include "collect/session.h"

/*
 * Only looks: a target option without any process is ERR_USAGE, unless the window is gone on with:
 * the service may come back. s->processes is still NULL.
 */
int targets_check(struct session *s, struct err *err);

/*
 * Makes every process that the options name a target, with its descendants, and watches the ports
 * they listen on. Returns the number of new targets, or -1.
 */
long targets_find(struct session *s, struct err *err);

/* Adds the children of targets that were forked before the programs ran. */
int targets_descendants(struct session *s, struct err *err);

/* The options' targets as window records; and the labels. */
void targets_records(struct session *s);

#endif
