/* The views of code: modules, functions, stacks, and what stands in another's place. */
#include "inspect/rows.h"

#include <stdlib.h>
#include <string.h>

/* ---- modules ---- */

static json_t *module_package(struct inspect_source *s, const struct rec_identity *id)
{
	json_t *out;

	if (!id || id->package == REC_NULL || id->package == REC_EMPTY)
		return json_null();
	out = json_object();
	inspect_set(s, out, "manager", inspect_string(s, id->package_manager));
	inspect_set(s, out, "name", inspect_string(s, id->package));
	inspect_set(s, out, "version", inspect_string(s, id->package_version));
	inspect_set(s, out, "digest_matches", inspect_bool(id->digest_matches));
	return out;
}

static json_t *module_pyc(struct inspect_source *s, const struct rec_pyc *pyc)
{
	json_t *out;

	if (!pyc)
		return json_null();
	out = json_object();
	inspect_set(s, out, "path", inspect_string(s, pyc->path));
	inspect_set(s, out, "sha256", inspect_hex(s, pyc->sha256));
	inspect_set(s, out, "header_matches", inspect_bool(pyc->header_matches));
	inspect_set(s, out, "proven", inspect_bool(pyc->proven));
	inspect_set(s, out, "how", inspect_string(s, pyc->how));
	inspect_set(s, out, "when", inspect_monotonic(s, pyc->when));
	inspect_set(s, out, "changed_after_load", inspect_bool(pyc->changed_after_load));
	return out;
}

static json_t *modules_row(struct inspect_source *s, size_t i)
{
	const struct rec_module *m = trace_at(s->t, REC_MODULE_KIND, i);
	const struct rec_identity *id = trace_identity(s->t, m->id);
	json_t *row, *digest;

	if (!inspect_fits_module(s, m->id))
		return NULL;
	row = json_object();
	digest = json_object();

	inspect_set(s, row, "module", inspect_number(m->id));
	inspect_set(s, row, "kind", json_string(rec_module_kind_name(m->kind)));
	inspect_set(s, row, "path", inspect_string(s, m->path));
	inspect_set(s, row, "device", inspect_number(id ? id->device : REC_NULL));
	inspect_set(s, row, "inode", inspect_number(id ? id->inode : REC_NULL));
	inspect_set(s, row, "size", inspect_number(id ? id->size : REC_NULL));
	inspect_set(s, row, "mtime", inspect_realtime(id ? id->mtime : REC_NULL));
	inspect_set(s, row, "ctime", inspect_realtime(id ? id->ctime : REC_NULL));
	inspect_set(s, row, "sha256", id ? inspect_hex(s, id->sha256) : json_null());
	inspect_set(s, row, "build_id", id ? inspect_hex(s, id->build_id) : json_null());
	inspect_set(s, row, "package", module_package(s, id));
	inspect_set(s, digest, "how", id ? inspect_string(s, id->how) : json_null());
	inspect_set(s, digest, "when", inspect_monotonic(s, id ? id->when : REC_NULL));
	inspect_set(s, row, "digest", digest);
	inspect_set(s, row, "changed_after_load",
		    inspect_bool(id ? id->changed_after_load : REC_NULL));
	inspect_set(s, row, "language", json_string(rec_language_name(m->language)));
	inspect_set(s, row, "pyc", module_pyc(s, trace_pyc(s->t, m->id)));
	return row;
}

