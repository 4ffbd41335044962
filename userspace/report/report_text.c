/* The report as text: inputs, sections, routes, other code, what stands between, what is not known.
 */
#include "report/report.h"

#include <string.h>

#include "report/parts.h"
#include "report/text.h"

const char *parts_file(const struct printer *p, const char *sha256)
{
	const json_t *bundle;
	size_t i;

	json_array_foreach(p->bundles, i, bundle)
		if (!strcmp(text_get(bundle, "sha256"), sha256))
			return text_get(bundle, "file");
	return sha256;
}

static const json_t *find_claim(const struct printer *p, const char *id)
{
	const json_t *claim;
	size_t i;

	json_array_foreach(json_object_get(p->report, "claims"), i, claim)
		if (!strcmp(text_get(claim, "id"), id))
			return claim;
	return NULL;
}

/* ---- parts ---- */

/* How thin the samples are. */
static void print_sampling(const struct printer *p, const json_t *row)
{
	const json_t *sampling = json_object_get(row, "sampling"), *option, *count;
	const json_t *walks = json_object_get(sampling, "walks");
	const char *cause, *between = "";
	size_t i;

	fprintf(p->out, "              stacks are samples, not a full list of what ran\n");
	if (json_is_object(walks)) {
		fprintf(p->out, "              walks: %lld attempted, %lld delivered, skipped: ",
			text_number(walks, "attempted"), text_number(walks, "delivered"));
		json_object_foreach(json_object_get(walks, "skipped"), cause, count) {
			fprintf(p->out, "%s", between);
			text_put(p->out, cause);
			fprintf(p->out, " %lld", json_integer_value(count));
			between = ", ";
		}
		fprintf(p->out, "%s\n", *between ? "" : "none");
	} else {
		fprintf(p->out, "              walks: not known\n");
	}
	between = "              system calls make walks in phases only: ";
	json_array_foreach(json_object_get(sampling, "system_calls"), i, option) {
		fprintf(p->out, "%s", between);
		text_put(p->out, json_string_value(option) ? json_string_value(option) : "");
		between = ", ";
	}
	if (i)
		putc('\n', p->out);
}

static void print_bundle(const struct printer *p, const json_t *row)
{
	const json_t *host = json_object_get(row, "host");
	const json_t *collector = json_object_get(row, "collector");
	FILE *out = p->out;

	fprintf(out, "  bundle      ");
	text_put(out, text_get(row, "file"));
	fprintf(out, ", %lld call%s, %s, %s, signature %s\n", text_number(row, "calls"),
		text_plural(text_number(row, "calls")),
		json_is_true(json_object_get(row, "complete")) ? "complete" : "NOT COMPLETE",
		json_is_true(json_object_get(row, "altered")) ? "ALTERED" : "intact",
		text_get(row, "signature"));
	fprintf(out, "              window ");
	text_put_or_unknown(out, row, "start");
	fprintf(out, " to ");
	text_put_or_unknown(out, row, "stop");
	fprintf(out, "\n              challenge ");
	text_put(out, text_is_null(row, "challenge") ? "none" : text_get(row, "challenge"));
	fprintf(out, "\n              host: kernel ");
	text_put_or_unknown(out, host, "kernel");
	fprintf(out, ", ");
	text_put_or_unknown(out, host, "arch");
	fprintf(out, "\n              collector ");
	text_put_or_unknown(out, collector, "version");
	fprintf(out, ", sha256 ");
	text_put_or_unknown(out, collector, "exe_sha256");
	fprintf(out, "\n              sha256 %s\n", text_get(row, "sha256"));
	print_sampling(p, row);
}

static void print_inputs(const struct printer *p)
{
	const json_t *inputs = json_object_get(p->report, "inputs"), *row;
	const json_t *guideline = json_object_get(inputs, "guideline");
	size_t i;

	fprintf(p->out, "Inputs\n");
	json_array_foreach(p->bundles, i, row)
		print_bundle(p, row);
	fprintf(p->out, "  guideline   ");
	text_put(p->out, text_get(guideline, "id"));
	fprintf(p->out, ", schema %s, sha256 %s\n", text_get(guideline, "schema"),
		text_get(guideline, "sha256"));
	json_array_foreach(json_object_get(inputs, "definitions"), i, row) {
		fprintf(p->out, "  definition  ");
		text_put(p->out, text_get(row, "name"));
		fprintf(p->out, ", %s, sha256 %s\n",
			json_is_true(json_object_get(row, "shipped")) ? "shipped" : "not shipped",
			text_get(row, "sha256"));
	}
	json_array_foreach(json_object_get(inputs, "references"), i, row) {
		fprintf(p->out, "  reference   ");
		text_put(p->out, text_get(row, "package"));
		putc(' ', p->out);
		text_put(p->out, text_get(row, "version"));
		fprintf(p->out, " for ");
		text_put(p->out, text_get(row, "component"));
		fprintf(p->out, ", %lld file%s, kind %s, sha256 %s\n", text_number(row, "files"),
			text_plural(text_number(row, "files")), text_get(row, "kind"),
			text_get(row, "sha256"));
	}
}

