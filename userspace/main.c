/* The verb table. Only main prints errors and exits. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/command.h"
#include "base/err.h"

extern const struct command cmd_collect, cmd_inspect, cmd_verify, cmd_analyze, cmd_doctor;

static const struct command *const commands[] = {
#if DAYLIGHT_COLLECT
	&cmd_collect,
#endif
	&cmd_inspect, &cmd_verify, &cmd_analyze,
#if DAYLIGHT_COLLECT
	&cmd_doctor,
#endif
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
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
	       "----------------------------------------------------\n"
	       "shows which code really handled a cloud's API calls\n"
	       "----------------------------------------------------\n\n:Manual section: 1\n\n"
	       "SYNOPSIS\n========\n\n**daylight** *VERB* [*OPTION*...] ...\n\n"
	       "VERBS\n=====\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("``%s``\n  %s See **daylight-%s**\\(1).\n\n", commands[i]->name,
		       commands[i]->summary, commands[i]->name);
}

/* Bash completion: verbs, then the verb's options, then files. */
static void print_completion(void)
{
	printf("_daylight() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words\n"
	       "\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\twords=\"");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("%s%s", i ? " " : "", commands[i]->name);
	printf("\"\n\telse\n\t\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < COMMANDS; i++) {
		printf("\t\t%s) words=\"", commands[i]->name);
		command_words(commands[i]);
		printf("\" ;;\n");
	}
	printf("\t\tesac\n\tfi\n\tif [ \"$COMP_CWORD\" = 1 ] || [ \"${cur#-}\" != \"$cur\" ]; "
	       "then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n\telse\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n\tfi\n}\n"
	       "complete -o filenames -F _daylight daylight\n");
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
		print_completion();
		return 0;
	}
	if (!strcmp(verb, "manual") && argc == 2) {
		print_manual();
		return 0;
	}
	if (!strcmp(verb, "help") || !strcmp(verb, "manual")) {
		command = find_command(argv[2]);
		if (!command)
			return err_set(err, ERR_USAGE, "unknown verb '%s': see 'daylight --help'",
				       argv[2]);
		if (verb[0] == 'h')
			command_help(command);
		else
			command_manual(command);
		return 0;
	}
	command = find_command(verb);
	if (!command)
		return err_set(err, ERR_USAGE, "unknown verb '%s': see 'daylight --help'", verb);
	return command_run(command, argc - 1, argv + 1, err);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int code;

	signal(SIGPIPE, SIG_IGN);
	code = run(argc, argv, &err);
	if (code < 0)
		code = (int)err.kind;
	/* What was printed must have arrived, else the run failed. */
	if (fflush(stdout) || ferror(stdout)) {
		if (errno != EPIPE)
			err_errno(&err, ERR_INCOMPLETE, "standard output");
		if (!code)
			code = ERR_INCOMPLETE;
	}
	if (err.kind != ERR_NONE)
		fprintf(stderr, "daylight: %s\n", err.text);
	return code;
}
