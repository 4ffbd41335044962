/*
 * Judges what stands under a name that a module's source defines: is it the function (or class) of
 * that source? docs/evidence.md, "Replaced functions", has the rules. Nothing here writes records.
 */
#ifndef DAYLIGHT_COLLECT_PATCH_JUDGE_H
#define DAYLIGHT_COLLECT_PATCH_JUDGE_H

#include "collect/pydefs.h"
#include "collect/pyobjects.h"

enum patch_verdict {
	PATCH_RIGHT,
	PATCH_FOUND,
	/* Not judged, by cause: */
	PATCH_ABSENT, /* nothing stands there */
	PATCH_AGAIN, /* the source itself may bind it again */
	PATCH_DECORATED, /* whatever its decorators made */
	PATCH_CLASS_MADE, /* a class's decorator, metaclass or base may have put it there */
	PATCH_OWN_CODE, /* the module's own code, and the source may bind names by their text */
	PATCH_UNREADABLE, /* the process changed it meanwhile, or it makes no sense */
	PATCH_VERDICTS
};

/* A module of sys.modules, by rising name. */
struct patch_module {
	char *name;
	uint64_t object;
	uint64_t dict;
};

/* What is looked at. The texts live as long as the look. */
struct patch_look {
	struct pyobjects o;
	const struct patch_module *modules;
	size_t modules_count;
	const char *module; /* its __name__ */
	const char *file; /* its __file__ */
	uint64_t dict; /* its names */
	const struct pydefs *defs;
	uint64_t class; /* whose names are judged; 0: the module's */
};

struct patch_finding {
	const char *kind; /* "rebound", "code-replaced", "wrapper" */
	char by_module[256]; /* "" unknown */
	char by_file[PYOBJECTS_TEXT]; /* co_filename of the code; "": it is no Python code */
	char what[PYOBJECTS_TEXT]; /* qualified name of what stands there */
	uint32_t line; /* 0: none */
};

/* object: what stands under the name; 0: nothing. */
enum patch_verdict patch_judge(struct patch_look *look, const struct pydefs_name *name,
			       uint64_t object, struct patch_finding *out);
/* The names of a class whose source is `name`, or 0: it is not that class. */
uint64_t patch_class_dict(struct patch_look *look, const struct pydefs_name *name, uint64_t object);
/* The key under which a class keeps a name: "__x" of class C is "_C__x". False: too long. */
bool patch_key(const struct patch_look *look, const struct pydefs_name *name, char *out,
	       size_t size);
/* A module by name, or NULL. */
const struct patch_module *patch_find_module(const struct patch_look *look, const char *name);

#endif
