/* Reads all rows of one table of an SQLite 3 database file. */
#include "collect/sqlite_table.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define MAGIC "SQLite format 3"
#define HEAD 100
#define DEEP_MAX 20 /* levels of a b-tree, as SQLite allows */
#define INTERIOR 5
#define LEAF 13
#define SCHEMA_ROW_MAX 65536

struct database {
	int fd;
	uint32_t page_size, usable; /* usable: without what each page reserves at its end */
	uint32_t pages, reads;
	uint32_t row_max;
	struct bytes payload; /* of the row at hand */
	int (*row)(struct database *db, void *ctx);
};

struct value {
	const uint8_t *data;
	size_t len;
	int64_t number;
	enum { OTHER, NUMBER, BYTES } type;
};

static uint32_t be(const uint8_t *p, unsigned int n)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Up to nine bytes, the most significant first; 0: it does not end before `end`. */
static size_t varint(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < 9 && p + i < end; i++) {
		if (i == 8) {
			*out = *out << 8 | p[i];
			return 9;
		}
		*out = *out << 7 | (p[i] & 0x7f);
		if (!(p[i] & 0x80))
			return i + 1;
	}
	return 0;
}

/* No sane file makes us read a page twice, so the count also ends every circle. */
static int read_page(struct database *db, uint32_t number, uint8_t *out)
{
	size_t done = 0;

	if (!number || number > db->pages || ++db->reads > db->pages)
		return -1;
	while (done < db->page_size) {
		ssize_t n = pread(db->fd, out + done, db->page_size - done,
				  (off_t)(number - 1) * db->page_size + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

/* ---- rows ---- */

/* How much of a payload lies in its cell. */
static uint32_t local_size(const struct database *db, uint64_t payload)
{
	uint32_t most = db->usable - 35, least = (db->usable - 12) * 32 / 255 - 23;
	uint64_t k = least + (payload - least) % (db->usable - 4);

	if (payload <= most)
		return (uint32_t)payload;
	return k <= most ? (uint32_t)k : least;
}

static int read_overflow(struct database *db, uint32_t next, uint64_t left)
{
	cleanup_free uint8_t *page = malloc(db->page_size);

	while (page && left) {
		size_t take = left < db->usable - 4 ? (size_t)left : db->usable - 4;

		if (read_page(db, next, page) || bytes_put(&db->payload, page + 4, take))
			return -1;
		next = be(page, 4);
		left -= take;
	}
	return page ? 0 : -1;
}

static int read_row(struct database *db, const uint8_t *cell, const uint8_t *end, void *ctx)
{
	uint64_t payload, rowid;
	uint32_t local;
	size_t n = varint(cell, end, &payload);

	cell += n;
	if (!n || !(n = varint(cell, end, &rowid)) || payload > db->row_max)
		return -1;
	cell += n;
	local = local_size(db, payload);
	if ((size_t)(end - cell) < local + (local < payload ? 4 : 0))
		return -1;
	db->payload.len = 0;
	if (bytes_put(&db->payload, cell, local))
		return -1;
	if (local < payload && read_overflow(db, be(cell + local, 4), payload - local))
		return -1;
	return db->row(db, ctx);
}

/* The length of a value by its serial type. */
static uint64_t serial_size(uint64_t type)
{
	static const uint8_t sizes[] = { 0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0 };

	return type < 12 ? sizes[type] : (type - 12) / 2;
}

/* The column of the row at hand; false: it has none, or is damaged. */
static bool column(const struct database *db, unsigned int index, struct value *out)
{
	const uint8_t *row = db->payload.data, *end;
	uint64_t head, type, at;
	size_t n;

	if (!db->payload.len || !(n = varint(row, row + db->payload.len, &head)) ||
	    head > db->payload.len || head < n)
		return false;
	end = row + head;
	at = head;
	row += n;
	for (unsigned int i = 0; (n = varint(row, end, &type)); i++, row += n) {
		uint64_t size = serial_size(type);

		if (size > db->payload.len - at)
			return false;
		if (i < index) {
			at += size;
			continue;
		}
		*out = (struct value){ .data = db->payload.data + at, .len = (size_t)size };
		out->type = type >= 12 ? BYTES : type >= 1 && type <= 4 ? NUMBER : OTHER;
		if (type == 8 || type == 9) {
			out->type = NUMBER;
			out->number = type == 9;
		} else if (out->type == NUMBER) {
			out->number = be(out->data, (unsigned int)size);
		}
		return true;
	}
	return false;
}

/* ---- trees ---- */

static int read_tree(struct database *db, uint32_t number, unsigned int deep, void *ctx)
{
	cleanup_free uint8_t *page = malloc(db->page_size);
	size_t head = number == 1 ? HEAD : 0, first, cells;

	if (!page || deep == DEEP_MAX || read_page(db, number, page))
		return -1;
	if (page[head] != INTERIOR && page[head] != LEAF)
		return -1;
	first = head + (page[head] == INTERIOR ? 12 : 8);
	cells = be(page + head + 3, 2);
	if (first + 2 * cells > db->usable)
		return -1;
	for (size_t i = 0; i < cells; i++) {
		size_t at = be(page + first + 2 * i, 2);

		if (at < first || at + 4 > db->usable)
			return -1;
		if (page[head] == INTERIOR ? read_tree(db, be(page + at, 4), deep + 1, ctx)
					   : read_row(db, page + at, page + db->usable, ctx))
			return -1;
	}
	return page[head] == INTERIOR ? read_tree(db, be(page + head + 8, 4), deep + 1, ctx) : 0;
}

struct wanted {
	const char *table;
	uint32_t root;
};

static bool text_is(const struct value *v, const char *text)
{
	return v->type == BYTES && v->len == strlen(text) && !memcmp(v->data, text, v->len);
}

/* The schema: type, name, tbl_name, rootpage, sql. */
static int schema_row(struct database *db, void *ctx)
{
	struct wanted *w = ctx;
	struct value v;

	if (!column(db, 0, &v) || !text_is(&v, "table") || !column(db, 1, &v) ||
	    !text_is(&v, w->table) || !column(db, 3, &v) || v.type != NUMBER)
		return 0;
	w->root = v.number > 0 && v.number <= UINT32_MAX ? (uint32_t)v.number : 0;
	return 0;
}

struct told {
	unsigned int column;
	int (*row)(void *ctx, const uint8_t *data, size_t len);
	void *ctx;
};

static int tell_row(struct database *db, void *ctx)
{
	const struct told *t = ctx;
	struct value v;

	if (!column(db, t->column, &v))
		return -1;
	return v.type == BYTES ? t->row(t->ctx, v.data, v.len) : 0;
}

static int open_database(struct database *db, uint64_t size)
{
	uint8_t head[HEAD];

	if (size < HEAD || pread(db->fd, head, HEAD, 0) != HEAD ||
	    memcmp(head, MAGIC, sizeof(MAGIC)))
		return -1;
	db->page_size = be(head + 16, 2) == 1 ? 65536 : be(head + 16, 2);
	if (db->page_size < 512 || (db->page_size & (db->page_size - 1)) ||
	    db->page_size - head[20] < 480 || size / db->page_size > UINT32_MAX)
		return -1;
	db->usable = db->page_size - head[20];
	db->pages = (uint32_t)(size / db->page_size);
	/* Text in UTF-16 has other names. */
	return be(head + 56, 4) == 1 ? 0 : -1;
}

int sqlite_table_read(int fd, uint64_t size, const char *table, unsigned int at, uint32_t row_max,
		      int (*row)(void *ctx, const uint8_t *data, size_t len), void *ctx)
{
	struct database db = { .fd = fd, .row_max = SCHEMA_ROW_MAX, .row = schema_row };
	struct wanted wanted = { .table = table };
	struct told told = { at, row, ctx };
	int ret = -1;

	if (!open_database(&db, size) && !read_tree(&db, 1, 0, &wanted) && wanted.root) {
		db.reads = 0;
		db.row_max = row_max;
		db.row = tell_row;
		ret = read_tree(&db, wanted.root, 0, &told);
	}
	bytes_release(&db.payload);
	return ret;
}
