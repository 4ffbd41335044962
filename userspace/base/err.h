/* Errors as values: one line that says what, where and what to do. Only main prints and exits. */
#ifndef DAYLIGHT_BASE_ERR_H
#define DAYLIGHT_BASE_ERR_H

/*
 * The kind of an error is the exit code that main returns for it (docs: contract of the command
 * line). ERR_NONE is success.
 */
enum err_kind {
	ERR_NONE = 0,
	ERR_ALTERED = 1, /* an input was altered */
	ERR_USAGE = 2, /* bad option, bad input file, no such pid, port, unit */
	ERR_MACHINE = 3, /* privilege or kernel is missing */
	ERR_INCOMPLETE = 4, /* something was lost, cut short, or the disk failed */
	ERR_INTERNAL = 70, /* a defect of ours */
};

/* An error owns its text; there is nothing to release. Pass one down, check the return value. */
struct err {
	enum err_kind kind;
	char text[768];
};

#define ERR_INIT          \
	{                 \
		ERR_NONE, \
		{         \
			0 \
		}         \
	}

/* Sets the error (the first one wins: a set error is not overwritten) and returns -1. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, with ": " and the text of errno behind it. */
int err_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text of a set error; returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
