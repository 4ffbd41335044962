/* The printers: a view's rows as a table, as one JSON document or as JSON lines. */
#include "inspect/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/output.h"
#include "inspect/rows.h"

#define JSON_ROW (JSON_COMPACT | JSON_ENSURE_ASCII)
#define JSON_DOCUMENT (JSON_INDENT(2) | JSON_ENSURE_ASCII)

static const struct inspect_view *const views[] = {
	&inspect_calls,	 &inspect_processes,	  &inspect_modules,	&inspect_functions,
	&inspect_stacks, &inspect_interpositions, &inspect_connections, &inspect_loss,
};

#define VIEWS (sizeof(views) / sizeof(views[0]))

static const struct inspect_view *find_view(const char *name)
{
	for (size_t i = 0; i < VIEWS; i++)
		if (!strcmp(views[i]->name, name))
			return views[i];
	return NULL;
}

void inspect_list_views(const char *separator, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "summary");

	for (size_t i = 0; i < VIEWS && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", separator, views[i]->name);
	if (len < size)
		snprintf(out + len, size - len, "%srecord", separator);
}

void inspect_list_kinds(const char *separator, char *out, size_t size)
{
	size_t len = 0;

	for (int i = 0; i < REC_KIND_COUNT && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i ? separator : "",
					rec_schemas[i].name);
}

int inspect_check_view(const char *view, struct err *err)
{
	char names[256];

	if (find_view(view) || !strcmp(view, "summary"))
		return 0;
	inspect_list_views(", ", names, sizeof(names));
	return err_set(err, ERR_USAGE, "no view '%s': there are %s", view, names);
}

int inspect_check_kind(const char *kind, struct err *err)
{
	char names[512];

	if (rec_kind_find(kind) != REC_KIND_COUNT)
		return 0;
	inspect_list_kinds(", ", names, sizeof(names));
	return err_set(err, ERR_USAGE, "no record kind '%s': there are %s", kind, names);
}

/* Notes of every text, and clocks. */
#define KINDS_ALWAYS (INSPECT_KIND(WINDOW) | INSPECT_KIND(WINDOW_END) | INSPECT_KIND(LOSS))
#define KINDS_SUMMARY                                                                            \
	(INSPECT_KIND(LABEL) | INSPECT_KIND(PROBE) | INSPECT_KIND(PROGRAM) | INSPECT_KIND(GAP) | \
	 INSPECT_KIND(TARGET) | INSPECT_KIND(LISTENER) | INSPECT_KIND(CALL) |                    \
	 INSPECT_KIND(CONNECTION) | INSPECT_KIND(CONNECTION_END) | INSPECT_KIND(UNSUPPORTED) |   \
	 INSPECT_KIND(DEEP) | INSPECT_KIND(BINDING) | INSPECT_KIND(CONTEXT) |                    \
	 INSPECT_KIND(STACK) | INSPECT_KIND(CLOCK) | INSPECT_KIND(RESUME))
#define SIGHTINGS_HELD 400000 /* about 30 MiB */

void inspect_needs(const char *view, const char *kind, enum inspect_format format,
		   struct trace_options *out)
{
	const struct inspect_view *found = find_view(view);

	memset(out, 0, sizeof(*out));
	out->kinds = KINDS_ALWAYS;
	out->sightings = SIGHTINGS_HELD;
	out->no_sha256 = strcmp(view, "summary") || format == INSPECT_TEXT;
	if (found)
		out->kinds |= found->kinds;
	else if (!strcmp(view, "summary"))
		out->kinds |= KINDS_SUMMARY;
	else
		out->kinds |=
			1ULL << rec_kind_find(kind) | INSPECT_KIND(FUNCTION) | INSPECT_KIND(MODULE);
}

int inspect_check_filter(const char *view, const struct inspect_filter *filter, struct err *err)
{
	const struct inspect_view *found = find_view(view);
	const struct {
		unsigned int by;
		bool asked;
		const char *options;
	} filters[] = {
		{ INSPECT_BY_TIME, filter->since || filter->until, "--since, --until" },
		{ INSPECT_BY_ROUTE, filter->route, "--route" },
		{ INSPECT_BY_STATUS, filter->status_from, "--status" },
		{ INSPECT_BY_PROCESS, filter->process, "--process" },
		{ INSPECT_BY_MODULE, filter->module, "--module" },
		{ INSPECT_BY_FUNCTION, filter->function, "--function" },
		{ INSPECT_BY_REQUEST_ID, filter->request_id, "--request-id" },
	};
	unsigned int has = found ? found->filters : 0;
	char list[128] = "";
	bool bad = false;

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		size_t len = strlen(list);

		bad |= filters[i].asked && !(has & filters[i].by);
		if (has & filters[i].by)
			snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
				 filters[i].options);
	}
	if (!bad)
		return 0;
	return err_set(err, ERR_USAGE, "inspect: '%s' has %s%s", view,
		       *list ? "only these filters: " : "no filters", list);
}

