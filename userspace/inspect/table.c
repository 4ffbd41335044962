/*
 * Rows as aligned text. Cells are kept until all are known; when a line would be wider than
 * INSPECT_COLUMNS, the widest of the columns that may be cut or wrapped gives way.
 */
#include "inspect/rows.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_COLUMNS 16
#define TABLE_GAP 2
#define TABLE_CUT_MIN 12 /* no column is cut below this */

struct inspect_table {
	const struct inspect_column *columns;
	size_t columns_count;
	size_t widths[TABLE_COLUMNS];
	struct bytes text; /* cells, each NUL-terminated, row by row */
	size_t cells;
};

/* Characters, not bytes. The text holds UTF-8 only. */
static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((uint8_t)*text & 0xc0) != 0x80;
	return width;
}

struct inspect_table *inspect_table_new(const struct inspect_column *columns)
{
	struct inspect_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = columns;
	for (size_t i = 0; i < TABLE_COLUMNS && columns[i].title; i++) {
		table->widths[i] = text_width(columns[i].title);
		table->columns_count++;
	}
	return table;
}

void inspect_table_free(struct inspect_table *table)
{
	if (!table)
		return;
	bytes_release(&table->text);
	free(table);
}

/* A native function may have no name: its module's file and its place in it stand for it. */
static int put_function(struct bytes *out, const json_t *function)
{
	static const char *const names[] = { "qualname", "name" };
	const char *path = json_string_value(json_object_get(function, "path")), *base;
	const json_t *offset = json_object_get(function, "offset");
	char place[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *name = json_object_get(function, names[i]);

		if (json_string_length(name))
			return inspect_put_value(out, name);
	}
	if (!path || !json_is_integer(offset))
		return inspect_put_value(out, json_object_get(function, "qualname"));
	base = strrchr(path, '/');
	snprintf(place, sizeof(place), "+0x%llx", (unsigned long long)json_integer_value(offset));
	return inspect_put_text(out, base ? base + 1 : path) ||
	       bytes_put(out, place, strlen(place));
}

/* Only as much of a value as its column shows. */
static int put_cell(struct bytes *out, enum inspect_cell cell, const json_t *value)
{
	const char *text = json_string_value(value);
	char number[32];

	if (cell == CELL_COUNT) {
		snprintf(number, sizeof(number), "%zu", json_array_size(value));
		return bytes_put(out, number, strlen(number));
	}
	if (cell == CELL_FUNCTION && json_is_object(value))
		return put_function(out, value);
	if (cell == CELL_HEX && json_is_integer(value)) {
		snprintf(number, sizeof(number), "0x%llx",
			 (unsigned long long)json_integer_value(value));
		return bytes_put(out, number, strlen(number));
	}
	if (cell == CELL_TIME && text && strlen(text) >= 23) /* ....-..-..THH:MM:SS.mmm */
		return bytes_put(out, text + 11, 12);
	if (cell == CELL_SHORT && text && strlen(text) > 12)
		return bytes_put(out, text, 12);
	return inspect_put_value(out, value);
}

int inspect_table_add(struct inspect_table *table, const json_t *row)
{
	for (size_t i = 0; i < table->columns_count; i++) {
		const struct inspect_column *column = &table->columns[i];
		size_t start = table->text.len, width;

		if (put_cell(&table->text, column->cell, inspect_get(row, column->path)) ||
		    bytes_put_u8(&table->text, 0))
			return -1;
		width = text_width((const char *)table->text.data + start);
		if (width > table->widths[i])
			table->widths[i] = width;
		table->cells++;
	}
	return 0;
}

static bool column_cuts(const struct inspect_column *column)
{
	return column->cell == CELL_FLEX || column->cell == CELL_PATH ||
	       column->cell == CELL_WRAP || column->cell == CELL_FUNCTION;
}

static void table_fit(const struct inspect_table *table, size_t *widths)
{
	size_t total = 0;

	for (size_t i = 0; i < table->columns_count; i++) {
		widths[i] = table->widths[i];
		total += widths[i] + (i ? TABLE_GAP : 0);
	}
	while (total > INSPECT_COLUMNS) {
		size_t widest = table->columns_count;

		for (size_t i = 0; i < table->columns_count; i++)
			if (column_cuts(&table->columns[i]) && widths[i] > TABLE_CUT_MIN &&
			    (widest == table->columns_count || widths[i] > widths[widest]))
				widest = i;
		if (widest == table->columns_count)
			return;
		widths[widest]--;
		total--;
	}
}

