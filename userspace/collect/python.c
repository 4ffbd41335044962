/* Finds the CPython runtime of a live process, its version and its layout. */
#include "collect/python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "collect/identity.h"
#include "collect/procfs.h"
#include "collect/python_elf.h"
#include "collect/python_prove.h"

#define CANDIDATES_MAX 8

enum known_symbol {
	SYMBOL_CODE_TYPE,
	SYMBOL_TYPE_TYPE,
	SYMBOL_VERSION,
	SYMBOL_VERSION_TEXT,
	SYMBOL_EVALUATOR,
	/* Only in builds for debugging. */
	SYMBOL_DEBUG_FIRST,
	SYMBOL_ANCHOR = SYMBOL_DEBUG_FIRST + 4, /* its name depends on the version */
	SYMBOL_COUNT
};

static const char *const symbol_names[SYMBOL_ANCHOR] = {
	"PyCode_Type",
	"PyType_Type",
	"Py_Version",
	"Py_GetVersion",
	"_PyEval_EvalFrameDefault",
	"_Py_NegativeRefcount",
	"_Py_RefTotal",
	"_Py_AddToAllObjects",
	"_Py_PrintReferences",
};

/* A file that defines CPython's types, as the process maps it. */
struct candidate {
	struct python_symbol symbols[SYMBOL_COUNT];
	uint64_t bias;
	char path[512];
	uint64_t inode;
};

struct candidates {
	pid_t pid;
	char exe[512];
	char last[512]; /* a file has several mappings */
	struct candidate at[CANDIDATES_MAX];
	size_t count;
	bool hidden; /* an interpreter, by its name, whose file is gone */
};

static bool named_python(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	return !strncmp(name, "python", 6) || !strncmp(name, "libpython", 9);
}

static int each_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct candidates *all = ctx;
	struct candidate *c = &all->at[all->count];
	struct python_image image;
	cleanup_close int fd = -1;
	const char *how;
	struct stat st;

	if (!m->executable || !strcmp(m->path, all->last) || strlen(m->path) >= sizeof(c->path) ||
	    (!named_python(m->path) && strcmp(m->path, all->exe)))
		return 0;
	snprintf(all->last, sizeof(all->last), "%s", m->path);
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < SYMBOL_ANCHOR; i++)
		c->symbols[i].name = symbol_names[i];
	fd = identity_open(all->pid, m->path, &st, &how);
	all->hidden |= fd < 0 && procfs_deleted(m->path) && named_python(m->path);
	if (fd < 0 || st.st_ino != m->inode ||
	    python_elf_read(fd, c->symbols, SYMBOL_ANCHOR, &image) ||
	    !c->symbols[SYMBOL_CODE_TYPE].address || !c->symbols[SYMBOL_VERSION_TEXT].address)
		return 0;
	c->bias = python_elf_bias(&image, m->start, m->offset);
	c->inode = m->inode;
	snprintf(c->path, sizeof(c->path), "%s", m->path);
	return ++all->count == CANDIDATES_MAX;
}

static void refuse(struct python_runtime *out, const char *why)
{
	out->state = PYTHON_REFUSED;
	snprintf(out->why, sizeof(out->why), "%s", why);
}

static uint64_t address_of(const struct candidate *c, enum known_symbol which)
{
	return c->symbols[which].address ? c->symbols[which].address + c->bias : 0;
}

/* A function's code in the process; returns its size. */
static size_t read_code(pid_t pid, const struct candidate *c, enum known_symbol which,
			uint8_t code[PYTHON_CODE_MAX])
{
	size_t size = c->symbols[which].size;

	if (!size || size > PYTHON_CODE_MAX)
		size = PYTHON_CODE_MAX;
	return procfs_memory(pid, address_of(c, which), code, size) ? 0 : size;
}

/* ---- the version ---- */

struct version {
	unsigned int major, minor, micro;
	bool released;
};

/* "3.8.18", "3.9.2+" (built from sources after it), "3.10.0rc1" (not released). */
static bool parse_version(const char *text, struct version *out)
{
	unsigned long parts[3];
	char *end;

	for (int i = 0; i < 3; i++) {
		if (*text < '0' || *text > '9')
			return false;
		parts[i] = strtoul(text, &end, 10);
		if (parts[i] > 999 || end - text > 3)
			return false;
		text = end;
		if (i < 2 && *text++ != '.')
			return false;
	}
	*out = (struct version){ (unsigned int)parts[0], (unsigned int)parts[1],
				 (unsigned int)parts[2], !*text || !strcmp(text, "+") };
	return true;
}

struct version_search {
	pid_t pid;
	uint64_t at; /* where the text was found */
	struct version version;
	int found; /* different places */
};

static int each_constant(void *ctx, uint64_t constant)
{
	struct version_search *s = ctx;
	char text[16];

	if (procfs_memory(s->pid, constant, text, sizeof(text)) ||
	    !memchr(text, '\0', sizeof(text)) || constant == s->at ||
	    !parse_version(text, &s->version))
		return 0;
	s->at = constant;
	s->found++;
	return 0;
}

