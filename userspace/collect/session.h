/*
 * The state of a running collection, shared by the files of collect/. One thread owns it: the one
 * that drains the ring. The identity worker has its own queue (modules.c).
 */
#ifndef DAYLIGHT_COLLECT_SESSION_H
#define DAYLIGHT_COLLECT_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"
#include "bundle/writer.h"
#include "catalog/catalog.h"
#include "collect/collect.h"

struct attach; /* attach.h */
struct modules; /* modules.h */
struct processes; /* processes.h */
struct sightings; /* sightings.h */
struct unwind; /* unwind.h */
struct calls; /* calls.h */
struct hops; /* hops.h */
struct deep; /* deep.h */
struct tls; /* tls.h */
struct interpositions; /* interpositions.h */
struct patches; /* patches.h */
struct resumption; /* resumption.h */
struct ledger_entry; /* window.c */

struct session {
	const struct collect_options *options;
	struct catalog *catalog;
	struct bundle_writer *writer;
	struct attach *attach;
	struct modules *modules;
	struct processes *processes;
	struct sightings *sightings;
	struct unwind *unwind;
	struct calls *calls;
	struct hops *hops;
	struct deep *deep;
	struct tls *tls;
	struct interpositions *interpositions;
	struct patches *patches;
	struct resumption *resumption; /* of an interrupted window; else NULL */
	struct clock_triple start; /* of a window that is gone on with: when that began */
	bool running; /* the window is open: who is found now was missed before */
	uint64_t alive_at; /* when a target was last known to be alive */
	bool absent; /* none has been since then */
	bool search; /* somebody listens on a watched port: look for targets again */
	struct ledger_entry *ledger; /* what the bundle's ledger says so far */
	uint64_t ledger_at; /* when the counters at hand were read: not before */
	uint64_t ledger_before; /* when the reading before began */
	uint64_t ledger_put; /* when what was read was last put */
	bool ledger_lost; /* this reading shows a loss that the one before did not */
	uint64_t *listeners; /* inodes of the listening sockets that have a record */
	size_t listeners_count;
	uint64_t decode_errors; /* events that were too short or of no known type */
};

/* Shorthands for interning into the session's bundle. */
static inline uint64_t session_public(struct session *s, const char *text)
{
	return bundle_writer_text(s->writer, text, STRING_PUBLIC);
}

static inline uint64_t session_private(struct session *s, const char *text)
{
	return bundle_writer_text(s->writer, text, STRING_PRIVATE);
}

/* Realtime ns of a boot-time ns, by the window's clocks. */
static inline uint64_t session_realtime_of_boot(const struct session *s, uint64_t boottime)
{
	return s->start.realtime - s->start.boottime + boottime;
}

/* Puts a gap record. process: REC_NULL for all. */
void session_gap(struct session *s, uint64_t process, uint64_t from, uint64_t until,
		 const char *what);
/* Puts an unsupported record, and warns what follows from it; version may be NULL. */
void session_unsupported(struct session *s, uint64_t process, const char *what, const char *version,
			 const char *so);

#endif
