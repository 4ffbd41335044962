/* Stacks made whole: a stack's record may leave out frames that an earlier stack has, too. */
#include "bundle/trace_private.h"

#include <string.h>

/* The whole of a stack whose base comes before it, and is whole by now. 1: it is not known. */
static int stack_join(struct trace *t, struct rec_stack *s, size_t row, struct err *err)
{
	const struct rec_stack *rows = trace_at(t, REC_STACK_KIND, 0);
	const struct rec_stack *base = trace_find(t, REC_STACK_KIND, s->base);
	struct rec_list whole;

	if (!base || (size_t)(base - rows) >= row || s->kept > base->frames.count ||
	    s->frames.count + s->kept > BUNDLE_LIST_MAX)
		return 1;
	whole.count = s->frames.count + (uint32_t)s->kept;
	whole.items = trace_list(t, whole.count, err);
	if (!whole.items)
		return whole.count ? -1 : 0;
	if (s->frames.count)
		memcpy((uint64_t *)whole.items, s->frames.items,
		       s->frames.count * sizeof(*whole.items));
	memcpy((uint64_t *)whole.items + s->frames.count,
	       base->frames.items + base->frames.count - s->kept, s->kept * sizeof(*whole.items));
	s->frames = whole;
	return 0;
}

int trace_stacks_build(struct trace *t, struct err *err)
{
	struct trace_table *table = &t->tables[REC_STACK_KIND];
	struct rec_stack *rows = (struct rec_stack *)table->rows;

	for (size_t row = 0; row < table->count; row++) {
		struct rec_stack *s = &rows[row];
		int ret = s->kept && s->kept != REC_NULL ? stack_join(t, s, row, err) : 0;

		if (ret < 0)
			return -1;
		/* What is not known is not guessed: these frames are all. */
		if (ret)
			s->partial = 1;
	}
	return 0;
}
