/* Compares what Python functions were in memory with the code that stands for their module. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "catalog/catalog.h"
#include "collect/function_memory.h"
#include "collect/identity.h"
#include "collect/module_files.h"
#include "collect/pyc_helper.h"
#include "collect/pymarshal.h"

#define NOT_COMPARED "not-compared"

/* One file with the code of a module: compiled by the process, or by the helper from the source. */
struct code_file {
	bool looked;
	int optimize; /* of a source: level it was compiled with */
	const char *why; /* NULL: it was read */
	struct bytes data; /* codes point into it */
	struct pymarshal codes;
};

struct compare {
	struct session *s;
	struct module_files *files;
	struct pyc_compiler compiler;
	/* The module at hand: */
	uint64_t module;
	struct module_file file;
	const char *why; /* nothing can be compared; NULL: something can */
	struct code_file pyc, source;
	uint64_t unchanged_since; /* the oldest start for which that was shown */
};

static void forget(struct code_file *c)
{
	pymarshal_release(&c->codes);
	bytes_release(&c->data);
	memset(c, 0, sizeof(*c));
}

/* ---- the code that stands for a module ---- */

/* What is on the disk must be what could be loaded. NULL, or why that is not so. */
static const char *file_holds(struct compare *c)
{
	if (!module_files_get(c->files, c->module, &c->file) || !c->file.layout)
		return NOT_COMPARED;
	if (strcmp(c->file.identity->how, "open") != 0)
		return c->file.identity->how;
	if (!c->file.identity->has_sha256)
		return NOT_COMPARED;
	if (c->file.changed)
		return c->file.changed > 0 ? "changed" : "gone";
	return NULL;
}

/* The same for a process that began before the one that the file was looked at for. */
static const char *held_since(struct compare *c, uint64_t since)
{
	int changed;

	if (c->why || since >= c->unchanged_since)
		return c->why;
	changed = identity_changed_since(c->file.root, c->file.path, c->file.identity, since);
	if (changed)
		return changed > 0 ? "changed" : "gone";
	c->unchanged_since = since;
	return NULL;
}

/*
 * Is the .pyc beside the source what an interpreter loads? With a header of another source it is
 * passed over; one that is based on a hash may be.
 */
static bool pyc_stands(const struct compare *c, const struct function_item *item)
{
	const struct pyc *pyc = c->file.pyc;

	return pyc && !c->file.elsewhere && !strcmp(pyc->how, "open") && pyc->has_sha256 &&
	       !pyc->changed_after && pyc->header_matches && !item->optimize &&
	       item->since >= c->file.since;
}

static void read_pyc(struct compare *c)
{
	const struct python_layout *l = c->file.layout;
	struct code_file *to = &c->pyc;
	const char *why =
		pyc_fetch(c->file.root, false, c->file.pyc->path, c->file.pyc->sha256, &to->data);

	to->looked = true;
	to->why = *why ? why : NULL;
	if (!to->why && to->data.len < l->pyc_header)
		to->why = "damaged";
	if (!to->why)
		to->why = pymarshal_read(l->code, l->pyc_magic, to->data.data + l->pyc_header,
					 to->data.len - l->pyc_header, &to->codes);
}

static void compile_source(struct compare *c, int optimize)
{
	const struct python_layout *l = c->file.layout;
	struct bytes source = BYTES_INIT;
	struct code_file *to = &c->source;
	const char *why =
		pyc_fetch(c->file.root, true, c->file.path, c->file.identity->sha256, &source);

	to->looked = true;
	to->optimize = optimize;
	if (!*why)
		why = pyc_compile(&c->compiler, c->file.interpreter, l->pyc_magic,
				  (unsigned int)optimize, c->file.path, &source, &to->data);
	to->why = *why ? why : NULL;
	if (!to->why)
		to->why = pymarshal_read(l->code, l->pyc_magic, to->data.data, to->data.len,
					 &to->codes);
	bytes_release(&source);
}

static void begin_module(struct compare *c, uint64_t module)
{
	forget(&c->pyc);
	forget(&c->source);
	c->module = module;
	c->why = file_holds(c);
	c->unchanged_since = c->why ? 0 : c->file.since;
}

/* ---- one function ---- */

struct verdict {
	const char *why; /* NULL: compared */
	bool matches;
	bool found; /* a function of that name and line */
	uint8_t compiled[DIGEST_SIZE]; /* of the one that matches, else of the first */
};

static bool same_text(const uint8_t *have, size_t have_len, const char *want, size_t len, bool cut)
{
	return have && (have_len == len || (cut && have_len > len)) && !memcmp(have, want, len);
}

static bool is_function(const struct pymarshal_code *code, const struct function_item *item)
{
	const struct pymemory_expected *e = &item->expected;

	return code->line == e->line &&
	       same_text(code->name, code->name_len, e->name, e->name_len, e->name_cut) &&
	       (!item->qualname || !code->qualname ||
		same_text(code->qualname, code->qualname_len, item->qualname, item->qualname_len,
			  item->qualname_cut));
}

