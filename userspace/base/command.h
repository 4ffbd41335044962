/*
 * Verbs of the command line. A verb is a table of options and a function that turns options into
 * one library call; help and manual are printed from the same table.
 */
#ifndef DAYLIGHT_BASE_COMMAND_H
#define DAYLIGHT_BASE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * An option: --name or --name VALUE. value NULL: a switch. repeat: may come more than once. The
 * name of the value says what completion offers: FILE, PATH and PEM files, DIR folders, "one|two"
 * these words, any other nothing.
 */
struct command_option {
	const char *name; /* without the dashes */
	char letter; /* 0, or a short form: -o */
	const char *value; /* "FILE", ... */
	const char *help; /* one or more sentences, no line breaks */
	bool repeat;
	/* Called for each occurrence; text is the value, or NULL. Sets an ERR_USAGE error or 0. */
	int (*set)(void *opts, const char *text, struct err *err);
};

struct command {
	const char *name; /* "inspect" */
	const char *args; /* "FILE [VIEW]" for the usage line */
	const char *summary; /* one line, as a part of a sentence: small letter, no full stop */
	const char *description; /* paragraphs, separated by "\n\n" */
	const struct command_option *options; /* ends with name == NULL */
	size_t opts_size; /* of the verb's options struct, zero-initialised for each run */
	/* A positional argument; NULL when the verb takes none. */
	int (*argument)(void *opts, const char *text, struct err *err);
	/*
	 * For completion: what the nth positional argument (from 1) may be, named like a value;
	 * *after (NULL before) is a word that must stand before it. -1: there is no such argument.
	 * Without this all of them are files.
	 */
	int (*offer)(unsigned int n, char *name, size_t size, const char **after);
	/* True: everything behind "--" is a command, passed as argv/argc to run. */
	bool takes_command;
	/*
	 * Returns the exit code, or -1 with err set (its kind is then the exit code). argv: what
	 * stood behind "--", or NULL.
	 */
	int (*run)(void *opts, int argc, char **argv, struct err *err);
	void (*release)(void *opts); /* may be NULL */
	const char *examples; /* lines "command  # what it does", or NULL; no indent */
	const char *exit_codes; /* lines "CODE meaning" */
};

/* Parses and runs. Handles --help and -h. Returns the exit code; sets err on failure. */
int command_run(const struct command *command, int argc, char **argv, struct err *err);

/* Prints the help / the manual page (reStructuredText for rst2man) of a verb. */
void command_help(const struct command *command);
void command_manual(const struct command *command);
/* Prints a summary as a sentence: capital letter, full stop. */
void command_sentence(const struct command *command);
/* Prints the completion script for bash. */
void command_completion(const struct command *const *commands, size_t count);

/* Helpers for `set`: decimal number in a range; ERR_USAGE names the option and the range. */
int command_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *out,
		   struct err *err);

#endif
