/* The view `summary`: the window, what collected it, how much there is, and what is missing. */
#include "inspect/inspect.h"
#include "inspect/rows.h"

#include <stdlib.h>
#include <string.h>

static json_t *summary_bundle(struct inspect_source *s)
{
	struct bundle_end end;
	json_t *out = json_object();

	trace_end(s->t, &end);
	inspect_set(s, out, "format", json_integer(end.format));
	inspect_set(s, out, "bytes", inspect_number(end.bytes));
	inspect_set(s, out, "sealed", json_boolean(end.sealed));
	inspect_set(s, out, "complete", json_boolean(end.complete));
	inspect_set(s, out, "end_offset", inspect_number(end.end_offset));
	inspect_set(s, out, "end_reason", json_string(end.end_reason));
	inspect_set(s, out, "frames", inspect_number(end.frames));
	inspect_set(s, out, "sha256",
		    *trace_sha256(s->t) ? json_string(trace_sha256(s->t)) : json_null());
	return out;
}

static json_t *summary_gaps(struct inspect_source *s)
{
	json_t *out = json_array();

	for (size_t i = 0; i < trace_count(s->t, REC_GAP_KIND); i++) {
		const struct rec_gap *g = trace_at(s->t, REC_GAP_KIND, i);
		json_t *row = json_object();

		inspect_set(s, row, "gap", inspect_number(g->id));
		inspect_set(s, row, "process", inspect_number(g->process));
		inspect_set(s, row, "from", inspect_monotonic(s, g->from));
		inspect_set(s, row, "until", inspect_monotonic(s, g->until));
		inspect_set(s, row, "what", inspect_string(s, g->what));
		inspect_append(s, out, row);
	}
	return out;
}

/* Where the window was interrupted and gone on with. */
static json_t *summary_resumed(struct inspect_source *s)
{
	json_t *out = json_array();

	for (size_t i = 0; i < trace_count(s->t, REC_RESUME_KIND); i++) {
		const struct rec_resume *r = trace_at(s->t, REC_RESUME_KIND, i);
		json_t *row = json_object();

		inspect_set(s, row, "resume", inspect_number(r->id));
		inspect_set(s, row, "last", inspect_monotonic(s, r->last));
		inspect_set(s, row, "at", inspect_monotonic(s, r->monotonic));
		inspect_set(s, row, "cut", inspect_number(r->cut));
		inspect_append(s, out, row);
	}
	return out;
}

static json_t *summary_window(struct inspect_source *s)
{
	const struct rec_window *w = trace_window(s->t);
	const struct rec_window_end *end = trace_window_end(s->t);
	json_t *out = json_object();

	inspect_set(s, out, "id", w ? inspect_hex(s, w->window) : json_null());
	inspect_set(s, out, "challenge", w ? inspect_hex(s, w->challenge) : json_null());
	inspect_set(s, out, "start", inspect_realtime(w ? w->realtime : REC_NULL));
	inspect_set(s, out, "stop", inspect_realtime(end ? end->realtime : REC_NULL));
	inspect_set(s, out, "start_reason", w ? inspect_string(s, w->start_reason) : json_null());
	inspect_set(s, out, "stop_reason", end ? inspect_string(s, end->reason) : json_null());
	inspect_set(s, out, "clock_synced", inspect_bool(w ? w->synced : REC_NULL));
	inspect_set(s, out, "planned_end", inspect_realtime(w ? w->planned_end : REC_NULL));
	inspect_set(s, out, "resumed", summary_resumed(s));
	inspect_set(s, out, "gaps", summary_gaps(s));
	return out;
}

static json_t *summary_host(struct inspect_source *s)
{
	const struct rec_window *w = trace_window(s->t);
	json_t *out = json_object();

	inspect_set(s, out, "name", w ? inspect_string(s, w->host) : json_null());
	inspect_set(s, out, "kernel", w ? inspect_string(s, w->kernel) : json_null());
	inspect_set(s, out, "boot_id", w ? inspect_string(s, w->boot_id) : json_null());
	inspect_set(s, out, "arch", w ? inspect_string(s, w->arch) : json_null());
	return out;
}

