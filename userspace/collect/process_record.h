/*
 * What a bundle says of a process: read from /proc, taken from its parent, or unknown. Never the
 * values of options, never the environment.
 */
#ifndef DAYLIGHT_COLLECT_PROCESS_RECORD_H
#define DAYLIGHT_COLLECT_PROCESS_RECORD_H

#include "collect/processes.h"

/* Reads /proc now. parent: its serial, or REC_NULL. */
void process_describe(struct session *s, struct process *process, uint64_t parent,
		      enum origin origin);
/* A program that went on to another one before it could be looked at. */
void process_describe_unknown(struct process *process, uint64_t parent);
/* A forked child is what its parent was: by the time /proc is read it may be another program. */
void process_inherit(struct process *process, const struct process *parent);
/* Puts the process's record, once. */
void process_put_record(struct session *s, struct process *process);

#endif
