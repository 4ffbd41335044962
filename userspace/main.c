/* The verb table. Only main prints errors and exits. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/command.h"
#include "base/err.h"
#include "base/output.h"

extern const struct command cmd_collect, cmd_inspect, cmd_verify, cmd_analyze, cmd_doctor;
extern const struct command cmd_key, cmd_sign, cmd_timestamp;

static const struct command *const commands[] = {
#if DAYLIGHT_COLLECT
	&cmd_collect,
#endif
	&cmd_inspect, &cmd_verify, &cmd_analyze, &cmd_key, &cmd_sign, &cmd_timestamp,
#if DAYLIGHT_COLLECT
	&cmd_doctor,
#endif
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name, struct err *err)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	if (!strcmp(name, "collect") || !strcmp(name, "doctor"))
		err_set(err, ERR_USAGE, "%s: this build has no collector: build without COLLECT=0",
			name);
	else
		err_set(err, ERR_USAGE, "unknown verb '%s': see 'daylight --help'", name);
	return NULL;
}

static void print_usage(FILE *f)
{
	fprintf(f, "usage: daylight VERB [OPTION...] ...\n\n"
		   "Shows which code really handled a cloud's API calls.\n\nverbs:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(f,
		"\n'daylight VERB --help' tells more. 'daylight --version' prints the version.\n");
}

static void print_manual(void)
{
	printf("========\ndaylight\n========\n\n"
	       "---------------------------------------------------\n"
	       "show which code really handled a cloud's API calls\n"
	       "---------------------------------------------------\n\n:Manual section: 1\n\n"
	       "SYNOPSIS\n========\n\n**daylight** *VERB* [*OPTION*...] ...\n\n"
	       "OPTIONS\n=======\n\n"
	       "``-h, --help``\n  The verbs.\n\n``--version``\n  The version.\n\n"
	       "VERBS\n=====\n\n");
	for (size_t i = 0; i < COMMANDS; i++) {
		printf("``%s``\n  ", commands[i]->name);
		command_sentence(commands[i]);
		printf(" See **daylight-%s**\\(1).\n\n", commands[i]->name);
	}
}

static int run(int argc, char **argv, struct err *err)
{
	const char *verb = argc > 1 ? argv[1] : NULL;
	const struct command *command;

	if (!verb) {
		print_usage(stderr);
		return ERR_USAGE;
	}
	if (!strcmp(verb, "--version")) {
		printf("daylight %s\n", DAYLIGHT_VERSION);
		return 0;
	}
	if (!strcmp(verb, "--help") || !strcmp(verb, "-h") ||
	    (!strcmp(verb, "help") && argc == 2)) {
		print_usage(stdout);
		return 0;
	}
	if (!strcmp(verb, "completion")) {
		command_completion(commands, COMMANDS);
		return 0;
	}
	if (!strcmp(verb, "manual") && argc == 2) {
		print_manual();
		return 0;
	}
	if (!strcmp(verb, "help") || !strcmp(verb, "manual")) {
		command = find_command(argv[2], err);
		if (!command)
			return -1;
		if (verb[0] == 'h')
			command_help(command);
		else
			command_manual(command);
		return 0;
	}
	command = find_command(verb, err);
	if (!command)
		return -1;
	return command_run(command, argc - 1, argv + 1, err);
}

/*
 * A file that is opened must never become one of the three standard streams. Read-only: who closed
 * stdout is still told that printing failed.
 */
static void standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int code;

	standard_streams();
	output_open();
	code = run(argc, argv, &err);
	if (code < 0)
		code = (int)err.kind;
	/* What was printed must have arrived, else the run failed. */
	if (fflush(stdout) || ferror(stdout)) {
		err_errno(&err, ERR_INCOMPLETE, "standard output");
		if (!code)
			code = ERR_INCOMPLETE;
	}
	if (err.kind != ERR_NONE)
		fprintf(stderr, "daylight: %s\n", err.text);
	return code;
}
