/* The views of code: modules with what their files were, functions, stacks. */
#include "inspect/rows.h"

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

static size_t modules_count(struct inspect_source *s)
{
	return trace_count(s->t, REC_MODULE_KIND);
}

static json_t *modules_row(struct inspect_source *s, size_t i)
{
	const struct rec_module *m = trace_at(s->t, REC_MODULE_KIND, i);
	const struct rec_identity *id = trace_identity(s->t, m->id);
	json_t *row = json_object(), *digest = json_object();

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

const struct inspect_view inspect_modules = { "modules", modules_count, modules_row,
					      modules_columns };

/* ---- functions ---- */

static size_t functions_count(struct inspect_source *s)
{
	return trace_count(s->t, REC_FUNCTION_KIND);
}

static json_t *functions_row(struct inspect_source *s, size_t i)
{
	const struct rec_function *f = trace_at(s->t, REC_FUNCTION_KIND, i);

	return inspect_function(s, f->id);
}

static const struct inspect_column functions_columns[] = {
	{ "FUNCTION", "function", CELL_RIGHT }, { "MODULE", "module", CELL_RIGHT },
	{ "LINE", "line", CELL_RIGHT },		{ "QUALNAME", "qualname", CELL_FLEX },
	{ "PATH", "path", CELL_PATH },		{ NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_functions = { "functions", functions_count, functions_row,
						functions_columns };

/* ---- stacks ---- */

static size_t stacks_count(struct inspect_source *s)
{
	return trace_count(s->t, REC_STACK_KIND);
}

static json_t *stacks_row(struct inspect_source *s, size_t i)
{
	const struct rec_stack *stack = trace_at(s->t, REC_STACK_KIND, i);
	size_t first, n = trace_related(s->t, TRACE_SIGHTING_STACK, stack->id, &first);
	json_t *row = json_object();
	uint64_t count = 0;

	for (size_t j = 0; j < n; j++) {
		const struct rec_sighting *seen =
			trace_related_at(s->t, TRACE_SIGHTING_STACK, first + j);

		if (seen->count != REC_NULL && __builtin_add_overflow(count, seen->count, &count))
			count = UINT64_MAX - 1;
	}
	inspect_set(s, row, "stack", inspect_number(stack->id));
	inspect_set(s, row, "process", inspect_process(s, stack->process));
	inspect_set(s, row, "partial", inspect_bool(stack->partial));
	inspect_set(s, row, "sightings", json_integer((json_int_t)n));
	inspect_set(s, row, "count", inspect_number(count));
	inspect_set(s, row, "frames", inspect_frames(s, &stack->frames));
	return row;
}

static const struct inspect_column stacks_columns[] = {
	{ "STACK", "stack", CELL_RIGHT },
	{ "PID", "process.pid", CELL_RIGHT },
	{ "SEEN", "count", CELL_RIGHT },
	{ "FRAMES", "frames", CELL_COUNT },
	{ "PARTIAL", "partial", CELL_PLAIN },
	{ "INNERMOST", "frames.0.qualname", CELL_FLEX },
	{ "ITS FILE", "frames.0.path", CELL_PATH },
	{ "OUTERMOST", "frames.-1.qualname", CELL_FLEX },
	{ NULL, NULL, CELL_PLAIN },
};

const struct inspect_view inspect_stacks = { "stacks", stacks_count, stacks_row, stacks_columns };
