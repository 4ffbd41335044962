/*
 * What is inside of an object that stands under a name: the source's own function, perhaps, behind
 * wrappers of any make. For patch_judge.c.
 */
#ifndef DAYLIGHT_COLLECT_PATCH_INSIDE_H
#define DAYLIGHT_COLLECT_PATCH_INSIDE_H

#include "collect/patch_judge.h"

/* Code as far as it tells functions apart. */
struct patch_code {
	char file[PYOBJECTS_TEXT];
	char qualname[PYOBJECTS_TEXT]; /* the name alone where the version has no more */
	uint32_t line;
};

bool patch_read_code(struct patch_look *look, uint64_t object, struct patch_code *out);
/* Is this the code of the source's def? Frozen modules name no file. */
bool patch_is_original(const struct patch_look *look, const struct pydefs_name *name,
		       const char *qualname, const struct patch_code *code);
/* What a descriptor of the language holds (a bound method, a classmethod ...); 0: it is none. */
uint64_t patch_unwrap(struct patch_look *look, uint64_t object);

struct patch_inside {
	bool original; /* the source's own function is in it */
	uint64_t impostor; /* the module's own function, but with another code object; or 0 */
};

void patch_look_inside(struct patch_look *look, const struct pydefs_name *name,
		       const char *qualname, uint64_t object, struct patch_inside *out);

#endif
