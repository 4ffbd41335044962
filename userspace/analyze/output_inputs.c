/* What went into a report, what was lost on the way and what could not be seen. */
#include <string.h>

#include "analyze/output.h"
#include "analyze/sampling.h"
#include "base/bytes.h"
#include "base/clock.h"

static json_t *time_or_null(uint64_t realtime)
{
	char text[CLOCK_TEXT];

	if (realtime == REC_NULL)
		return json_null();
	clock_format(realtime, text);
	return json_string(text);
}

static json_t *hex_or_null(const struct evidence *e, uint64_t string)
{
	const struct bundle_string *s = trace_string(e->trace, string);
	char hex[2 * 64 + 1];

	if (!s || s->hidden || !s->len || s->len > 64)
		return json_null();
	bytes_to_hex(s->data, s->len, hex);
	return json_string(hex);
}

static json_t *text_or_null(const struct evidence *e, uint64_t string)
{
	return claim_text(trace_text(e->trace, string));
}

/* What collected it, and on what. The host's name stays in the bundle: it is private. */
static json_t *collector_row(const struct evidence *e, const struct rec_window *w)
{
	if (!w)
		return json_pack("{s:n, s:n}", "version", "exe_sha256");
	return json_pack("{s:o, s:o}", "version", text_or_null(e, w->version), "exe_sha256",
			 hex_or_null(e, w->exe_sha256));
}

static json_t *host_row(const struct evidence *e, const struct rec_window *w)
{
	if (!w)
		return json_pack("{s:n, s:n}", "kernel", "arch");
	return json_pack("{s:o, s:o}", "kernel", text_or_null(e, w->kernel), "arch",
			 text_or_null(e, w->arch));
}

static json_t *bundle_row(const struct evidence *e)
{
	static const char *const signatures[] = { [VERIFY_SIGNATURE_ABSENT] = "absent",
						  [VERIFY_SIGNATURE_VALID] = "valid",
						  [VERIFY_SIGNATURE_INVALID] = "invalid" };
	const struct rec_window *w = trace_window(e->trace);
	const struct rec_window_end *last = trace_window_end(e->trace);
	const char *slash = strrchr(e->path, '/');

	return json_pack(
		"{s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:s, s:b, s:I, s:s, s:I, s:o, s:o, s:o}",
		"sha256", trace_sha256(e->trace), "file", claim_text(slash ? slash + 1 : e->path),
		"window", w ? hex_or_null(e, w->window) : json_null(), "challenge",
		w ? hex_or_null(e, w->challenge) : json_null(), "start",
		w ? time_or_null(w->realtime) : json_null(), "stop",
		last ? time_or_null(last->realtime) : json_null(), "complete", e->complete,
		"end_reason", e->end.end_reason, "altered", e->altered, "findings",
		(json_int_t)e->verify.findings_count, "signature", signatures[e->verify.signature],
		"calls", (json_int_t)trace_count(e->trace, REC_CALL_KIND), "host", host_row(e, w),
		"collector", collector_row(e, w), "sampling", sampling_row(e));
}

static int add_rows(const struct survey *s, json_t *bundles, json_t *definitions,
		    json_t *references)
{
	for (size_t i = 0; i < s->bundles_count; i++)
		if (json_array_append_new(bundles, bundle_row(&s->bundles[i])))
			return -1;
	for (size_t i = 0; i < s->options->definitions_count; i++) {
		const struct analyze_definition *d = &s->options->definitions[i];

		if (json_array_append_new(definitions,
					  json_pack("{s:s, s:s?, s:b}", "name", d->definition->name,
						    "sha256", d->file ? d->file->sha256 : NULL,
						    "shipped", d->file && d->file->shipped)))
			return -1;
	}
	for (size_t i = 0; i < s->references_count; i++) {
		const struct reference *r = &s->references[i];

		if (json_array_append_new(
			    references,
			    json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:I}", "component",
				      r->component, "package", r->package, "version", r->version,
				      "kind", "none", "says_signed", r->says_signed, "sha256",
				      r->sha256, "files", (json_int_t)json_object_size(r->files),
				      "functions", (json_int_t)json_array_size(r->functions))))
			return -1;
	}
	return 0;
}

