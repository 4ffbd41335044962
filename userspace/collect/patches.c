/* Looks for replaced functions in the Python processes that answer calls. */
#include "collect/patches.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "collect/attach.h"
#include "collect/influences.h"
#include "collect/interpositions.h"
#include "collect/modules.h"
#include "collect/patch_judge.h"
#include "collect/patch_sources.h"
#include "collect/processes.h"

#define MS 1000000ULL
#define CALM_NS (3000 * MS) /* after a process's first data: its modules are loaded */
#define SLICE_NS (2 * MS)
#define PACE 100 /* a look takes one part in so many of a core's time, but the last one */
#define FINISH_NS (20000 * MS) /* for all last looks together */
#define MODULES_MAX 16384
#define INTERPRETERS_MAX 16
#define READS_MAX 8000000 /* of one look */
#define CLASSES_DEPTH 8

/* Besides the states of its source: something else stands in sys.modules. */
#define MODULE_NOT_MODULE PATCH_SOURCE_STATES
#define MODULE_STATES (PATCH_SOURCE_STATES + 1)

static const char *const module_causes[MODULE_STATES] = { NULL, "no-source", "file-changed",
							  "not-understood", "no-module-object" };
static const char *const name_causes[PATCH_VERDICTS] = {
	NULL, NULL, "absent", "bound-again", "decorated", "made-by-class", "own-code", "unreadable"
};

struct counts {
	uint64_t modules[MODULE_STATES], names[PATCH_VERDICTS];
};

/* A process that is looked at. */
struct subject {
	uint32_t serial;
	uint64_t seen, due; /* monotonic ns */
	bool looked; /* the look that was due is done */
	bool complete; /* a look came to its end */
	bool unknown; /* its version's objects are not known */
	struct counts counts;
	UT_hash_handle hh;
};

struct patches {
	struct session *s;
	struct interpositions *found;
	struct patch_sources *sources;
	struct subject *subjects;
	uint64_t next_slice; /* monotonic ns */
	/* The look that goes on; NULL: none. */
	struct subject *subject;
	struct process *process;
	struct python_layout layout; /* as the process has it */
	struct patch_look look;
	struct patch_module *modules;
	size_t modules_count, next;
	uint64_t interpreter;
	unsigned int interpreters;
	struct counts counts;
};

struct patches *patches_new(struct session *s, struct interpositions *found)
{
	struct patches *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->s = s;
	p->found = found;
	p->sources = patch_sources_new();
	if (!p->sources) {
		free(p);
		return NULL;
	}
	return p;
}

static void forget_modules(struct patches *p)
{
	for (size_t i = 0; i < p->modules_count; i++)
		free(p->modules[i].name);
	free(p->modules);
	p->modules = NULL;
	p->modules_count = p->next = 0;
}

/* ---- one module ---- */

static bool is_normal(const struct patches *p, const char *by)
{
	const struct python_objects *objects = &p->look.o.layout->objects;

	for (size_t i = 0; i < objects->normal_count; i++)
		if (!fnmatch(objects->normal[i].place, p->look.module, 0) &&
		    !fnmatch(objects->normal[i].by, by, 0))
			return true;
	return false;
}

static void report(struct patches *p, const struct pydefs_name *name, const struct patch_finding *f)
{
	const char *scope = p->look.defs->scopes[name->scope].qualname;
	char place[2300], detail[1200];
	struct interposition what = {
		.kind = f->kind,
		.place = place,
		.place_class = modules_path_class(p->look.file),
		.module = modules_python(p->s->modules, p->process, p->look.file),
		.by = REC_NULL,
		.detail = detail,
		.detail_class = f->by_file[0] == '<' ? STRING_PRIVATE : STRING_PUBLIC,
		.unless_packaged = is_normal(p, f->by_module),
	};

	if (f->by_file[0])
		what.by = modules_python(p->s->modules, p->process, f->by_file);
	snprintf(place, sizeof(place), "%s:%s%s%s", p->look.module, scope, scope[0] ? "." : "",
		 name->name);
	if (f->line)
		snprintf(detail, sizeof(detail), "%s, line %u", f->what, f->line);
	else
		snprintf(detail, sizeof(detail), "%s", f->what);
	interpositions_add(p->found, p->process, &what);
}

