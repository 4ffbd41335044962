/*
 * Plaintext of TLS libraries: which processes have one, and the taps on it. A library is looked for
 * when a process is found or exec'ed, in the moments after that, when its mappings are looked at,
 * and at once when one of its connections begins with a TLS record that nobody decrypts. Records:
 * gap, unsupported.
 */
#ifndef DAYLIGHT_COLLECT_TLS_H
#define DAYLIGHT_COLLECT_TLS_H

#include "collect/processes.h"
#include "collect/session.h"

struct tls;

struct tls *tls_new(struct session *s);
void tls_free(struct tls *t);

/*
 * A process was found, or has become another program; since (monotonic ns) it could have used TLS
 * unseen, if the window was open.
 */
void tls_process(struct tls *t, const struct process *process, uint64_t since);
/* It was forked: it has the libraries that its parent has. */
void tls_process_forked(struct tls *t, const struct process *process, uint32_t parent,
			uint64_t since);
void tls_process_ended(struct tls *t, uint32_t serial);
/* Something may have been loaded: look again. */
void tls_process_look(struct tls *t, uint32_t serial);
/* It was seen to use TLS. */
void tls_process_uses(struct tls *t, uint32_t serial);

void tls_tick(struct tls *t, uint64_t now);

#endif
