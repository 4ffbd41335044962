/* Loads a bundle for an analysis and walks the sightings of its calls. */
#include "analyze/evidence.h"

#include <string.h>

#define EVIDENCE_ANCESTORS_MAX 64

static int compare_ids(const void *a, const void *b)
{
	const struct evidence_id *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static int compare_key(const void *key, const void *item)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct evidence_id *)item)->id;

	return id < other ? -1 : id > other;
}

static int compare_times(const void *a, const void *b)
{
	const struct evidence_time *x = a, *y = b;

	if (x->context != y->context)
		return x->context < y->context ? -1 : 1;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->rec->id < y->rec->id ? -1 : x->rec->id > y->rec->id;
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The first row with that id, as trace_find would have it. */
static uint32_t ids_find(const struct evidence_ids *ids, uint64_t id)
{
	const struct evidence_id *at =
		bsearch(&id, ids->items, ids->count, sizeof(*at), compare_key);

	return at ? at->row : EVIDENCE_NONE;
}

static void *alloc_rows(size_t count, size_t size)
{
	return calloc(count ? count : 1, size);
}

/* Of rows with one id only the first is kept. */
static int ids_build(struct evidence_ids *ids, const struct trace *t, enum rec_kind kind)
{
	size_t rows = trace_count(t, kind);

	ids->items = alloc_rows(rows, sizeof(*ids->items));
	if (!ids->items)
		return -1;
	for (size_t i = 0; i < rows; i++) {
		ids->items[i].id = ((const union rec_any *)trace_at(t, kind, i))->id;
		ids->items[i].row = (uint32_t)i;
	}
	qsort(ids->items, rows, sizeof(*ids->items), compare_ids);
	for (size_t i = 0; i < rows; i++)
		if (!ids->count || ids->items[ids->count - 1].id != ids->items[i].id)
			ids->items[ids->count++] = ids->items[i];
	return 0;
}

static int index_serving(struct evidence *e)
{
	size_t calls = trace_count(e->trace, REC_CALL_KIND);
	size_t connections = trace_count(e->trace, REC_CONNECTION_KIND);

	e->serving = alloc_rows(calls + connections, sizeof(*e->serving));
	if (!e->serving)
		return -1;
	for (size_t i = 0; i < calls; i++) {
		const struct rec_call *c = trace_at(e->trace, REC_CALL_KIND, i);

		e->serving[e->serving_count++] = c->process;
	}
	for (size_t i = 0; i < connections; i++) {
		const struct rec_connection *c = trace_at(e->trace, REC_CONNECTION_KIND, i);

		if (c->direction == DIRECTION_IN)
			e->serving[e->serving_count++] = c->process;
	}
	qsort(e->serving, e->serving_count, sizeof(*e->serving), compare_numbers);
	return 0;
}

bool evidence_serves(const struct evidence *e, uint64_t process)
{
	return process != REC_NULL && bsearch(&process, e->serving, e->serving_count,
					      sizeof(*e->serving), compare_numbers);
}

/* The first of its line that the bundle knows. An exec begins a new memory. */
static uint64_t first_ancestor(const struct evidence *e, uint64_t process)
{
	const struct rec_process *p = trace_find(e->trace, REC_PROCESS_KIND, process);

	for (int i = 0; p && p->origin != ORIGIN_EXEC && i < EVIDENCE_ANCESTORS_MAX; i++) {
		const struct rec_process *parent =
			trace_find(e->trace, REC_PROCESS_KIND, p->parent);

		if (!parent || (p->origin == ORIGIN_EXISTING && parent->exe != p->exe))
			break;
		p = parent;
	}
	return p ? p->id : REC_NULL;
}

bool evidence_family(const struct evidence *e, uint64_t a, uint64_t b)
{
	uint64_t x = first_ancestor(e, a), y = first_ancestor(e, b);

	return a == b || x == REC_NULL || y == REC_NULL || x == y;
}

static int index_code(struct evidence *e)
{
	struct trace *t = e->trace;
	size_t stacks = trace_count(t, REC_STACK_KIND);

	if (ids_build(&e->module_ids, t, REC_MODULE_KIND) ||
	    ids_build(&e->function_ids, t, REC_FUNCTION_KIND) ||
	    ids_build(&e->stack_ids, t, REC_STACK_KIND))
		return -1;
	e->modules_count = trace_count(t, REC_MODULE_KIND);
	e->functions_count = trace_count(t, REC_FUNCTION_KIND);
	e->modules = alloc_rows(e->modules_count, sizeof(*e->modules));
	e->functions = alloc_rows(e->functions_count, sizeof(*e->functions));
	e->stack_stamp[0] = alloc_rows(stacks, sizeof(uint64_t));
	e->stack_stamp[1] = alloc_rows(stacks, sizeof(uint64_t));
	if (!e->modules || !e->functions || !e->stack_stamp[0] || !e->stack_stamp[1])
		return -1;
	for (size_t i = 0; i < e->modules_count; i++) {
		struct evidence_module *m = &e->modules[i];

		m->rec = trace_at(t, REC_MODULE_KIND, i);
		m->path = trace_text(t, m->rec->path);
		if (!m->path && (m->rec->kind == MODULE_FILE || m->rec->kind == MODULE_DELETED))
			e->hidden++;
	}
	for (size_t i = 0; i < e->functions_count; i++) {
		e->functions[i].rec = trace_at(t, REC_FUNCTION_KIND, i);
		e->functions[i].module = ids_find(&e->module_ids, e->functions[i].rec->module);
	}
	return 0;
}

/* Sightings by time; and which modules were seen at all in the serving processes. */
static int index_sightings(struct evidence *e)
{
	size_t n = trace_count(e->trace, REC_SIGHTING_KIND);

	e->by_first = alloc_rows(n, sizeof(*e->by_first));
	e->by_last = alloc_rows(n, sizeof(*e->by_last));
	if (!e->by_first || !e->by_last)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct rec_sighting *s = trace_at(e->trace, REC_SIGHTING_KIND, i);
		const struct rec_context *c = trace_find(e->trace, REC_CONTEXT_KIND, s->context);
		uint32_t stack = ids_find(&e->stack_ids, s->stack);

		if (!c || stack == EVIDENCE_NONE || s->first == REC_NULL || s->last == REC_NULL ||
		    s->first > s->last)
			continue;
		e->by_first[e->sightings_count] = (struct evidence_time){ s->context, s->first, s };
		e->by_last[e->sightings_count++] = (struct evidence_time){ s->context, s->last, s };
		if (evidence_serves(e, c->process))
			e->stack_stamp[0][stack] = 1;
	}
	qsort(e->by_first, e->sightings_count, sizeof(*e->by_first), compare_times);
	qsort(e->by_last, e->sightings_count, sizeof(*e->by_last), compare_times);
	for (size_t i = 0; i < trace_count(e->trace, REC_STACK_KIND); i++) {
		const struct rec_stack *s = trace_at(e->trace, REC_STACK_KIND, i);
		bool sighted = e->stack_stamp[0][i];

		e->stack_stamp[0][i] = 0;
		if (!sighted && !evidence_serves(e, s->process))
			continue;
		for (uint32_t j = 0; j < s->frames.count; j++) {
			uint32_t f = ids_find(&e->function_ids, s->frames.items[j]);

			if (f == EVIDENCE_NONE || e->functions[f].module == EVIDENCE_NONE)
				continue;
			e->modules[e->functions[f].module].serving = true;
			e->modules[e->functions[f].module].seen |= sighted;
		}
	}
	return 0;
}

