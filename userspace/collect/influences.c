/* What was put in a process's way before its program ran. */
#include "collect/influences.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "collect/modules.h"
#include "collect/procfs.h"
#include "collect/rootfile.h"

#define STRINGS_MAX (8u << 20) /* more than a new program may be given */
#define PRELOAD_MAX 65536
#define PTH_MAX (1u << 20)
#define PTH_FILES_MAX 4096
#define LIBRARIES_MAX 64
#define ITEMS_MAX 256

/* ---- preloaded libraries ---- */

static bool separates(char c)
{
	return c == ' ' || c == ':' || c == '\t' || c == '\n' || c == '\0';
}

const char *influences_next_library(const char **at, const char *end, size_t *len)
{
	const char *start;

	while (*at < end && separates(**at))
		(*at)++;
	start = *at;
	while (*at < end && !separates(**at))
		(*at)++;
	*len = (size_t)(*at - start);
	return *len ? start : NULL;
}

struct library {
	const char *name; /* as the list has it */
	size_t len;
	struct stat st; /* what it leads to; st_ino 0: nothing, or it is no path */
	bool mapped;
};

struct preload {
	struct session *s;
	struct interpositions *found;
	struct process *p;
	const char *place;
	struct library libraries[LIBRARIES_MAX];
	size_t count, left;
};

static void say_library(struct preload *preload, uint64_t by, const char *detail)
{
	struct interposition what = {
		.kind = "preload",
		.place = preload->place,
		.place_class = STRING_PUBLIC,
		.module = REC_NULL,
		.by = by,
		.detail = detail,
		.detail_class = STRING_PUBLIC,
	};

	interpositions_add(preload->found, preload->p, &what);
}

static bool is_library(const struct library *l, const struct procfs_mapping *m)
{
	const char *base = strrchr(m->path, '/');
	size_t len = strcspn(m->path, " ");

	if (l->st.st_ino)
		return l->st.st_ino == m->inode;
	/* The loader searched for it, or replaced $LIB and the like: the name is what is left. */
	base = base ? base + 1 : m->path;
	len -= (size_t)(base - m->path);
	for (size_t i = l->len; i; i--)
		if (l->name[i - 1] == '/')
			return l->len - i == len && !memcmp(l->name + i, base, len);
	return l->len == len && !memcmp(l->name, base, len);
}

static int each_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct preload *preload = ctx;

	if (!m->executable || m->path[0] != '/')
		return 0;
	for (size_t i = 0; i < preload->count; i++) {
		struct library *l = &preload->libraries[i];

		if (!is_library(l, m) || l->mapped)
			continue;
		l->mapped = true;
		say_library(preload,
			    modules_native(preload->s->modules, preload->p, m->path, m->device,
					   m->inode),
			    "mapped");
	}
	return 0;
}

/* The list of libraries that an environment or a file names. */
static void preload_list(struct session *s, struct interpositions *found, struct process *p,
			 const char *place, const char *text, size_t len)
{
	cleanup_free struct preload *preload = calloc(1, sizeof(*preload));
	const char *how, *at = text, *name;
	cleanup_close int root = rootfile_root(p->root, &how);
	size_t name_len;
	bool missing = false;

	if (!preload)
		return;
	*preload = (struct preload){ .s = s, .found = found, .p = p, .place = place };
	while (preload->count < LIBRARIES_MAX &&
	       (name = influences_next_library(&at, text + len, &name_len))) {
		struct library *l = &preload->libraries[preload->count++];
		char path[4096];

		l->name = name;
		l->len = name_len;
		if (root >= 0 && name[0] == '/' && name_len < sizeof(path)) {
			snprintf(path, sizeof(path), "%.*s", (int)name_len, name);
			int fd = rootfile_find(root, path, true, &l->st, &how);

			if (fd >= 0)
				close(fd);
			else
				l->st.st_ino = 0;
			explicit_bzero(path, sizeof(path));
		}
	}
	procfs_maps(p->pid, each_mapping, preload);
	for (size_t i = 0; i < preload->count; i++)
		missing |= !preload->libraries[i].mapped;
	if (missing)
		say_library(preload, REC_NULL, "a library that it names is not mapped");
	explicit_bzero(preload, sizeof(*preload));
}

