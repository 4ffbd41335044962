/* The summary as text, read from its JSON document, and the closing notes of every text. */
#include "inspect/rows.h"

#include <inttypes.h>
#include <string.h>

#define LABEL_WIDTH 13

/*
 * "label   name value, name value": each name (may be "") stands before the value at its path.
 * With `one` the value is a number of things: "1 call", "2 calls".
 */
struct part {
	const char *name;
	const char *path;
	const char *one;
};

#define PARTS(...) ((const struct part[]){ __VA_ARGS__, { NULL, NULL, NULL } })
#define PART(name, path)         \
	{                        \
		name, path, NULL \
	}
#define COUNT(one, many, path)  \
	{                       \
		many, path, one \
	}

static void print_line(FILE *out, const char *label, const json_t *root, const struct part *parts)
{
	fprintf(out, "%-*s", LABEL_WIDTH, label);
	for (size_t i = 0; parts[i].name; i++) {
		const json_t *value = inspect_get(root, parts[i].path);

		fputs(i ? ", " : "", out);
		if (!parts[i].one && *parts[i].name)
			fprintf(out, "%s ", parts[i].name);
		inspect_print_value(out, value);
		if (parts[i].one)
			fprintf(out, " %s",
				json_integer_value(value) == 1 ? parts[i].one : parts[i].name);
	}
	fputc('\n', out);
}

/* One line for each item of the list at path; the label stands before the first. */
static void print_items(FILE *out, const char *label, const json_t *root, const char *path,
			const struct part *parts)
{
	const json_t *list = inspect_get(root, path);

	for (size_t i = 0; i < json_array_size(list); i++)
		print_line(out, i ? "" : label, json_array_get(list, i), parts);
}

/* One line for each pair of a list: "target   port=5000". */
static void print_pairs(FILE *out, const char *label, const json_t *list, const char *key,
			const char *value)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *row = json_array_get(list, i);

		fprintf(out, "%-*s", LABEL_WIDTH, i ? "" : label);
		inspect_print_value(out, inspect_get(row, key));
		fputc('=', out);
		inspect_print_value(out, inspect_get(row, value));
		fputc('\n', out);
	}
}

int inspect_summary_print(const json_t *summary, const char *file, FILE *out)
{
	json_t *name = inspect_bytes(file, strlen(file));

	fprintf(out, "%-*s", LABEL_WIDTH, "bundle");
	inspect_print_value(out, name);
	fputc('\n', out);
	json_decref(name);
	print_line(out, "", summary,
		   PARTS(PART("format", "bundle.format"), PART("bytes", "bundle.bytes"),
			 PART("sealed", "bundle.sealed"), PART("complete", "bundle.complete"),
			 PART("ends", "bundle.end_reason")));
	print_line(out, "window", summary, PARTS(PART("", "window.id")));
	print_line(out, "challenge", summary, PARTS(PART("", "window.challenge")));
	print_line(out, "start", summary,
		   PARTS(PART("", "window.start"), PART("", "window.start_reason")));
	print_line(out, "stop", summary,
		   PARTS(PART("", "window.stop"), PART("", "window.stop_reason")));
	print_line(out, "planned end", summary, PARTS(PART("", "window.planned_end")));
	print_items(out, "resumed", summary, "window.resumed",
		    PARTS(PART("", "at"), PART("nothing known since", "last"),
			  PART("bytes cut off", "cut")));
	print_items(out, "gap", summary, "window.gaps",
		    PARTS(PART("", "from"), PART("until", "until"), PART("process", "process"),
			  PART("", "what")));
	print_line(
		out, "host", summary,
		PARTS(PART("", "host.name"), PART("", "host.arch"), PART("kernel", "host.kernel")));
	print_line(out, "boot", summary, PARTS(PART("", "host.boot_id")));
	print_line(out, "collector", summary,
		   PARTS(PART("version", "collector.version"),
			 PART("boundaries by", "collector.boundary_source")));
	print_line(out, "", summary, PARTS(PART("sha256", "collector.exe_sha256")));
	print_line(out, "options", summary, PARTS(PART("", "collector.options")));
	print_items(out, "probe", summary, "collector.probes",
		    PARTS(PART("", "name"), PART("shipped", "shipped")));
	print_items(out, "program", summary, "collector.bpf",
		    PARTS(PART("", "name"), PART("tag", "tag")));
	print_pairs(out, "target", inspect_get(summary, "targets"), "how", "value");
	print_pairs(out, "label", inspect_get(summary, "labels"), "key", "value");
	print_line(out, "calls", summary,
		   PARTS(COUNT("call", "calls", "counts.calls"),
			 PART("complete", "counts.calls_complete"),
			 COUNT("connection", "connections", "counts.connections"),
			 COUNT("process", "processes", "counts.processes")));
	print_line(out, "code", summary,
		   PARTS(COUNT("module", "modules", "counts.modules"),
			 COUNT("function", "functions", "counts.functions"),
			 COUNT("stack", "stacks", "counts.stacks"),
			 COUNT("sighting", "sightings", "counts.sightings")));
	print_line(out, "deep", summary,
		   PARTS(COUNT("call", "calls", "deep.calls"), COUNT("span", "spans", "deep.spans"),
			 PART("for", "deep.reasons")));
	print_line(out, "between", summary,
		   PARTS(COUNT("interposition", "interpositions", "counts.interpositions")));
	print_items(out, "listener", summary, "visibility.listeners",
		    PARTS(PART("", "address"), PART("covered", "covered")));
	print_line(out, "accepted", summary,
		   PARTS(COUNT("connection", "connections", "visibility.connections.accepted"),
			 PART("decoded", "visibility.connections.decoded"),
			 PART("undecoded", "visibility.connections.undecoded")));
	print_items(out, "unsupported", summary, "unsupported",
		    PARTS(PART("process", "process"), PART("", "what"), PART("", "version")));
	if (!json_array_size(inspect_get(summary, "loss")))
		return 0;
	fputs("\nloss\n", out);
	return inspect_table_print_rows(inspect_loss.columns, inspect_get(summary, "loss"), out);
}

void inspect_notes_print(const struct trace *t, FILE *out)
{
	uint64_t lost = trace_lost_total(t);
	struct bundle_end end;

	trace_end(t, &end);
	if (lost)
		fprintf(out, "\nlost: %" PRIu64 " %s; 'loss' says where and why\n", lost,
			lost == 1 ? "event" : "events");
	if (!end.complete)
		fprintf(out,
			"\nthe bundle ends early (%s, at byte %" PRIu64 " of %" PRIu64
			"): what came later is not here\n",
			end.end_reason, end.end_offset, end.bytes);
}
