/* Judges what stands under a name that a module's source defines. */
#include "collect/patch_judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/patch_inside.h"

#define DEPTH_MAX 6 /* wrappers inside each other that are looked through */
#define BASES_MAX 16

static bool qualify(const struct patch_look *look, const struct pydefs_name *name, char *out,
		    size_t size)
{
	const char *scope = look->defs->scopes[name->scope].qualname;
	int n = snprintf(out, size, "%s%s%s", scope, scope[0] ? "." : "", name->name);

	return n > 0 && (size_t)n < size;
}

/* ---- who put it there ---- */

/* The function, class or other object that stands there, outermost. */
struct outer {
	bool python; /* it has Python code of its own */
	uint64_t globals; /* of its code's module; 0: unknown */
	char qualname[PYOBJECTS_TEXT];
	char module[256];
	char file[PYOBJECTS_TEXT];
	uint32_t line;
};

static int compare_modules(const void *a, const void *b)
{
	return strcmp(((const struct patch_module *)a)->name,
		      ((const struct patch_module *)b)->name);
}

const struct patch_module *patch_find_module(const struct patch_look *look, const char *name)
{
	const struct patch_module key = { .name = (char *)(uintptr_t)name };

	if (!look->modules_count)
		return NULL;
	return bsearch(&key, look->modules, look->modules_count, sizeof(key), compare_modules);
}

static bool text_of(struct patch_look *look, uint64_t dict, const char *name, char *out,
		    size_t size)
{
	uint64_t value = pyobjects_get(&look->o, dict, name);

	out[0] = '\0';
	return value && pyobjects_text(&look->o, value, out, size);
}

/* The module that a class says it is of; its names. NULL: none that is loaded. */
static const struct patch_module *module_of_type(struct patch_look *look, uint64_t type)
{
	uint64_t dict;
	char name[256];

	if (!pyobjects_word(&look->o, type, look->o.layout->objects.type_dict, &dict) ||
	    !text_of(look, dict, "__module__", name, sizeof(name)))
		return NULL;
	return patch_find_module(look, name);
}

static void describe_type(struct patch_look *look, uint64_t type, struct outer *out)
{
	const struct patch_module *m = module_of_type(look, type);

	pyobjects_type_name(&look->o, type, out->qualname, sizeof(out->qualname));
	if (!m)
		return;
	out->globals = m->dict;
	snprintf(out->module, sizeof(out->module), "%s", m->name);
	if (text_of(look, m->dict, "__file__", out->file, sizeof(out->file)))
		out->python = true;
}

static bool describe(struct patch_look *look, uint64_t object, struct outer *out)
{
	struct pyobjects_function f;
	uint64_t inner;
	struct patch_code code;

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < DEPTH_MAX && (inner = patch_unwrap(look, object)); i++)
		object = inner;
	if (pyobjects_function(&look->o, object, &f)) {
		if (!patch_read_code(look, f.code, &code))
			return false;
		out->python = true;
		out->globals = f.globals;
		out->line = code.line;
		snprintf(out->qualname, sizeof(out->qualname), "%s", code.qualname);
		snprintf(out->file, sizeof(out->file), "%s", code.file);
		text_of(look, f.globals, "__name__", out->module, sizeof(out->module));
		return true;
	}
	if (pyobjects_kind(&look->o, object) == PYOBJECT_TYPE)
		describe_type(look, object, out);
	else
		describe_type(look, pyobjects_type(&look->o, object), out);
	return out->qualname[0] != '\0';
}

static bool same_package(const char *a, const char *b)
{
	size_t n = strcspn(a, ".");

	return n && n == strcspn(b, ".") && !memcmp(a, b, n);
}

/* May code of the module `maker` have made what stands there? */
struct maker {
	struct patch_look *look;
	const struct outer *outer;
};

