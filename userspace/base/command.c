/* Verbs of the command line: options by table, help and manual from the same table. */
#include "base/command.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command_option *find_option(const struct command *c, const char *arg,
						size_t len, char letter)
{
	for (const struct command_option *o = c->options; o && o->name; o++) {
		if (letter ? o->letter == letter
			   : arg && strlen(o->name) == len && !memcmp(o->name, arg, len))
			return o;
	}
	return NULL;
}

static int usage_error(const struct command *c, struct err *err, const char *what, const char *arg)
{
	return err_set(err, ERR_USAGE, "%s '%s': see 'daylight %s --help'", what, arg, c->name);
}

/* One argument that starts with '-'. Moves *i over a separate value. */
static int take_option(const struct command *c, void *opts, int argc, char **argv, int *i,
		       uint64_t *seen, struct err *err)
{
	const char *arg = argv[*i], *value = NULL;
	const struct command_option *o;

	if (arg[1] == '-') {
		const char *eq = strchr(arg, '=');

		o = find_option(c, arg + 2, eq ? (size_t)(eq - arg - 2) : strlen(arg + 2), 0);
		value = eq ? eq + 1 : NULL;
	} else {
		o = find_option(c, NULL, 0, arg[1]);
		value = o && o->value && arg[2] ? arg + 2 : NULL;
		if (o && !value && arg[2])
			o = NULL;
	}
	if (!o)
		return usage_error(c, err, "unknown option", arg);
	if (!o->value && value)
		return usage_error(c, err, "option takes no value", arg);
	if (o->value && !value) {
		if (*i + 1 >= argc)
			return usage_error(c, err, "option needs a value", arg);
		value = argv[++*i];
	}
	if (!o->repeat && (*seen & 1ULL << (o - c->options)))
		return usage_error(c, err, "option given twice", arg);
	*seen |= 1ULL << (o - c->options);
	return o->set(opts, value, err);
}

int command_run(const struct command *c, int argc, char **argv, struct err *err)
{
	void *opts = calloc(1, c->opts_size ? c->opts_size : 1);
	char **rest = NULL;
	int rest_count = 0, code = -1, i;
	bool plain = false;
	uint64_t seen = 0;

	if (!opts)
		return err_set(err, ERR_INTERNAL, "out of memory");
	for (i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
			command_help(c);
			code = 0;
			goto out;
		}
		if (!plain && !strcmp(arg, "--")) {
			if (c->takes_command) {
				rest = argv + i + 1;
				rest_count = argc - i - 1;
				if (!rest_count) {
					usage_error(c, err, "no command behind", "--");
					goto out;
				}
				break;
			}
			plain = true;
		} else if (!plain && arg[0] == '-' && arg[1]) {
			if (take_option(c, opts, argc, argv, &i, &seen, err))
				goto out;
		} else if (!c->argument) {
			usage_error(c, err, "unexpected argument", arg);
			goto out;
		} else if (c->argument(opts, arg, err)) {
			goto out;
		}
	}
	code = c->run(opts, rest_count, rest, err);
out:
	if (c->release)
		c->release(opts);
	free(opts);
	if (code >= 0)
		return code;
	if (err->kind == ERR_NONE)
		err_set(err, ERR_INTERNAL, "'%s' failed without saying why", c->name);
	return (int)err->kind;
}

/* Prints text folded at 78 columns behind an indent. */
static void print_folded(const char *text, int indent)
{
	while (*text) {
		size_t room = (size_t)(78 - indent), len = strcspn(text, "\n"), cut = len;

		if (len > room) {
			cut = room;
			while (cut && text[cut] != ' ')
				cut--;
			if (!cut)
				cut = len;
		}
		printf("%*s%.*s\n", cut ? indent : 0, "", (int)cut, text);
		text += cut;
		while (*text == ' ')
			text++;
		if (*text == '\n')
			text++;
	}
}

