/* The verb `inspect`: what a bundle holds, for people and for programs. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/command.h"
#include "base/log.h"
#include "cmd_memory.h"
#include "inspect/inspect.h"

struct inspect_opts {
	const char *file, *view, *kind, *id;
	bool json, jsonl;
	struct inspect_filter filter;
	uint64_t memory; /* MiB; 0: the default */
};

static struct inspect_filter *filter_of(void *opts)
{
	return &((struct inspect_opts *)opts)->filter;
}

static int set_time(const char *option, const char *text, uint64_t *out, struct err *err)
{
	if (clock_parse(text, out) || !*out)
		return err_set(err, ERR_USAGE,
			       "%s %s: give a time such as 2026-11-22T20:00:00Z (RFC 3339)", option,
			       text);
	return 0;
}

static int set_since(void *opts, const char *text, struct err *err)
{
	return set_time("--since", text, &filter_of(opts)->since, err);
}

static int set_until(void *opts, const char *text, struct err *err)
{
	return set_time("--until", text, &filter_of(opts)->until, err);
}

static int set_word(const char *option, const char *text, const char **out, struct err *err)
{
	*out = text;
	return *text ? 0 : err_set(err, ERR_USAGE, "%s needs a value that is not empty", option);
}

static int set_route(void *opts, const char *text, struct err *err)
{
	return set_word("--route", text, &filter_of(opts)->route, err);
}

static int set_module(void *opts, const char *text, struct err *err)
{
	return set_word("--module", text, &filter_of(opts)->module, err);
}

static int set_function(void *opts, const char *text, struct err *err)
{
	return set_word("--function", text, &filter_of(opts)->function, err);
}

static int set_request_id(void *opts, const char *text, struct err *err)
{
	return set_word("--request-id", text, &filter_of(opts)->request_id, err);
}

/* 404, or 4xx for all from 400 to 499. */
static int set_status(void *opts, const char *text, struct err *err)
{
	struct inspect_filter *f = filter_of(opts);

	if (*text >= '1' && *text <= '9' && !strcmp(text + 1, "xx")) {
		f->status_from = (uint64_t)(*text - '0') * 100;
		f->status_to = f->status_from + 99;
		return 0;
	}
	if (command_number("--status", text, 100, 999, &f->status_from, err))
		return -1;
	f->status_to = f->status_from;
	return 0;
}

static int set_process(void *opts, const char *text, struct err *err)
{
	return command_number("--process", text, 1, UINT32_MAX, &filter_of(opts)->process, err);
}

static int set_memory(void *opts, const char *text, struct err *err)
{
	return cmd_memory_parse(text, &((struct inspect_opts *)opts)->memory, err);
}

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
	struct trace_options needs;
	enum inspect_format format;
	struct bundle_end end;
	struct trace *t;
	int rc;

	(void)argc;
	(void)argv;
	if (!o->file)
		return err_set(err, ERR_USAGE, "inspect: a bundle FILE is missing: name one");
	if (file_is_view(o))
		return file_first(o, err);
	if (o->json && o->jsonl)
		return err_set(err, ERR_USAGE, "inspect: give --json or --jsonl, not both");
	if (record && !o->id)
		return err_set(err, ERR_USAGE, "inspect: 'record' needs a KIND and an ID");
	if (record ? inspect_check_kind(o->kind, err) : inspect_check_view(view, err))
		return -1;
	if (inspect_check_filter(view, &o->filter, err))
		return -1;
	format = o->json ? INSPECT_JSON : o->jsonl ? INSPECT_JSONL : INSPECT_TEXT;
	inspect_needs(view, o->kind, format, &needs);
	cmd_memory_limit(o->memory);
	t = trace_load_some(o->file, &needs, err);
	if (!t)
		return -1;
	trace_end(t, &end);
	rc = record ? inspect_print_record(t, o->file, o->kind, o->id, format, stdout, err)
		    : inspect_print(t, o->file, view, &o->filter, format, stdout, err);
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
	{ "since", 0, "T", "Only what was there at T (RFC 3339) or later; calls that began then.",
	  false, set_since },
	{ "until", 0, "T", "Only what was there before T; calls that began before.", false,
	  set_until },
	{ "route", 0, "ID", "Only calls of this route of their service definition.", false,
	  set_route },
	{ "status", 0, "N", "Only calls with this status; 4xx stands for all from 400 to 499.",
	  false, set_status },
	{ "process", 0, "PID", "Only what belongs to processes with this pid.", false,
	  set_process },
	{ "module", 0, "PATH",
	  "Only this file, or what its code is part of. PATH may be the end of a path.", false,
	  set_module },
	{ "function", 0, "NAME",
	  "Only functions with this name or qualified name, or what they are part of.", false,
	  set_function },
	{ "request-id", 0, "ID", "Only calls that gave or got this request id.", false,
	  set_request_id },
	{ "memory", 0, "MIB", CMD_MEMORY_HELP, false, set_memory },
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
		"The filters may be combined; a row must satisfy all of them. calls has all of "
		"them, the other views those that make sense for them.\n\n"
		"Only the frames that a view needs are read, so a view of a sealed bundle does "
		"not notice damage elsewhere: verify reads all. --jsonl prints each row as soon "
		"as it is known.\n\n"
		"Works offline on any host and needs no privilege. Unknown values are null, or "
		"'-' in text. Control characters in names are shown as \\xNN.",
	.options = inspect_options,
	.opts_size = sizeof(struct inspect_opts),
	.argument = inspect_argument,
	.offer = inspect_offer,
	.run = inspect_run,
	.examples = "daylight inspect host.daylight  # a summary\n"
		    "daylight inspect host.daylight calls --jsonl  # for a program\n"
		    "daylight inspect host.daylight calls --status 5xx --since "
		    "2026-11-22T20:00:00Z  # what failed\n"
		    "daylight inspect host.daylight record call 17  # where a claim points to",
	.exit_codes =
		"0 printed\n"
		"2 wrong usage, not a bundle, or no such record\n"
		"4 printed, but the bundle ends early; or the output could not be written, or "
		"memory is short",
};
