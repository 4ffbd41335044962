/* The verb `analyze`: bundles and a guideline in, a report out. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/analyze.h"
#include "base/command.h"
#include "base/log.h"
#include "catalog/catalog.h"
#include "cmd_memory.h"
#include "report/report.h"

struct texts {
	const char **items;
	size_t count;
};

struct analyze_opts {
	struct texts bundles, references, services;
	const char *guideline, *probes, *out;
	bool json;
	uint64_t memory; /* MiB; 0: the default */
};

static int add_text(struct texts *t, const char *text, struct err *err)
{
	const char **all = realloc(t->items, (t->count + 1) * sizeof(*all));

	if (!all)
		return err_set(err, ERR_INTERNAL, "out of memory");
	t->items = all;
	all[t->count++] = text;
	return 0;
}

static int set_guideline(void *opts, const char *text, struct err *err)
{
	(void)err;
	((struct analyze_opts *)opts)->guideline = text;
	return 0;
}

static int set_services(void *opts, const char *text, struct err *err)
{
	return add_text(&((struct analyze_opts *)opts)->services, text, err);
}

static int set_probes(void *opts, const char *text, struct err *err)
{
	(void)err;
	((struct analyze_opts *)opts)->probes = text;
	return 0;
}

static int set_reference(void *opts, const char *text, struct err *err)
{
	return add_text(&((struct analyze_opts *)opts)->references, text, err);
}

static int set_out(void *opts, const char *text, struct err *err)
{
	(void)err;
	((struct analyze_opts *)opts)->out = text;
	return 0;
}

static int set_json(void *opts, const char *text, struct err *err)
{
	(void)text;
	(void)err;
	((struct analyze_opts *)opts)->json = true;
	return 0;
}

static int add_bundle(void *opts, const char *text, struct err *err)
{
	return add_text(&((struct analyze_opts *)opts)->bundles, text, err);
}

static struct catalog *load_catalog(const struct analyze_opts *o, struct err *err)
{
	struct catalog *c = catalog_load(o->probes, err);

	for (size_t i = 0; c && i < o->services.count; i++)
		if (catalog_add_services(c, o->services.items[i], err)) {
			catalog_free(c);
			return NULL;
		}
	return c;
}

static int print_report(const struct analyze_opts *o, const struct analyze_result *result,
			struct err *err)
{
	if (o->out && report_write(result->report, o->out, err))
		return -1;
	if (o->json)
		return report_print_json(result->report, stdout, err);
	return report_print_text(result->report, stdout, err);
}

static int run_with(const struct analyze_opts *o, const struct catalog *c, struct err *err)
{
	size_t n = catalog_services_count(c);
	struct analyze_definition *definitions = calloc(n + 1, sizeof(*definitions));
	const struct analyze_options options = {
		.bundles = o->bundles.items,
		.bundles_count = o->bundles.count,
		.guideline = o->guideline,
		.references = o->references.items,
		.references_count = o->references.count,
		.definitions = definitions,
		.definitions_count = n,
	};
	struct analyze_result result;
	int rc = 0;

	if (!definitions)
		return err_set(err, ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < n; i++) {
		definitions[i].definition = catalog_service_at(c, i);
		definitions[i].file = catalog_service_file(c, definitions[i].definition->name);
	}
	rc = analyze_run(&options, &result, err);
	if (!rc) {
		rc = print_report(o, &result, err);
		json_decref(result.report);
		if (!rc && result.altered)
			log_warn("a bundle was altered: 'daylight verify' names where");
		else if (!rc && result.incomplete)
			log_warn("a bundle ends early: the report says what is not known");
		if (!rc)
			rc = result.altered ? ERR_ALTERED : result.incomplete ? ERR_INCOMPLETE : 0;
	}
	free(definitions);
	return rc;
}

/* Every file of a folder of definitions counts as an input. */
static int add_folder(struct texts *paths, const char *folder, struct err *err)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);
	int rc = 0;

	while (dir && !rc && (entry = readdir(dir))) {
		char *path;

		if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
			rc = err_set(err, ERR_INTERNAL, "out of memory");
		else if (add_text(paths, path, err)) {
			free(path);
			rc = -1;
		}
	}
	if (dir)
		closedir(dir);
	return rc;
}

static int add_probes(struct texts *paths, const char *probes, struct err *err)
{
	static const char *const folders[] = { "services", "python" };
	char *path;
	int rc = 0;

	for (size_t i = 0; probes && i < 2 && !rc; i++) {
		if (asprintf(&path, "%s/%s", probes, folders[i]) < 0)
			return err_set(err, ERR_INTERNAL, "out of memory");
		rc = add_folder(paths, path, err);
		free(path);
	}
	return rc;
}

