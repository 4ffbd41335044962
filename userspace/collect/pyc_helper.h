/*
 * The helper that compares compiled Python files: one interpreter process behind a fence (no
 * privileges, no network, no files, bounded time and memory). It gets bytes and answers one letter
 * for each item; it never runs the code that it is given.
 */
#ifndef DAYLIGHT_COLLECT_PYC_HELPER_H
#define DAYLIGHT_COLLECT_PYC_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

/* The program that the interpreter runs (collect/pyc_script.c). */
extern const char pyc_script[];

/* Answers of the script. */
enum pyc_answer {
	PYC_READY = 'r', /* the first byte it sends */
	PYC_SAME = '1',
	PYC_OTHER = '0',
	PYC_MAGIC = 'm', /* the .pyc is of another version than this interpreter */
	PYC_SOURCE = 's', /* the source does not compile */
	PYC_DAMAGED = 'd', /* the .pyc cannot be read */
	PYC_FAILED = 'f', /* out of memory, nested too deep */
	PYC_CODE = 'c', /* the compiled code follows: pyc_helper_take */
};

struct pyc_helper {
	pid_t pid; /* 0: not running */
	int fd;
};

#define PYC_HELPER_INIT \
	{               \
		0, -1   \
	}

/*
 * Starts the interpreter and waits until it is ready, at most until `deadline` (CLOCK_MONOTONIC
 * ns). -1: it could not be started or did not get ready (err says why). life: the processor time
 * that it may use in all, in ns.
 */
int pyc_helper_start(struct pyc_helper *h, const char *exe, uint64_t deadline, uint64_t life,
		     struct err *err);

/* Kills it, if it runs, and waits for its end. */
void pyc_helper_stop(struct pyc_helper *h);

#define PYC_ASK_TIMEOUT (-1)
#define PYC_ASK_DIED (-2)

/*
 * Sends one request and returns the answer, or one of the two above (stop it then). Instead of a
 * .pyc, three bytes ask for the compiled code: the magic (two bytes, little endian) and the level
 * of optimisation.
 */
int pyc_helper_ask(struct pyc_helper *h, const struct bytes *path, const struct bytes *source,
		   const struct bytes *pyc, uint64_t deadline);
/* What follows PYC_CODE, at most max bytes. 0, or one of the two above. */
int pyc_helper_take(struct pyc_helper *h, struct bytes *out, size_t max, uint64_t deadline);

struct pyc_compiler {
	struct pyc_helper helper;
	char exe[512]; /* that runs, or does not start */
	bool broken;
	uint64_t deadline; /* of all that it is asked; 0: not begun */
};

#define PYC_COMPILER_INIT                     \
	{                                     \
		PYC_HELPER_INIT, "", false, 0 \
	}

#endif