static void preload_environment(struct session *s, struct interpositions *found, struct process *p)
{
	static const char *const names[] = { "LD_PRELOAD", "LD_AUDIT" };
	struct bytes text = BYTES_INIT;

	/* Room for all of it at once: growing would leave copies behind. */
	if (bytes_reserve(&text, STRINGS_MAX + 65536 + 1))
		return;
	if (procfs_read(p->pid, "environ", STRINGS_MAX, &text))
		text.len = 0;
	for (size_t at = 0; at < text.len;) {
		const char *entry = (char *)text.data + at;
		size_t len = strnlen(entry, text.len - at);

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			size_t n = strlen(names[i]);

			if (len > n && !memcmp(entry, names[i], n) && entry[n] == '=')
				preload_list(s, found, p, names[i], entry + n + 1, len - n - 1);
		}
		at += len + 1;
	}
	explicit_bzero(text.data, text.cap);
	bytes_release(&text);
}

void influences_process(struct session *s, struct interpositions *found, struct process *p)
{
	static const char path[] = "/etc/ld.so.preload";
	const char *how;
	cleanup_close int root = rootfile_root(p->root, &how);
	struct bytes text = BYTES_INIT;
	struct stat st;

	preload_environment(s, found, p);
	if (root >= 0 &&
	    !strcmp(rootfile_slurp(root, path, PRELOAD_MAX, &text, &st), ROOTFILE_OPEN))
		preload_list(s, found, p, path, (char *)text.data, text.len);
	bytes_release(&text);
}

/* ---- what an interpreter shows ---- */

struct seen {
	struct session *s;
	struct interpositions *found;
	struct process *p;
	struct patch_look *look;
};

static bool text_of(struct seen *seen, uint64_t dict, const char *name, char *out, size_t size)
{
	uint64_t value = pyobjects_get(&seen->look->o, dict, name);

	return value && pyobjects_text(&seen->look->o, value, out, size);
}

static void say(struct seen *seen, const char *kind, const char *place, enum string_class class,
		const char *file, const char *detail)
{
	struct interposition what = {
		.kind = kind,
		.place = place,
		.place_class = class,
		.module = REC_NULL,
		.by = modules_python(seen->s->modules, seen->p, file),
		.detail = detail,
		.detail_class = STRING_PUBLIC,
		.unless_packaged = true,
	};

	interpositions_add(seen->found, seen->p, &what);
}

static void look_at_custom(struct seen *seen, const char *name)
{
	const struct patch_module *m = patch_find_module(seen->look, name);
	char file[PYOBJECTS_TEXT];

	if (m && m->dict && text_of(seen, m->dict, "__file__", file, sizeof(file)))
		say(seen, "sitecustomize", name, STRING_PUBLIC, file, "imported at start");
}

struct first_function {
	struct seen *seen;
	char *file;
	size_t size;
};

static int each_of_class(void *ctx, uint64_t key, uint64_t value)
{
	struct first_function *f = ctx;
	struct pyobjects *o = &f->seen->look->o;
	const struct python_objects *at = &o->layout->objects;
	struct pyobjects_function function;
	struct pyobjects_code code;

	(void)key;
	if (pyobjects_kind(o, value) == PYOBJECT_CLASSMETHOD)
		pyobjects_word(o, value, at->classmethod_callable, &value);
	else if (pyobjects_kind(o, value) == PYOBJECT_STATICMETHOD)
		pyobjects_word(o, value, at->staticmethod_callable, &value);
	return pyobjects_function(o, value, &function) && pyobjects_code(o, function.code, &code) &&
	       pyobjects_text(o, code.filename, f->file, f->size);
}

/* Where the code of a function or class was written. False: it has none in Python. */
static bool file_of(struct seen *seen, uint64_t object, char *file, size_t size, char *name,
		    size_t name_size)
{
	struct pyobjects *o = &seen->look->o;
	struct first_function first = { seen, file, size };
	struct pyobjects_function f;
	struct pyobjects_code code;
	uint64_t dict;

	if (pyobjects_function(o, object, &f))
		return pyobjects_code(o, f.code, &code) &&
		       pyobjects_text(o, code.filename, file, size) &&
		       pyobjects_text(o, code.qualname ? code.qualname : code.name, name,
				      name_size);
	if (pyobjects_kind(o, object) != PYOBJECT_TYPE)
		object = pyobjects_type(o, object);
	return pyobjects_type_name(o, object, name, name_size) &&
	       pyobjects_word(o, object, o->layout->objects.type_dict, &dict) &&
	       pyobjects_dict(o, dict, each_of_class, &first) == 1;
}

