/*
 * Members of a report as text. Bytes that a terminal might act on (C0, DEL, C1 in UTF-8) are shown
 * as \xNN, not sent.
 */
#ifndef DAYLIGHT_REPORT_TEXT_H
#define DAYLIGHT_REPORT_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* A member of an object: "" / 0 when it is of another type or missing. */
const char *text_get(const json_t *object, const char *key);
long long text_number(const json_t *object, const char *key);
bool text_is_null(const json_t *object, const char *key);
/* The ending of a word that is counted. */
const char *text_plural(long long count);

void text_put(FILE *out, const char *text);
/* Folded at 96 columns, each line behind an indent. */
void text_put_folded(FILE *out, int indent, const char *text);
/* The member as text, "not known" without one. */
void text_put_or_unknown(FILE *out, const json_t *object, const char *key);
/* The member behind a word; nothing without one. */
void text_put_part(FILE *out, const char *word, const json_t *object, const char *key);
/* Eight columns wide, "?" without one. */
void text_put_number(FILE *out, const json_t *object, const char *key);

#endif
