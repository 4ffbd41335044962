/*
 * Decides when which process is traced function by function (source `deep`), and holds the taps
 * that do it. Records: deep, gap.
 *
 * A process starts with its taps attached. Once the first calls of each of its routes were traced
 * from their start to their end, the taps are detached. They come back
 *   - for a route that was not met before, from its second call on ("new-route"),
 *   - for a new process ("new-process") and for code that was loaded again ("new-code"): a few
 * calls,
 *   - for a share of the window, whatever happens ("duty").
 * Routes that are called seldom must not keep a busy service deep: the first calls may take a
 * minute; afterwards taps are held for new routes for half a minute and a twentieth of the time.
 *
 * A service is never slowed down as a whole: of the processes of one service that answer calls,
 * half at most (one at least) hold taps for the sake of routes. The others wait for their turn, and
 * then need few calls, as forked children do: the first calls were traced in their neighbours.
 */
#ifndef DAYLIGHT_COLLECT_DEEP_H
#define DAYLIGHT_COLLECT_DEEP_H

#include "collect/session.h"

struct deep;
struct process;

struct deep *deep_new(struct session *s);
void deep_free(struct deep *d);

/*
 * The process's runtime is known and proven. forked: it is a child of a process that was a target.
 * since (monotonic ns): when its functions began to run; what ran until the taps hold is a gap.
 */
void deep_process(struct deep *d, const struct process *process, bool forked, uint64_t since);
/* A forked child had ended before its taps could be attached: a gap, if its parent's kind has taps.
 */
void deep_process_missed(struct deep *d, const struct process *process, uint64_t since);
void deep_process_ended(struct deep *d, uint32_t serial);

/*
 * A call has ended. method and path (kept): ids of strings in the bundle. start, end: monotonic ns.
 */
void deep_call(struct deep *d, uint32_t process, uint64_t method, uint64_t path, uint64_t start,
	       uint64_t end);
/* Has the process no taps at the moment, though its first calls are to be traced? */
bool deep_rests(const struct deep *d, uint32_t process);
/* Code that the process had run before was loaded again, changed or not. */
void deep_reloaded(struct deep *d, uint32_t process);

/* Attaches and detaches what is due. */
void deep_tick(struct deep *d, uint64_t now);
/* Detaches all. */
void deep_stop(struct deep *d, uint64_t now);

/*
 * Does a process answer calls without taps while others of its service have them? Then its calls
 * are to be seen by other means.
 */
bool deep_waits(const struct deep *d);

/* Can each process with a runtime be traced so? Then other triggers need not hold for long. */
bool deep_covers(const struct deep *d);

#endif
