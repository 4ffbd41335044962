/* The three clocks of a record, durations and RFC 3339 times. */
#ifndef DAYLIGHT_BASE_CLOCK_H
#define DAYLIGHT_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All in nanoseconds: CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME, read close together. */
struct clock_triple {
	uint64_t monotonic;
	uint64_t boottime;
	uint64_t realtime;
	bool synced; /* adjtimex(2): the kernel holds the realtime clock for synchronised */
	uint64_t max_error; /* of the realtime clock, by the kernel; UINT64_MAX: not known */
};

void clock_read(struct clock_triple *out);
uint64_t clock_monotonic(void);

/* "2026-11-22T20:43:32.000000001Z"; out holds CLOCK_TEXT bytes. */
#define CLOCK_TEXT 48
void clock_format(uint64_t realtime_ns, char out[CLOCK_TEXT]);
/* Reads RFC 3339 (UTC 'Z' or an offset, optional fraction). Returns 0 or -1. */
int clock_parse(const char *text, uint64_t *realtime_ns);
/* "90", "90s", "500ms", "5m", "2h", "1d". Returns 0 or -1 (also for 0 and overflow). */
int clock_parse_duration(const char *text, uint64_t *ns);

#endif