/* The names of a dict, read once. */
struct names {
	struct pyobjects *o;
	struct named {
		char *name;
		uint64_t value;
	} * list;
	size_t count, cap;
};

static int each_name(void *ctx, uint64_t key, uint64_t value)
{
	struct names *n = ctx;
	char text[PYOBJECTS_TEXT];

	if (!pyobjects_text(n->o, key, text, sizeof(text)))
		return 0;
	if (n->count == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 64;
		struct named *grown = realloc(n->list, cap * sizeof(*grown));

		if (!grown)
			return 1;
		n->list = grown;
		n->cap = cap;
	}
	n->list[n->count].name = strdup(text);
	n->list[n->count].value = value;
	n->count += n->list[n->count].name != NULL;
	return 0;
}

static int compare_named(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static void names_read(struct names *n, struct pyobjects *o, uint64_t dict)
{
	*n = (struct names){ .o = o };
	pyobjects_dict(o, dict, each_name, n);
	if (n->count)
		qsort(n->list, n->count, sizeof(*n->list), compare_named);
}

static uint64_t names_find(const struct names *n, const char *name)
{
	struct named key = { .name = (char *)(uintptr_t)name }, *found = NULL;

	if (n->count)
		found = bsearch(&key, n->list, n->count, sizeof(key), compare_named);
	return found ? found->value : 0;
}

static void names_release(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i].name);
	free(n->list);
}

static bool same_finding(const struct patch_finding *a, const struct patch_finding *b)
{
	return !strcmp(a->kind, b->kind) && !strcmp(a->by_file, b->by_file) &&
	       !strcmp(a->what, b->what) && a->line == b->line;
}

/* The names of one scope. Each finding is looked at twice: the process runs on meanwhile. */
static void look_at_scope(struct patches *p, uint32_t scope, uint64_t dict, uint64_t class,
			  int depth)
{
	struct patch_look *look = &p->look;
	struct names names;

	names_read(&names, &look->o, dict);
	for (size_t i = 0; i < look->defs->names_count; i++) {
		const struct pydefs_name *name = &look->defs->names[i];
		struct patch_finding finding, again;
		enum patch_verdict verdict;
		uint64_t object, inner;
		char key[PYOBJECTS_TEXT];

		if (name->scope != scope || !patch_key(look, name, key, sizeof(key)))
			continue;
		look->class = class;
		object = names_find(&names, key);
		verdict = patch_judge(look, name, object, &finding);
		if (verdict == PATCH_FOUND) {
			pyobjects_refresh(&look->o);
			object = pyobjects_get(&look->o, dict, key);
			if (patch_judge(look, name, object, &again) != PATCH_FOUND ||
			    !same_finding(&finding, &again))
				verdict = PATCH_UNREADABLE;
			else
				report(p, name, &finding);
		}
		p->counts.names[verdict]++;
		if (name->own_scope && verdict == PATCH_RIGHT && depth < CLASSES_DEPTH &&
		    (inner = patch_class_dict(look, name, object)))
			look_at_scope(p, name->own_scope, inner, object, depth + 1);
	}
	names_release(&names);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && !strcmp(text + len - n, end);
}

static bool text_of(struct patches *p, uint64_t dict, const char *name, char *out, size_t size)
{
	uint64_t value = pyobjects_get(&p->look.o, dict, name);

	return value && pyobjects_text(&p->look.o, value, out, size);
}

/* A module is looked at below the service's roots; of any other process, if its code ran. */
static bool is_wanted(const struct patches *p, const char *path)
{
	if (p->process->service)
		return service_relative(p->process->service, path) != NULL;
	return modules_seen(p->s->modules, p->process, path);
}

