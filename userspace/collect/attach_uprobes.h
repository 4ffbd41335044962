/*
 * Uprobes of one program at several places of one file, in one process. Where the kernel has links
 * of many uprobes that is one link; else one for each place, which take the kernel a tenth of a
 * second each to remove.
 */
#ifndef DAYLIGHT_COLLECT_ATTACH_UPROBES_H
#define DAYLIGHT_COLLECT_ATTACH_UPROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bpf_program;
struct attach_uprobes;

/*
 * Of a kernel that has the links: are they to be trusted? Before Linux 6.10 they were silent in all
 * threads of a process but its first (fixed by "bpf: Fix multi-uprobe PID filtering logic").
 */
bool attach_uprobes_many(void);

/* Before the program is loaded. many: it is attached by links of many. */
void attach_uprobes_prepare(struct bpf_program *program, bool many);

/*
 * All places or none. file: an open descriptor; cookies: as many as offsets, or NULL. NULL with
 * errno: the process may have ended.
 */
struct attach_uprobes *attach_uprobes_add(const struct bpf_program *program, bool many, pid_t pid,
					  int file, const uint64_t *offsets,
					  const uint64_t *cookies, size_t count);
/* Removes and frees; NULL is allowed. From any thread. */
void attach_uprobes_remove(struct attach_uprobes *uprobes);

#endif
