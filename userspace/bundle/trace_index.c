/* Indexes of a trace: by id where ids do not rise, and by reference. */
#include "bundle/trace_private.h"

#include <stdlib.h>
#include <string.h>

struct trace_relation_row {
	enum rec_kind kind;
	uint16_t offset; /* of the referring field */
};

#define RELATION_ROW(SYMBOL, KIND, kind, field) \
	[TRACE_##SYMBOL] = { REC_##KIND##_KIND, offsetof(struct rec_##kind, field) },
static const struct trace_relation_row relations[TRACE_RELATION_COUNT] = { TRACE_RELATIONS(
	RELATION_ROW) };

static int compare_keys(const void *a, const void *b)
{
	const struct trace_key *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

int trace_take(struct trace *t, size_t count, size_t size, void *out, struct err *err)
{
	void *p = NULL;

	if (count) {
		if (trace_charge(t, count * size, err))
			return -1;
		p = calloc(count, size);
		if (!p)
			return err_set(err, ERR_INCOMPLETE,
				       "not enough memory for the bundle: free some");
	}
	memcpy(out, &p, sizeof(p));
	return 0;
}

/* Sorted (field, row) pairs of a kind; most fields are in order already. */
static int trace_sort_field(struct trace *t, enum rec_kind kind, size_t offset,
			    struct trace_key **out, struct err *err)
{
	const struct trace_table *table = &t->tables[kind];
	size_t size = rec_schemas[kind].size;
	struct trace_key *keys;
	bool sorted = true;

	if (trace_take(t, table->count, sizeof(*keys), out, err))
		return -1;
	keys = *out;
	for (size_t row = 0; row < table->count; row++) {
		memcpy(&keys[row].key, table->rows + row * size + offset, sizeof(keys[row].key));
		keys[row].row = (uint32_t)row;
		if (row && keys[row].key < keys[row - 1].key)
			sorted = false;
	}
	if (!sorted)
		qsort(keys, table->count, sizeof(*keys), compare_keys);
	return 0;
}

int trace_index_build(struct trace *t, struct err *err)
{
	for (int kind = 0; kind < REC_KIND_COUNT; kind++) {
		struct trace_table *table = &t->tables[kind];

		if (!table->rising &&
		    trace_sort_field(t, (enum rec_kind)kind, 0, &table->order, err))
			return -1;
	}
	if (trace_stacks_build(t, err))
		return -1;
	for (int i = 0; i < TRACE_RELATION_COUNT; i++) {
		if (trace_sort_field(t, relations[i].kind, relations[i].offset, &t->indexes[i].keys,
				     err))
			return -1;
		t->indexes[i].count = t->tables[relations[i].kind].count;
	}
	return trace_build_spans(t, err) || trace_deep_build(t, err) || trace_hops_build(t, err)
		       ? -1
		       : 0;
}

void trace_key_sort(struct trace_key *keys, size_t count)
{
	if (count)
		qsort(keys, count, sizeof(*keys), compare_keys);
}

size_t trace_key_search(const struct trace_key *keys, size_t count, uint64_t key)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (keys[mid].key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t trace_related(const struct trace *t, enum trace_relation relation, uint64_t id,
		     size_t *first)
{
	const struct trace_index *index = &t->indexes[relation];
	size_t end;

	*first = trace_key_search(index->keys, index->count, id);
	if (id == REC_NULL)
		return 0; /* unknown points nowhere */
	end = trace_key_search(index->keys, index->count, id + 1);
	return end - *first;
}

const void *trace_related_at(const struct trace *t, enum trace_relation relation, size_t at)
{
	const struct trace_index *index = &t->indexes[relation];

	return at < index->count ? trace_at(t, relations[relation].kind, index->keys[at].row)
				 : NULL;
}

static const void *trace_related_last(const struct trace *t, enum trace_relation relation,
				      uint64_t id)
{
	size_t first, n = trace_related(t, relation, id, &first);

	return n ? trace_related_at(t, relation, first + n - 1) : NULL;
}

const struct rec_identity *trace_identity(const struct trace *t, uint64_t module)
{
	return trace_related_last(t, TRACE_IDENTITY_MODULE, module);
}

const struct rec_pyc *trace_pyc(const struct trace *t, uint64_t module)
{
	return trace_related_last(t, TRACE_PYC_MODULE, module);
}

const struct rec_function_source *trace_function_source(const struct trace *t, uint64_t function)
{
	return trace_related_last(t, TRACE_FUNCTION_SOURCE_FUNCTION, function);
}

const struct rec_connection_end *trace_connection_end(const struct trace *t, uint64_t connection)
{
	return trace_related_last(t, TRACE_CONNECTION_END_CONNECTION, connection);
}

const struct rec_process_end *trace_process_end(const struct trace *t, uint64_t process)
{
	return trace_related_last(t, TRACE_PROCESS_END_PROCESS, process);
}