/* The report must not be put over what it is made from. */
static int check_output(const struct analyze_opts *o, struct err *err)
{
	struct texts given = { 0 }, found = { 0 };
	int rc = add_text(&given, o->guideline, err);

	for (size_t i = 0; i < o->bundles.count && !rc; i++)
		rc = add_text(&given, o->bundles.items[i], err);
	for (size_t i = 0; i < o->references.count && !rc; i++)
		rc = add_text(&given, o->references.items[i], err);
	for (size_t i = 0; i < o->services.count && !rc; i++)
		rc = add_folder(&found, o->services.items[i], err);
	rc = rc || add_probes(&found, o->probes, err);
	for (size_t i = 0; i < found.count && !rc; i++)
		rc = add_text(&given, found.items[i], err);
	rc = rc || report_check_place(o->out, given.items, given.count, err);
	for (size_t i = 0; i < found.count; i++)
		free((char *)found.items[i]);
	free(found.items);
	free(given.items);
	return rc ? -1 : 0;
}

static int analyze_verb(void *opts, int argc, char **argv, struct err *err)
{
	const struct analyze_opts *o = opts;
	struct catalog *c;
	int rc;

	(void)argc;
	(void)argv;
	if (!o->bundles.count)
		return err_set(err, ERR_USAGE, "analyze: a bundle FILE is missing: name one");
	if (!o->guideline)
		return err_set(err, ERR_USAGE,
			       "analyze: a guideline is missing: give --guideline FILE");
	if (o->out && check_output(o, err))
		return -1;
	cmd_memory_limit(o->memory);
	c = load_catalog(o, err);
	if (!c)
		return -1;
	rc = run_with(o, c, err);
	catalog_free(c);
	return rc;
}

static void analyze_release(void *opts)
{
	struct analyze_opts *o = opts;

	free(o->bundles.items);
	free(o->references.items);
	free(o->services.items);
}

static int set_memory(void *opts, const char *text, struct err *err)
{
	return cmd_memory_parse(text, &((struct analyze_opts *)opts)->memory, err);
}

static const struct command_option analyze_options[] = {
	{ "guideline", 'g', "FILE",
	  "The guideline, as published (JSON, schema 2.0 or 1.6). Must be given.", false,
	  set_guideline },
	{ "services", 0, "DIR", "More service definitions: every *.json file in DIR.", true,
	  set_services },
	{ "probes", 0, "DIR", "Probe files from DIR, in place of the embedded ones.", false,
	  set_probes },
	{ "reference", 0, "FILE", "Digests of a component's upstream files and functions, as JSON.",
	  true, set_reference },
	{ "output", 'o', "FILE",
	  "Write the report to FILE as JSON. An older report gives way, nothing else.", false,
	  set_out },
	{ "json", 0, NULL, "Print the report as JSON in place of text.", false, set_json },
	{ "memory", 0, "MIB", CMD_MEMORY_HELP, false, set_memory },
	{ NULL, 0, NULL, NULL, false, NULL },
};

const struct command cmd_analyze = {
	.name = "analyze",
	.args = "FILE...",
	.summary = "say which code of a guideline handled the calls",
	.description =
		"Reads evidence bundles, one a host or several, and says for each section of the "
		"guideline which of its code ran for API calls, and whether that code equals a "
		"reference or the host's packages; for each route, how many calls were seen in its "
		"handlers; and what other code stood in between or on the way.\n\n"
		"Each claim names records of a bundle; 'daylight inspect FILE record KIND ID' "
		"shows "
		"them. Not observed is not absent: what could not be seen is said, and turned into "
		"unknown.\n\n"
		"Works offline on any host and needs no privilege. The bundles are verified first.",
	.options = analyze_options,
	.opts_size = sizeof(struct analyze_opts),
	.argument = add_bundle,
	.run = analyze_verb,
	.release = analyze_release,
	.examples =
		"daylight analyze host.daylight --guideline 2020.06.json  # text\n"
		"daylight analyze *.daylight --guideline 2020.06.json -o report.json  # and JSON",
	.exit_codes =
		"0 report written, whatever the statuses\n"
		"1 an input was altered; the report is still written\n"
		"2 wrong usage, a bad guideline, definition or reference, not a bundle\n"
		"4 a bundle ends early; the report is still written. Or memory is short: there "
		"is no report",
};