static void index_present(struct evidence *e, uint64_t module, uint64_t process)
{
	uint32_t row = ids_find(&e->module_ids, module);

	if (row != EVIDENCE_NONE && evidence_serves(e, process))
		e->modules[row].serving = true;
}

static void index_loaded(struct evidence *e)
{
	const struct trace *t = e->trace;

	for (size_t i = 0; i < trace_count(t, REC_MAPPING_KIND); i++) {
		const struct rec_mapping *m = trace_at(t, REC_MAPPING_KIND, i);

		index_present(e, m->module, m->process);
	}
	for (size_t i = 0; i < trace_count(t, REC_IDENTITY_KIND); i++) {
		const struct rec_identity *m = trace_at(t, REC_IDENTITY_KIND, i);

		index_present(e, m->module, m->process);
	}
}

static void take_weakness(struct evidence *e)
{
	const struct rec_window *w = trace_window(e->trace);
	const struct rec_window_end *last = trace_window_end(e->trace);

	trace_end(e->trace, &e->end);
	for (size_t i = 0; i < e->verify.findings_count; i++)
		if (e->verify.findings[i].kind != VERIFY_CUT)
			e->altered = true;
	if (e->verify.signature == VERIFY_SIGNATURE_INVALID)
		e->altered = true;
	e->complete = e->verify.ok && e->end.complete && w && last;
	e->looked_from = e->complete ? 0 : REC_NULL;
	for (size_t i = 0; e->complete && i < trace_count(e->trace, REC_RESUME_KIND); i++) {
		const struct rec_resume *r = trace_at(e->trace, REC_RESUME_KIND, i);

		if (r->monotonic > e->looked_from)
			e->looked_from = r->monotonic;
	}
	e->lost = trace_lost_total(e->trace);
	e->synced = w && last && w->synced == 1 && last->synced == 1;
}