static void look_at_module(struct patches *p, const struct patch_module *m)
{
	char name[256], file[PYOBJECTS_TEXT], path[PYOBJECTS_TEXT + 520];
	const struct patch_module *other;
	const struct pydefs *defs = NULL;
	enum patch_source_state state;

	if (!m->dict) {
		p->counts.modules[MODULE_NOT_MODULE] +=
			pyobjects_kind(&p->look.o, m->object) != PYOBJECT_NONE;
		return;
	}
	if (!text_of(p, m->dict, "__file__", file, sizeof(file)) || ends_with(file, ".so"))
		return; /* it has no code in Python */
	if (!text_of(p, m->dict, "__name__", name, sizeof(name)))
		return;
	/* Under another name it is looked at, too. */
	other = strcmp(name, m->name) ? patch_find_module(&p->look, name) : NULL;
	if (other && other->object == m->object)
		return;
	if (file[0] == '/')
		snprintf(path, sizeof(path), "%s", file);
	else
		snprintf(path, sizeof(path), "%s/%s", p->process->cwd, file);
	if (!is_wanted(p, path))
		return;
	state = patch_sources_find(p->sources, p->process, path, &defs);
	p->counts.modules[state]++;
	if (state != PATCH_SOURCE_READ)
		return;
	p->look.module = name;
	p->look.file = file;
	p->look.dict = m->dict;
	p->look.defs = defs;
	look_at_scope(p, 0, m->dict, 0, 0);
}

/* ---- one process ---- */

static int each_module(void *ctx, uint64_t key, uint64_t value)
{
	struct patches *p = ctx;
	struct pyobjects *o = &p->look.o;
	struct patch_module *m = &p->modules[p->modules_count];
	char name[256];

	if (p->modules_count == MODULES_MAX)
		return 1;
	if (!pyobjects_text(o, key, name, sizeof(name)) || !(m->name = strdup(name)))
		return 0;
	m->object = value;
	m->dict = 0;
	if (pyobjects_kind(o, value) == PYOBJECT_MODULE)
		pyobjects_word(o, value, o->layout->objects.module_dict, &m->dict);
	p->modules_count++;
	return 0;
}

static int compare_modules(const void *a, const void *b)
{
	return strcmp(((const struct patch_module *)a)->name,
		      ((const struct patch_module *)b)->name);
}

/* The modules of the next interpreter. False: there is none. */
static bool next_interpreter(struct patches *p)
{
	const struct python_layout *l = &p->layout;
	struct pyobjects *o = &p->look.o;
	uint64_t sys;

	forget_modules(p);
	if (p->interpreters++ >= INTERPRETERS_MAX)
		return false;
	if (p->interpreters == 1) {
		if (!pyobjects_word(o, p->process->runtime.address, l->runtime_interpreters_head,
				    &p->interpreter))
			return false;
	} else if (!pyobjects_word(o, p->interpreter, l->interp_next, &p->interpreter)) {
		return false;
	}
	if (!p->interpreter || !pyobjects_word(o, p->interpreter, l->objects.interp_sysdict, &sys))
		return false;
	p->modules = calloc(MODULES_MAX, sizeof(*p->modules));
	if (!p->modules)
		return false;
	pyobjects_dict(o, pyobjects_get(o, sys, "modules"), each_module, p);
	if (p->modules_count)
		qsort(p->modules, p->modules_count, sizeof(*p->modules), compare_modules);
	p->look.modules = p->modules;
	p->look.modules_count = p->modules_count;
	influences_python(p->s, p->found, p->process, &p->look, sys);
	return true;
}

static void end(struct patches *p, bool complete)
{
	forget_modules(p);
	pyobjects_end(&p->look.o);
	p->subject->looked = true;
	if (complete) {
		p->subject->complete = true;
		p->subject->counts = p->counts;
	}
	p->subject = NULL;
	p->process = NULL;
}

static void begin(struct patches *p, struct subject *subject, struct process *process)
{
	p->subject = subject;
	p->process = process;
	p->interpreters = 0;
	memset(&p->counts, 0, sizeof(p->counts));
	memset(&p->look, 0, sizeof(p->look));
	p->layout = process->runtime.live;
	if (pyobjects_begin(&p->look.o, process->pid, &p->layout)) {
		end(p, false);
		return;
	}
	influences_process(p->s, p->found, process);
}

void patches_free(struct patches *p)
{
	struct subject *subject, *next_subject;

	if (!p)
		return;
	if (p->subject)
		end(p, false);
	patch_sources_free(p->sources);
	HASH_ITER(hh, p->subjects, subject, next_subject) {
		HASH_DEL(p->subjects, subject);
		free(subject);
	}
	free(p);
}

/* Is it what its pid shows? */
static bool is_there(struct patches *p, const struct process *process)
{
	struct wire_target t;

	return !process->ended && attach_is_target(p->s->attach, (uint32_t)process->pid, &t) &&
	       t.process == process->serial;
}