/* Finders and hooks; those of the interpreter itself are frozen or written in C. */
static void look_at_hooks(struct seen *seen, uint64_t sys, const char *list)
{
	struct pyobjects *o = &seen->look->o;
	uint64_t items[ITEMS_MAX];
	size_t count = pyobjects_items(o, pyobjects_get(o, sys, list), items, ITEMS_MAX);
	char file[PYOBJECTS_TEXT], name[PYOBJECTS_TEXT], place[64];

	snprintf(place, sizeof(place), "sys.%s", list);
	for (size_t i = 0; i < count; i++)
		if (file_of(seen, items[i], file, sizeof(file), name, sizeof(name)) &&
		    strncmp(file, "<frozen ", 8))
			say(seen, "import-hook", place, STRING_PUBLIC, file, name);
}

size_t influences_pth_lines(const char *text, size_t len, size_t *first)
{
	size_t lines = 0, number = 0;

	*first = 0;
	for (size_t at = 0; at < len; number++) {
		const char *line = text + at, *end = memchr(line, '\n', len - at);
		size_t n = end ? (size_t)(end - line) : len - at;

		if (n > 7 && (!memcmp(line, "import ", 7) || !memcmp(line, "import\t", 7))) {
			if (!lines)
				*first = number + 1;
			lines++;
		}
		at += n + 1;
	}
	return lines;
}

static void look_at_pth(struct seen *seen, int root, const char *path)
{
	struct bytes text = BYTES_INIT;
	struct stat st;
	char detail[96];
	size_t first, lines = 0;

	if (!strcmp(rootfile_slurp(root, path, PTH_MAX, &text, &st), ROOTFILE_OPEN))
		lines = influences_pth_lines((char *)text.data, text.len, &first);
	bytes_release(&text);
	if (!lines)
		return;
	snprintf(detail, sizeof(detail), "%zu line%s of code, the first is line %zu", lines,
		 lines == 1 ? "" : "s", first);
	say(seen, "pth", path, modules_path_class(path), path, detail);
}

static void look_at_folder(struct seen *seen, int root, const char *folder)
{
	const char *how;
	struct stat st;
	cleanup_close int fd = rootfile_find(root, folder, true, &st, &how);
	cleanup_closedir DIR *dir = NULL;
	char path[PYOBJECTS_TEXT + 512];
	struct dirent *e;
	int listing;

	if (fd < 0 || !S_ISDIR(st.st_mode))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	listing = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (listing < 0)
		return;
	dir = fdopendir(listing);
	if (!dir) {
		close(listing);
		return;
	}
	for (size_t i = 0; i < PTH_FILES_MAX && (e = readdir(dir)); i++) {
		size_t len = strlen(e->d_name);

		/* Hidden ones run in some versions; they are named in any case. */
		if (len <= 4 || strcmp(e->d_name + len - 4, ".pth"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		look_at_pth(seen, root, path);
	}
}

/* The folders of sys.path in which `site` reads .pth files. */
static void look_at_site(struct seen *seen, uint64_t sys)
{
	struct pyobjects *o = &seen->look->o;
	const char *how, *base;
	cleanup_close int root = rootfile_root(seen->p->root, &how);
	uint64_t items[ITEMS_MAX];
	size_t count = pyobjects_items(o, pyobjects_get(o, sys, "path"), items, ITEMS_MAX);
	char folder[PYOBJECTS_TEXT];

	if (root < 0 || !patch_find_module(seen->look, "site"))
		return;
	for (size_t i = 0; i < count; i++) {
		if (!pyobjects_text(o, items[i], folder, sizeof(folder)) || folder[0] != '/')
			continue;
		base = strrchr(folder, '/') + 1;
		if (!strcmp(base, "site-packages") || !strcmp(base, "dist-packages"))
			look_at_folder(seen, root, folder);
	}
}

void influences_python(struct session *s, struct interpositions *found, struct process *p,
		       struct patch_look *look, uint64_t sys)
{
	struct seen seen = { s, found, p, look };

	look_at_custom(&seen, "sitecustomize");
	look_at_custom(&seen, "usercustomize");
	look_at_hooks(&seen, sys, "meta_path");
	look_at_hooks(&seen, sys, "path_hooks");
	look_at_site(&seen, sys);
}
