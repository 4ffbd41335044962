/* The summary as text, read from its JSON document, and the closing notes of every text. */
#include "inspect/rows.h"

#include <inttypes.h>
#include <string.h>

#define LABEL_WIDTH 13

/* "label   name value, name value": each name (may be "") stands before the value at its path. */
struct part {
	const char *name;
	const char *path;
};

#define PARTS(...) ((const struct part[]){ __VA_ARGS__, { NULL, NULL } })

static void print_line(FILE *out, const char *label, const json_t *root, const struct part *parts)
{
	fprintf(out, "%-*s", LABEL_WIDTH, label);
	for (size_t i = 0; parts[i].name; i++) {
		fprintf(out, "%s%s%s", i ? ", " : "", parts[i].name, *parts[i].name ? " " : "");
		inspect_print_value(out, inspect_get(root, parts[i].path));
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

int inspect_summary_print(const json_t *summary, const char *file, FILE *out)
{
	json_t *name = inspect_bytes(file, strlen(file));

	fprintf(out, "%-*s", LABEL_WIDTH, "bundle");
	inspect_print_value(out, name);
	fputc('\n', out);
	json_decref(name);
	print_line(out, "", summary,
		   PARTS({ "format", "bundle.format" }, { "bytes", "bundle.bytes" },
			 { "sealed", "bundle.sealed" }, { "complete", "bundle.complete" },
			 { "ends", "bundle.end_reason" }));
	print_line(out, "window", summary, PARTS({ "", "window.id" }));
	print_line(out, "challenge", summary, PARTS({ "", "window.challenge" }));
	print_line(out, "start", summary,
		   PARTS({ "", "window.start" }, { "", "window.start_reason" }));
	print_line(out, "stop", summary,
		   PARTS({ "", "window.stop" }, { "", "window.stop_reason" }));
	print_items(out, "gap", summary, "window.gaps",
		    PARTS({ "", "from" }, { "until", "until" }, { "process", "process" },
			  { "", "what" }));
	print_line(out, "host", summary,
		   PARTS({ "", "host.name" }, { "", "host.arch" }, { "kernel", "host.kernel" }));
	print_line(out, "boot", summary, PARTS({ "", "host.boot_id" }));
	print_line(out, "collector", summary,
		   PARTS({ "version", "collector.version" },
			 { "boundaries by", "collector.boundary_source" }));
	print_line(out, "", summary, PARTS({ "sha256", "collector.exe_sha256" }));
	print_line(out, "options", summary, PARTS({ "", "collector.options" }));
	print_items(out, "probe", summary, "collector.probes",
		    PARTS({ "", "name" }, { "shipped", "shipped" }));
	print_items(out, "program", summary, "collector.bpf",
		    PARTS({ "", "name" }, { "tag", "tag" }));
	print_items(out, "target", summary, "targets", PARTS({ "", "how" }, { "", "value" }));
	print_items(out, "label", summary, "labels", PARTS({ "", "key" }, { "", "value" }));
	print_line(out, "calls", summary,
		   PARTS({ "", "counts.calls" }, { "complete", "counts.calls_complete" },
			 { "connections", "counts.connections" },
			 { "processes", "counts.processes" }));
	print_line(out, "code", summary,
		   PARTS({ "modules", "counts.modules" }, { "functions", "counts.functions" },
			 { "stacks", "counts.stacks" }, { "sightings", "counts.sightings" }));
	print_items(out, "listener", summary, "visibility.listeners",
		    PARTS({ "", "address" }, { "covered", "covered" }));
	print_line(out, "accepted", summary,
		   PARTS({ "", "visibility.connections.accepted" },
			 { "decoded", "visibility.connections.decoded" },
			 { "undecoded", "visibility.connections.undecoded" }));
	print_items(out, "unsupported", summary, "unsupported",
		    PARTS({ "process", "process" }, { "", "what" }, { "", "version" }));
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
		fprintf(out, "\nlost: %" PRIu64 " events; 'loss' says where and why\n", lost);
	if (!end.complete)
		fprintf(out,
			"\nthe bundle ends early (%s, at byte %" PRIu64 " of %" PRIu64
			"): what came later is not here\n",
			end.end_reason, end.end_offset, end.bytes);
}
