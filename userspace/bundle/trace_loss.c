/* The ledger of a trace: the last record of each (stage, class, cause) holds. */
#include "bundle/trace_private.h"

#include <stdlib.h>
#include <string.h>

struct loss_row {
	struct trace_loss loss;
	size_t row; /* in the loss table */
	size_t stage_row; /* where the stage appeared first */
};

static int compare_names(const struct loss_row *x, const struct loss_row *y)
{
	int order = strcmp(x->loss.stage, y->loss.stage);

	if (!order)
		order = (int)x->loss.class - (int)y->loss.class;
	return order ? order : strcmp(x->loss.cause, y->loss.cause);
}

static int compare_rows(const void *a, const void *b)
{
	const struct loss_row *x = a, *y = b;
	int order = compare_names(x, y);

	if (order)
		return order;
	return x->row < y->row ? -1 : x->row > y->row;
}

static int compare_appearance(const void *a, const void *b)
{
	const struct loss_row *x = a, *y = b;

	if (x->stage_row != y->stage_row)
		return x->stage_row < y->stage_row ? -1 : 1;
	return compare_names(x, y);
}

static const char *loss_text(const struct trace *t, uint64_t string)
{
	const char *text = trace_text(t, string);

	return text ? text : "";
}

/* Keeps the last row of each name; rows are sorted by name and row. Returns the new count. */
static size_t loss_keep_last(struct loss_row *rows, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (i + 1 == count || compare_names(&rows[i], &rows[i + 1]))
			rows[kept++] = rows[i];
	return kept;
}

/* Each row learns where its stage appeared first; rows of a stage are neighbours. */
static void loss_set_appearance(struct loss_row *rows, size_t count)
{
	for (size_t i = 0, end; i < count; i = end) {
		size_t first = rows[i].row;

		for (end = i; end < count && !strcmp(rows[end].loss.stage, rows[i].loss.stage);
		     end++)
			if (rows[end].row < first)
				first = rows[end].row;
		for (size_t j = i; j < end; j++)
			rows[j].stage_row = first;
	}
}

long trace_losses(const struct trace *t, struct trace_loss **out)
{
	size_t total = trace_count(t, REC_LOSS_KIND), count = 0;
	struct loss_row *rows;

	*out = NULL;
	if (!total)
		return 0;
	rows = calloc(total, sizeof(*rows));
	if (!rows)
		return -1;
	for (size_t row = 0; row < total; row++) {
		const struct rec_loss *l = trace_at(t, REC_LOSS_KIND, row);

		if (l->class >= LOSS_CLASS_COUNT || l->count == REC_NULL)
			continue;
		rows[count].loss =
			(struct trace_loss){ loss_text(t, l->stage), (enum loss_class)l->class,
					     loss_text(t, l->cause), l->count, l->id };
		rows[count++].row = row;
	}
	qsort(rows, count, sizeof(*rows), compare_rows);
	loss_set_appearance(rows, count);
	count = loss_keep_last(rows, count);
	qsort(rows, count, sizeof(*rows), compare_appearance);
	*out = calloc(count ? count : 1, sizeof(**out));
	for (size_t i = 0; *out && i < count; i++)
		(*out)[i] = rows[i].loss;
	free(rows);
	return *out ? (long)count : -1;
}

uint64_t trace_lost_total(const struct trace *t)
{
	struct trace_loss *losses;
	long n = trace_losses(t, &losses);
	uint64_t total = 0;

	for (long i = 0; i < n; i++)
		if (losses[i].class == LOSS_LOST &&
		    __builtin_add_overflow(total, losses[i].count, &total))
			total = UINT64_MAX;
	free(losses);
	return total;
}
