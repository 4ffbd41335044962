/* Can this machine collect? One check a row, each with its remedy. */
#ifndef DAYLIGHT_COLLECT_DOCTOR_H
#define DAYLIGHT_COLLECT_DOCTOR_H

#include "base/err.h"

enum doctor_state { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_MISSING };

struct doctor_row {
	enum doctor_state state;
	char what[64];
	char found[256];
	char remedy[256]; /* "" when state is DOCTOR_OK */
};

/* Fills rows; returns their number. probes: folder, or NULL. */
int doctor_check(const char *probes, struct doctor_row *rows, int max);

#endif
