/* Is the file that a process loaded the file it should be? */
#include "analyze/compare.h"

#include <string.h>

#include "base/bytes.h"

#define ANCESTORS_MAX 64
#define LOOKS_MAX 256 /* records of one module that are sorted by process */

static bool has_digest(const struct evidence *e, uint64_t string, char hex[65])
{
	const struct bundle_string *s = trace_string(e->trace, string);

	if (!s || s->hidden || s->len != 32)
		return false;
	bytes_to_hex(s->data, 32, hex);
	return true;
}

static bool text_is(const struct evidence *e, uint64_t string, const char *text)
{
	const char *have = trace_text(e->trace, string);

	return have && !strcmp(have, text);
}

/*
 * When the code of a process may have been loaded first, in realtime ns: its own start, or that of
 * the process it was forked from. REC_NULL: cannot be told.
 */
static uint64_t loaded_since(const struct evidence *e, uint64_t process)
{
	const struct rec_window *w = trace_window(e->trace);
	const struct rec_process *p = trace_find(e->trace, REC_PROCESS_KIND, process);

	for (int i = 0; p && p->origin != ORIGIN_EXEC && i < ANCESTORS_MAX; i++) {
		const struct rec_process *parent =
			trace_find(e->trace, REC_PROCESS_KIND, p->parent);

		/* One that was running already was forked only if it still is the same program. */
		if (!parent || parent->start > p->start ||
		    (p->origin == ORIGIN_EXISTING && parent->exe != p->exe))
			break;
		p = parent;
	}
	if (!w || !p || p->start == REC_NULL || w->realtime == REC_NULL ||
	    w->boottime == REC_NULL || w->realtime < w->boottime)
		return REC_NULL;
	return w->realtime - w->boottime + p->start;
}

/* Did it change after the process loaded it? NULL: no; else why the comparison does not hold. */
static const char *stale(const struct evidence *e, uint64_t process, uint64_t changed,
			 uint64_t ctime)
{
	uint64_t since;

	if (changed == 1)
		return "the file changed after the process had started";
	if (changed != 0)
		return "it is not known whether the file changed after the process had started";
	since = loaded_since(e, process);
	if (since != REC_NULL && ctime != REC_NULL && ctime > since)
		return "the file changed after the process had started";
	return NULL;
}

static void judge_disk(const struct evidence *e, const struct rec_identity *identity,
		       const char *digest, struct verdict *v)
{
	char hex[65];

	v->identity = identity;
	v->rank = VERDICT_UNKNOWN;
	if (!text_is(e, identity->how, "open") || !has_digest(e, identity->sha256, hex)) {
		v->reason = "the file could not be read";
		return;
	}
	if (digest) {
		v->differs = strcmp(digest, hex) != 0;
		v->rank = v->differs ? VERDICT_MODIFIED : VERDICT_UNMODIFIED;
	} else if (identity->digest_matches <= 1) {
		v->differs = identity->digest_matches == 0;
		v->rank = v->differs ? VERDICT_MODIFIED : VERDICT_AS_PACKAGED;
	} else {
		v->rank = VERDICT_UNREFERENCED;
	}
	if (v->differs)
		v->level = "file";
}

static void give_up(struct verdict *v, const char *reason)
{
	v->rank = VERDICT_UNKNOWN;
	v->reason = reason;
}

/*
 * Does the process keep its compiled files elsewhere, as far as its options tell? Only the names of
 * options are kept, so that any -X counts.
 */
static bool has_prefix_option(const struct evidence *e, uint64_t process)
{
	const struct rec_process *p = trace_find(e->trace, REC_PROCESS_KIND, process);

	for (uint32_t i = 0; p && i < p->options.count; i++)
		if (text_is(e, p->options.items[i], "-X"))
			return true;
	return false;
}

/* The compiled file beside a source whose own comparison gave an unchanged verdict. */
static void judge_pyc(const struct evidence *e, const struct rec_pyc *pyc, uint64_t process,
		      struct verdict *v)
{
	char hex[65];
	const char *why;

	v->pyc = pyc;
	if (!pyc) {
		give_up(v, "the compiled file was not looked at");
		return;
	}
	why = stale(e, process, pyc->changed_after_load, pyc->ctime);
	if (why) {
		give_up(v, "the compiled file may have changed after the process had started");
		return;
	}
	if (text_is(e, pyc->how, "elsewhere") || has_prefix_option(e, process)) {
		give_up(v, "the interpreter may keep its compiled files elsewhere, where none was "
			   "looked at");
		return;
	}
	if (text_is(e, pyc->how, "absent")) {
		v->compared = v->no_pyc = true;
		return;
	}
	if (!has_digest(e, pyc->sha256, hex)) {
		give_up(v, "the compiled file could not be read");
	} else if (pyc->proven == 0 && pyc->header_matches != 0) {
		v->rank = VERDICT_MODIFIED;
		v->level = "pyc";
		v->differs = v->compared = v->with_pyc = true;
	} else if (pyc->header_matches != 1) {
		give_up(v, "the compiled file is not of this source");
	} else if (pyc->proven != 1) {
		give_up(v, "the compiled file was not compared with its source");
	} else {
		v->compared = v->with_pyc = true;
	}
}

