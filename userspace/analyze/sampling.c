/* How thin the samples are, from a bundle's ledger and its window. */
#include "analyze/sampling.h"

#include <string.h>

#include "analyze/claim.h"

#define STAGE "stack-walks" /* the ledger's name of it */

static json_t *walks_row(const struct evidence *e)
{
	struct trace_loss *rows = NULL;
	long n = trace_losses(e->trace, &rows);
	json_t *skipped = json_object(), *out;
	json_int_t attempted = 0, delivered = 0;
	bool known = false;

	for (long i = 0; i < n; i++) {
		if (strcmp(rows[i].stage, STAGE))
			continue;
		known = true;
		if (rows[i].class == LOSS_ATTEMPTED)
			attempted = claim_number(rows[i].count);
		else if (rows[i].class == LOSS_DELIVERED)
			delivered = claim_number(rows[i].count);
		else if (rows[i].class == LOSS_SKIPPED && rows[i].count)
			json_object_set_new(skipped, rows[i].cause,
					    json_integer(claim_number(rows[i].count)));
	}
	free(rows);
	if (n < 0 || !known) {
		json_decref(skipped);
		return n < 0 ? NULL : json_null();
	}
	out = json_pack("{s:I, s:I, s:o}", "attempted", attempted, "delivered", delivered,
			"skipped", skipped);
	return out;
}

/* The window's options that begin with "syscall-". */
static json_t *options_row(const struct evidence *e)
{
	const struct rec_window *w = trace_window(e->trace);
	json_t *out = json_array();

	for (uint32_t i = 0; out && w && i < w->options.count; i++) {
		const char *text = trace_text(e->trace, w->options.items[i]);

		if (text && !strncmp(text, "syscall-", 8) &&
		    json_array_append_new(out, claim_text(text))) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

json_t *sampling_row(const struct evidence *e)
{
	return json_pack("{s:o, s:o}", "walks", walks_row(e), "system_calls", options_row(e));
}

/* "paced 3666, repeat 114"; the caller frees it. NULL: no memory. */
static char *list_skipped(const json_t *skipped)
{
	char *text = NULL;
	const char *cause;
	json_t *count;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	json_object_foreach((json_t *)skipped, cause, count)
		fprintf(out, "%s%s %lld", ftell(out) ? ", " : "", cause, json_integer_value(count));
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static char *list_options(const json_t *options)
{
	char *text = NULL;
	json_t *option;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	json_array_foreach(options, i, option)
		fprintf(out, "%s%s", i ? ", " : "; system calls made walks only in phases (",
			json_string_value(option));
	fputs(i ? ")" : "", out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

json_t *sampling_text(const struct evidence *e)
{
	json_t *row = sampling_row(e), *out = NULL;
	const json_t *walks = json_object_get(row, "walks");
	const json_t *skipped = json_object_get(walks, "skipped");
	char *causes = row ? list_skipped(skipped) : NULL;
	char *options = row ? list_options(json_object_get(row, "system_calls")) : NULL;
	json_int_t passed = 0;
	const char *cause;
	json_t *count;

	json_object_foreach((json_t *)skipped, cause, count)
		passed = claim_sum(passed, (uint64_t)json_integer_value(count));
	if (causes && options && json_is_object(walks) && !passed && !*options)
		out = json_null();
	else if (causes && options && !json_is_object(walks))
		out = claim_format("stacks are samples, not a full list of what ran; the bundle "
				   "does not say how many walks were passed over%s",
				   options);
	else if (causes && options)
		out = claim_format(
			"stacks are samples, not a full list of what ran: of %lld walks attempted, "
			"%lld were delivered and %lld skipped%s%s%s%s",
			json_integer_value(json_object_get(walks, "attempted")),
			json_integer_value(json_object_get(walks, "delivered")), passed,
			passed ? " (" : "", causes, passed ? ")" : "", options);
	free(causes);
	free(options);
	json_decref(row);
	return out;
}
