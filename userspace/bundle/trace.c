/* A bundle in memory: loading, tables by kind, lookup by id, strings, clocks. */
#include "bundle/trace_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define TRACE_CHUNK_ITEMS 8192

/* A small file may unfold to any size. */
static size_t trace_memory = TRACE_MEMORY;

void trace_set_memory(size_t bytes)
{
	trace_memory = bytes;
}

int trace_charge(struct trace *t, size_t bytes, struct err *err)
{
	size_t strings = bundle_reader_memory(t->reader);

	if (__builtin_add_overflow(t->bytes, bytes, &t->bytes) || t->bytes > t->bytes_max ||
	    strings > t->bytes_max - t->bytes)
		return err_set(err, ERR_INCOMPLETE,
			       "%s: its records take more than %zu MiB of memory: allow more with "
			       "--memory",
			       t->path, t->bytes_max >> 20);
	return 0;
}

static int trace_no_memory(struct err *err)
{
	return err_set(err, ERR_INCOMPLETE, "not enough memory for the bundle: free some");
}

uint64_t *trace_list(struct trace *t, uint32_t count, struct err *err)
{
	struct trace_chunk *chunk = t->chunks;

	if (!count)
		return NULL;
	if (!chunk || chunk->cap - chunk->used < count) {
		size_t cap = count > TRACE_CHUNK_ITEMS ? count : TRACE_CHUNK_ITEMS;
		size_t size = sizeof(*chunk) + cap * sizeof(chunk->items[0]);

		if (trace_charge(t, size, err))
			return NULL;
		chunk = malloc(size);
		if (!chunk) {
			trace_no_memory(err);
			return NULL;
		}
		chunk->next = t->chunks;
		chunk->used = 0;
		chunk->cap = cap;
		t->chunks = chunk;
	}
	chunk->used += count;
	return chunk->items + chunk->used - count;
}

/* Copies a list into the arena. */
static int trace_keep_list(struct trace *t, struct rec_list *list, struct err *err)
{
	uint64_t *items = trace_list(t, list->count, err);

	if (!items && list->count)
		return -1;
	if (items)
		memcpy(items, list->items, list->count * sizeof(*items));
	list->items = items;
	return 0;
}

static int trace_grow(struct trace *t, struct trace_table *table, size_t size, struct err *err)
{
	size_t cap = table->cap ? table->cap * 2 : 16;
	uint8_t *rows;

	/* Rows are numbered by 32 bits in the indexes. */
	if (cap > UINT32_MAX)
		return err_set(err, ERR_INCOMPLETE, "the bundle has too many records of one kind");
	if (trace_charge(t, (cap - table->cap) * size, err))
		return -1;
	rows = realloc(table->rows, cap * size);
	if (!rows)
		return trace_no_memory(err);
	table->rows = rows;
	table->cap = cap;
	return 0;
}

static uint64_t trace_row_id(const struct trace_table *table, size_t size, size_t row)
{
	uint64_t id;

	memcpy(&id, table->rows + row * size, sizeof(id)); /* the first field of every kind */
	return id;
}

int trace_keep(struct trace *t, enum rec_kind kind, const union rec_any *rec, struct err *err)
{
	const struct rec_schema *schema = &rec_schemas[kind];
	struct trace_table *table = &t->tables[kind];
	uint8_t *row;

	if (table->count == table->cap && trace_grow(t, table, schema->size, err))
		return -1;
	row = table->rows + table->count * schema->size;
	memcpy(row, rec, schema->size);
	for (uint16_t i = 0; i < schema->fields_count; i++) {
		const struct rec_field *f = &schema->fields[i];

		if ((f->type == REC_TYPE_L || f->type == REC_TYPE_M) &&
		    trace_keep_list(t, (struct rec_list *)(row + f->offset), err))
			return -1;
	}
	if (table->count && rec->id <= trace_row_id(table, schema->size, table->count - 1))
		table->rising = false;
	table->count++;
	return 0;
}

static int trace_hash_file(const char *path, char out[65], struct err *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE], buf[16384];
	int rc = -1;
	ssize_t n;

	if (fd < 0) {
		err_errno(err, ERR_USAGE, "cannot open %s", path);
	} else if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)) {
		trace_no_memory(err);
	} else {
		while ((n = read(fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR))
			if (n > 0)
				EVP_DigestUpdate(ctx, buf, (size_t)n);
		if (n < 0) {
			err_errno(err, ERR_USAGE, "cannot read %s", path);
		} else {
			EVP_DigestFinal_ex(ctx, digest, NULL);
			bytes_to_hex(digest, 32, out);
			rc = 0;
		}
	}
	EVP_MD_CTX_free(ctx);
	return rc;
}

/* The next record into its table; more sightings than shall be held are left in the file. */
static int trace_take_record(struct trace *t, const struct bundle_record *record, struct err *err)
{
	if (record->kind == REC_SIGHTING_KIND) {
		if (t->sightings_away)
			return 0;
		if (t->sightings_max && t->tables[record->kind].count == t->sightings_max) {
			t->sightings_away = true;
			trace_drop_sightings(t);
			bundle_reader_unwant(t->reader, REC_SIGHTING_KIND);
			return 0;
		}
	}
	return trace_keep(t, record->kind, record->rec, err);
}

