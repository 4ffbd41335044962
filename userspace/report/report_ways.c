/* The report as text: through which processes calls came, what they used, what could not be seen.
 */
#include "report/parts.h"

#include <string.h>

#include "report/text.h"

/* "/usr/sbin/apache2 (apache2-bin 2.4.62)". */
static void print_program(FILE *out, const json_t *program)
{
	text_put_or_unknown(out, program, "exe");
	if (text_is_null(program, "package"))
		return;
	text_put_part(out, " (", program, "package");
	text_put_part(out, " ", program, "version");
	putc(')', out);
}

static void print_component(FILE *out, const json_t *row)
{
	fprintf(out, "  ");
	text_put(out,
		 text_is_null(row, "component") ? "(no component)" : text_get(row, "component"));
	fprintf(out, ": ");
}

static void print_way(const struct printer *p, const json_t *row)
{
	const json_t *step, *steps = json_object_get(row, "steps");
	long long calls = text_number(row, "calls");
	size_t i;

	print_component(p->out, row);
	fprintf(p->out, "%lld call%s\n", calls, text_plural(calls));
	if (json_is_true(json_object_get(row, "cut")))
		fprintf(p->out, "    from further out than is listed\n");
	json_array_foreach(steps, i, step) {
		fprintf(p->out, "    %s ", i ? "->" : "at");
		print_program(p->out, step);
		putc('\n', p->out);
	}
	parts_records(p, json_object_get(row, "records"));
}

static void print_hop(const struct printer *p, const json_t *row)
{
	const json_t *peer = json_object_get(row, "peer");
	const json_t *program = json_object_get(peer, "program");
	long long calls = text_number(row, "calls");
	long long ambiguous = text_number(row, "calls_ambiguous");

	print_component(p->out, row);
	print_program(p->out, json_object_get(row, "program"));
	fprintf(p->out, " -> ");
	if (json_is_object(program))
		print_program(p->out, program);
	else
		fprintf(p->out, "a process that was not watched");
	fprintf(p->out, "\n    at ");
	text_put(p->out, text_is_null(peer, "class") ? "an address that is not known"
						     : text_get(peer, "class"));
	if (!text_is_null(peer, "port"))
		fprintf(p->out, " port %lld", text_number(peer, "port"));
	fprintf(p->out, ", by %lld call%s", calls, text_plural(calls));
	if (ambiguous)
		fprintf(p->out, ", and perhaps by %lld more (ambiguous)", ambiguous);
	text_put_part(p->out, "; ", row, "note");
	putc('\n', p->out);
	parts_records(p, json_object_get(row, "records"));
}

void parts_ways(const struct printer *p)
{
	const json_t *ways = json_object_get(p->report, "ways"), *row;
	const json_t *hops = json_object_get(p->report, "hops");
	size_t i;

	fprintf(p->out, "\nWays that calls came\n");
	if (!json_array_size(ways))
		fprintf(p->out, "  no call was seen\n");
	json_array_foreach(ways, i, row)
		print_way(p, row);
	fprintf(p->out, "\nConnections that calls used\n");
	if (!json_array_size(hops))
		fprintf(p->out, "  none is known\n");
	json_array_foreach(hops, i, row)
		print_hop(p, row);
}

/* Unix sockets are many on any host: they are counted, and listed in report.json. */
static void print_listeners(const struct printer *p, const json_t *listeners)
{
	const json_t *listener;
	size_t i, unix_count = 0;

	json_array_foreach(listeners, i, listener) {
		if (!strcmp(text_get(listener, "family"), "unix")) {
			unix_count++;
			continue;
		}
		fprintf(p->out, "    %s ", text_get(listener, "family"));
		text_put(p->out, text_get(listener, "address"));
		fprintf(p->out, "%sport %lld, record listener %lld\n",
			text_is_null(listener, "address") ? "" : " ", text_number(listener, "port"),
			text_number(listener, "record"));
	}
	if (unix_count)
		fprintf(p->out, "    %zu Unix socket%s (see report.json)\n", unix_count,
			text_plural((long long)unix_count));
}

void parts_visibility(const struct printer *p)
{
	const json_t *row, *count;
	const char *why;
	size_t i;

	fprintf(p->out, "\nWhat could not be seen\n");
	json_array_foreach(json_object_get(p->report, "visibility"), i, row) {
		const json_t *listeners = json_object_get(row, "listeners_not_covered");
		const json_t *connections = json_object_get(row, "connections");

		fprintf(p->out, "  ");
		text_put(p->out, parts_file(p, text_get(row, "bundle")));
		fprintf(p->out,
			": %lld of %lld accepted connection%s decoded, %zu listener%s not "
			"covered\n",
			text_number(connections, "decoded"), text_number(connections, "accepted"),
			text_plural(text_number(connections, "accepted")),
			json_array_size(listeners),
			text_plural((long long)json_array_size(listeners)));
		json_object_foreach(json_object_get(connections, "undecoded"), why, count) {
			fprintf(p->out, "    not decoded: %lld, ", json_integer_value(count));
			text_put(p->out, why);
			putc('\n', p->out);
		}
		if (text_number(connections, "suspect"))
			fprintf(p->out, "    %lld candidate%s for a call could not be decided\n",
				text_number(connections, "suspect"),
				text_plural(text_number(connections, "suspect")));
		print_listeners(p, listeners);
	}
}
