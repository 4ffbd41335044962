/*
 * What was put in a process's way before its program ran: preloaded libraries, sitecustomize and
 * usercustomize, .pth files that run code, import hooks. What belongs to a package, and is as the
 * package recorded it, is normal and not said, except for preloaded libraries. Records:
 * interposition, module.
 */
#ifndef DAYLIGHT_COLLECT_INFLUENCES_H
#define DAYLIGHT_COLLECT_INFLUENCES_H

#include "collect/interpositions.h"
#include "collect/patch_judge.h"

/*
 * LD_PRELOAD, LD_AUDIT and /etc/ld.so.preload. The environment is read in memory only and wiped;
 * of what it names, only libraries that are mapped are named in a record.
 */
void influences_process(struct session *s, struct interpositions *found, struct process *p);

/* What one interpreter shows. look: of its modules; sys: the names of its sys. */
void influences_python(struct session *s, struct interpositions *found, struct process *p,
		       struct patch_look *look, uint64_t sys);

/* ---- for the tests ---- */

/* Lines of a .pth file that run code: how many, and the first one's number. */
size_t influences_pth_lines(const char *text, size_t len, size_t *first);
/* The next library of a list as the loader splits it; NULL at the end. *len: of what is returned.
 */
const char *influences_next_library(const char **at, const char *end, size_t *len);

#endif
