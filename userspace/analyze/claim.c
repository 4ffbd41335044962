/* Builds claims and lists what weakens them. */
#include "analyze/claim.h"

#include <stdarg.h>
#include <string.h>

#include "analyze/interpose.h"
#include "analyze/sampling.h"

json_t *claim_text(const char *text)
{
	json_t *value;
	char *plain;
	size_t n = 0;

	if (!text)
		return json_null();
	value = json_string(text);
	plain = value ? NULL : malloc(4 * strlen(text) + 1);
	if (!plain)
		return value;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x80)
			plain[n++] = (char)c;
		else
			n += (size_t)snprintf(&plain[n], 5, "\\x%02x", c);
	}
	value = json_stringn(plain, n);
	free(plain);
	return value;
}

json_t *claim_format(const char *fmt, ...)
{
	json_t *value = NULL;
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) >= 0) {
		value = claim_text(text);
		free(text);
	}
	va_end(ap);
	return value;
}

int claim_init(struct claim *c, const json_t *weakened, const char *id)
{
	*c = (struct claim){ .id = strdup(id), .records = json_array() };
	c->weakened = json_copy((json_t *)weakened);
	return c->id && c->records && c->weakened ? 0 : -1;
}

int claim_record(struct claim *c, const struct evidence *e, enum rec_kind kind, uint64_t id)
{
	const char *sha256 = trace_sha256(e->trace);
	json_t *record;
	size_t i;

	if (!id || id > INT64_MAX || !trace_find(e->trace, kind, id) ||
	    json_array_size(c->records) == CLAIM_RECORDS_MAX)
		return 0;
	json_array_foreach(c->records, i, record)
		if (!strcmp(json_string_value(json_object_get(record, "bundle")), sha256) &&
		    !strcmp(json_string_value(json_object_get(record, "kind")),
			    rec_schemas[kind].name) &&
		    (uint64_t)json_integer_value(json_object_get(record, "id")) == id)
			return 0;
	return json_array_append_new(c->records,
				     json_pack("{s:s, s:s, s:I, s:s?}", "bundle", sha256, "kind",
					       rec_schemas[kind].name, "id", (json_int_t)id,
					       "shows", c->shows));
}

int claim_example(struct claim *c, const struct evidence *e, const struct group_example *example)
{
	if (claim_record(c, e, REC_CALL_KIND, example->call) ||
	    claim_record(c, e, REC_BINDING_KIND, example->binding) ||
	    claim_record(c, e, REC_SIGHTING_KIND, example->sighting) ||
	    claim_record(c, e, REC_STACK_KIND, example->stack))
		return -1;
	return claim_record(c, e, REC_FUNCTION_KIND, example->function);
}

int claim_weaken(json_t *weakened, const struct evidence *bundle, const char *what, json_t *text)
{
	return json_array_append_new(
		weakened, json_pack("{s:s, s:o, s:o}", "what", what, "bundle",
				    bundle ? json_string(trace_sha256(bundle->trace)) : json_null(),
				    "text", text));
}

int claim_sampled(struct claim *c, const struct survey *s)
{
	for (size_t i = 0; i < s->bundles_count; i++) {
		json_t *text = sampling_text(&s->bundles[i]);

		if (json_is_null(text))
			continue;
		if (claim_weaken(c->weakened, &s->bundles[i], "sampled", text))
			return -1;
	}
	return 0;
}

int claim_finish(struct claim *c, json_t *claims)
{
	int rc = -1;

	if (c->id && c->text && c->status && c->records && c->weakened)
		rc = json_array_append_new(claims, json_pack("{s:s, s:O, s:O, s:O, s:O}", "id",
							     c->id, "text", c->text, "status",
							     c->status, "records", c->records,
							     "weakened_by", c->weakened));
	free(c->id);
	json_decref(c->text);
	json_decref(c->status);
	json_decref(c->records);
	json_decref(c->weakened);
	*c = (struct claim){ 0 };
	return rc;
}

/* ---- what weakens all claims ---- */

static int weaken_end(const struct evidence *e, json_t *out)
{
	if (e->altered &&
	    claim_weaken(
		    out, e, "altered",
		    claim_format("the bundle was altered: %zu finding%s; see 'daylight verify'",
				 e->verify.findings_count, claim_plural(e->verify.findings_count))))
		return -1;
	if (!e->complete && !e->altered &&
	    claim_weaken(out, e, "cut",
			 claim_format("the bundle ends early (%s at byte %llu)", e->end.end_reason,
				      (unsigned long long)e->end.end_offset)))
		return -1;
	if (e->verify.signature == VERIFY_SIGNATURE_ABSENT &&
	    claim_weaken(
		    out, e, "unsigned",
		    json_string("the bundle is not signed: its chain shows alterations only to "
				"those who know its last digest from elsewhere")))
		return -1;
	if (e->verify.signature == VERIFY_SIGNATURE_VALID &&
	    claim_weaken(out, e, "signer",
			 claim_format("the bundle is signed by %s; whose key that is was not "
				      "checked: see 'daylight verify --key'",
				      e->verify.key_sha256)))
		return -1;
	if (!e->synced &&
	    claim_weaken(
		    out, e, "clock",
		    json_string("the host's clock was not synchronised, or that is not known")))
		return -1;
	return 0;
}