static int each_known_to_maker(void *ctx, uint64_t key, uint64_t value)
{
	const struct maker *m = ctx;
	struct pyobjects *o = &m->look->o;
	const size_t head = strcspn(m->outer->qualname, ".");
	struct pyobjects_function f;
	uint64_t dict;
	char name[PYOBJECTS_TEXT];
	struct patch_code code;

	switch (pyobjects_kind(o, value)) {
	case PYOBJECT_FUNCTION:
		if (!pyobjects_function(o, value, &f) || f.globals != m->outer->globals ||
		    !patch_read_code(m->look, f.code, &code))
			return 0;
		/* The one that made it (up to 3.10 code does not say), or one that was imported. */
		if (m->outer->qualname[head] && strlen(code.qualname) == head &&
		    !memcmp(code.qualname, m->outer->qualname, head))
			return 1;
		return pyobjects_text(o, key, name, sizeof(name)) && !strcmp(name, code.qualname);
	case PYOBJECT_MODULE:
		return pyobjects_word(o, value, o->layout->objects.module_dict, &dict) &&
		       (dict == m->outer->globals ||
			(text_of(m->look, dict, "__name__", name, sizeof(name)) &&
			 same_package(name, m->outer->module) &&
			 !same_package(name, m->look->module)));
	default:
		return 0;
	}
}

/*
 * Yes if it is that module's own code, or made by a function that it imports, or of a module that
 * it imports, or of a package that it is of or imports (when that is not the patched module's,
 * too).
 */
static bool made_by(struct patch_look *look, const struct patch_module *maker,
		    const struct outer *outer)
{
	struct maker m = { look, outer };

	if (!maker || !outer->globals)
		return false;
	return maker->dict == outer->globals ||
	       (same_package(maker->name, outer->module) &&
		!same_package(maker->name, look->module)) ||
	       pyobjects_dict(&look->o, maker->dict, each_known_to_maker, &m) > 0;
}

/* The object that a dotted name means in the module. 0: none. */
static uint64_t resolve(struct patch_look *look, const char *dotted)
{
	uint64_t object = 0, dict = look->dict;
	char part[256];

	for (;;) {
		size_t n = strcspn(dotted, ".");

		snprintf(part, sizeof(part), "%.*s", (int)n, dotted);
		object = n < sizeof(part) ? pyobjects_get(&look->o, dict, part) : 0;
		if (!dotted[n] || !object)
			return object;
		dotted += n + 1;
		switch (pyobjects_kind(&look->o, object)) {
		case PYOBJECT_MODULE:
			if (!pyobjects_word(&look->o, object, look->o.layout->objects.module_dict,
					    &dict))
				return 0;
			break;
		case PYOBJECT_TYPE:
			if (!pyobjects_word(&look->o, object, look->o.layout->objects.type_dict,
					    &dict))
				return 0;
			break;
		default:
			return 0;
		}
	}
}

/* Metaclasses and bases of the class that change what a class body defines. */
static bool made_by_class(struct patch_look *look, const struct outer *outer)
{
	const int32_t base = look->o.layout->objects.type_base;
	uint64_t type = pyobjects_type(&look->o, look->class), dict;

	for (int i = 0; i < BASES_MAX && type; i++) {
		if (made_by(look, module_of_type(look, type), outer))
			return true;
		if (!pyobjects_word(&look->o, type, base, &type))
			break;
	}
	if (!pyobjects_word(&look->o, look->class, base, &type))
		return false;
	for (int i = 0; i < BASES_MAX && type; i++) {
		if (pyobjects_word(&look->o, type, look->o.layout->objects.type_dict, &dict) &&
		    pyobjects_get(&look->o, dict, "__init_subclass__") &&
		    made_by(look, module_of_type(look, type), outer))
			return true;
		if (!pyobjects_word(&look->o, type, base, &type))
			break;
	}
	return false;
}

/* Has the class a metaclass that is written in Python? */
static bool has_metaclass(struct patch_look *look)
{
	return module_of_type(look, pyobjects_type(&look->o, look->class)) != NULL;
}

static const char *class_decorators(const struct patch_look *look, uint32_t scope)
{
	for (size_t i = 0; scope && i < look->defs->names_count; i++)
		if (look->defs->names[i].own_scope == scope)
			return look->defs->names[i].decorators;
	return "";
}

/* Could one of these decorators have put this there? Yes, if it is not known what it is. */
static bool made_by_decorators(struct patch_look *look, const char *decorators,
			       const struct outer *outer)
{
	for (const char *d = decorators; *d; d += strlen(d) + 1) {
		uint64_t object = resolve(look, d);
		struct outer maker;
		const struct patch_module *m;

		if (!object || !describe(look, object, &maker) || !maker.module[0])
			return true; /* not known what it is */
		m = patch_find_module(look, maker.module);
		if (!m || made_by(look, m, outer))
			return true;
	}
	return false;
}

