/* The view `loss`: what each stage attempted, delivered, skipped and lost. */
#include "inspect/rows.h"

#include <stdlib.h>
#include <string.h>

static json_t *loss_stage(struct inspect_source *s, const char *stage)
{
	json_t *row = json_object();

	inspect_set(s, row, "stage", inspect_bytes(stage, strlen(stage)));
	inspect_set(s, row, "attempted", json_null());
	inspect_set(s, row, "delivered", json_null());
	inspect_set(s, row, "skipped", json_object());
	inspect_set(s, row, "lost", json_object());
	return row;
}

static void loss_put(struct inspect_source *s, json_t *row, const struct trace_loss *loss)
{
	const char *class = rec_loss_class_name(loss->class);

	if (loss->class == LOSS_ATTEMPTED || loss->class == LOSS_DELIVERED)
		inspect_set(s, row, class, inspect_number(loss->count));
	else
		inspect_add(s, json_object_get(row, class), *loss->cause ? loss->cause : "unknown",
			    loss->count);
}

/* All stages, each built once. */
static json_t *loss_rows(struct inspect_source *s)
{
	struct trace_loss *losses;
	json_t *row = NULL;
	long n;

	if (s->losses)
		return s->losses;
	s->losses = json_array();
	n = trace_losses(s->t, &losses);
	if (n < 0)
		s->failed = true;
	for (long i = 0; i < n; i++) {
		if (!i || strcmp(losses[i].stage, losses[i - 1].stage) != 0) {
			row = loss_stage(s, losses[i].stage);
			inspect_append(s, s->losses, row);
		}
		loss_put(s, row, &losses[i]);
	}
	free(losses);
	return s->losses;
}

static size_t loss_count(struct inspect_source *s)
{
	return json_array_size(loss_rows(s));
}

static json_t *loss_row(struct inspect_source *s, size_t i)
{
	return json_incref(json_array_get(loss_rows(s), i));
}

static const struct inspect_column loss_columns[] = {
	{ "STAGE", "stage", CELL_FLEX },	  { "ATTEMPTED", "attempted", CELL_RIGHT },
	{ "DELIVERED", "delivered", CELL_RIGHT }, { "LOST", "lost", CELL_WRAP },
	{ "SKIPPED", "skipped", CELL_WRAP },	  { NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_loss = { "loss",	 REC_LOSS_KIND,	     loss_count, loss_row,
					   loss_columns, INSPECT_KIND(LOSS), 0 };