void parts_records(const struct printer *p, const json_t *records)
{
	const char *last = NULL, *last_shows = NULL;
	const json_t *row;
	int column = 0;
	size_t i;

	json_array_foreach(records, i, row) {
		const char *bundle = text_get(row, "bundle");
		const char *shows =
			text_is_null(row, "shows") ? "shown by" : text_get(row, "shows");
		char word[64];

		snprintf(word, sizeof(word), "%s %lld", text_get(row, "kind"),
			 text_number(row, "id"));
		if (!last || strcmp(last, bundle) || strcmp(last_shows, shows)) {
			fprintf(p->out, "%s    ", last ? "\n" : "");
			text_put(p->out, shows);
			fprintf(p->out, ": inspect ");
			text_put(p->out, parts_file(p, bundle));
			column = fprintf(p->out, " record %s", word) + (int)strlen(shows) - 8;
		} else if (column + strlen(word) > 64) {
			column = fprintf(p->out, ",\n              %s", word);
		} else {
			column += fprintf(p->out, ", %s", word);
		}
		last = bundle;
		last_shows = shows;
	}
	if (last)
		putc('\n', p->out);
}

/* What weakens this claim and not every claim. */
static void print_weakened(const struct printer *p, const json_t *claim)
{
	const json_t *all = json_object_get(p->report, "weakened_by"), *row, *general;
	bool sampled = false;
	size_t i, j;

	json_array_foreach(json_object_get(claim, "weakened_by"), i, row) {
		bool known = false;

		if (!strcmp(text_get(row, "what"), "sampled")) {
			fprintf(p->out, "%s",
				sampled ? ""
					: "    weakened:\n      stacks are samples, not a full "
					  "list of what ran: figures under Inputs\n");
			sampled = true;
			continue;
		}

		json_array_foreach(all, j, general)
			known |= json_equal(row, general);
		if (known)
			continue;
		fprintf(p->out, "    weakened:\n");
		text_put_folded(p->out, 6, text_get(row, "text"));
	}
}

static void print_claims(const struct printer *p, const json_t *ids)
{
	const json_t *id;
	size_t i;

	json_array_foreach(ids, i, id) {
		const json_t *claim = find_claim(p, json_string_value(id));

		if (!claim)
			continue;
		text_put_folded(p->out, 4, text_get(claim, "text"));
		parts_records(p, json_object_get(claim, "records"));
		print_weakened(p, claim);
	}
}

static bool is_mapped(const json_t *row)
{
	return !text_is_null(row, "calls");
}

static void print_sections(const struct printer *p)
{
	const json_t *row;
	size_t i, unmapped = 0;

	fprintf(p->out, "\nSections\n");
	json_array_foreach(json_object_get(p->report, "sections"), i, row) {
		if (!is_mapped(row)) {
			unmapped++;
			continue;
		}
		fprintf(p->out, "  ");
		text_put(p->out, text_get(row, "component"));
		fprintf(p->out, ": ");
		text_put(p->out, text_get(row, "section"));
		fprintf(p->out, " [%s, %s]: %s", text_get(row, "list"),
			json_is_true(json_object_get(row, "designated")) ? "designated"
									 : "not designated",
			text_get(row, "status"));
		if (!text_is_null(row, "level"))
			fprintf(p->out, " (level %s)", text_get(row, "level"));
		if (!text_is_null(row, "compared"))
			fprintf(p->out, ", compared %s", text_get(row, "compared"));
		putc('\n', p->out);
		print_claims(p, json_object_get(row, "claims"));
	}
	if (unmapped)
		fprintf(p->out,
			"  %zu more section%s of the guideline: unknown, no service definition "
			"maps code to it (see report.json)\n",
			unmapped, text_plural((long long)unmapped));
}

static void print_routes(const struct printer *p)
{
	const json_t *row;
	size_t i;

	fprintf(p->out, "\nRoutes%55s\n", "calls    deep  unseen reached unknown");
	json_array_foreach(json_object_get(p->report, "routes"), i, row) {
		fprintf(p->out, "  ");
		text_put(p->out, text_is_null(row, "component") ? "(no component)"
								: text_get(row, "component"));
		fprintf(p->out, ": ");
		text_put(p->out, text_get(row, "method"));
		putc(' ', p->out);
		text_put(p->out,
			 text_is_null(row, "route") ? "(no route)" : text_get(row, "route"));
		fprintf(p->out, "\n%21s", "");
		text_put_number(p->out, row, "calls");
		text_put_number(p->out, row, "deep");
		text_put_number(p->out, row, "unsighted");
		text_put_number(p->out, row, "reached");
		text_put_number(p->out, row, "no_sighting");
		putc('\n', p->out);
		if (json_array_size(json_object_get(row, "claims")))
			print_claims(p, json_object_get(row, "claims"));
		else
			text_put_folded(p->out, 4, text_get(row, "reason"));
	}
}

