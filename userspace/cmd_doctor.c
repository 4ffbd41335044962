/* Verb doctor: can this machine collect, and if not, what to do. */
#include <stdio.h>

#include <jansson.h>

#include "base/command.h"
#include "collect/doctor.h"

struct options {
	const char *probes;
	bool json;
};

static int set_probes(void *opts, const char *text, struct err *err)
{
	(void)err;
	((struct options *)opts)->probes = text;
	return 0;
}

static int set_json(void *opts, const char *text, struct err *err)
{
	(void)text;
	(void)err;
	((struct options *)opts)->json = true;
	return 0;
}

static const struct command_option options[] = {
	{ "json", 0, NULL, "Print one JSON document.", false, set_json },
	{ "probes", 0, "DIR", "Probe files from DIR instead of the built-in ones.", false,
	  set_probes },
	{ NULL, 0, NULL, NULL, false, NULL },
};

static int print_json(const struct doctor_row *rows, int count, bool ok)
{
	static const char *const words[] = { "ok", "note", "missing" };
	json_t *list = json_array(), *root;

	for (int i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "what", rows[i].what,
						      "state", words[rows[i].state], "found",
						      rows[i].found, "remedy", rows[i].remedy));
	root = json_pack("{s:s, s:b, s:o}", "schema", "daylight.doctor/0", "ok", ok, "checks",
			 list);
	if (!root)
		return -1;
	json_dumpf(root, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(root);
	return 0;
}

static int run(void *opts, int argc, char **argv, struct err *err)
{
	static const char *const marks[] = { "ok", "note", "MISSING" };
	struct options *o = opts;
	struct doctor_row rows[32];
	int count = doctor_check(o->probes, rows, 32);
	bool ok = true;

	(void)argc;
	(void)argv;
	for (int i = 0; i < count; i++)
		ok &= rows[i].state != DOCTOR_MISSING;
	if (o->json) {
		if (print_json(rows, count, ok))
			return err_set(err, ERR_INTERNAL, "a check's text is no valid UTF-8");
		return ok ? 0 : ERR_MACHINE;
	}
	for (int i = 0; i < count; i++) {
		printf("%-8s %-20s %s\n", marks[rows[i].state], rows[i].what, rows[i].found);
		if (rows[i].remedy[0])
			printf("%30s-> %s\n", "", rows[i].remedy);
	}
	printf("%s\n", ok ? "this machine can collect" : "this machine cannot collect");
	return ok ? 0 : ERR_MACHINE;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "check whether this machine can collect, and say what to do if not",
	.description =
		"Checks kernel, privileges, BPF programs, probe files, clock and package database. "
		"The programs are really loaded and attached for a moment; nothing is recorded.",
	.options = options,
	.opts_size = sizeof(struct options),
	.run = run,
	.examples = "sudo daylight doctor  # what is missing, and how to get it",
	.exit_codes = "0 it can\n2 wrong usage\n3 it cannot",
};