static json_t *summary_collector(struct inspect_source *s)
{
	const struct rec_window *w = trace_window(s->t);
	json_t *out = json_object(), *probes = json_array(), *bpf = json_array();

	inspect_set(s, out, "version", w ? inspect_string(s, w->version) : json_null());
	inspect_set(s, out, "exe_sha256", w ? inspect_hex(s, w->exe_sha256) : json_null());
	inspect_set(s, out, "options", w ? inspect_strings(s, &w->options) : json_array());
	inspect_set(s, out, "boundary_source",
		    w ? inspect_string(s, w->boundary_source) : json_null());
	for (size_t i = 0; i < trace_count(s->t, REC_PROBE_KIND); i++) {
		const struct rec_probe *p = trace_at(s->t, REC_PROBE_KIND, i);
		json_t *row = json_object();

		inspect_set(s, row, "name", inspect_string(s, p->name));
		inspect_set(s, row, "sha256", inspect_hex(s, p->sha256));
		inspect_set(s, row, "shipped", inspect_bool(p->shipped));
		inspect_append(s, probes, row);
	}
	for (size_t i = 0; i < trace_count(s->t, REC_PROGRAM_KIND); i++) {
		const struct rec_program *p = trace_at(s->t, REC_PROGRAM_KIND, i);
		json_t *row = json_object();

		inspect_set(s, row, "name", inspect_string(s, p->name));
		inspect_set(s, row, "tag", inspect_hex(s, p->tag));
		inspect_append(s, bpf, row);
	}
	inspect_set(s, out, "probes", probes);
	inspect_set(s, out, "bpf", bpf);
	return out;
}

/* What the operator asked for, and the labels given to the window. */
static json_t *summary_targets(struct inspect_source *s)
{
	json_t *out = json_array();

	for (size_t i = 0; i < trace_count(s->t, REC_TARGET_KIND); i++) {
		const struct rec_target *target = trace_at(s->t, REC_TARGET_KIND, i);
		json_t *row = json_object();

		inspect_set(s, row, "how", inspect_string(s, target->how));
		inspect_set(s, row, "value", inspect_string(s, target->value));
		inspect_append(s, out, row);
	}
	return out;
}

static json_t *summary_labels(struct inspect_source *s)
{
	json_t *out = json_array();

	for (size_t i = 0; i < trace_count(s->t, REC_LABEL_KIND); i++) {
		const struct rec_label *label = trace_at(s->t, REC_LABEL_KIND, i);
		json_t *row = json_object();

		inspect_set(s, row, "key", inspect_string(s, label->key));
		inspect_set(s, row, "value", inspect_string(s, label->value));
		inspect_append(s, out, row);
	}
	return out;
}

static json_t *summary_counts(struct inspect_source *s)
{
	static const struct {
		const char *name;
		enum rec_kind kind;
	} counts[] = {
		{ "processes", REC_PROCESS_KIND },  { "modules", REC_MODULE_KIND },
		{ "functions", REC_FUNCTION_KIND }, { "stacks", REC_STACK_KIND },
		{ "sightings", REC_SIGHTING_KIND }, { "connections", REC_CONNECTION_KIND },
		{ "contexts", REC_CONTEXT_KIND },   { "bindings", REC_BINDING_KIND },
		{ "calls", REC_CALL_KIND },	    { "interpositions", REC_INTERPOSITION_KIND },
	};
	json_t *out = json_object();
	uint64_t complete = 0;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		inspect_set(s, out, counts[i].name,
			    inspect_number(trace_total(s->t, counts[i].kind)));
	for (size_t i = 0; i < trace_count(s->t, REC_CALL_KIND); i++) {
		const struct rec_call *call = trace_at(s->t, REC_CALL_KIND, i);

		complete += call->end_reason == CALL_END_COMPLETE;
	}
	inspect_set(s, out, "calls_complete", inspect_number(complete));
	return out;
}

/* How many of these calls are deep. */
static size_t summary_deep_calls(struct inspect_source *s, const uint64_t *calls, size_t count)
{
	size_t deep = 0;

	for (size_t done = 0, held; done < count; done += held) {
		held = count - done;
		if (inspect_hold_calls(s, calls + done, &held))
			break;
		for (size_t i = done; i < done + held; i++) {
			const struct rec_call *call = trace_find(s->t, REC_CALL_KIND, calls[i]);
			struct trace_call_function *functions;
			long n = trace_call_functions(s->t, calls[i], &functions);

			deep += !strcmp(inspect_evidence(s->t, call, functions, n), "deep");
			s->failed |= n < 0;
			free(functions);
		}
	}
	return deep;
}

