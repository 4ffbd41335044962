/*
 * Which sockets of the host listen, and whether a target is behind them: what comes in elsewhere is
 * not seen, and the bundle says so. Records: listener.
 */
#ifndef DAYLIGHT_COLLECT_LISTENERS_H
#define DAYLIGHT_COLLECT_LISTENERS_H

#include "collect/session.h"

/*
 * Puts a record for each listening TCP and Unix stream socket of the host and of the targets'
 * network namespaces, once.
 */
void listeners_survey(struct session *s);

#endif
