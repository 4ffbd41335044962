/*
 * Taps on a TLS library of one process: all of its entries and returns at once.
 */
#ifndef DAYLIGHT_COLLECT_ATTACH_TLS_H
#define DAYLIGHT_COLLECT_ATTACH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "collect/tls_file.h"

struct attach;
struct attach_tls;

/* All places or none; NULL: the process may have ended. */
struct attach_tls *attach_tls_add(struct attach *a, pid_t pid, const struct tls_file *file,
				  struct err *err);
/* Removes and frees; many at a time, since each makes the kernel wait. From any thread. */
void attach_tls_remove(struct attach_tls **taps, size_t count);

/* For attach.c, before the programs are loaded. */
struct bpf_program;
void attach_tls_prepare(struct bpf_program *entered, struct bpf_program *returned, bool many);

#endif
