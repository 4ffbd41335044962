/*
 * What stands in another's place, said once each. Some of it is normal when it comes from a file
 * that is as its package recorded it: that waits until the file was identified. Records:
 * interposition.
 */
#ifndef DAYLIGHT_COLLECT_INTERPOSITIONS_H
#define DAYLIGHT_COLLECT_INTERPOSITIONS_H

#include "collect/processes.h"
#include "collect/session.h"

struct interpositions;

struct interposition {
	const char *kind; /* as docs/bundle-format.md names them */
	const char *place;
	enum string_class place_class;
	uint64_t module; /* whose place it is, or REC_NULL */
	uint64_t by; /* module record of the code that stands there, or REC_NULL */
	const char *detail;
	enum string_class detail_class;
	bool unless_packaged; /* nothing is said when `by` is as its package recorded it */
};

struct interpositions *interpositions_new(struct session *s);
void interpositions_free(struct interpositions *i);
void interpositions_add(struct interpositions *i, const struct process *p,
			const struct interposition *what);
/* Puts what waited for its file. last: what is still not known is put, too. */
void interpositions_tick(struct interpositions *i, bool last);

#endif
