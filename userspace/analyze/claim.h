/*
 * Claims: one line each, its status, the records that show it, and what weakens it. A record is
 * named only when it can be found in its bundle.
 */
#ifndef DAYLIGHT_ANALYZE_CLAIM_H
#define DAYLIGHT_ANALYZE_CLAIM_H

#include <jansson.h>

#include "analyze/survey.h"

#define CLAIM_RECORDS_MAX 12

/* A JSON string of any bytes: what is not UTF-8 becomes \xNN. NULL text: null. */
json_t *claim_text(const char *text);
/* The ending of a word that is counted. */
static inline const char *claim_plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}
/* A count for JSON, and a sum of them: any number may stand in a bundle. */
static inline json_int_t claim_number(uint64_t count)
{
	return count > INT64_MAX ? INT64_MAX : (json_int_t)count;
}

static inline json_int_t claim_sum(json_int_t sum, uint64_t count)
{
	return sum > INT64_MAX - claim_number(count) ? INT64_MAX : sum + claim_number(count);
}

/* The same as claim_text by format. */
json_t *claim_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct claim {
	char *id;
	json_t *text, *status;
	json_t *records, *weakened;
	const char *shows; /* of the records that are named next: "a call seen"; NULL: not said */
};

/* Starts a claim that carries what weakens every claim. -1: no memory. */
int claim_init(struct claim *c, const json_t *weakened, const char *id);
/* Names a record, unless it does not exist, is named already, or twelve are. id 0,
 * REC_NULL: none. */
int claim_record(struct claim *c, const struct evidence *e, enum rec_kind kind, uint64_t id);
/* The chain of an example: call, binding, sighting, stack, function. */
int claim_example(struct claim *c, const struct evidence *e, const struct group_example *example);
/* bundle NULL: not of one bundle. */
int claim_weaken(json_t *weakened, const struct evidence *bundle, const char *what, json_t *text);
/* Adds how thin the samples are, of each bundle: for a claim that something was not seen. */
int claim_sampled(struct claim *c, const struct survey *s);
/* Moves the claim into the array and releases it, also on failure. */
int claim_finish(struct claim *c, json_t *claims);

/* What weakens every claim of the report: array of {what, bundle, text}. NULL: no memory. */
json_t *claim_weaknesses(const struct survey *s);

#endif