static int print_no_memory(struct err *err)
{
	return err_set(err, ERR_INCOMPLETE,
		       "not enough memory to print the bundle: allow more with --memory");
}

/* Everything must have reached the other side of out. */
static int print_finish(FILE *out, struct err *err)
{
	errno = 0;
	if (!fflush(out) && !ferror(out))
		return 0;
	if (!errno)
		errno = EIO; /* an earlier write failed */
	return err_errno(err, ERR_INCOMPLETE, "cannot write all of the output");
}

static int print_json(const json_t *value, size_t flags, FILE *out, struct err *err)
{
	char *text = json_dumps(value, flags);
	const char *from = text, *del;

	if (!text)
		return print_no_memory(err);
	/* DEL is the one control character that the library leaves as it is. */
	for (; (del = strchr(from, 0x7f)); from = del + 1)
		fprintf(out, "%.*s\\u007f", (int)(del - from), from);
	fputs(from, out);
	free(text);
	return 0;
}

static size_t view_count(struct inspect_source *s, const struct inspect_view *view)
{
	return view->count ? view->count(s) : trace_count(s->t, view->kind);
}

/* Why no row, or no more of one, could be made. */
static int print_failed(const struct inspect_source *s, struct err *err)
{
	if (s->err.kind != ERR_NONE)
		return err_set(err, s->err.kind, "%s", s->err.text);
	return print_no_memory(err);
}

/* The next row, checked; NULL and 0: it is left out. */
static int print_row(struct inspect_source *s, const struct inspect_view *view, size_t i,
		     json_t **row, struct err *err)
{
	*row = view->row(s, i);
	if (!s->failed)
		return 0;
	json_decref(*row);
	return print_failed(s, err);
}

static int print_view_json(struct inspect_source *s, const struct inspect_view *view, bool lines,
			   FILE *out, struct err *err)
{
	size_t count = view_count(s, view);
	bool first = true;
	int rc = 0;

	if (!lines)
		fprintf(out, "{\"schema\":\"%s\",\"%s\":[", INSPECT_SCHEMA, view->name);
	for (size_t i = 0; i < count && !rc && !ferror(out) && !output_unread(); i++) {
		json_t *row;

		if (print_row(s, view, i, &row, err))
			return -1;
		if (!row)
			continue;
		if (!lines)
			fputs(first ? "\n" : ",\n", out);
		first = false;
		rc = print_json(row, JSON_ROW, out, err);
		json_decref(row);
		if (lines)
			fputc('\n', out);
	}
	if (!lines)
		fputs("\n]}\n", out);
	return rc;
}

static int print_view_text(struct inspect_source *s, const struct inspect_view *view, FILE *out,
			   struct err *err)
{
	struct inspect_table *table = inspect_table_new(view->columns);
	size_t count = view_count(s, view);
	int rc = table ? 0 : print_no_memory(err);

	for (size_t i = 0; i < count && !rc; i++) {
		json_t *row;

		rc = print_row(s, view, i, &row, err);
		if (rc || !row)
			continue;
		rc = inspect_table_add(table, row) ? print_no_memory(err) : 0;
		json_decref(row);
	}
	if (!rc) {
		inspect_table_print(table, out);
		inspect_notes_print(s->t, out);
	}
	inspect_table_free(table);
	return rc;
}

static int print_summary(struct inspect_source *s, const char *file, enum inspect_format format,
			 FILE *out, struct err *err)
{
	json_t *summary = inspect_summary(s);
	int rc = 0;

	if (!summary || s->failed) {
		rc = print_failed(s, err);
	} else if (format == INSPECT_TEXT) {
		rc = inspect_summary_print(summary, file, out) ? print_no_memory(err) : 0;
		inspect_notes_print(s->t, out);
	} else {
		rc = print_json(summary, format == INSPECT_JSON ? JSON_DOCUMENT : JSON_ROW, out,
				err);
		fputc('\n', out);
	}
	json_decref(summary);
	return rc;
}

int inspect_print(struct trace *t, const char *file, const char *view,
		  const struct inspect_filter *filter, enum inspect_format format, FILE *out,
		  struct err *err)
{
	const struct inspect_view *found = find_view(view);
	struct inspect_source s;
	int rc;