/* ---- verdicts ---- */

static enum patch_verdict found(struct patch_finding *out, const char *kind,
				const struct outer *outer)
{
	out->kind = kind;
	out->line = outer->line;
	snprintf(out->by_module, sizeof(out->by_module), "%s", outer->module);
	snprintf(out->by_file, sizeof(out->by_file), "%s", outer->python ? outer->file : "");
	snprintf(out->what, sizeof(out->what), "%s", outer->qualname);
	return PATCH_FOUND;
}

/* The module's own function with another code object. */
static enum patch_verdict judge_impostor(struct patch_look *look, uint64_t impostor,
					 struct patch_finding *out)
{
	struct outer outer;

	if (!describe(look, impostor, &outer))
		return PATCH_UNREADABLE;
	/* Code made of text by the module itself looks the same. */
	if (outer.file[0] == '<' && look->defs->generates)
		return PATCH_OWN_CODE;
	if (!strcmp(outer.file, look->file) && (look->defs->dynamic || look->defs->generates))
		return PATCH_OWN_CODE;
	/* The function is the module's; the code is of another. */
	outer.module[0] = '\0';
	return found(out, "code-replaced", &outer);
}

static enum patch_verdict judge_function(struct patch_look *look, const struct pydefs_name *name,
					 uint64_t object, struct patch_finding *out)
{
	static const char *const implied[] = { "__new__", "__init_subclass__",
					       "__class_getitem__" };
	struct patch_inside inside;
	const char *decorators = class_decorators(look, name->scope);
	bool unwrapped = name->decorator == PYDEFS_CLASSMETHOD ||
			 name->decorator == PYDEFS_STATICMETHOD ||
			 name->decorator == PYDEFS_PROPERTY;
	char qualname[PYOBJECTS_TEXT];
	struct pyobjects_function f;
	struct outer outer;
	struct patch_code code;
	uint64_t inner = 0;

	if (!qualify(look, name, qualname, sizeof(qualname)))
		return PATCH_UNREADABLE;
	for (size_t i = 0; look->class && i < sizeof(implied) / sizeof(implied[0]); i++)
		unwrapped |= !strcmp(name->name, implied[i]);
	if (unwrapped)
		inner = patch_unwrap(look, object);
	if (!inner)
		inner = object;
	if (pyobjects_function(&look->o, inner, &f)) {
		if (!patch_read_code(look, f.code, &code))
			return PATCH_UNREADABLE;
		if (patch_is_original(look, name, qualname, &code))
			return PATCH_RIGHT;
	}
	patch_look_inside(look, name, qualname, inner, &inside);
	if (inside.impostor && !inside.original)
		return judge_impostor(look, inside.impostor, out);
	if (!describe(look, inner, &outer))
		return PATCH_UNREADABLE;
	if (name->decorator == PYDEFS_DECORATED &&
	    (!outer.python || !outer.line || outer.file[0] == '<' ||
	     made_by_decorators(look, name->decorators, &outer)))
		return PATCH_DECORATED;
	if (outer.globals == look->dict &&
	    (look->defs->dynamic || look->defs->generates || decorators[0]))
		return PATCH_OWN_CODE;
	if (look->defs->scopes[name->scope].by_text || (look->class && look->defs->sets_attributes))
		return PATCH_OWN_CODE;
	if (look->class) {
		bool made = decorators[0] || has_metaclass(look);

		if ((made && (!outer.python || outer.file[0] == '<')) ||
		    made_by_class(look, &outer) || made_by_decorators(look, decorators, &outer))
			return PATCH_CLASS_MADE;
	}
	return found(out, inside.original ? "wrapper" : "rebound", &outer);
}

static bool is_named(struct patch_look *look, const struct pydefs_name *name, uint64_t type)
{
	char qualname[PYOBJECTS_TEXT], seen[PYOBJECTS_TEXT];
	uint64_t text, dict;

	return qualify(look, name, qualname, sizeof(qualname)) &&
	       pyobjects_word(&look->o, type, look->o.layout->objects.type_qualname, &text) &&
	       pyobjects_text(&look->o, text, seen, sizeof(seen)) && !strcmp(seen, qualname) &&
	       pyobjects_word(&look->o, type, look->o.layout->objects.type_dict, &dict) &&
	       text_of(look, dict, "__module__", seen, sizeof(seen)) && !strcmp(seen, look->module);
}

