/* The ways of calls: through which processes they came, and which other services they used. */
#include "analyze/ways.h"

#include <string.h>

#include "analyze/claim.h"

#define STEPS_MAX 16 /* of a way; what is further out is left away, and said */

/* Rows that are found again by their key. */
struct rows {
	json_t *list, *index; /* key -> row (borrowed) */
};

static int rows_init(struct rows *r)
{
	r->list = json_array();
	r->index = json_object();
	return r->list && r->index ? 0 : -1;
}

/* Gives the list away; NULL when `bad`. */
static json_t *rows_finish(struct rows *r, bool bad)
{
	json_decref(r->index);
	if (bad) {
		json_decref(r->list);
		return NULL;
	}
	return r->list;
}

/*
 * The row that begins with these members (taken); a new one when it is the first of its kind. The
 * members are the key. NULL: no memory.
 */
static json_t *rows_get(struct rows *r, json_t *members, bool *fresh)
{
	char *key = members ? json_dumps(members, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	json_t *row = key ? json_object_get(r->index, key) : NULL;

	*fresh = !row;
	if (row) {
		json_decref(members);
	} else if (!key || json_array_append_new(r->list, members)) {
		if (!key)
			json_decref(members);
		row = NULL;
	} else {
		row = members;
		if (json_object_set(r->index, key, row))
			row = NULL;
	}
	free(key);
	return row;
}

static int row_count(json_t *row, const char *key, json_int_t n)
{
	return json_object_set_new(row, key,
				   json_integer(json_integer_value(json_object_get(row, key)) + n));
}

static int compare_rows(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	const char *p = json_string_value(json_object_get(x, "component"));
	const char *q = json_string_value(json_object_get(y, "component"));
	json_int_t m = json_integer_value(json_object_get(x, "calls"));
	json_int_t n = json_integer_value(json_object_get(y, "calls"));

	if (!p != !q)
		return p ? -1 : 1;
	if (p && strcmp(p, q) != 0)
		return strcmp(p, q);
	return m > n ? -1 : m < n;
}

/* By component, then by number of calls; NULL stays NULL. */
static json_t *rows_sort(json_t *list)
{
	size_t count = json_array_size(list);
	json_t **items = calloc(count + 1, sizeof(*items)), *out = items ? json_array() : NULL;

	for (size_t i = 0; out && i < count; i++)
		items[i] = json_array_get(list, i);
	if (out && count)
		qsort(items, count, sizeof(*items), compare_rows);
	for (size_t i = 0; out && i < count; i++)
		if (json_array_append(out, items[i])) {
			json_decref(out);
			out = NULL;
		}
	free(items);
	json_decref(list);
	return out;
}

/* ---- parts of a row ---- */

static const char *component_of(const struct survey *s, const struct evidence *e,
				const struct rec_call *call)
{
	const struct service_definition *d = survey_definition(s, e, call);

	return d ? survey_component(d) : NULL;
}

static json_t *text_of(const struct evidence *e, uint64_t string)
{
	const char *text = trace_text(e->trace, string);

	return claim_text(text && *text ? text : NULL);
}

/* The executable of a process, and the package that owns it. */
static json_t *program_of(const struct evidence *e, uint64_t process, const char *component)
{
	const struct rec_process *p = trace_find(e->trace, REC_PROCESS_KIND, process);
	const struct rec_module *m = p ? trace_find(e->trace, REC_MODULE_KIND, p->exe) : NULL;
	const struct rec_identity *identity = m ? trace_identity(e->trace, m->id) : NULL;

	return json_pack("{s:o, s:o, s:o, s:s?}", "exe", m ? text_of(e, m->path) : json_null(),
			 "package", identity ? text_of(e, identity->package) : json_null(),
			 "version", identity ? text_of(e, identity->package_version) : json_null(),
			 "component", component);
}

/* ---- ways in ---- */

/* The call and those that it was made for, innermost first. Returns how many. */
static size_t steps_of(const struct evidence *e, const struct rec_call *call,
		       const struct rec_call *steps[STEPS_MAX])
{
	size_t n = 0;

	while (call && n < STEPS_MAX) {
		steps[n++] = call;
		call = trace_find(e->trace, REC_CALL_KIND, trace_caller(e->trace, call, NULL));
	}
	return n;
}

/* The use that a call's request came by: the hop record of its caller. */
static int record_hop(struct claim *c, const struct evidence *e, const struct rec_call *caller,
		      const struct rec_call *called)
{
	const struct rec_connection *in =
		trace_find(e->trace, REC_CONNECTION_KIND, called->connection);
	const struct rec_connection *out = in ? trace_peer(e->trace, in) : NULL;
	struct trace_hop *hops;
	long count = trace_call_hops(e->trace, caller->id, &hops);
	int rc = count < 0 ? -1 : 0;

	for (long i = 0; i < count && !rc; i++)
		if (out && hops[i].connection == out->id)
			rc = claim_record(c, e, REC_HOP_KIND, hops[i].record);
	free(hops);
	return rc;
}

static int way_records(json_t *row, const struct evidence *e, const struct rec_call *const *steps,
		       size_t count)
{
	struct claim c = { .records = json_array() };
	int rc = c.records ? 0 : -1;

	for (size_t i = count; i-- > 0 && !rc;) {
		rc = claim_record(&c, e, REC_CALL_KIND, steps[i]->id);
		if (!rc && i)
			rc = record_hop(&c, e, steps[i], steps[i - 1]);
	}
	if (!rc)
		rc = json_object_set(row, "records", c.records);
	json_decref(c.records);
	return rc;
}

static int way_add(const struct survey *s, const struct evidence *e, const struct rec_call *call,
		   struct rows *rows)
{
	const struct rec_call *steps[STEPS_MAX];
	const char *component = component_of(s, e, call);
	json_t *list = json_array(), *row;
	size_t count, first;
	bool fresh;

	/* A step on the way to somewhere else has no row of its own. */
	if (!list || (!component && trace_called(e->trace, call->id, &first))) {
		json_decref(list);
		return list ? 0 : -1;
	}
	count = steps_of(e, call, steps);
	for (size_t i = count; i-- > 0;)
		if (json_array_append_new(
			    list, program_of(e, steps[i]->process, component_of(s, e, steps[i])))) {
			json_decref(list);
			return -1;
		}
	row = rows_get(
		rows,
		json_pack("{s:s?, s:o, s:b}", "component", component, "steps", list, "cut",
			  count && trace_caller(e->trace, steps[count - 1], NULL) != REC_NULL),
		&fresh);
	if (!row || row_count(row, "calls", 1))
		return -1;
	return fresh ? way_records(row, e, steps, count) : 0;
}

json_t *ways_rows(const struct survey *s)
{
	struct rows rows;
	bool bad = rows_init(&rows);

	for (size_t b = 0; b < s->bundles_count && !bad; b++) {
		const struct evidence *e = &s->bundles[b];

		for (size_t i = 0; i < trace_count(e->trace, REC_CALL_KIND) && !bad; i++)
			bad = way_add(s, e, trace_at(e->trace, REC_CALL_KIND, i), &rows);
	}
	return rows_sort(rows_finish(&rows, bad));
}

/* ---- hops out ---- */

/* The far end: who it was when that is known, else where. */
static json_t *peer_of(const struct survey *s, const struct evidence *e,
		       const struct rec_connection *c)
{
	const struct rec_connection *peer = trace_peer(e->trace, c);
	const char *component = NULL;
	json_t *program;
	size_t first;

	if (peer && trace_related(e->trace, TRACE_CALL_CONNECTION, peer->id, &first))
		component = component_of(s, e,
					 trace_related_at(e->trace, TRACE_CALL_CONNECTION, first));
	program = peer ? program_of(e, peer->process, component) : json_null();
	return json_pack("{s:s?, s:o, s:o}", "class", trace_remote_class(e->trace, c), "port",
			 c->family == FAMILY_UNIX || c->remote_port > UINT16_MAX
				 ? json_null()
				 : json_integer((json_int_t)c->remote_port),
			 "program", program);
}

static int hop_records(json_t *row, const struct evidence *e, const struct rec_call *call,
		       const struct trace_hop *hop)
{
	struct claim c = { .records = json_array() };
	int rc = c.records ? 0 : -1;

	if (!rc)
		rc = claim_record(&c, e, REC_CALL_KIND, call->id) ||
		     claim_record(&c, e, REC_HOP_KIND, hop->record) ||
		     claim_record(&c, e, REC_CONNECTION_KIND, hop->connection) ||
		     json_object_set(row, "records", c.records);
	json_decref(c.records);
	return rc;
}

/* The row of a hop; NULL: no memory. */
static json_t *hop_row(const struct survey *s, const struct evidence *e,
		       const struct rec_call *call, const struct rec_connection *c,
		       const struct trace_hop *hop, struct rows *rows)
{
	bool messages = trace_remote_messages(e->trace, c, hop->protocol), fresh;
	json_t *row = rows_get(rows,
			       json_pack("{s:s?, s:o, s:o, s:o, s:s?}", "component",
					 component_of(s, e, call), "program",
					 program_of(e, call->process, NULL), "peer",
					 peer_of(s, e, c), "protocol", text_of(e, hop->protocol),
					 "note", messages ? "work by message: not tied" : NULL),
			       &fresh);

	if (row && fresh &&
	    (row_count(row, "calls", 0) || row_count(row, "calls_ambiguous", 0) ||
	     hop_records(row, e, call, hop)))
		return NULL;
	return row;
}

/* Did a call that was made for this one come by the connection? */
static bool called_by(const struct evidence *e, const struct rec_call *call,
		      const struct rec_connection *out)
{
	const struct rec_connection *in = trace_peer(e->trace, out);
	size_t first, n = trace_called(e->trace, call->id, &first);

	for (size_t i = 0; in && i < n; i++)
		if (trace_called_at(e->trace, first + i)->connection == in->id)
			return true;
	return false;
}

/* What a call used: each row once, surely when one of its hops is sure. */
struct touched {
	json_t *row;
	bool sure;
};

static int hops_add(const struct survey *s, const struct evidence *e, const struct rec_call *call,
		    struct rows *rows)
{
	struct trace_hop *hops;
	long count = trace_call_hops(e->trace, call->id, &hops);
	struct touched *touched = calloc((size_t)(count > 0 ? count : 0) + 1, sizeof(*touched));
	size_t n = 0, at;
	int rc = count < 0 || !touched ? -1 : 0;

	for (long i = 0; i < count && !rc; i++) {
		const struct rec_connection *c =
			trace_find(e->trace, REC_CONNECTION_KIND, hops[i].connection);
		json_t *row = c ? hop_row(s, e, call, c, &hops[i], rows) : NULL;

		rc = c && !row ? -1 : 0;
		if (!row)
			continue;
		for (at = 0; at < n && touched[at].row != row; at++)
			;
		n += at == n;
		touched[at].row = row;
		touched[at].sure |= hops[i].sure || called_by(e, call, c);
	}
	for (at = 0; at < n && !rc; at++)
		rc = row_count(touched[at].row, touched[at].sure ? "calls" : "calls_ambiguous", 1);
	free(touched);
	free(hops);
	return rc;
}

json_t *ways_hops(const struct survey *s)
{
	struct rows rows;
	bool bad = rows_init(&rows);

	for (size_t b = 0; b < s->bundles_count && !bad; b++) {
		const struct evidence *e = &s->bundles[b];

		for (size_t i = 0; i < trace_count(e->trace, REC_CALL_KIND) && !bad; i++)
			bad = hops_add(s, e, trace_at(e->trace, REC_CALL_KIND, i), &rows);
	}
	return rows_sort(rows_finish(&rows, bad));
}
