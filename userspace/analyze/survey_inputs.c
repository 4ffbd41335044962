/* Loads the guideline, the references and the bundles of a survey. */
#include <string.h>

#include "analyze/survey.h"

/* The same evidence twice would count each call twice. */
static int check_twice(const struct evidence *a, const struct evidence *b, struct err *err)
{
	const struct rec_window *x = trace_window(a->trace), *y = trace_window(b->trace);
	const struct bundle_string *p = x ? trace_string(a->trace, x->window) : NULL;
	const struct bundle_string *q = y ? trace_string(b->trace, y->window) : NULL;

	if (!strcmp(trace_sha256(a->trace), trace_sha256(b->trace)))
		return err_set(err, ERR_USAGE, "'%s' and '%s' are the same bundle: give it once",
			       a->path, b->path);
	if (p && q && p->len && p->len == q->len && !memcmp(p->data, q->data, p->len))
		return err_set(err, ERR_USAGE,
			       "'%s' and '%s' hold the same window: give one of them", a->path,
			       b->path);
	return 0;
}

int survey_load_inputs(struct survey *s, struct err *err)
{
	const struct analyze_options *o = s->options;

	if (guideline_load(o->guideline, &s->guideline, err))
		return -1;
	s->references = calloc(o->references_count + 1, sizeof(*s->references));
	s->bundles = calloc(o->bundles_count + 1, sizeof(*s->bundles));
	if (!s->references || !s->bundles)
		return err_set(err, ERR_INCOMPLETE, "out of memory: analyze fewer bundles at once");
	for (size_t i = 0; i < o->references_count; i++, s->references_count++)
		if (reference_load(o->references[i], &s->references[i], err))
			return -1;
	for (size_t i = 0; i < o->bundles_count; i++) {
		s->bundles_count++;
		if (evidence_load(&s->bundles[i], o->bundles[i], err))
			return -1;
		for (size_t j = 0; j < i; j++)
			if (check_twice(&s->bundles[j], &s->bundles[i], err))
				return -1;
	}
	return 0;
}