static int trace_read(struct trace *t, struct err *err)
{
	struct bundle_record record;
	int more;

	t->reader = bundle_reader_open(t->path, err);
	if (!t->reader)
		return -1;
	bundle_reader_limit(t->reader, t->bytes_max);
	if (t->kinds != UINT64_MAX)
		bundle_reader_want(t->reader, t->kinds, 0);
	while ((more = bundle_reader_next(t->reader, &record, err)) > 0)
		if (trace_take_record(t, &record, err))
			return -1;
	bundle_reader_end(t->reader, &t->end);
	return more;
}

struct trace *trace_load_some(const char *path, const struct trace_options *options,
			      struct err *err)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t || !(t->path = strdup(path))) {
		trace_no_memory(err);
		free(t);
		return NULL;
	}
	t->bytes_max = trace_memory;
	t->kinds = options->kinds ? options->kinds : UINT64_MAX;
	t->sightings_max = options->sightings;
	t->sightings_away = !(t->kinds >> REC_SIGHTING_KIND & 1);
	for (int kind = 0; kind < REC_KIND_COUNT; kind++)
		t->tables[kind].rising = true;
	if (trace_read(t, err) || trace_index_build(t, err) ||
	    (!options->no_sha256 && trace_hash_file(path, t->sha256, err))) {
		trace_free(t);
		return NULL;
	}
	return t;
}

struct trace *trace_load(const char *path, struct err *err)
{
	const struct trace_options all = { 0 };

	return trace_load_some(path, &all, err);
}

void trace_free(struct trace *t)
{
	struct trace_chunk *next;

	if (!t)
		return;
	for (int kind = 0; kind < REC_KIND_COUNT; kind++) {
		free(t->tables[kind].rows);
		free(t->tables[kind].order);
	}
	for (int i = 0; i < TRACE_RELATION_COUNT; i++)
		free(t->indexes[i].keys);
	free(t->spans);
	free(t->peers);
	free(t->uses);
	free(t->callers);
	free(t->callers_by);
	free(t->called);
	free(t->deep.items);
	free(t->holes.items);
	for (struct trace_chunk *chunk = t->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	if (t->reader)
		bundle_reader_close(t->reader);
	free(t->path);
	free(t);
}

void trace_end(const struct trace *t, struct bundle_end *out)
{
	*out = t->end;
}

const char *trace_sha256(const struct trace *t)
{
	return t->sha256;
}

uint64_t trace_total(const struct trace *t, enum rec_kind kind)
{
	return bundle_reader_count(t->reader, kind);
}

size_t trace_count(const struct trace *t, enum rec_kind kind)
{
	return t->tables[kind].count;
}

const void *trace_at(const struct trace *t, enum rec_kind kind, size_t row)
{
	const struct trace_table *table = &t->tables[kind];

	return row < table->count ? table->rows + row * rec_schemas[kind].size : NULL;
}

const void *trace_find(const struct trace *t, enum rec_kind kind, uint64_t id)
{
	const struct trace_table *table = &t->tables[kind];
	size_t size = rec_schemas[kind].size, lo = 0, hi = table->count;

	if (table->order) {
		lo = trace_key_search(table->order, table->count, id);
		if (lo == table->count || table->order[lo].key != id)
			return NULL;
		return table->rows + table->order[lo].row * size;
	}
	/* Ids without holes: the row is known. */
	if (id - 1 < table->count && trace_row_id(table, size, id - 1) == id)
		return table->rows + (id - 1) * size;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (trace_row_id(table, size, mid) < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == table->count || trace_row_id(table, size, lo) != id)
		return NULL;
	return table->rows + lo * size;
}

const struct bundle_string *trace_string(const struct trace *t, uint64_t string)
{
	return bundle_reader_string(t->reader, string);
}

const char *trace_text(const struct trace *t, uint64_t string)
{
	const struct bundle_string *s = trace_string(t, string);

	return s && !s->hidden ? (const char *)s->data : NULL;
}

const struct rec_window *trace_window(const struct trace *t)
{
	return trace_at(t, REC_WINDOW_KIND, 0);
}

const struct rec_window_end *trace_window_end(const struct trace *t)
{
	size_t count = t->tables[REC_WINDOW_END_KIND].count;

	return count ? trace_at(t, REC_WINDOW_END_KIND, count - 1) : NULL;
}

uint64_t trace_realtime(const struct trace *t, uint64_t monotonic)
{
	const struct rec_window *window = trace_window(t);
	uint64_t out;

	if (monotonic == REC_NULL || !window || window->monotonic == REC_NULL ||
	    window->realtime == REC_NULL)
		return REC_NULL;
	if (monotonic >= window->monotonic) {
		if (__builtin_add_overflow(window->realtime, monotonic - window->monotonic, &out))
			return REC_NULL;
	} else if (__builtin_sub_overflow(window->realtime, window->monotonic - monotonic, &out)) {
		return REC_NULL;
	}
	return out;
}
