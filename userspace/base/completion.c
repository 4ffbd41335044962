/*
 * Completion for bash, printed from the verbs' tables: verbs, their options, what an option's value
 * may be, and the positional arguments.
 */
#include <stdio.h>
#include <string.h>

#include "base/command.h"

#define WORDS_SIZE 1024

/* The bash code that offers what a value or an argument of this name may be. */
static void print_offer(const char *name)
{
	if (!strcmp(name, "FILE") || !strcmp(name, "PATH") || !strcmp(name, "PEM"))
		printf("_daylight_paths -f");
	else if (!strcmp(name, "DIR"))
		printf("_daylight_paths -d");
	else if (strchr(name, '|'))
		printf("words='%s'", name);
	else
		printf("return"); /* a number, a name: nothing can be offered */
}

static void print_values(const struct command *c)
{
	for (const struct command_option *o = c->options; o && o->name; o++) {
		if (!o->value)
			continue;
		printf("\t\t%s:--%s", c->name, o->name);
		if (o->letter)
			printf(" | %s:-%c", c->name, o->letter);
		printf(") ");
		print_offer(o->value);
		printf(" ;;\n");
	}
}

static void print_arguments(const struct command *c)
{
	char words[WORDS_SIZE];
	const char *after = NULL;

	if (c->takes_command)
		printf("\t\t%s:*:--) _daylight_paths -c ;;\n", c->name);
	if (c->argument && !c->offer)
		printf("\t\t%s:*) _daylight_paths -f ;;\n", c->name);
	for (unsigned int n = 1; c->offer && !c->offer(n, words, sizeof(words), &after); n++) {
		printf("\t\t%s:%u:%s) ", c->name, n, after ? after : "*");
		print_offer(words);
		printf(" ;;\n");
	}
}

static void print_options(const struct command *c)
{
	printf("\t\t%s) words='--help", c->name);
	for (const struct command_option *o = c->options; o && o->name; o++)
		printf("|--%s", o->name);
	printf("' ;;\n");
}

static void print_verbs(const struct command *const *commands, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("%s%s", i ? "|" : "", commands[i]->name);
}

static void print_each(const struct command *const *commands, size_t count,
		       void (*print)(const struct command *command))
{
	for (size_t i = 0; i < count; i++)
		print(commands[i]);
	printf("\t\tesac\n");
}

void command_completion(const struct command *const *commands, size_t count)
{
	printf("# Completion of daylight for bash.\n"
	       "_daylight_paths() {\n"
	       "\tcompopt -o filenames 2>/dev/null\n"
	       "\tmapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n}\n\n"
	       /* n: which positional argument; last: the one before it; asks: an option's value. */
	       "_daylight() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]}\n"
	       "\tlocal words='' asks='' last='' n=1 i word IFS=$'\\n'\n"
	       "\tCOMPREPLY=()\n"
	       "\t[ \"$cur\" != = ] || cur=''\n"
	       "\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	       "\t\twords='");
	print_verbs(commands, count);
	printf("|help'\n"
	       "\t\t[ \"${cur#-}\" = \"$cur\" ] || words='--help|--version'\n"
	       "\telif [ \"$verb\" = help ]; then\n"
	       "\t\t[ \"$COMP_CWORD\" != 2 ] || words='");
	print_verbs(commands, count);
	printf("'\n"
	       "\telse\n"
	       "\t\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	       "\t\t\tword=${COMP_WORDS[i]}\n"
	       "\t\t\t[ \"$word\" != = ] || continue\n"
	       "\t\t\tif [ -n \"$asks\" ]; then\n"
	       "\t\t\t\tasks=''\n"
	       "\t\t\telif [ \"$last\" = -- ]; then\n"
	       "\t\t\t\t_daylight_paths -f\n"
	       "\t\t\t\treturn\n"
	       "\t\t\telif [ \"$word\" = -- ]; then\n"
	       "\t\t\t\tlast=--\n"
	       "\t\t\telif [ \"${word#-}\" = \"$word\" ]; then\n"
	       "\t\t\t\tlast=$word n=$((n + 1))\n"
	       "\t\t\telse\n"
	       "\t\t\t\tcase $verb:$word in\n");
	for (size_t i = 0; i < count; i++)
		for (const struct command_option *o = commands[i]->options; o && o->name; o++) {
			if (!o->value)
				continue;
			printf("\t\t\t\t%s:--%s", commands[i]->name, o->name);
			if (o->letter)
				printf(" | %s:-%c", commands[i]->name, o->letter);
			printf(") asks=$word ;;\n");
		}
	printf("\t\t\t\tesac\n"
	       "\t\t\tfi\n"
	       "\t\tdone\n"
	       "\t\tif [ -n \"$asks\" ]; then\n"
	       "\t\tcase $verb:$asks in\n");
	print_each(commands, count, print_values);
	printf("\t\telif [ \"${cur#-}\" != \"$cur\" ] && [ \"$last\" != -- ]; then\n"
	       "\t\tcase $verb in\n");
	print_each(commands, count, print_options);
	printf("\t\telse\n"
	       "\t\tcase $verb:$n:$last in\n");
	print_each(commands, count, print_arguments);
	printf("\t\tfi\n"
	       "\tfi\n"
	       "\t[ -z \"$words\" ] ||\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"${words//|/$IFS}\" -- \"$cur\")\n"
	       "}\n"
	       "complete -F _daylight daylight\n");
}
