/* Messages for people, on stderr. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static enum log_level log_level = LOG_NORMAL;

void log_set_level(enum log_level level)
{
	log_level = level;
}

enum log_level log_get_level(void)
{
	return log_level;
}

static void log_line(enum log_level level, const char *prefix, const char *fmt, va_list ap)
{
	char line[1024];

	if (level > log_level)
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	fprintf(stderr, "%s%s\n", prefix, line);
}

#define LOG_BODY(level, prefix)           \
	va_list ap;                       \
	va_start(ap, fmt);                \
	log_line(level, prefix, fmt, ap); \
	va_end(ap)

void log_warn(const char *fmt, ...)
{
	LOG_BODY(LOG_QUIET, "daylight: warning: ");
}

void log_info(const char *fmt, ...)
{
	LOG_BODY(LOG_NORMAL, "");
}

void log_verbose(const char *fmt, ...)
{
	LOG_BODY(LOG_VERBOSE, "");
}

void log_debug(const char *fmt, ...)
{
	LOG_BODY(LOG_DEBUG, "debug: ");
}