static void judge(const struct evidence *e, const struct evidence_module *module,
		  const struct rec_identity *identity, const struct rec_pyc *pyc,
		  const char *digest, uint64_t process, struct verdict *v)
{
	const char *why;

	*v = (struct verdict){ 0 };
	v->pyc = pyc;
	judge_disk(e, identity, digest, v);
	if (v->rank == VERDICT_UNKNOWN)
		return;
	why = stale(e, process, identity->changed_after_load, identity->ctime);
	if (module->rec->kind == MODULE_DELETED)
		why = "the file was deleted while it was in use";
	/* What differs now was changed at some time; what is equal now may have been other code. */
	if (why && v->rank != VERDICT_MODIFIED)
		give_up(v, why);
	if (v->rank == VERDICT_MODIFIED || v->rank == VERDICT_UNKNOWN)
		v->compared = !why;
	else if (module->rec->language == LANGUAGE_PYTHON)
		judge_pyc(e, pyc, process, v);
	else if (module->rec->language == LANGUAGE_NATIVE)
		v->compared = true;
	else
		give_up(v, "code of a language that is not known");
}

static void keep_weakest(struct verdict *out, bool *any, const struct verdict *v)
{
	bool differs = (*any && out->differs) || v->differs;
	bool no_pyc = (*any && out->no_pyc) || v->no_pyc;

	if (!*any || v->rank > out->rank)
		*out = *v;
	else if (v->rank == out->rank && !v->with_pyc)
		out->with_pyc = false;
	out->differs = differs;
	out->no_pyc = no_pyc;
	*any = true;
}

/* What identity and pyc records have in common. */
struct look {
	uint64_t process, sha256;
};

static struct look look_at(const struct evidence *e, enum trace_relation relation, size_t at)
{
	const void *rec = trace_related_at(e->trace, relation, at);
	const struct rec_identity *identity = rec;
	const struct rec_pyc *pyc = rec;

	if (relation == TRACE_IDENTITY_MODULE)
		return (struct look){ identity->process, identity->sha256 };
	return (struct look){ pyc->process, pyc->sha256 };
}

/* The records that count for a process: positions in file order. */
struct looks {
	size_t *at;
	size_t count;
	bool changed; /* the process's own records name different contents */
};

/*
 * The newest of the process's own records; without one, the newest of every other process (or all
 * of them when there are very many). False: no memory.
 */
static bool find_looks(const struct evidence *e, enum trace_relation relation, uint64_t module,
		       uint64_t process, struct looks *out)
{
	size_t first, n = trace_related(e->trace, relation, module, &first);
	char newest[65], older[65];

	*out = (struct looks){ calloc(n + 1, sizeof(*out->at)), 0, false };
	if (!out->at)
		return false;
	for (size_t i = n; i-- > 0;) {
		struct look l = look_at(e, relation, first + i);

		if (l.process != process)
			continue;
		if (!out->count)
			out->at[out->count++] = first + i;
		else if (has_digest(e, l.sha256, older) &&
			 (!has_digest(e, look_at(e, relation, out->at[0]).sha256, newest) ||
			  strcmp(older, newest) != 0))
			out->changed = true;
	}
	for (size_t i = n;
	     i-- > 0 && (!out->count || look_at(e, relation, out->at[0]).process != process);) {
		struct look l = look_at(e, relation, first + i);
		bool known = false;

		for (size_t j = 0; j < out->count && n <= LOOKS_MAX && !known; j++)
			known = look_at(e, relation, out->at[j]).process == l.process;
		if (!known)
			out->at[out->count++] = first + i;
	}
	return true;
}

static void judge_process(const struct evidence *e, const struct evidence_module *module,
			  const char *digest, uint64_t process, struct verdict *out, bool *any)
{
	struct looks files = { 0 }, pycs = { 0 };
	struct verdict v;

	if (!find_looks(e, TRACE_IDENTITY_MODULE, module->rec->id, process, &files) ||
	    !find_looks(e, TRACE_PYC_MODULE, module->rec->id, process, &pycs)) {
		v = (struct verdict){ .rank = VERDICT_UNKNOWN, .reason = "out of memory" };
		keep_weakest(out, any, &v);
	}
	for (size_t i = 0; i < files.count; i++) {
		const struct rec_identity *identity =
			trace_related_at(e->trace, TRACE_IDENTITY_MODULE, files.at[i]);

		for (size_t j = 0; j < pycs.count || !j; j++) {
			const struct rec_pyc *pyc =
				pycs.count
					? trace_related_at(e->trace, TRACE_PYC_MODULE, pycs.at[j])
					: NULL;

			judge(e, module, identity, pyc, digest, process, &v);
			if ((files.changed || pycs.changed) && v.rank != VERDICT_MODIFIED) {
				give_up(&v, "the file changed between two looks at it");
				v.compared = v.with_pyc = false;
			}
			keep_weakest(out, any, &v);
		}
	}
	free(files.at);
	free(pycs.at);
}

void compare_module(const struct evidence *e, const struct evidence_module *module,
		    const char *digest, const uint64_t *processes, size_t count,
		    struct verdict *out)
{
	bool any = false;

	*out = (struct verdict){ 0 };
	for (size_t i = 0; i < count; i++)
		judge_process(e, module, digest, processes[i], out, &any);
	if (!any)
		give_up(out, "the file was not looked at");
}

void compare_disk(const struct evidence *e, const struct evidence_module *module,
		  const char *digest, struct verdict *out)
{
	const struct rec_identity *identity = trace_identity(e->trace, module->rec->id);
	const struct rec_pyc *pyc = trace_pyc(e->trace, module->rec->id);

	*out = (struct verdict){ 0 };
	if (!identity)
		return;
	judge_disk(e, identity, digest, out);
	out->pyc = pyc;
	if (pyc && pyc->proven == 0 && pyc->header_matches != 0)
		out->differs = true;
}
