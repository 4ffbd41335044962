/* Which rows of a view the filter has. */
#include "inspect/rows.h"

#include <string.h>

bool inspect_fits_time(const struct inspect_source *s, uint64_t from, uint64_t until)
{
	const struct inspect_filter *f = s->filter;
	uint64_t first = trace_realtime(s->t, from), last = trace_realtime(s->t, until);

	/* REC_NULL is later than all: not known when it began is not in any time. */
	if (f->until && first >= f->until)
		return false;
	return !f->since || (first != REC_NULL && last >= f->since);
}

bool inspect_fits_process(const struct inspect_source *s, uint64_t process)
{
	const struct rec_process *p;

	if (!s->filter->process)
		return true;
	p = trace_find(s->t, REC_PROCESS_KIND, process);
	return p && p->pid == s->filter->process;
}

bool inspect_fits_module(const struct inspect_source *s, uint64_t module)
{
	const char *wanted = s->filter->module, *path;
	const struct rec_module *m;
	size_t len, end;

	if (!wanted)
		return true;
	m = trace_find(s->t, REC_MODULE_KIND, module);
	path = m ? trace_text(s->t, m->path) : NULL;
	if (!path)
		return false;
	len = strlen(path);
	end = strlen(wanted);
	if (end > len || strcmp(path + len - end, wanted) != 0)
		return false;
	return end == len || path[len - end - 1] == '/' || *wanted == '/';
}

static bool fits_name(const struct inspect_source *s, uint64_t string)
{
	const char *name = trace_text(s->t, string);

	return name && !strcmp(name, s->filter->function);
}

static bool fits_function(const struct inspect_source *s, const struct rec_function *f)
{
	if (s->filter->function && !fits_name(s, f->qualname) && !fits_name(s, f->name))
		return false;
	return inspect_fits_module(s, f->module);
}

bool inspect_asks_functions(const struct inspect_source *s)
{
	return s->filter->module || s->filter->function;
}

bool inspect_fits_function(struct inspect_source *s, uint64_t function)
{
	const struct rec_function *f;
	size_t row;

	if (!inspect_asks_functions(s))
		return true;
	f = trace_find(s->t, REC_FUNCTION_KIND, function);
	if (!f || !s->functions_fit)
		return false;
	row = (size_t)(f - (const struct rec_function *)trace_at(s->t, REC_FUNCTION_KIND, 0));
	if (!s->functions_fit[row])
		s->functions_fit[row] = fits_function(s, f) ? 2 : 1;
	return s->functions_fit[row] == 2;
}

static bool fits_request_id(const struct inspect_source *s, const struct rec_call *call)
{
	const char *wanted = s->filter->request_id, *text = trace_text(s->t, call->request_id);

	if (text && !strcmp(text, wanted))
		return true;
	for (uint32_t i = 1; i < call->request_ids.count; i += 2) {
		text = trace_text(s->t, call->request_ids.items[i]);
		if (text && !strcmp(text, wanted))
			return true;
	}
	return false;
}

bool inspect_fits_call(const struct inspect_source *s, const struct rec_call *call)
{
	const struct inspect_filter *f = s->filter;
	const char *route = f->route ? trace_text(s->t, call->route) : NULL;

	if (f->route && (!route || strcmp(route, f->route) != 0))
		return false;
	if (f->status_from && (call->status < f->status_from || call->status > f->status_to))
		return false;
	if (f->request_id && !fits_request_id(s, call))
		return false;
	return inspect_fits_process(s, call->process) &&
	       inspect_fits_time(s, call->start, call->start);
}