/* Prints `count` characters of text, from its start; returns what is behind them. */
static const char *print_characters(FILE *out, const char *text, size_t count)
{
	for (; *text && (count || ((uint8_t)*text & 0xc0) == 0x80); text++) {
		if (((uint8_t)*text & 0xc0) != 0x80)
			count--;
		fputc(*text, out);
	}
	return text;
}

/*
 * Prints a cell behind `blank` columns that are still to be filled, and returns how many are to be
 * filled behind it: no line ends with blanks.
 */
static size_t print_cell(FILE *out, const char *text, size_t limit, enum inspect_cell cell,
			 size_t blank)
{
	size_t width = text_width(text), pad = width < limit ? limit - width : 0;
	bool right = cell == CELL_RIGHT || cell == CELL_COUNT || cell == CELL_HEX;

	if (!width)
		return blank + limit;
	fprintf(out, "%*s", (int)(blank + (right ? pad : 0)), "");
	if (width <= limit) {
		fputs(text, out);
	} else if (cell == CELL_PATH) {
		for (size_t skip = width - limit + 3; *text && skip;)
			if (((uint8_t) * ++text & 0xc0) != 0x80)
				skip--;
		fprintf(out, "...%s", text);
	} else {
		print_characters(out, text, limit - 3);
		fputs("...", out);
	}
	return right ? 0 : pad;
}

/* How many characters of text the next line of a wrapped cell takes: whole words if they fit. */
static size_t wrap_characters(const char *text, size_t limit)
{
	size_t count = 0, cut = 0;

	for (; *text; text++) {
		if (((uint8_t)*text & 0xc0) == 0x80)
			continue;
		if (*text == ' ')
			cut = count;
		if (count++ == limit)
			return cut ? cut : limit;
	}
	return count;
}

/* One line of a wrapped cell; *text moves behind it and the blank there. As print_cell. */
static size_t print_wrapped(FILE *out, const char **text, size_t limit, size_t blank)
{
	size_t count = wrap_characters(*text, limit);

	if (!count)
		return blank + limit;
	fprintf(out, "%*s", (int)blank, "");
	*text = print_characters(out, *text, count);
	if (**text == ' ')
		(*text)++;
	return limit - count;
}

/* Prints a row of cells, on as many lines as its wrapped cells need. Returns what is behind it. */
static const char *print_row(const struct inspect_table *table, const char *text,
			     const size_t *widths, FILE *out)
{
	const char *rest[TABLE_COLUMNS];
	bool more = true;

	for (size_t i = 0; i < table->columns_count; i++) {
		rest[i] = text;
		text += strlen(text) + 1;
	}
	while (more) {
		size_t blank = 0;

		more = false;
		for (size_t i = 0; i < table->columns_count; i++) {
			enum inspect_cell cell = table->columns[i].cell;

			if (cell == CELL_WRAP) {
				blank = print_wrapped(out, &rest[i], widths[i], blank);
			} else {
				blank = print_cell(out, rest[i], widths[i], cell, blank);
				rest[i] = "";
			}
			blank += TABLE_GAP;
			more = more || *rest[i];
		}
		fputc('\n', out);
	}
	return text;
}

void inspect_table_print(const struct inspect_table *table, FILE *out)
{
	size_t widths[TABLE_COLUMNS] = { 0 }, columns = table->columns_count, blank = 0;
	const char *text = (const char *)table->text.data;

	table_fit(table, widths);
	for (size_t i = 0; i < columns; i++)
		blank = TABLE_GAP + print_cell(out, table->columns[i].title, widths[i],
					       table->columns[i].cell, blank);
	fputc('\n', out);
	for (size_t cell = 0; cell < table->cells; cell += columns)
		text = print_row(table, text, widths, out);
}

int inspect_table_print_rows(const struct inspect_column *columns, const json_t *rows, FILE *out)
{
	struct inspect_table *table = inspect_table_new(columns);
	int rc = table ? 0 : -1;

	for (size_t i = 0; i < json_array_size(rows) && !rc; i++)
		rc = inspect_table_add(table, json_array_get(rows, i));
	if (!rc)
		inspect_table_print(table, out);
	inspect_table_free(table);
	return rc;
}