json_t *output_inputs(const struct survey *s)
{
	json_t *bundles = json_array(), *definitions = json_array(), *references = json_array();
	json_t *out = json_pack("{s:o, s:{s:s, s:s, s:s}, s:o, s:o}", "bundles", bundles,
				"guideline", "id", s->guideline.id, "schema", s->guideline.schema,
				"sha256", s->guideline.sha256, "definitions", definitions,
				"references", references);

	if (out && add_rows(s, bundles, definitions, references)) {
		json_decref(out);
		return NULL;
	}
	return out;
}

json_t *output_loss(const struct survey *s)
{
	json_t *out = json_array();

	for (size_t i = 0; out && i < s->bundles_count; i++) {
		const struct evidence *e = &s->bundles[i];
		struct trace_loss *rows = NULL;
		long n = trace_losses(e->trace, &rows);
		bool bad = n < 0;

		for (long j = 0; j < n && !bad; j++)
			if (rows[j].class == LOSS_LOST && rows[j].count)
				bad = json_array_append_new(
					out, json_pack("{s:s, s:o, s:o, s:I, s:I}", "bundle",
						       trace_sha256(e->trace), "stage",
						       claim_text(rows[j].stage), "cause",
						       claim_text(rows[j].cause), "count",
						       claim_number(rows[j].count), "record",
						       claim_number(rows[j].record)));
		free(rows);
		if (bad) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* An address stays in the bundle where it is private. */
static json_t *public_address(const struct evidence *e, uint64_t string)
{
	const struct bundle_string *s = trace_string(e->trace, string);

	return s && s->class == STRING_PUBLIC ? text_or_null(e, string) : json_null();
}

/* Listening sockets of the host that nobody watched. */
static json_t *uncovered(const struct evidence *e)
{
	json_t *out = json_array();

	for (size_t i = 0; out && i < trace_count(e->trace, REC_LISTENER_KIND); i++) {
		const struct rec_listener *l = trace_at(e->trace, REC_LISTENER_KIND, i);

		if (l->covered == 1)
			continue;
		if (json_array_append_new(
			    out,
			    json_pack("{s:s, s:o, s:o, s:I}", "family", rec_family_name(l->family),
				      "address", public_address(e, l->address), "port",
				      l->port == REC_NULL ? json_null()
							  : json_integer(claim_number(l->port)),
				      "record", claim_number(l->id)))) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

static json_t *visibility_row(const struct evidence *e)
{
	json_t *undecoded = json_object();
	json_int_t accepted = 0, odd = 0, suspect = 0;

	for (size_t i = 0; undecoded && i < trace_count(e->trace, REC_CONNECTION_KIND); i++) {
		const struct rec_connection *c = trace_at(e->trace, REC_CONNECTION_KIND, i);
		const struct rec_connection_end *end = trace_connection_end(e->trace, c->id);
		const char *why = end ? trace_text(e->trace, end->undecoded) : NULL;

		if (c->direction != DIRECTION_IN)
			continue;
		accepted++;
		if (end && end->suspect != REC_NULL)
			suspect = claim_sum(suspect, end->suspect);
		if (!why || !*why)
			continue;
		odd++;
		/* A reason that is no UTF-8 is in the sum only. */
		json_object_set_new(
			undecoded, why,
			json_integer(1 + json_integer_value(json_object_get(undecoded, why))));
	}
	return json_pack("{s:s, s:o, s:{s:I, s:I, s:I, s:o}}", "bundle", trace_sha256(e->trace),
			 "listeners_not_covered", uncovered(e), "connections", "accepted", accepted,
			 "decoded", accepted - odd, "suspect", suspect, "undecoded", undecoded);
}

json_t *output_visibility(const struct survey *s)
{
	json_t *out = json_array();

	for (size_t i = 0; out && i < s->bundles_count; i++)
		if (json_array_append_new(out, visibility_row(&s->bundles[i]))) {
			json_decref(out);
			return NULL;
		}
	return out;
}
