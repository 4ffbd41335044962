/*
 * Daylight's declarative knowledge: what lies in probes/ (embedded in the binary) or in the folder
 * given with --probes, validated. Errors name file, JSON place and remedy; all are ERR_USAGE.
 *
 * A catalog is loaded once and read-only afterwards. An unknown version of anything is simply not
 * found: the caller says `unsupported`.
 */
#ifndef DAYLIGHT_CATALOG_CATALOG_H
#define DAYLIGHT_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "catalog/python_objects.h"
#include "catalog/python_taps.h"
#include "catalog/tls_library.h"

/* ---- probe files ---- */

struct catalog_file {
	const char *name; /* "python/cpython-3.11.json" */
	char sha256[65];
	bool shipped; /* equal to the embedded file of that name */
};

struct python_code;

/* ---- python layouts: probes/python/<name>.json ---- */

enum python_strategy {
	PYTHON_CFRAME_ON_STACK,
	PYTHON_ENTRY_FRAME_ON_STACK,
	PYTHON_THREAD_ID_UNIQUE
};

/*
 * Offsets in bytes; -1: the field does not exist in this version. Names are
 * "<struct>.<field>" in the file; the order here is the file's.
 */
/* clang-format off */
#define PYTHON_OFFSETS(O)                                                                          \
	O(runtime_interpreters_head) O(interp_next) O(interp_threads_head) O(interp_eval_frame)    \
	O(tstate_next) O(tstate_interp) O(tstate_frame) O(tstate_cframe) O(tstate_thread_id)       \
	O(tstate_native_thread_id) O(cframe_current_frame)                                         \
	O(frame_code) O(frame_previous) O(frame_owner) O(frame_is_entry) O(object_type)            \
	O(code_code) O(code_code_adaptive) O(code_firstlineno) O(code_filename) O(code_name)       \
	O(code_qualname) O(code_flags) O(unicode_length) O(unicode_hash) O(unicode_state)          \
	O(unicode_ascii_data) O(unicode_compact_data)
/* clang-format on */

#define PYTHON_COOKIE_MAX 8
#define PYTHON_TABLE_MAX 4096 /* bytes of an interpreter's own table */

/*
 * The table of offsets that an interpreter carries in its own memory, at the anchor. Members say
 * where in the table the offset of that name stands; -1: the table does not have it.
 */
struct python_table {
	bool present; /* this version has a table */
	char cookie[PYTHON_COOKIE_MAX]; /* its first bytes; not terminated */
	int32_t version, free_threaded; /* where they stand */
#define PYTHON_OFFSET_MEMBER(name) int32_t name;
	PYTHON_OFFSETS(PYTHON_OFFSET_MEMBER)
};

struct python_layout {
	const char *name; /* "cpython-3.11" */
	unsigned int major, minor;
	/*
	 * The symbol that leads to the interpreters: a variable, to whose address
	 * runtime_interpreters_head is added, or a function that returns the first one.
	 */
	const char *anchor;
	enum python_strategy strategy;
	unsigned int pyc_magic; /* first two bytes of a .pyc, little endian */
	const char *pyc_tag; /* "cpython-311"; NULL: the .pyc lies beside its source, as "x.pyc" */
	unsigned int pyc_header; /* bytes before the code */
	int owner_generator, owner_c_stack; /* values of frame_owner; -1: this version has none */
	struct python_taps taps;
	struct python_objects objects;
	PYTHON_OFFSETS(PYTHON_OFFSET_MEMBER)
	struct python_table table;
	const struct python_code *code; /* python_opcodes.h; NULL: code objects are not read */
};

/* ---- service definitions: probes/services/<name>.json ---- */

/* How a process is recognised: every given list must have a match. */
struct service_match {
	const char **exe_globs; /* fnmatch on the executable's path as the process sees it */
	size_t exe_globs_count;
	const char **arg_globs; /* fnmatch on any argument; used in memory only, never stored */
	size_t arg_globs_count;
	const char **module_globs; /* fnmatch on the path of any mapped or observed module */
	size_t module_globs_count;
};

/* A route: methods and a template such as "/v3/users/{user_id}/projects". */
struct service_route {
	const char *id; /* unique in the definition */
	const char **methods; /* upper case; none: any */
	size_t methods_count;
	const char *path; /* template; {name} is one segment, a final {name*} the rest */
	const char **capabilities; /* guideline capability ids that this route serves */
	size_t capabilities_count;
	/* Files or functions of which one is expected in the stacks of a call of this route. */
	const char **handlers; /* globs on a module path behind a root, "keystone/api/auth.py" */
	size_t handlers_count;
};