static void compare_with(const struct code_file *file, const struct function_reading *r,
			 struct verdict *out)
{
	memset(out, 0, sizeof(*out));
	out->why = file->why;
	for (size_t i = 0; !out->why && !out->matches && i < file->codes.count; i++) {
		const struct pymarshal_code *code = &file->codes.codes[i];

		if (!is_function(code, r->item))
			continue;
		if (code->why) {
			out->why = code->why;
			return;
		}
		out->matches = !memcmp(code->digest, r->digest, DIGEST_SIZE);
		if (out->matches || !out->found)
			memcpy(out->compiled, code->digest, DIGEST_SIZE);
		out->found = true;
	}
}

static void compare_reading(struct compare *c, const struct function_reading *r,
			    struct verdict *out)
{
	const struct function_item *item = r->item;
	struct verdict source;

	memset(out, 0, sizeof(*out));
	out->why = r->why ? r->why : held_since(c, item->since);
	if (!out->why && (item->optimize < 0 || item->magic != c->file.layout->pyc_magic))
		out->why = NOT_COMPARED;
	if (out->why)
		return;
	if (pyc_stands(c, item)) {
		if (!c->pyc.looked)
			read_pyc(c);
		compare_with(&c->pyc, r, out);
		if (!out->why && out->matches)
			return;
	}
	/*
	 * What is not in the .pyc may still be what the source gives: a program's main file is
	 * never taken from a .pyc, and one that is based on a hash may be passed over.
	 */
	if (!c->source.looked || c->source.optimize != item->optimize) {
		forget(&c->source);
		compile_source(c, item->optimize);
	}
	compare_with(&c->source, r, &source);
	if (!pyc_stands(c, item) || out->why || (!source.why && source.matches))
		*out = source;
}

/* ---- records ---- */

static void put_record(struct compare *c, const struct function_reading *r, const struct verdict *v)
{
	struct bundle_writer *w = c->s->writer;
	struct rec_function_memory rec = {
		.id = bundle_writer_id(w, REC_FUNCTION_MEMORY_KIND),
		.function = r->function,
		.process = r->process,
		.magic = r->item->magic,
		.memory = r->why ? REC_NULL
				 : bundle_writer_string(w, r->digest, DIGEST_SIZE, STRING_PUBLIC),
		.compiled =
			v->found ? bundle_writer_string(w, v->compiled, DIGEST_SIZE, STRING_PUBLIC)
				 : REC_NULL,
		.matches = v->why ? REC_NULL : v->matches,
		.how = session_public(c->s, v->why ? v->why : "memory"),
		.when = r->when,
	};

	bundle_writer_put(w, REC_FUNCTION_MEMORY_KIND, &rec);
}

static int compare_ids(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* By module, function and process; what has a digest first, then by it; the earliest first. */
static int order(const void *a, const void *b)
{
	const struct function_reading *x = a, *y = b;
	int by = compare_ids(x->module, y->module);

	if (!by)
		by = compare_ids(x->function, y->function);
	if (!by)
		by = compare_ids(x->process, y->process);
	if (!by)
		by = !!x->why - !!y->why;
	if (!by)
		by = x->why ? strcmp(x->why, y->why) : memcmp(x->digest, y->digest, DIGEST_SIZE);
	return by ? by : compare_ids(x->when, y->when);
}

/* Is what r says said already by the one before it, or by the group's first one, which has a
 * digest?
 */
static bool is_said(const struct function_reading *first, const struct function_reading *before,
		    const struct function_reading *r)
{
	if (!first->why && r->why && !strcmp(r->why, "gone"))
		return true;
	return r->why ? before->why && !strcmp(before->why, r->why)
		      : !before->why && !memcmp(before->digest, r->digest, DIGEST_SIZE);
}

void function_compare(struct session *s, struct module_files *files,
		      struct function_reading *readings, size_t count, bool thorough)
{
	struct compare c = { .s = s, .files = files, .compiler = PYC_COMPILER_INIT };
	const struct function_reading *first = NULL;

	if (count)
		qsort(readings, count, sizeof(*readings), order);
	for (size_t i = 0; i < count; i++) {
		const struct function_reading *r = &readings[i];
		struct verdict v = { .why = r->why ? r->why : NOT_COMPARED };

		if (!i || r->module != c.module)
			begin_module(&c, r->module);
		if (!first || r->function != first->function || r->process != first->process)
			first = r;
		else if (is_said(first, &readings[i - 1], r))
			continue;
		if (thorough)
			compare_reading(&c, r, &v);
		put_record(&c, r, &v);
	}
	forget(&c.pyc);
	forget(&c.source);
	pyc_compiler_release(&c.compiler);
}