/* Whose functions a class holds. */
struct holds {
	struct patch_look *look;
	bool own, other;
};

static int each_of_class(void *ctx, uint64_t key, uint64_t value)
{
	struct holds *h = ctx;
	uint64_t inner = patch_unwrap(h->look, value);
	struct pyobjects_function f;

	(void)key;
	if (pyobjects_function(&h->look->o, inner ? inner : value, &f)) {
		h->own |= f.globals == h->look->dict;
		h->other |= f.globals != h->look->dict;
	}
	return 0;
}

static struct holds look_into_class(struct patch_look *look, uint64_t type)
{
	struct holds h = { .look = look };
	uint64_t dict;

	if (pyobjects_word(&look->o, type, look->o.layout->objects.type_dict, &dict))
		pyobjects_dict(&look->o, dict, each_of_class, &h);
	return h;
}

/* A class may be given another name and module; its functions stay the module's own. */
static bool is_class(struct patch_look *look, const struct pydefs_name *name, uint64_t object)
{
	return pyobjects_kind(&look->o, object) == PYOBJECT_TYPE &&
	       (is_named(look, name, object) || look_into_class(look, object).own);
}

static bool is_subclass(struct patch_look *look, const struct pydefs_name *name, uint64_t type)
{
	for (int i = 0; i < BASES_MAX; i++) {
		if (!pyobjects_word(&look->o, type, look->o.layout->objects.type_base, &type) ||
		    !type)
			return false;
		if (is_named(look, name, type))
			return true;
	}
	return false;
}

static enum patch_verdict judge_class(struct patch_look *look, const struct pydefs_name *name,
				      uint64_t object, struct patch_finding *out)
{
	struct outer outer;

	if (look->defs->scopes[name->own_scope].names_module)
		return PATCH_AGAIN;
	if (is_class(look, name, object))
		return PATCH_RIGHT;
	if (name->decorator != PYDEFS_PLAIN)
		return PATCH_DECORATED;
	if (look->defs->scopes[name->scope].by_text)
		return PATCH_OWN_CODE;
	/* A class statement may give anything, as its metaclass wants. */
	if (pyobjects_kind(&look->o, object) != PYOBJECT_TYPE)
		return PATCH_CLASS_MADE;
	if (!describe(look, object, &outer))
		return PATCH_UNREADABLE;
	if (outer.globals == look->dict)
		return PATCH_OWN_CODE;
	/* Without a function of its own it may be the same class, renamed. */
	if (!outer.python ||
	    (!look_into_class(look, object).other && !is_subclass(look, name, object)))
		return PATCH_CLASS_MADE;
	return found(out, "rebound", &outer);
}

enum patch_verdict patch_judge(struct patch_look *look, const struct pydefs_name *name,
			       uint64_t object, struct patch_finding *out)
{
	memset(out, 0, sizeof(*out));
	if (name->again)
		return PATCH_AGAIN;
	if (!object)
		return PATCH_ABSENT;
	return name->own_scope ? judge_class(look, name, object, out)
			       : judge_function(look, name, object, out);
}

uint64_t patch_class_dict(struct patch_look *look, const struct pydefs_name *name, uint64_t object)
{
	uint64_t dict;

	return object && is_class(look, name, object) &&
			       pyobjects_word(&look->o, object, look->o.layout->objects.type_dict,
					      &dict)
		       ? dict
		       : 0;
}

bool patch_key(const struct patch_look *look, const struct pydefs_name *name, char *out,
	       size_t size)
{
	const char *class = look->defs->scopes[name->scope].name;
	size_t len = strlen(name->name);
	int n;

	class += strspn(class, "_");
	if (name->scope && *class && len > 2 && !strncmp(name->name, "__", 2) &&
	    strcmp(name->name + len - 2, "__"))
		n = snprintf(out, size, "_%s%s", class, name->name);
	else
		n = snprintf(out, size, "%s", name->name);
	return n > 0 && (size_t)n < size;
}
