/*
 * What an interpreter shows of itself, in a program that is none: linked into server_small.c, to be
 * refused by the collector with the right reason. -DVERSION=0x030d00f0 and one of:
 * -DFREE_THREADED, -DDEBUG_BUILD, -DTRACES_REFERENCES, -DOTHER_TABLE, -DNO_ANCHOR.
 */
#include <stdint.h>

struct type {
#ifdef TRACES_REFERENCES
	void *next, *previous;
#endif
	intptr_t count;
	const void *type;
};

struct type PyType_Type = { .type = &PyType_Type };
struct type PyCode_Type = { .type = &PyType_Type };

const unsigned long Py_Version = VERSION;

const char *Py_GetVersion(void)
{
	return "none";
}

#ifdef DEBUG_BUILD
long _Py_RefTotal;
#endif

/* An interpreter without threads: never looked at, but that something has begun. */
uint64_t fake_interp[4096];

#ifndef NO_ANCHOR
struct {
	char cookie[8];
	uint64_t version, free_threaded;
	uint64_t *rest[512];
} _PyRuntime = {
	.cookie = "xdebugpy",
#ifdef OTHER_TABLE
	.version = VERSION + 0x100,
#else
	.version = VERSION,
#endif
#ifdef FREE_THREADED
	.free_threaded = 1,
#endif
	.rest = { [0 ... 511] = fake_interp },
};
#endif
