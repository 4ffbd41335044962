/* The clock of each CPU that is sampled (bpf/sampler.bpf.c). */
#ifndef DAYLIGHT_COLLECT_SAMPLES_H
#define DAYLIGHT_COLLECT_SAMPLES_H

#include "base/err.h"

struct bpf_program;
struct samples;

/* Runs the program hz times a second on each CPU that is on line. NULL with ERR_MACHINE. */
struct samples *samples_open(struct bpf_program *program, unsigned int hz, struct err *err);
/* NULL is nothing. */
void samples_close(struct samples *s);

#endif