static void option_spelling(const struct command_option *o, char *out, size_t size)
{
	char letter[8] = "";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(out, size, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
		 o->value ? o->value : "");
}

/* Lines of a table behind an indent; codes: the first word stands apart. */
static void print_lines(const char *lines, bool codes)
{
	while (*lines) {
		size_t len = strcspn(lines, "\n"), word = codes ? strcspn(lines, " \n") : 0;

		printf("  %.*s%s%.*s\n", (int)word, lines, codes ? " " : "", (int)(len - word),
		       lines + word);
		lines += len + (lines[len] == '\n');
	}
}

void command_sentence(const struct command *c)
{
	printf("%c%s.", toupper((unsigned char)c->summary[0]), c->summary + 1);
}

void command_help(const struct command *c)
{
	char spelling[96];

	printf("usage: daylight %s%s%s%s\n\n", c->name,
	       c->options && c->options->name ? " [OPTION...]" : "", c->args[0] ? " " : "",
	       c->args);
	command_sentence(c);
	printf("\n");
	if (c->description) {
		printf("\n");
		print_folded(c->description, 0);
	}
	printf("\noptions:\n");
	for (const struct command_option *o = c->options; o && o->name; o++) {
		option_spelling(o, spelling, sizeof(spelling));
		printf("  %s%s\n", spelling, o->repeat ? "  (may be repeated)" : "");
		print_folded(o->help, 6);
	}
	printf("  -h, --help\n      This text.\n");
	if (c->examples)
		printf("\nexamples:\n");
	print_lines(c->examples ? c->examples : "", false);
	if (c->exit_codes)
		printf("\nexit codes:\n");
	print_lines(c->exit_codes ? c->exit_codes : "", true);
}

/* Text for reStructuredText: what would be markup is escaped. */
static void print_rst(const char *text)
{
	for (; *text; text++) {
		if (strchr("*`|\\_", *text))
			putchar('\\');
		putchar(*text);
	}
}

static void print_rst_lines(const char *title, const char *lines, bool codes)
{
	printf("%s\n%.*s\n\n::\n\n", title, (int)strlen(title), "==================");
	print_lines(lines, codes);
	printf("\n");
}

void command_manual(const struct command *c)
{
	char title[64], spelling[96];
	size_t len;

	snprintf(title, sizeof(title), "daylight-%s", c->name);
	len = strlen(title);
	for (size_t i = 0; i < len; i++)
		putchar('=');
	printf("\n%s\n", title);
	for (size_t i = 0; i < len; i++)
		putchar('=');
	printf("\n\n%.*s\n%s\n%.*s\n\n:Manual section: 1\n\n", (int)strlen(c->summary),
	       "--------------------------------------------------------------------------------",
	       c->summary, (int)strlen(c->summary),
	       "--------------------------------------------------------------------------------");
	printf("SYNOPSIS\n========\n\n**daylight %s** [*OPTION*...] ", c->name);
	print_rst(c->args);
	printf("\n\n");
	if (c->description) {
		printf("DESCRIPTION\n===========\n\n");
		print_rst(c->description);
		printf("\n\n");
	}
	printf("OPTIONS\n=======\n\n");
	for (const struct command_option *o = c->options; o && o->name; o++) {
		option_spelling(o, spelling, sizeof(spelling));
		printf("``%s``\n  ", spelling);
		print_rst(o->help);
		printf("%s\n\n", o->repeat ? " May be repeated." : "");
	}
	printf("``-h, --help``\n  The help text.\n\n");
	if (c->examples)
		print_rst_lines("EXAMPLES", c->examples, false);
	if (c->exit_codes)
		print_rst_lines("EXIT CODES", c->exit_codes, true);
}

int command_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *out,
		   struct err *err)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || v < min || v > max)
		return err_set(err, ERR_USAGE, "%s '%s': give a number from %llu to %llu", option,
			       text, (unsigned long long)min, (unsigned long long)max);
	*out = v;
	return 0;
}