/* Code of a section: globs on module paths relative to one of the definition's roots. */
struct service_section {
	const char *component; /* as in the guideline: "keystone" */
	const char *section; /* as in the guideline: "auth (v3) API" */
	const char **files; /* globs; '*' does not cross '/', '**' does */
	size_t files_count;
	const char **except; /* globs taken out again */
	size_t except_count;
	const char *reason; /* why this code is that section; with the source */
};

struct service_definition {
	const char *name; /* "keystone" */
	const char *title;
	const char *versions; /* what it was written for: "22 (2022.2, Zed)" */
	struct service_match *matches; /* any of them */
	size_t matches_count;
	const char **
		roots; /* globs of folders that code lies under, "/usr/lib/python3/dist-packages" */
	size_t roots_count;
	struct service_route *routes;
	size_t routes_count;
	struct service_section *sections;
	size_t sections_count;
};

/* ---- the catalog ---- */

struct catalog;

/* dir: a folder with python/, services/ and perhaps tls/, or NULL for the embedded files. */
struct catalog *catalog_load(const char *dir, struct err *err);
/*
 * Adds the *.json service definitions of one more folder (analyze --services). One with the name of
 * a definition that is already there takes its place. After an error c is still whole; free it.
 */
int catalog_add_services(struct catalog *c, const char *dir, struct err *err);
void catalog_free(struct catalog *c);

size_t catalog_files_count(const struct catalog *c);
const struct catalog_file *catalog_file_at(const struct catalog *c, size_t i);

const struct python_layout *catalog_python(const struct catalog *c, unsigned int major,
					   unsigned int minor);
/* Bytes of a table that matter: 0 when the layout has none, at most PYTHON_TABLE_MAX. */
size_t python_table_size(const struct python_layout *layout);
/*
 * The layout with the offsets that an interpreter's own table (python_table_size bytes) states.
 * version: as the interpreter names it elsewhere (PY_VERSION_HEX). 0, or -1 with the reason in
 * `why`: it is no such table, it is of another version or of a build without the GIL, or an offset
 * is not possible.
 */
int python_table_apply(const struct python_layout *layout, const uint8_t *table, size_t size,
		       uint32_t version, struct python_layout *out, char *why, size_t why_size);
/* All layouts, for `doctor`. */
size_t catalog_python_count(const struct catalog *c);
const struct python_layout *catalog_python_at(const struct catalog *c, size_t i);

/* The TLS library that a mapped file is by its name, or NULL. */
const struct tls_library *catalog_tls(const struct catalog *c, const char *path);

size_t catalog_services_count(const struct catalog *c);
const struct service_definition *catalog_service_at(const struct catalog *c, size_t i);
const struct service_definition *catalog_service(const struct catalog *c, const char *name);
/* The file that a definition came from. */
const struct catalog_file *catalog_service_file(const struct catalog *c, const char *name);

/* ---- matching (catalog/match.c) ---- */

struct service_process {
	const char *exe; /* path as the process sees it */
	const char *const *args;
	size_t args_count;
	const char *const *modules;
	size_t modules_count;
};

/* The first definition that matches, or NULL. */
const struct service_definition *catalog_match_process(const struct catalog *c,
						       const struct service_process *process);

/*
 * The route of a call, or NULL. A literal segment beats a placeholder. `kept` (KEPT_MAX bytes)
 * receives the path that may be stored: with a route, each placeholder's value replaced by
 * "{name}" (of a final {name*}, by "{name*}"); without one, every segment that is not literal where
 * the routes lead so far replaced by
 * "*". definition may be NULL (then every segment is replaced). Repeated, empty and trailing
 * slashes stay as they are, and trailing ones play no part in matching; percent-encoding is not
 * decoded. docs/probe-schema.md has the rules in full.
 */
#define KEPT_MAX 4096
const struct service_route *service_route_match(const struct service_definition *definition,
						const char *method, const char *path, char *kept);

/*
 * Glob of a section against a path behind a root. '*' and '?' stay inside a segment, '**' crosses
 * segments.
 */
bool service_glob(const char *glob, const char *path);
/* path behind the definition's first root that leads to it, or NULL. */
const char *service_relative(const struct service_definition *definition, const char *path);

#endif