static void print_others(const struct printer *p)
{
	const json_t *row, *all = json_object_get(p->report, "other_code");
	size_t i;

	if (!json_array_size(all))
		return;
	fprintf(p->out, "\nOther code on the way (outside the sections)\n");
	json_array_foreach(all, i, row) {
		fprintf(p->out, "  ");
		text_put(p->out, text_is_null(row, "component") ? "(no component)"
								: text_get(row, "component"));
		fprintf(p->out, ": %s ", text_get(row, "owner_kind"));
		text_put(p->out, text_get(row, "owner"));
		if (!text_is_null(row, "version")) {
			putc(' ', p->out);
			text_put(p->out, text_get(row, "version"));
		}
		fprintf(p->out, ": %lld file%s, %lld function%s, in %lld call%s\n",
			text_number(row, "files"), text_plural(text_number(row, "files")),
			text_number(row, "functions"), text_plural(text_number(row, "functions")),
			text_number(row, "calls"), text_plural(text_number(row, "calls")));
		parts_records(p, json_object_get(row, "records"));
	}
}

static void print_list(const struct printer *p, const char *word, const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		fprintf(p->out, "%s", i ? ", " : word);
		text_put(p->out, json_string_value(item) ? json_string_value(item) : "");
	}
}

/* What was put in the place of other code, in the way of a process, or beside the packages. */
static void print_between(const struct printer *p)
{
	const json_t *in = json_object_get(p->report, "interpositions"), *row;
	const json_t *outside = json_object_get(p->report, "outside_packages");
	size_t i;

	fprintf(p->out, "\nCode that stands in between\n");
	if (!json_array_size(in))
		fprintf(p->out, "  interpositions: none is in the bundles\n");
	json_array_foreach(in, i, row) {
		fprintf(p->out, "  ");
		text_put_or_unknown(p->out, row, "kind");
		text_put_part(p->out, ": ", row, "place");
		text_put_part(p->out, " of ", row, "module");
		text_put_part(p->out, ", by ", row, "by");
		text_put_part(p->out, ", ", row, "detail");
		if (!text_is_null(json_object_get(row, "process"), "pid"))
			fprintf(p->out, ", in pid %lld",
				text_number(json_object_get(row, "process"), "pid"));
		print_list(p, "\n    concerns ", json_object_get(row, "sections"));
		putc('\n', p->out);
		parts_records(p, json_object_get(row, "records"));
	}
	if (!json_array_size(outside))
		fprintf(p->out, "  modules outside any package: none was seen in a call\n");
	else
		fprintf(p->out, "  modules that ran in calls and that no package owns, as far as "
				"is known\n");
	json_array_foreach(outside, i, row) {
		fprintf(p->out, "  ");
		text_put(p->out, text_is_null(row, "component") ? "(no component)"
								: text_get(row, "component"));
		fprintf(p->out, ": ");
		text_put_or_unknown(p->out, row, "path");
		fprintf(p->out, "%s: %lld function%s, in %lld call%s",
			text_is_null(row, "owned") ? " (not known whether one does)" : "",
			text_number(row, "functions"), text_plural(text_number(row, "functions")),
			text_number(row, "calls"), text_plural(text_number(row, "calls")));
		print_list(p, " of ", json_object_get(row, "routes"));
		putc('\n', p->out);
		parts_records(p, json_object_get(row, "records"));
	}
}

static void print_unknown(const struct printer *p)
{
	const json_t *weak = json_object_get(p->report, "weakened_by"), *row;
	const json_t *bare = json_object_get(p->report, "not_compared");
	size_t i;

	fprintf(p->out, "\nWhat weakens every claim\n");
	json_array_foreach(weak, i, row) {
		fprintf(p->out, "  %s", text_get(row, "what"));
		if (!text_is_null(row, "bundle")) {
			fprintf(p->out, ", ");
			text_put(p->out, parts_file(p, text_get(row, "bundle")));
		}
		fprintf(p->out, ":\n");
		text_put_folded(p->out, 4, text_get(row, "text"));
	}
	if (!json_array_size(weak))
		fprintf(p->out, "  nothing that the bundles know of\n");
	parts_visibility(p);
	json_array_foreach(bare, i, row) {
		fprintf(p->out, "  ");
		text_put(p->out, text_get(row, "component"));
		fprintf(p->out, ": %s\n", text_get(row, "reason"));
	}
}

int report_print_text(const json_t *report, FILE *out, struct err *err)
{
	const struct printer p = { out, report,
				   json_object_get(json_object_get(report, "inputs"), "bundles") };

	if (strncmp(text_get(report, "schema"), "daylight.report/", 16))
		return err_set(err, ERR_INTERNAL, "not a report: 'schema' is missing");
	fprintf(out, "Daylight report (%s)\n\n", text_get(report, "schema"));
	print_inputs(&p);
	print_sections(&p);
	print_routes(&p);
	parts_ways(&p);
	print_between(&p);
	print_others(&p);
	print_unknown(&p);
	if (fflush(out) || ferror(out))
		return err_errno(err, ERR_INCOMPLETE, "report: output cannot be written");
	return 0;
}
