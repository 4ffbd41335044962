/* Messages for people, on stderr. Levels are fixed at start; nothing here exits. */
#ifndef DAYLIGHT_BASE_LOG_H
#define DAYLIGHT_BASE_LOG_H

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE, LOG_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* One line at LOG_QUIET and above: something the user must know ("daylight: warning: ..."). */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One line at LOG_NORMAL and above. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One line at LOG_VERBOSE / LOG_DEBUG. */
void log_verbose(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