static int weaken_loss(const struct evidence *e, json_t *out)
{
	struct trace_loss *rows = NULL;
	long n = trace_losses(e->trace, &rows);
	int rc = n < 0 ? -1 : 0;

	for (long i = 0; i < n && !rc; i++)
		if (rows[i].class == LOSS_LOST && rows[i].count)
			rc = claim_weaken(out, e, "loss",
					  claim_format("%llu lost in stage %s%s%s",
						       (unsigned long long)rows[i].count,
						       rows[i].stage, *rows[i].cause ? ": " : "",
						       rows[i].cause));
	free(rows);
	return rc;
}

/* Gaps of one kind are summed up. */
static int weaken_gaps(const struct evidence *e, json_t *out)
{
	size_t n = trace_count(e->trace, REC_GAP_KIND);
	json_t *sums = json_object(), *sum;
	const char *what;
	int rc = sums ? 0 : -1;

	for (size_t i = 0; i < n && !rc; i++) {
		const struct rec_gap *g = trace_at(e->trace, REC_GAP_KIND, i);
		const char *name = trace_text(e->trace, g->what);
		json_int_t count, ns;

		name = name && *name ? name : "not named";
		sum = json_object_get(sums, name);
		count = 1 + json_integer_value(json_array_get(sum, 0));
		ns = json_integer_value(json_array_get(sum, 1));
		if (g->from != REC_NULL && g->until != REC_NULL && g->until > g->from)
			ns = claim_sum(ns, g->until - g->from);
		/* A name that is no UTF-8 cannot be a key. */
		if (json_object_set_new(sums, name, json_pack("[I, I]", count, ns)))
			rc = json_object_set_new(sums, "unreadable name",
						 json_pack("[I, I]", count, ns));
	}
	json_object_foreach(sums, what, sum)
		if (!rc)
			rc = claim_weaken(
				out, e, "gap",
				claim_format("not watched: %s, %lld time%s, %.3f s in all", what,
					     json_integer_value(json_array_get(sum, 0)),
					     claim_plural((uint64_t)json_integer_value(
						     json_array_get(sum, 0))),
					     (double)json_integer_value(json_array_get(sum, 1)) /
						     1e9));
	json_decref(sums);
	return rc;
}

static int weaken_unsupported(const struct evidence *e, json_t *out)
{
	size_t n = trace_count(e->trace, REC_UNSUPPORTED_KIND);

	for (size_t i = 0; i < n && i < 8; i++) {
		const struct rec_unsupported *u = trace_at(e->trace, REC_UNSUPPORTED_KIND, i);
		const char *what = trace_text(e->trace, u->what);
		const char *version = trace_text(e->trace, u->version);

		if (claim_weaken(out, e, "unsupported",
				 claim_format("not supported: %s%s%s", what ? what : "?",
					      version && *version ? " " : "",
					      version ? version : "")))
			return -1;
	}
	if (n > 8)
		return claim_weaken(out, e, "unsupported",
				    claim_format("%zu more that are not supported", n - 8));
	return 0;
}

static int weaken_connections(const struct evidence *e, json_t *out)
{
	size_t n = trace_count(e->trace, REC_CONNECTION_KIND), accepted = 0, odd = 0;

	for (size_t i = 0; i < n; i++) {
		const struct rec_connection *c = trace_at(e->trace, REC_CONNECTION_KIND, i);
		const struct rec_connection_end *end = trace_connection_end(e->trace, c->id);

		if (c->direction != DIRECTION_IN)
			continue;
		accepted++;
		odd += end && end->undecoded != REC_NULL && end->undecoded != REC_EMPTY;
	}
	if (!odd)
		return 0;
	return claim_weaken(
		out, e, "undecoded",
		claim_format("%zu of %zu accepted connection%s could not be read: calls on "
			     "them are not known",
			     odd, accepted, claim_plural(accepted)));
}

static int weaken_bindings(const struct evidence *e, json_t *out)
{
	size_t n = trace_count(e->trace, REC_BINDING_KIND), ambiguous = 0, lossy = 0;
	size_t calls = trace_count(e->trace, REC_CALL_KIND);

	for (size_t i = 0; i < n; i++) {
		const struct rec_binding *b = trace_at(e->trace, REC_BINDING_KIND, i);

		ambiguous += b->link == LINK_AMBIGUOUS || b->link >= LINK_COUNT;
	}
	for (size_t i = 0; i < calls; i++) {
		const struct rec_call *c = trace_at(e->trace, REC_CALL_KIND, i);

		lossy += c->lost != 0;
	}
	if (ambiguous && claim_weaken(out, e, "ambiguous",
				      claim_format("ambiguous and not used: %zu of %zu binding%s",
						   ambiguous, n, claim_plural(n))))
		return -1;
	if (lossy && claim_weaken(out, e, "calls-lossy",
				  claim_format("events of %zu of %zu call%s were lost", lossy,
					       calls, claim_plural(calls))))
		return -1;
	if (e->hidden)
		return claim_weaken(out, e, "hidden",
				    claim_format("paths of modules are hidden or unknown: %llu",
						 (unsigned long long)e->hidden));
	return 0;
}

json_t *claim_weaknesses(const struct survey *s)
{
	json_t *out = json_array();

	for (size_t i = 0; out && i < s->bundles_count; i++) {
		const struct evidence *e = &s->bundles[i];

		if (weaken_end(e, out) || weaken_loss(e, out) || weaken_gaps(e, out) ||
		    weaken_unsupported(e, out) || weaken_bindings(e, out) ||
		    weaken_connections(e, out) || interpose_weaken(e, out)) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}
