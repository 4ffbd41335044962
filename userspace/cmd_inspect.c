/* The verb `inspect`: what a bundle holds, for people and for programs. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/command.h"
#include "base/log.h"
#include "inspect/inspect.h"

struct inspect_opts {
	const char *file, *view, *kind, *id;
	bool json, jsonl;
};

static int set_json(void *opts, const char *text, struct err *err)
{
	(void)text;
	(void)err;
	((struct inspect_opts *)opts)->json = true;
	return 0;
}

static int set_jsonl(void *opts, const char *text, struct err *err)
{
	(void)text;
	(void)err;
	((struct inspect_opts *)opts)->jsonl = true;
	return 0;
}

static bool is_view(const char *word)
{
	struct err none = ERR_INIT;

	return !strcmp(word, "record") || !inspect_check_view(word, &none);
}

/* A view where the file should stand, as in `inspect calls FILE`. */
static bool file_is_view(const struct inspect_opts *o)
{
	return is_view(o->file) && access(o->file, F_OK);
}

static int file_first(const struct inspect_opts *o, struct err *err)
{
	return err_set(err, ERR_USAGE, "inspect: give the file first: daylight inspect FILE %s%s",
		       o->file, strcmp(o->file, "record") ? "" : " KIND ID");
}

/* FILE, then a view; `record` takes two more words. */
static int inspect_argument(void *opts, const char *text, struct err *err)
{
	struct inspect_opts *o = opts;
	bool record = o->view && !strcmp(o->view, "record");

	if (!o->file)
		o->file = text;
	else if (!o->view)
		o->view = text;
	else if (record && !o->kind)
		o->kind = text;
	else if (record && !o->id)
		o->id = text;
	else if (file_is_view(o))
		return file_first(o, err);
	else
		return err_set(err, ERR_USAGE, "inspect: '%s' is one argument too many", text);
	return 0;
}

static int inspect_offer(unsigned int n, char *name, size_t size, const char **after)
{
	if (n == 1)
		snprintf(name, size, "FILE");
	else if (n == 2)
		inspect_list_views("|", name, size);
	else if (n == 3)
		inspect_list_kinds("|", name, size);
	else
		return -1;
	*after = n == 3 ? "record" : NULL;
	return 0;
}

static int inspect_run(void *opts, int argc, char **argv, struct err *err)
{
	const struct inspect_opts *o = opts;
	const char *view = o->view ? o->view : "summary";
	bool record = !strcmp(view, "record");
	enum inspect_format format;
	struct bundle_end end;
	struct trace *t;
	int rc;

	(void)argc;
	(void)argv;
	if (!o->file)
		return err_set(err, ERR_USAGE, "inspect: a bundle FILE is missing");
	if (file_is_view(o))
		return file_first(o, err);
	if (o->json && o->jsonl)
		return err_set(err, ERR_USAGE, "inspect: give --json or --jsonl, not both");
	if (record && !o->id)
		return err_set(err, ERR_USAGE, "inspect: 'record' needs a KIND and an ID");
	if (record ? inspect_check_kind(o->kind, err) : inspect_check_view(view, err))
		return -1;
	format = o->json ? INSPECT_JSON : o->jsonl ? INSPECT_JSONL : INSPECT_TEXT;
	t = trace_load(o->file, err);
	if (!t)
		return -1;
	trace_end(t, &end);
	rc = record ? inspect_print_record(t, o->file, o->kind, o->id, format, stdout, err)
		    : inspect_print(t, o->file, view, format, stdout, err);
	if (!rc && !end.complete) {
		if (format != INSPECT_TEXT)
			log_warn("%s ends early (%s): what came later is not in the output",
				 o->file, end.end_reason);
		rc = ERR_INCOMPLETE;
	}
	trace_free(t);
	return rc;
}

static const struct command_option inspect_options[] = {
	{ "json", 0, NULL, "Print one JSON document.", false, set_json },
	{ "jsonl", 0, NULL, "Print one JSON object a line, as soon as it is known.", false,
	  set_jsonl },
	{ NULL, 0, NULL, NULL, false, NULL },
};

const struct command cmd_inspect = {
	.name = "inspect",
	.args = "FILE [VIEW]",
	.summary = "show what a bundle holds",
	.description =
		"Reads the evidence bundle FILE and prints a view of it. VIEW is summary (the "
		"default), calls, processes, modules, functions, stacks, interpositions, "
		"connections, loss, or record KIND ID.\n\n"
		"calls lists each API call with the functions that were seen at work for it, "
		"modules the files whose code could run, interpositions the code that stands in "
		"another's place, loss what each stage attempted, delivered, skipped and lost. "
		"record prints one record with all its fields; "
		"the pointers of a report lead to it.\n\n"
		"Works offline on any host and needs no privilege. Unknown values are null, or "
		"'-' in text. Control characters in names are shown as \\xNN.",
	.options = inspect_options,
	.opts_size = sizeof(struct inspect_opts),
	.argument = inspect_argument,
	.offer = inspect_offer,
	.run = inspect_run,
	.examples = "daylight inspect host.daylight  # a summary\n"
		    "daylight inspect host.daylight calls --jsonl  # for a program\n"
		    "daylight inspect host.daylight record call 17  # where a claim points to",
	.exit_codes = "0 printed\n"
		      "2 wrong usage, not a bundle, or no such record\n"
		      "4 printed, but the bundle ends early; or the output could not be written",
};
