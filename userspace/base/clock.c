/* The three clocks of a record, durations and RFC 3339 times. */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#define NS 1000000000ULL

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts = { 0 };

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

uint64_t clock_monotonic(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void clock_read(struct clock_triple *out)
{
	struct timex tx = { 0 };

	out->monotonic = clock_ns(CLOCK_MONOTONIC);
	out->boottime = clock_ns(CLOCK_BOOTTIME);
	out->realtime = clock_ns(CLOCK_REALTIME);
	out->synced = adjtimex(&tx) != TIME_ERROR && !(tx.status & STA_UNSYNC);
	out->max_error =
		out->synced && tx.maxerror >= 0 ? (uint64_t)tx.maxerror * 1000 : UINT64_MAX;
}

void clock_format(uint64_t realtime_ns, char out[CLOCK_TEXT])
{
	time_t sec = (time_t)(realtime_ns / NS);
	struct tm tm;
	char date[24];

	if (!gmtime_r(&sec, &tm) || !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm))
		snprintf(date, sizeof(date), "0000-00-00T00:00:00");
	snprintf(out, CLOCK_TEXT, "%s.%09lluZ", date, (unsigned long long)(realtime_ns % NS));
}

int clock_parse(const char *text, uint64_t *realtime_ns)
{
	struct tm tm = { 0 };
	uint64_t ns = 0, scale = NS / 10;
	long offset = 0;
	time_t sec;
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!p)
		return -1;
	if (*p == '.') {
		if (!isdigit((unsigned char)*++p))
			return -1;
		for (; isdigit((unsigned char)*p); p++, scale /= 10)
			ns += (uint64_t)(*p - '0') * scale;
	}
	if (*p == 'Z') {
		p++;
	} else if (*p == '+' || *p == '-') {
		int h, m, n = 0;

		if (sscanf(p + 1, "%2d:%2d%n", &h, &m, &n) != 2 || n != 5)
			return -1;
		offset = (h * 60L + m) * 60L * (*p == '-' ? -1 : 1);
		p += 6;
	} else {
		return -1;
	}
	sec = timegm(&tm);
	if (*p || sec < offset)
		return -1;
	*realtime_ns = (uint64_t)(sec - offset) * NS + ns;
	return 0;
}

int clock_parse_duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "", NS },	  { "s", NS },	      { "ms", NS / 1000 }, { "m", 60 * NS },
		      { "min", 60 * NS }, { "h", 3600 * NS }, { "d", 86400 * NS } };
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || !value)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].unit))
			return __builtin_mul_overflow((uint64_t)value, units[i].ns, ns) ? -1 : 0;
	return -1;
}