int evidence_load(struct evidence *e, const char *path, struct err *err)
{
	*e = (struct evidence){ .path = path };
	if (bundle_verify(path, NULL, &e->verify, err))
		return -1;
	e->trace = trace_load(path, err);
	if (!e->trace)
		return -1;
	take_weakness(e);
	if (index_serving(e) || index_code(e) || index_sightings(e))
		return err_set(err, ERR_INCOMPLETE,
			       "'%s': out of memory: analyze fewer bundles at once", path);
	index_loaded(e);
	return 0;
}

void evidence_release(struct evidence *e)
{
	verify_result_release(&e->verify);
	if (e->trace)
		trace_free(e->trace);
	free(e->function_ids.items);
	free(e->module_ids.items);
	free(e->stack_ids.items);
	free(e->functions);
	free(e->modules);
	free(e->by_first);
	free(e->by_last);
	free(e->serving);
	free(e->stack_stamp[0]);
	free(e->stack_stamp[1]);
	*e = (struct evidence){ 0 };
}

/* The first entry that is not before (context, time). */
static size_t times_search(const struct evidence_time *times, size_t count, uint64_t context,
			   uint64_t time)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (times[mid].context < context ||
		    (times[mid].context == context && times[mid].time < time))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* With `seen` NULL it only gathers what kinds of sightings there are. */
static void walk_times(struct evidence *e, const struct evidence_time *times, uint64_t until,
		       struct evidence_seen *at,
		       void (*seen)(void *ctx, const struct evidence_seen *seen), void *ctx,
		       struct evidence_sources *out)
{
	const struct rec_binding *b = at->binding;

	for (size_t i = times_search(times, e->sightings_count, b->context, b->from);
	     i < e->sightings_count && times[i].context == b->context && times[i].time <= until;
	     i++) {
		const struct rec_sighting *s = times[i].rec;
		uint32_t stack = ids_find(&e->stack_ids, s->stack);

		if (!at->sure)
			out->ambiguous = true;
		else if (s->source < SOURCE_COUNT)
			out->sure |= 1U << s->source;
		if (!seen || e->stack_stamp[at->sure][stack] == e->stamp)
			continue;
		e->stack_stamp[at->sure][stack] = e->stamp;
		at->sighting = s;
		at->stack = trace_at(e->trace, REC_STACK_KIND, stack);
		for (uint32_t j = 0; j < at->stack->frames.count; j++) {
			at->function = ids_find(&e->function_ids, at->stack->frames.items[j]);
			if (at->function != EVIDENCE_NONE)
				seen(ctx, at);
		}
	}
}

static void walk_bindings(struct evidence *e, const struct rec_call *call,
			  void (*seen)(void *ctx, const struct evidence_seen *seen), void *ctx,
			  struct evidence_sources *out)
{
	size_t first, n = trace_related(e->trace, TRACE_BINDING_CALL, call->id, &first);

	for (size_t i = 0; i < n; i++) {
		struct evidence_seen at = { .deep = out->deep };
		uint64_t until;

		at.binding = trace_related_at(e->trace, TRACE_BINDING_CALL, first + i);
		at.context = trace_find(e->trace, REC_CONTEXT_KIND, at.binding->context);
		if (!at.context || at.binding->from == REC_NULL)
			continue;
		/* A binding that was never ended says nothing of the time behind its call. */
		until = at.binding->until == REC_NULL ? call->end : at.binding->until;
		at.sure = trace_link_sure(at.binding->link);
		walk_times(e, e->by_first, until, &at, seen, ctx, out);
		walk_times(e, e->by_last, until, &at, seen, ctx, out);
	}
}

void evidence_walk(struct evidence *e, const struct rec_call *call,
		   void (*seen)(void *ctx, const struct evidence_seen *seen), void *ctx,
		   struct evidence_sources *out)
{
	*out = (struct evidence_sources){ 0 };
	e->stamp++;
	walk_bindings(e, call, NULL, NULL, out);
	out->deep = trace_call_deep(e->trace, call, out->sure);
	walk_bindings(e, call, seen, ctx, out);
}
