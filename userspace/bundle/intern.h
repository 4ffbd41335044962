/*
 * Which strings a bundle has already, on the writer's side: bytes and class to id. Memory is
 * bounded: when the table has grown too large it is emptied, and a string that comes again then
 * gets a second id.
 */
#ifndef DAYLIGHT_BUNDLE_INTERN_H
#define DAYLIGHT_BUNDLE_INTERN_H

#include <stddef.h>
#include <stdint.h>

#include "bundle/format.h"

#define INTERN_MAX (32u << 20) /* bytes held before the table is emptied */

struct intern;

struct intern *intern_new(void);
void intern_free(struct intern *t);

/* The id of these bytes in this class, or 0. */
uint64_t intern_find(const struct intern *t, const void *data, size_t len, enum string_class class);

/* Remembers an id; without memory it is simply not remembered. */
void intern_add(struct intern *t, const void *data, size_t len, enum string_class class,
		uint64_t id);

#endif
