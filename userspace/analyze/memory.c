/* Were the functions that ran, in memory, what their file gives? */
#include "analyze/memory.h"

#include "analyze/group.h"

enum memory_state memory_of_function(const struct evidence *e, uint32_t function, uint64_t process,
				     const struct rec_function_memory **differs)
{
	size_t first, n = trace_related(e->trace, TRACE_FUNCTION_MEMORY_FUNCTION,
					e->functions[function].rec->id, &first);
	enum memory_state state = MEMORY_EQUAL;
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		const struct rec_function_memory *m =
			trace_related_at(e->trace, TRACE_FUNCTION_MEMORY_FUNCTION, first + i);

		if (m->process != process)
			continue;
		any = true;
		if (m->matches == 0) {
			*differs = m;
			return MEMORY_DIFFERS;
		}
		if (m->matches != 1)
			state = MEMORY_UNKNOWN;
	}
	return any ? state : MEMORY_UNKNOWN;
}

void memory_judge(const struct group_instance *instance, struct verdict *v)
{
	enum memory_state worst = MEMORY_EQUAL;

	for (size_t i = 0; i < instance->functions_count; i++) {
		const struct group_ran *ran = &instance->functions[i];
		enum memory_state state = memory_of_function(instance->evidence, ran->function,
							     ran->process, &v->memory);

		if (state > worst)
			worst = state;
		if (state == MEMORY_DIFFERS)
			break;
	}
	if (worst == MEMORY_EQUAL && instance->functions_count)
		v->with_memory = v->compared;
	if (worst != MEMORY_DIFFERS || v->rank == VERDICT_MODIFIED)
		return;
	v->rank = VERDICT_MODIFIED;
	v->level = "memory";
	v->reason = NULL;
	v->compared = true;
}
