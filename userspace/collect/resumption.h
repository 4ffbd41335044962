/*
 * What an interrupted window says of itself, so that it can be gone on with: its targets, options
 * and planned end, its ledger, and the ids that are taken.
 */
#ifndef DAYLIGHT_COLLECT_RESUMPTION_H
#define DAYLIGHT_COLLECT_RESUMPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "bundle/resume.h"
#include "collect/collect.h"

struct resumption;

/*
 * Reads and locks the bundle asked->resume; the file stays as it is. NULL: it cannot be gone on
 * with, and the error says why (ERR_USAGE).
 */
struct resumption *resumption_open(const struct collect_options *asked, struct err *err);
void resumption_free(struct resumption *r);

/* The window's own options, with asked's descriptor, probes, key and verbosity. */
const struct collect_options *resumption_options(const struct resumption *r);
struct bundle_resume *resumption_bundle(struct resumption *r);
/* The last clock record: what came later may be missing. */
uint64_t resumption_last(const struct resumption *r);
/* Does the bundle hold this probe file or program already, by its digest or tag? */
bool resumption_knows(const struct resumption *r, enum rec_kind kind, const char *name,
		      const uint8_t *digest, size_t len);
/* What its ledger says of (stage, class, cause), 0 for nothing; and all that was lost. */
uint64_t resumption_count(const struct resumption *r, const char *stage, enum loss_class class,
			  const char *cause);
uint64_t resumption_lost(const struct resumption *r);

#endif
