/*
 * Renderings of a report. Each reads only the JSON document of `analyze` (schema
 * daylight.report/0), so that what a reader sees is what a program gets.
 */
#ifndef DAYLIGHT_REPORT_REPORT_H
#define DAYLIGHT_REPORT_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "base/err.h"

/*
 * Prints the report for people. Control characters and other bytes that a terminal might act on
 * are shown as \xNN. ERR_INTERNAL when the document is not a report.
 */
int report_print_text(const json_t *report, FILE *out, struct err *err);

/* Prints the document itself, indented, with a line end. */
int report_print_json(const json_t *report, FILE *out, struct err *err);

/*
 * Writes the document to a file: complete and synced under another name first, then put in place.
 * What exists there is replaced only if it is a regular file that is empty or holds a report.
 * ERR_USAGE when the place cannot be used, ERR_INCOMPLETE when writing fails; nothing is changed
 * then.
 */
int report_write(const json_t *report, const char *path, struct err *err);

/*
 * Asks before the work is done whether report_write would take the place; ERR_USAGE when not, or
 * when it is one of the inputs (the same file, under whatever name).
 */
int report_check_place(const char *path, const char *const *inputs, size_t count, struct err *err);

#endif