/* Goes on with the look until then. True: it is over. */
static bool go_on(struct patches *p, uint64_t until)
{
	while (clock_monotonic() < until) {
		if (!is_there(p, p->process) || p->look.o.reads > READS_MAX) {
			end(p, false);
			return true;
		}
		if (p->next < p->modules_count) {
			look_at_module(p, &p->modules[p->next++]);
		} else if (!next_interpreter(p)) {
			end(p, p->interpreters > 1);
			return true;
		}
	}
	return false;
}

/* ---- when ---- */

static void notice(void *ctx, struct process *process)
{
	struct patches *p = ctx;
	struct subject *subject;

	if (!process->active || process->runtime.state != PYTHON_READY || !process->layout)
		return;
	HASH_FIND(hh, p->subjects, &process->serial, sizeof(process->serial), subject);
	if (subject)
		return;
	subject = calloc(1, sizeof(*subject));
	if (!subject)
		return;
	subject->serial = process->serial;
	subject->seen = process->seen;
	subject->due = clock_monotonic() + CALM_NS;
	subject->unknown = !process->layout->objects.known;
	HASH_ADD(hh, p->subjects, serial, sizeof(subject->serial), subject);
}

/* Goes on for a moment, and says when to go on again. */
static void slice(struct patches *p)
{
	uint64_t began = clock_monotonic(), ended;

	go_on(p, began + SLICE_NS);
	ended = clock_monotonic();
	p->next_slice = ended + PACE * (ended - began);
}

void patches_tick(struct patches *p, uint64_t now)
{
	struct subject *subject, *next;
	struct process *process;

	processes_each(p->s->processes, notice, p);
	if (now < p->next_slice)
		return;
	if (p->subject) {
		/* It may have been released since. */
		p->process = processes_find(p->s->processes, p->subject->serial);
		if (!p->process)
			end(p, false);
		else
			slice(p);
		return;
	}
	HASH_ITER(hh, p->subjects, subject, next) {
		if (subject->looked || subject->unknown || now < subject->due)
			continue;
		process = processes_find(p->s->processes, subject->serial);
		if (!process || !is_there(p, process)) {
			subject->looked = true;
			continue;
		}
		begin(p, subject, process);
		if (p->subject)
			slice(p);
		return;
	}
}

static void say_not_looked_at(struct patches *p, const struct subject *subject)
{
	if (subject->unknown)
		session_gap(p->s, subject->serial, subject->seen, clock_monotonic(),
			    GAP_REPLACED "not looked for in this Python version");
	else if (!subject->complete)
		session_gap(p->s, subject->serial, subject->seen, clock_monotonic(),
			    GAP_REPLACED "ended, or too large, before it was searched");
}

void patches_finish(struct patches *p, bool thorough)
{
	uint64_t until = clock_monotonic() + FINISH_NS;
	struct subject *subject, *next;
	struct process *process;

	processes_each(p->s->processes, notice, p);
	if (p->subject)
		end(p, false);
	HASH_ITER(hh, p->subjects, subject, next) {
		process = processes_find(p->s->processes, subject->serial);
		if (thorough && !subject->unknown && process && is_there(p, process)) {
			begin(p, subject, process);
			if (p->subject && !go_on(p, until))
				end(p, false);
		}
		say_not_looked_at(p, subject);
	}
}

/* ---- ledger ---- */

static void add_counts(struct patches_stage *stage, const uint64_t *counts,
		       const char *const *causes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		stage->attempted += counts[i];
		if (!causes[i])
			stage->delivered += counts[i];
		stage->skipped[i].cause = causes[i];
		stage->skipped[i].count += causes[i] ? counts[i] : 0;
	}
}

void patches_stats(const struct patches *p, struct patches_stats *out)
{
	struct subject *subject, *next;

	_Static_assert(MODULE_STATES <= PATCHES_CAUSES && PATCH_VERDICTS <= PATCHES_CAUSES, "room");
	memset(out, 0, sizeof(*out));
	HASH_ITER(hh, p->subjects, subject, next) {
		add_counts(&out->modules, subject->counts.modules, module_causes, MODULE_STATES);
		add_counts(&out->names, subject->counts.names, name_causes, PATCH_VERDICTS);
	}
}