static bool find_version(pid_t pid, const struct candidate *c, struct version *out)
{
	struct version_search s = { .pid = pid };
	uint8_t code[PYTHON_CODE_MAX];
	uint64_t number;
	size_t size;

	if (c->symbols[SYMBOL_VERSION].address) {
		if (procfs_memory(pid, address_of(c, SYMBOL_VERSION), &number, sizeof(number)) ||
		    number >> 32)
			return false;
		/* Py_Version is PY_VERSION_HEX: major, minor, micro, level and serial. */
		*out = (struct version){ number >> 24 & 0xff, number >> 16 & 0xff,
					 number >> 8 & 0xff, (number >> 4 & 0xf) == 0xf };
		return true;
	}
	/* Before 3.11: the one constant of Py_GetVersion() that reads as a version. */
	size = read_code(pid, c, SYMBOL_VERSION_TEXT, code);
	python_code_addresses(code, size, address_of(c, SYMBOL_VERSION_TEXT), each_constant, &s);
	*out = s.version;
	return s.found == 1;
}

/* ---- the anchor ---- */

static int find_anchor(pid_t pid, struct candidate *c, const struct python_layout *l,
		       struct python_runtime *out)
{
	struct python_symbol *anchor = &c->symbols[SYMBOL_ANCHOR];
	uint8_t code[PYTHON_CODE_MAX];
	struct python_image image;
	cleanup_close int fd = -1;
	const char *how;
	struct stat st;

	*anchor = (struct python_symbol){ .name = l->anchor };
	fd = identity_open(pid, c->path, &st, &how);
	if (fd < 0 || st.st_ino != c->inode || python_elf_read(fd, anchor, 1, &image) ||
	    !anchor->address) {
		refuse(out, "the symbol that leads to its interpreters is missing");
		return -1;
	}
	out->address = address_of(c, SYMBOL_ANCHOR);
	if (!anchor->function)
		return 0;
	out->address =
		python_code_returns(code, read_code(pid, c, SYMBOL_ANCHOR, code), out->address);
	if (out->address)
		return 0;
	refuse(out, "the function that leads to its interpreters has an unknown form");
	return -1;
}

/* ---- together ---- */

static bool is_debug_build(const struct candidate *c)
{
	for (int i = SYMBOL_DEBUG_FIRST; i < SYMBOL_ANCHOR; i++)
		if (c->symbols[i].address)
			return true;
	return false;
}

/* The offsets that this interpreter itself states, where its version has such a table. */
static int read_table(pid_t pid, const struct version *version, struct python_runtime *out)
{
	uint8_t table[PYTHON_TABLE_MAX];
	size_t size = python_table_size(out->layout);
	uint32_t number = version->major << 24 | version->minor << 16 | version->micro << 8 | 0xf0;

	out->live = *out->layout;
	if (!out->layout->table.present)
		return 0;
	if (procfs_memory(pid, out->address, table, size)) {
		refuse(out, "its table of offsets cannot be read");
		return -1;
	}
	if (python_table_apply(out->layout, table, size, number, &out->live, out->why,
			       sizeof(out->why))) {
		out->state = PYTHON_REFUSED;
		return -1;
	}
	return 0;
}

struct own_range {
	const struct candidate *c;
	struct python_runtime *out;
};

static int each_own_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct own_range *r = ctx;

	if (m->inode != r->c->inode || strcmp(m->path, r->c->path) != 0)
		return 0;
	if (!r->out->own_to || m->start < r->out->own_from)
		r->out->own_from = m->start;
	if (m->end > r->out->own_to)
		r->out->own_to = m->end;
	return 0;
}

static void look_at_candidate(pid_t pid, struct candidate *c, const struct catalog *catalog,
			      struct python_runtime *out)
{
	struct python_places places;
	struct version version;

	memset(out, 0, sizeof(*out));
	snprintf(out->library, sizeof(out->library), "%s", c->path);
	if (!find_version(pid, c, &version)) {
		refuse(out, "the interpreter's version cannot be read");
		return;
	}
	snprintf(out->version, sizeof(out->version), "%u.%u.%u%s", version.major, version.minor,
		 version.micro, version.released ? "" : "-pre");
	if (!version.released) {
		refuse(out, "not a released CPython version");
		return;
	}
	if (is_debug_build(c)) {
		refuse(out, "a debug build of CPython");
		return;
	}
	out->layout = catalog_python(catalog, version.major, version.minor);
	if (!out->layout) {
		refuse(out, "no layout for this CPython version");
		return;
	}
	if (find_anchor(pid, c, out->layout, out) || read_table(pid, &version, out))
		return;
	out->evaluator = address_of(c, SYMBOL_EVALUATOR);
	places = (struct python_places){ address_of(c, SYMBOL_CODE_TYPE),
					 address_of(c, SYMBOL_TYPE_TYPE) };
	procfs_maps(pid, each_own_mapping, &(struct own_range){ c, out });
	python_prove(pid, &places, out);
}

/*
 * Of several candidates one may lie idle (a program that holds CPython itself and loads a library
 * that needs the shared one): the one that runs counts. Two that run are refused.
 */
void python_find(pid_t pid, const struct catalog *catalog, struct python_runtime *out)
{
	struct candidates *c = calloc(1, sizeof(*c));
	struct python_runtime one;

	memset(out, 0, sizeof(*out));
	if (!c)
		return;
	c->pid = pid;
	if (procfs_link(pid, "exe", c->exe, sizeof(c->exe)))
		c->exe[0] = '\0';
	procfs_maps(pid, each_mapping, c);
	for (size_t i = 0; i < c->count; i++) {
		look_at_candidate(pid, &c->at[i], catalog, &one);
		if (one.state >= PYTHON_READY && out->state >= PYTHON_READY) {
			refuse(out, "more than one CPython runs in this process");
			break;
		}
		if (one.state > out->state)
			*out = one;
	}
	if (!out->state && c->hidden)
		refuse(out,
		       "the interpreter's file was deleted, and what is mapped cannot be read");
	free(c);
}
