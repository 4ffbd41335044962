/*
 * Writes the records of a bundle in two plain forms, to compare sizes: as the structs that programs
 * hold them in (lists and strings behind them, a string where it is first named), and as JSON lines
 * with names and strings in full.
 *
 *     dump_records FILE STRUCTS JSONL
 *
 * Prints "KIND COUNT" for each kind that there is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bundle/reader.h"

struct dump {
	const struct bundle_reader *reader;
	FILE *structs, *lines;
	uint8_t *named; /* strings that are in `structs` */
	uint64_t named_count;
};

static void dump_string(struct dump *d, uint64_t id)
{
	const struct bundle_string *s = bundle_reader_string(d->reader, id);
	uint64_t head[2] = { id, s ? s->len : 0 };

	if (!s || !s->len)
		return;
	if (id >= d->named_count) {
		uint64_t count = id * 2 + 1024;

		d->named = realloc(d->named, count);
		if (!d->named)
			abort();
		memset(d->named + d->named_count, 0, count - d->named_count);
		d->named_count = count;
	}
	if (d->named[id])
		return;
	d->named[id] = 1;
	fwrite(head, sizeof(head), 1, d->structs);
	fwrite(s->data, s->len, 1, d->structs);
}

static void dump_struct(struct dump *d, const struct bundle_record *record)
{
	const struct rec_schema *schema = &rec_schemas[record->kind];

	fputc(record->kind, d->structs);
	fwrite(record->rec, schema->size, 1, d->structs);
	for (size_t i = 0; i < schema->fields_count; i++) {
		const void *at = (const char *)record->rec + schema->fields[i].offset;
		const struct rec_list *list = at;
		enum rec_type type = schema->fields[i].type;

		if (type == REC_TYPE_S || type == REC_TYPE_X)
			dump_string(d, *(const uint64_t *)at);
		if (type == REC_TYPE_L || type == REC_TYPE_M)
			fwrite(list->items, sizeof(list->items[0]), list->count, d->structs);
		for (uint32_t n = 0; type == REC_TYPE_M && n < list->count; n++)
			dump_string(d, list->items[n]);
	}
}

static void line_string(struct dump *d, uint64_t id, bool hex)
{
	const struct bundle_string *s = bundle_reader_string(d->reader, id);

	if (!s) {
		fputs("null", d->lines);
		return;
	}
	fputc('"', d->lines);
	for (size_t i = 0; i < s->len; i++) {
		if (hex)
			fprintf(d->lines, "%02x", s->data[i]);
		else if (s->data[i] < 0x20 || s->data[i] == '"' || s->data[i] == '\\')
			fprintf(d->lines, "\\u%04x", s->data[i]);
		else
			fputc(s->data[i], d->lines);
	}
	fputc('"', d->lines);
}

static void line_number(struct dump *d, uint64_t value)
{
	if (value == REC_NULL)
		fputs("null", d->lines);
	else
		fprintf(d->lines, "%" PRIu64, value);
}

static void line_list(struct dump *d, const struct rec_list *list, bool strings)
{
	fputc('[', d->lines);
	for (uint32_t n = 0; n < list->count; n++) {
		if (n)
			fputc(',', d->lines);
		if (strings)
			line_string(d, list->items[n], false);
		else
			line_number(d, list->items[n]);
	}
	fputc(']', d->lines);
}

static void dump_line(struct dump *d, const struct bundle_record *record)
{
	const struct rec_schema *schema = &rec_schemas[record->kind];

	fprintf(d->lines, "{\"kind\":\"%s\"", schema->name);
	for (size_t i = 0; i < schema->fields_count; i++) {
		const struct rec_field *f = &schema->fields[i];
		const void *at = (const char *)record->rec + f->offset;
		uint64_t value = *(const uint64_t *)at;

		fprintf(d->lines, ",\"%s\":", f->name);
		if (f->type == REC_TYPE_L || f->type == REC_TYPE_M)
			line_list(d, at, f->type == REC_TYPE_M);
		else if (f->type == REC_TYPE_S || f->type == REC_TYPE_X)
			line_string(d, value, f->type == REC_TYPE_X);
		else if (f->type == REC_TYPE_E && value < f->names_count)
			fprintf(d->lines, "\"%s\"", f->names[value]);
		else
			line_number(d, value);
	}
	fputs("}\n", d->lines);
}

int main(int argc, char **argv)
{
	uint64_t counts[REC_KIND_COUNT] = { 0 };
	struct bundle_record record;
	struct err err = ERR_INIT;
	struct bundle_reader *reader;
	struct dump d = { .named_count = 0 };
	int ret;

	if (argc != 4)
		return 2;
	reader = bundle_reader_open(argv[1], &err);
	d.structs = fopen(argv[2], "we");
	d.lines = fopen(argv[3], "we");
	d.reader = reader;
	if (!reader || !d.structs || !d.lines) {
		fprintf(stderr, "dump_records: %s\n", reader ? "cannot write" : err.text);
		return 1;
	}
	while ((ret = bundle_reader_next(reader, &record, &err)) > 0) {
		counts[record.kind]++;
		dump_struct(&d, &record);
		dump_line(&d, &record);
	}
	for (size_t i = 0; i < REC_KIND_COUNT; i++)
		if (counts[i])
			printf("%s %" PRIu64 "\n", rec_schemas[i].name, counts[i]);
	ret |= fclose(d.structs) | fclose(d.lines);
	bundle_reader_close(reader);
	free(d.named);
	return ret ? 1 : 0;
}