static const struct inspect_column modules_columns[] = {
	{ "MODULE", "module", CELL_RIGHT },
	{ "KIND", "kind", CELL_PLAIN },
	{ "LANG", "language", CELL_PLAIN },
	{ "SHA256", "sha256", CELL_SHORT },
	{ "PACKAGE", "package.name", CELL_FLEX },
	{ "SAME", "package.digest_matches", CELL_PLAIN },
	{ "CHANGED", "changed_after_load", CELL_PLAIN },
	{ "PATH", "path", CELL_PATH },
	{ NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_modules = { "modules",
					      REC_MODULE_KIND,
					      NULL,
					      modules_row,
					      modules_columns,
					      INSPECT_KIND(MODULE) | INSPECT_KIND(IDENTITY) |
						      INSPECT_KIND(PYC),
					      INSPECT_BY_MODULE };

/* ---- functions ---- */

static json_t *function_source(struct inspect_source *s, const struct rec_function_source *source)
{
	json_t *out;

	if (!source)
		return json_null();
	out = json_object();
	inspect_set(s, out, "tokens", inspect_hex(s, source->tokens));
	inspect_set(s, out, "docstring", inspect_hex(s, source->docstring));
	inspect_set(s, out, "how", inspect_string(s, source->how));
	return out;
}

/* In each process that was looked at; `matches` gets what they add up to: one no is a no. */
static json_t *function_memory(struct inspect_source *s, uint64_t function, uint64_t *matches)
{
	size_t first, n = trace_related(s->t, TRACE_FUNCTION_MEMORY_FUNCTION, function, &first);
	json_t *out = json_array();

	*matches = n ? 1 : REC_NULL;
	for (size_t i = 0; i < n; i++) {
		const struct rec_function_memory *m =
			trace_related_at(s->t, TRACE_FUNCTION_MEMORY_FUNCTION, first + i);
		json_t *row = json_object();

		if (*matches && m->matches != 1)
			*matches = m->matches ? REC_NULL : 0;
		inspect_set(s, row, "record", inspect_number(m->id));
		inspect_set(s, row, "process", inspect_number(m->process));
		inspect_set(s, row, "magic", inspect_number(m->magic));
		inspect_set(s, row, "memory", inspect_hex(s, m->memory));
		inspect_set(s, row, "compiled", inspect_hex(s, m->compiled));
		inspect_set(s, row, "matches", inspect_bool(m->matches));
		inspect_set(s, row, "how", inspect_string(s, m->how));
		inspect_set(s, row, "when", inspect_monotonic(s, m->when));
		inspect_append(s, out, row);
	}
	return out;
}

static json_t *functions_row(struct inspect_source *s, size_t i)
{
	const struct rec_function *f = trace_at(s->t, REC_FUNCTION_KIND, i);
	json_t *shared, *row;
	uint64_t matches;

	if (!inspect_fits_function(s, f->id))
		return NULL;
	shared = inspect_function(s, f->id);
	row = json_copy(shared);
	json_decref(shared);
	inspect_set(s, row, "source", function_source(s, trace_function_source(s->t, f->id)));
	inspect_set(s, row, "memory", function_memory(s, f->id, &matches));
	inspect_set(s, row, "memory_matches", inspect_bool(matches));
	return row;
}

static const struct inspect_column functions_columns[] = {
	{ "FUNCTION", "function", CELL_RIGHT },
	{ "MODULE", "module", CELL_RIGHT },
	{ "LINE", "line", CELL_RIGHT },
	{ "OFFSET", "offset", CELL_HEX },
	{ "TOKENS", "source.tokens", CELL_SHORT },
	{ "AS ON DISK", "memory_matches", CELL_PLAIN },
	{ "QUALNAME", "", CELL_FUNCTION },
	{ "PATH", "path", CELL_PATH },
	{ NULL, NULL, CELL_PLAIN },
};

const struct inspect_column inspect_frame_columns[] = {
	{ "FUNCTION", "function", CELL_RIGHT },
	{ "MODULE", "module", CELL_RIGHT },
	{ "LINE", "line", CELL_RIGHT },
	{ "OFFSET", "offset", CELL_HEX },
	{ "QUALNAME", "", CELL_FUNCTION },
	{ "PATH", "path", CELL_PATH },
	{ NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_functions = { "functions",
						REC_FUNCTION_KIND,
						NULL,
						functions_row,
						functions_columns,
						INSPECT_KIND(FUNCTION) | INSPECT_KIND(MODULE) |
							INSPECT_KIND(FUNCTION_SOURCE) |
							INSPECT_KIND(FUNCTION_MEMORY),
						INSPECT_BY_MODULE | INSPECT_BY_FUNCTION };

/* ---- stacks ---- */

/* What all sightings of a stack say of it. */
struct inspect_seen {
	uint64_t sightings, count;
	bool other; /* seen otherwise than by the interpreter's own start of a function */
};

static int stack_see(void *ctx, const struct rec_sighting *seen)
{
	struct inspect_source *s = ctx;
	const struct rec_stack *first = trace_at(s->t, REC_STACK_KIND, 0);
	const struct rec_stack *stack = trace_find(s->t, REC_STACK_KIND, seen->stack);
	struct inspect_seen *sum = stack ? &s->stacks[stack - first] : NULL;

	if (!sum)
		return 0;
	sum->sightings++;
	sum->other |= seen->source != SOURCE_DEEP;
	if (seen->count != REC_NULL && __builtin_add_overflow(sum->count, seen->count, &sum->count))
		sum->count = UINT64_MAX - 1;
	return 0;
}

/* Of the stack with this id; its sightings are gathered once. */
static struct inspect_seen stack_seen(struct inspect_source *s, uint64_t id)
{
	const struct rec_stack *first = trace_at(s->t, REC_STACK_KIND, 0);

	if (!s->stacks) {
		s->stacks = calloc(trace_count(s->t, REC_STACK_KIND), sizeof(*s->stacks));
		if (!s->stacks || trace_each_sighting(s->t, 0, stack_see, s, &s->err)) {
			s->failed = true;
			return (struct inspect_seen){ 0 };
		}
	}
	return s->stacks[(const struct rec_stack *)trace_find(s->t, REC_STACK_KIND, id) - first];
}

/*
 * "whole", "partial" (the walk broke off), or "entered": the interpreter's own start of a function
 * was seen, not who called it. One that a broken walk left as well is both, and is called partial.
 */
static const char *stack_kind(const struct rec_stack *stack, const struct inspect_seen *seen)
{
	bool entered = seen->sightings && stack->frames.count == 1 && !seen->other;

	return !stack->partial ? "whole" : entered ? "entered" : "partial";
}

static bool stack_fits(struct inspect_source *s, const struct rec_stack *stack)
{
	if (!inspect_fits_process(s, stack->process))
		return false;
	for (uint32_t i = 0; i < stack->frames.count; i++)
		if (inspect_fits_function(s, stack->frames.items[i]))
			return true;
	return !inspect_asks_functions(s);
}

static json_t *stacks_row(struct inspect_source *s, size_t i)
{
	const struct rec_stack *stack = trace_at(s->t, REC_STACK_KIND, i);
	struct inspect_seen seen;
	json_t *row, *frames;
	const char *kind;

	if (!stack_fits(s, stack))
		return NULL;
	seen = stack_seen(s, stack->id);
	kind = stack_kind(stack, &seen);
	row = json_object();
	frames = inspect_frames(s, &stack->frames);
	inspect_set(s, row, "stack", inspect_number(stack->id));
	inspect_set(s, row, "process", inspect_process(s, stack->process));
	inspect_set(s, row, "partial", inspect_bool(stack->partial));
	inspect_set(s, row, "kind", json_string(kind));
	inspect_set(s, row, "sightings", inspect_number(seen.sightings));
	inspect_set(s, row, "count", inspect_number(seen.count));
	/* Where the walk broke off the last frame that is known is not the outermost one. */
	inspect_set(s, row, "outermost",
		    strcmp(kind, "whole") || !stack->frames.count
			    ? json_null()
			    : json_incref(json_array_get(frames, stack->frames.count - 1)));
	inspect_set(s, row, "frames", frames);
	return row;
}

static const struct inspect_column stacks_columns[] = {
	{ "STACK", "stack", CELL_RIGHT },
	{ "PID", "process.pid", CELL_RIGHT },
	{ "SEEN", "count", CELL_RIGHT },
	{ "KIND", "kind", CELL_PLAIN },
	{ "FRAMES", "frames", CELL_COUNT },
	{ "INNERMOST", "frames.0", CELL_FUNCTION },
	{ "ITS FILE", "frames.0.path", CELL_PATH },
	{ "OUTERMOST", "outermost", CELL_FUNCTION },
	{ NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_stacks = { "stacks",
					     REC_STACK_KIND,
					     NULL,
					     stacks_row,
					     stacks_columns,
					     INSPECT_KIND(STACK) | INSPECT_KIND(FUNCTION) |
						     INSPECT_KIND(MODULE) | INSPECT_KIND(PROCESS) |
						     INSPECT_KIND(SIGHTING),
					     INSPECT_BY_PROCESS | INSPECT_BY_MODULE |
						     INSPECT_BY_FUNCTION };

/* ---- interpositions ---- */

static json_t *interpositions_row(struct inspect_source *s, size_t i)
{
	const struct rec_interposition *in = trace_at(s->t, REC_INTERPOSITION_KIND, i);
	json_t *row;

	if (!inspect_fits_process(s, in->process) ||
	    (!inspect_fits_module(s, in->module) && !inspect_fits_module(s, in->by)))
		return NULL;
	row = json_object();
	inspect_set(s, row, "interposition", inspect_number(in->id));
	inspect_set(s, row, "process", inspect_process(s, in->process));
	inspect_set(s, row, "kind", inspect_string(s, in->kind));
	inspect_set(s, row, "place", inspect_string(s, in->place));
	inspect_set(s, row, "module", inspect_number(in->module));
	inspect_set(s, row, "module_path", inspect_module_path(s, in->module));
	inspect_set(s, row, "by", inspect_number(in->by));
	inspect_set(s, row, "by_path", inspect_module_path(s, in->by));
	inspect_set(s, row, "detail", inspect_string(s, in->detail));
	inspect_set(s, row, "when", inspect_monotonic(s, in->when));
	return row;
}

static const struct inspect_column interpositions_columns[] = {
	{ "ID", "interposition", CELL_RIGHT }, { "PID", "process.pid", CELL_RIGHT },
	{ "KIND", "kind", CELL_PLAIN },	       { "PLACE", "place", CELL_WRAP },
	{ "OF", "module_path", CELL_PATH },    { "BY", "by_path", CELL_PATH },
	{ "DETAIL", "detail", CELL_WRAP },     { NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_interpositions = { "interpositions",
						     REC_INTERPOSITION_KIND,
						     NULL,
						     interpositions_row,
						     interpositions_columns,
						     INSPECT_KIND(INTERPOSITION) |
							     INSPECT_KIND(PROCESS) |
							     INSPECT_KIND(MODULE),
						     INSPECT_BY_PROCESS | INSPECT_BY_MODULE };