/* Spans in which function starts were seen, by reason, and the calls that lie inside. */
static json_t *summary_deep(struct inspect_source *s)
{
	json_t *out = json_object(), *reasons = json_object();
	size_t spans = trace_count(s->t, REC_DEEP_KIND), count = 0;
	uint64_t *calls = calloc(trace_count(s->t, REC_CALL_KIND) + 1, sizeof(*calls));

	for (size_t i = 0; i < spans; i++) {
		const struct rec_deep *d = trace_at(s->t, REC_DEEP_KIND, i);
		const char *reason = trace_text(s->t, d->reason);

		inspect_add(s, reasons, reason && *reason ? reason : "unknown", 1);
	}
	s->failed |= !calls;
	for (size_t i = 0; calls && spans && i < trace_count(s->t, REC_CALL_KIND); i++) {
		const struct rec_call *call = trace_at(s->t, REC_CALL_KIND, i);

		/* Cheap first: only a call inside a span is worth its functions. */
		if (trace_call_deep(s->t, call, 1U << SOURCE_DEEP))
			calls[count++] = call->id;
	}
	inspect_set(s, out, "spans", inspect_number(spans));
	inspect_set(s, out, "reasons", reasons);
	inspect_set(s, out, "calls", inspect_number(summary_deep_calls(s, calls, count)));
	free(calls);
	return out;
}

static json_t *summary_unsupported(struct inspect_source *s)
{
	json_t *out = json_array();

	for (size_t i = 0; i < trace_count(s->t, REC_UNSUPPORTED_KIND); i++) {
		const struct rec_unsupported *u = trace_at(s->t, REC_UNSUPPORTED_KIND, i);
		json_t *row = json_object();

		inspect_set(s, row, "process", inspect_number(u->process));
		inspect_set(s, row, "what", inspect_string(s, u->what));
		inspect_set(s, row, "version", inspect_string(s, u->version));
		inspect_append(s, out, row);
	}
	return out;
}

/*
 * Each accepted connection is either decoded or undecoded for one reason. Without an end record (a
 * bundle that ends early) it is decoded when a call was read from it.
 */
static json_t *summary_connections(struct inspect_source *s)
{
	uint64_t accepted = 0, decoded = 0;
	json_t *out = json_object(), *undecoded = json_object();

	for (size_t i = 0; i < trace_count(s->t, REC_CONNECTION_KIND); i++) {
		const struct rec_connection *c = trace_at(s->t, REC_CONNECTION_KIND, i);
		const struct rec_connection_end *end;
		const char *why;
		size_t first;

		if (c->direction != DIRECTION_IN)
			continue;
		accepted++;
		end = trace_connection_end(s->t, c->id);
		why = end ? trace_text(s->t, end->undecoded)
		      : trace_related(s->t, TRACE_CALL_CONNECTION, c->id, &first) ? ""
										  : "no-end-record";
		if (why && !*why)
			decoded++;
		else
			inspect_add(s, undecoded, why ? why : "unknown", 1);
	}
	inspect_set(s, out, "accepted", inspect_number(accepted));
	inspect_set(s, out, "decoded", inspect_number(decoded));
	inspect_set(s, out, "undecoded", undecoded);
	return out;
}

static json_t *summary_visibility(struct inspect_source *s)
{
	json_t *out = json_object(), *listeners = json_array();

	for (size_t i = 0; i < trace_count(s->t, REC_LISTENER_KIND); i++) {
		const struct rec_listener *l = trace_at(s->t, REC_LISTENER_KIND, i);
		json_t *row = json_object();

		inspect_set(s, row, "address", inspect_address(s, l->family, l->address, l->port));
		inspect_set(s, row, "family", json_string(rec_family_name(l->family)));
		inspect_set(s, row, "covered", inspect_bool(l->covered));
		inspect_set(s, row, "process", inspect_number(l->process));
		inspect_append(s, listeners, row);
	}
	inspect_set(s, out, "listeners", listeners);
	inspect_set(s, out, "connections", summary_connections(s));
	return out;
}

static json_t *summary_loss(struct inspect_source *s)
{
	json_t *out = json_array();
	size_t count = inspect_loss.count(s);

	for (size_t i = 0; i < count; i++)
		inspect_append(s, out, inspect_loss.row(s, i));
	return out;
}

json_t *inspect_summary(struct inspect_source *s)
{
	json_t *out = json_object();

	inspect_set(s, out, "schema", json_string(INSPECT_SCHEMA));
	inspect_set(s, out, "bundle", summary_bundle(s));
	inspect_set(s, out, "window", summary_window(s));
	inspect_set(s, out, "host", summary_host(s));
	inspect_set(s, out, "collector", summary_collector(s));
	inspect_set(s, out, "targets", summary_targets(s));
	inspect_set(s, out, "labels", summary_labels(s));
	inspect_set(s, out, "counts", summary_counts(s));
	inspect_set(s, out, "deep", summary_deep(s));
	inspect_set(s, out, "loss", summary_loss(s));
	inspect_set(s, out, "lost_total", inspect_number(trace_lost_total(s->t)));
	inspect_set(s, out, "unsupported", summary_unsupported(s));
	inspect_set(s, out, "visibility", summary_visibility(s));
	return out;
}