	if (inspect_check_view(view, err))
		return -1;
	inspect_source_init(&s, t, filter);
	if (!found)
		rc = print_summary(&s, file, format, out, err);
	else if (format == INSPECT_TEXT)
		rc = print_view_text(&s, found, out, err);
	else
		rc = print_view_json(&s, found, format == INSPECT_JSONL, out, err);
	inspect_source_release(&s);
	return rc ? rc : print_finish(out, err);
}

/* Names and values by turns: "name=value", a line each. */
static void print_record_pairs(const json_t *list, FILE *out)
{
	size_t count = json_array_size(list);

	for (size_t i = 0; i < count; i += 2) {
		fprintf(out, "%*s", i ? 20 : 0, "");
		inspect_print_value(out, json_array_get(list, i));
		fputc('=', out);
		inspect_print_value(out, json_array_get(list, i + 1));
		fputs(i + 2 < count ? "\n" : "", out);
	}
	fputs(count ? "" : "-", out);
}

/* A field a line; then the functions of a stack. */
static int print_record_text(const json_t *record, FILE *out)
{
	json_t *object = (json_t *)(uintptr_t)record, *value;
	const json_t *functions = json_object_get(record, "functions");
	const char *key;

	json_object_foreach(object, key, value) {
		if (value == functions)
			continue;
		fprintf(out, "%-20s", key);
		if (!strcmp(key, "request_ids") || !strcmp(key, "asked_ids"))
			print_record_pairs(value, out);
		else
			inspect_print_value(out, value);
		fputc('\n', out);
	}
	if (!functions)
		return 0;
	fputc('\n', out);
	return inspect_table_print_rows(inspect_frame_columns, functions, out);
}

/* The sighting that is looked for, copied; 1: here it is. */
static int record_sighting(void *ctx, const struct rec_sighting *s)
{
	struct rec_sighting *found = ctx;

	if (s->id != found->id)
		return 0;
	*found = *s;
	return 1;
}

/* The record, or NULL; *err is set when that could not be found out. */
static const void *find_record(const struct trace *t, enum rec_kind kind, uint64_t id,
			       struct rec_sighting *sighting, struct err *err)
{
	if (kind != REC_SIGHTING_KIND || !trace_sightings_away(t))
		return trace_find(t, kind, id);
	sighting->id = id;
	return trace_each_sighting(t, 0, record_sighting, sighting, err) > 0 ? sighting : NULL;
}

static int no_record(const struct trace *t, const char *file, enum rec_kind kind, const char *id,
		     struct err *err)
{
	size_t count = trace_count(t, kind);
	uint64_t least = REC_NULL, most = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t v = *(const uint64_t *)trace_at(t, kind, i);

		least = v < least ? v : least;
		most = v > most ? v : most;
	}
	if (!count && trace_total(t, kind))
		return err_set(err, ERR_USAGE, "no %s %s in %s: it holds %" PRIu64 " others",
			       rec_schemas[kind].name, id, file, trace_total(t, kind));
	if (!count)
		return err_set(err, ERR_USAGE, "no %s %s in %s: it holds no %s at all",
			       rec_schemas[kind].name, id, file, rec_schemas[kind].name);
	return err_set(err, ERR_USAGE,
		       "no %s %s in %s: it holds %zu, with ids from %" PRIu64 " to %" PRIu64,
		       rec_schemas[kind].name, id, file, count, least, most);
}

int inspect_print_record(struct trace *t, const char *file, const char *kind, const char *id,
			 enum inspect_format format, FILE *out, struct err *err)
{
	enum rec_kind found = rec_kind_find(kind);
	struct inspect_source s;
	struct rec_sighting sighting;
	const void *rec = NULL;
	json_t *record;
	char *end;
	uint64_t number;
	int rc = 0;

	if (inspect_check_kind(kind, err))
		return -1;
	errno = 0;
	number = strtoull(id, &end, 10);
	if (*id >= '0' && *id <= '9' && !*end && !errno)
		rec = find_record(t, found, number, &sighting, err);
	if (err->kind != ERR_NONE)
		return -1;
	if (!rec)
		return no_record(t, file, found, id, err);
	inspect_source_init(&s, t, NULL);
	record = inspect_record(&s, found, rec);
	if (!record || s.failed) {
		rc = print_no_memory(err);
	} else if (format == INSPECT_TEXT) {
		rc = print_record_text(record, out) ? print_no_memory(err) : 0;
		inspect_notes_print(t, out);
	} else {
		rc = print_json(record, format == INSPECT_JSON ? JSON_DOCUMENT : JSON_ROW, out,
				err);
		fputc('\n', out);
	}
	json_decref(record);
	inspect_source_release(&s);
	return rc ? rc : print_finish(out, err);
}
