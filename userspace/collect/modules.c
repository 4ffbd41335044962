/* Modules and functions: who they are, once each. The file work is in module_files.c. */
#include "collect/modules.h"

#include <stdlib.h>
#include <string.h>

#include "collect/function_memory.h"
#include "collect/deep.h"
#include "collect/module_files.h"
#include "collect/processes.h"
#include "collect/procfs.h"

/* A module is one file as one mount namespace shows it, or one pseudo file. */
struct module {
	char *key; /* mount namespace and path */
	uint64_t id;
	UT_hash_handle hh;
};

/* A function is (module, qualname, line). */
struct function {
	char *key;
	uint64_t id;
	UT_hash_handle hh;
};

/* Where a function's code object was last, and in which memory image. */
struct place {
	uint64_t address;
	uint32_t image;
};

struct modules {
	struct session *s;
	struct module_files *files;
	struct function_memory *memory;
	struct module *table;
	struct function *functions;
	struct place *places; /* by function id */
	size_t places_count;
	uint64_t *codes; /* function id by code id; 0: none */
	size_t codes_count;
	uint64_t count;
};

struct modules *modules_new(struct session *s, struct err *err)
{
	struct modules *m = calloc(1, sizeof(*m));

	if (!m) {
		err_set(err, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	m->s = s;
	m->files = module_files_new(s, err);
	m->memory = m->files ? function_memory_new(s, err) : NULL;
	if (!m->memory) {
		modules_free(m);
		return NULL;
	}
	return m;
}

void modules_free(struct modules *m)
{
	struct module *module, *next_module;
	struct function *function, *next_function;

	if (!m)
		return;
	function_memory_free(m->memory);
	module_files_free(m->files);
	HASH_ITER(hh, m->table, module, next_module) {
		HASH_DEL(m->table, module);
		free(module->key);
		free(module);
	}
	HASH_ITER(hh, m->functions, function, next_function) {
		HASH_DEL(m->functions, function);
		free(function->key);
		free(function);
	}
	free(m->codes);
	free(m->places);
	free(m);
}

enum string_class modules_path_class(const char *path)
{
	static const char *const shared[] = { "/usr/", "/lib",	   "/bin/",   "/sbin/",
					      "[",     "<frozen ", "<string>" };

	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		if (!strncmp(path, shared[i], strlen(shared[i])))
			return STRING_PUBLIC;
	return STRING_PRIVATE;
}

static uint64_t module_id(struct modules *m, struct process *p, enum module_kind kind,
			  const char *path, enum language language, uint64_t device, uint64_t inode)
{
	char key[4200];
	struct module *module;
	struct rec_module rec;

	snprintf(key, sizeof(key), "%llu %d %s",
		 (unsigned long long)(kind == MODULE_FILE ? p->mount_ns : 0), (int)kind, path);
	HASH_FIND_STR(m->table, key, module);
	if (module)
		return module->id;
	module = calloc(1, sizeof(*module));
	if (!module || !(module->key = strdup(key))) {
		free(module);
		return REC_NULL;
	}
	module->id = bundle_writer_id(m->s->writer, REC_MODULE_KIND);
	HASH_ADD_KEYPTR(hh, m->table, module->key, strlen(module->key), module);
	m->count++;
	rec = (struct rec_module){
		.id = module->id,
		.kind = kind,
		.path = bundle_writer_text(m->s->writer, path, modules_path_class(path)),
		.language = language,
	};
	bundle_writer_put(m->s->writer, REC_MODULE_KIND, &rec);
	if (kind == MODULE_FILE || kind == MODULE_DELETED)
		module_files_add(m->files, module->id, p, path, language, device, inode);
	return module->id;
}

uint64_t modules_native(struct modules *m, struct process *p, const char *path, uint64_t device,
			uint64_t inode)
{
	enum module_kind kind = MODULE_FILE;

	if (procfs_deleted(path))
		kind = MODULE_DELETED;
	if (path[0] != '/' || !strncmp(path, "/memfd:", 7) || !strncmp(path, "/dev/zero", 9))
		kind = MODULE_MEMORY;
	return module_id(m, p, kind, path[0] ? path : "[anonymous]", LANGUAGE_NATIVE, device,
			 inode);
}

/* Length of the UTF-8 character at data, or 0. */
static size_t utf8_length(const uint8_t *data, size_t left)
{
	size_t n = data[0] < 0x80 ? 1 : data[0] >= 0xf0 ? 4 : data[0] >= 0xe0 ? 3 : 2;

	if ((data[0] >= 0x80 && data[0] < 0xc2) || data[0] > 0xf4 || n > left ||
	    (data[0] == 0xe0 && data[1] < 0xa0) || (data[0] == 0xf0 && data[1] < 0x90) ||
	    (data[0] == 0xf4 && data[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((data[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* A string of bytes: what is no UTF-8 shows as U+FFFD. */
static bool text_of_bytes(const uint8_t *data, size_t len, char *out, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < len && at + 5 < size;) {
		size_t n = utf8_length(data + i, len - i);

		if (n)
			memcpy(out + at, data + i, n);
		else
			memcpy(out + at, "\xef\xbf\xbd", 3);
		if (n == 1 && !data[i])
			out[at] = '?';
		at += n ? n : 3;
		i += n ? n : 1;
	}
	out[at] = '\0';
	return true;
}

/* The bytes of a name as UTF-8 in out. False when they could not be read. */
static bool text_of(const struct wire_text *is, const uint8_t *data, size_t max, char *out,
		    size_t size)
{
	size_t at = 0, units;

	if (is->kind == WIRE_TEXT_BYTES && is->bytes <= max)
		return text_of_bytes(data, is->bytes, out, size);
	if ((is->kind != 1 && is->kind != 2 && is->kind != 4) || is->bytes > max)
		return false;
	units = is->bytes / is->kind;
	for (size_t i = 0; i < units && at + 5 < size; i++) {
		uint32_t c = 0;

		memcpy(&c, data + i * is->kind, is->kind);
		if (c < 0x80) {
			out[at++] = c ? (char)c : '?';
		} else if (c < 0x800) {
			out[at++] = (char)(0xc0 | c >> 6);
			out[at++] = (char)(0x80 | (c & 0x3f));
		} else if (c < 0x10000) {
			out[at++] = (char)(0xe0 | c >> 12);
			out[at++] = (char)(0x80 | (c >> 6 & 0x3f));
			out[at++] = (char)(0x80 | (c & 0x3f));
		} else {
			out[at++] = (char)(0xf0 | (c >> 18 & 7));
			out[at++] = (char)(0x80 | (c >> 12 & 0x3f));
			out[at++] = (char)(0x80 | (c >> 6 & 0x3f));
			out[at++] = (char)(0x80 | (c & 0x3f));
		}
	}
	out[at] = '\0';
	return true;
}

/* The module of a Python code object, by its file name. */
static uint64_t python_module(struct modules *m, struct process *p, const char *filename, bool cut)
{
	char path[WIRE_FILENAME * 4 + 520];
	const struct service_definition *service;
	const char *seen[1] = { path };
	struct service_process subject = { .exe = p->exe, .modules = seen, .modules_count = 1 };

	if (cut)
		return module_id(m, p, MODULE_MEMORY, filename, LANGUAGE_PYTHON, 0, 0);
	if (!strncmp(filename, "<frozen ", 8))
		return module_id(m, p, MODULE_FROZEN, filename, LANGUAGE_PYTHON, 0, 0);
	if (filename[0] == '<' || !filename[0])
		return module_id(m, p, MODULE_GENERATED, filename[0] ? filename : "<empty>",
				 LANGUAGE_PYTHON, 0, 0);
	if (filename[0] == '/')
		snprintf(path, sizeof(path), "%s", filename);
	else if (p->cwd[0])
		snprintf(path, sizeof(path), "%s/%s", p->cwd, filename);
	else
		return module_id(m, p, MODULE_MEMORY, filename, LANGUAGE_PYTHON, 0, 0);
	if (!p->service) {
		service = catalog_match_process(m->s->catalog, &subject);
		if (service)
			p->service = service;
	}
	return module_id(m, p, MODULE_FILE, path, LANGUAGE_PYTHON, 0, 0);
}

#define GENERATED_MAX 64 /* bytes kept of a generated name */

/* Cuts at a UTF-8 boundary, and says so with "...". */
static void cut_text(char *text, size_t max)
{
	if (strlen(text) <= max)
		return;
	max -= 3;
	while (max && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	memcpy(text + max, "...", 4);
}

uint64_t modules_python(struct modules *m, struct process *p, const char *filename)
{
	char text[WIRE_FILENAME * 4 + 8];

	snprintf(text, sizeof(text), "%s", filename);
	if (text[0] == '<' && strncmp(text, "<frozen ", 8))
		cut_text(text, GENERATED_MAX);
	return python_module(m, p, text, false);
}

bool modules_seen(const struct modules *m, const struct process *p, const char *path)
{
	char key[4200];
	struct module *module;

	snprintf(key, sizeof(key), "%llu %d %s", (unsigned long long)p->mount_ns, (int)MODULE_FILE,
		 path);
	HASH_FIND_STR(m->table, key, module);
	return module && module_files_has_run(m->files, module->id);
}

int modules_as_packaged(const struct modules *m, uint64_t module)
{
	return module_files_as_packaged(m->files, module);
}

static uint64_t function_of_key(struct modules *m, const char *key, struct rec_function rec,
				const char *name, const char *qualname, enum string_class class)
{
	struct function *function;

	HASH_FIND_STR(m->functions, key, function);
	if (function)
		return function->id;
	function = calloc(1, sizeof(*function));
	if (!function || !(function->key = strdup(key))) {
		free(function);
		return REC_NULL;
	}
	function->id = bundle_writer_id(m->s->writer, REC_FUNCTION_KIND);
	HASH_ADD_KEYPTR(hh, m->functions, function->key, strlen(function->key), function);
	rec.id = function->id;
	rec.name = bundle_writer_text(m->s->writer, name, class);
	rec.qualname = bundle_writer_text(m->s->writer, qualname, class);
	bundle_writer_put(m->s->writer, REC_FUNCTION_KIND, &rec);
	if (rec.offset == REC_NULL)
		module_files_function(m->files, rec.module, function->id, name, qualname, rec.line);
	return function->id;
}

static uint64_t function_id(struct modules *m, uint64_t module, const char *name,
			    const char *qualname, uint64_t line, enum string_class class)
{
	struct rec_function rec = { .module = module, .line = line, .offset = REC_NULL };
	char key[WIRE_QUALNAME * 4 + 64];

	snprintf(key, sizeof(key), "%llu %llu %s", (unsigned long long)module,
		 (unsigned long long)line, qualname);
	return function_of_key(m, key, rec, name, qualname, class);
}

uint64_t modules_native_function(struct modules *m, uint64_t module, uint64_t offset,
				 const char *name)
{
	struct rec_function rec = { .module = module, .line = REC_NULL, .offset = offset };
	char key[64];

	snprintf(key, sizeof(key), "%llu @%llx", (unsigned long long)module,
		 (unsigned long long)offset);
	return function_of_key(m, key, rec, name, name, STRING_PUBLIC);
}

/* NULL: no memory. */
static struct place *place_of(struct modules *m, uint64_t function)
{
	if (function >= m->places_count) {
		size_t want = (size_t)function + 4096;
		struct place *grown = realloc(m->places, want * sizeof(*grown));

		if (!grown)
			return NULL;
		memset(grown + m->places_count, 0, (want - m->places_count) * sizeof(*grown));
		m->places = grown;
		m->places_count = want;
	}
	return &m->places[function];
}

/*
 * Is this code that was loaded again: another code object of a function that the image has shown
 * before, or a function that is new to it, from a file that became another one?
 */
static bool loaded_again(struct modules *m, const struct process *p, uint64_t module,
			 uint64_t function, uint64_t address)
{
	struct place *place = place_of(m, function);
	bool known, again = false;

	if (!place)
		return false;
	known = place->address && place->image == p->memory;
	if (deep_rests(m->s->deep, p->serial))
		again = known ? place->address != address
			      : module_files_became_another(m->files, module, p->root);
	*place = (struct place){ address, p->memory };
	return again;
}

void modules_code(struct modules *m, struct process *p, const struct wire_code *code)
{
	char filename[WIRE_FILENAME * 4 + 8], name[WIRE_NAME * 4 + 8],
		qualname[WIRE_QUALNAME * 4 + 8];
	uint64_t module, function, *grown;
	size_t want = (size_t)code->code + 1;
	enum string_class class = STRING_PUBLIC;

	if (!text_of(&code->name_is, code->name, WIRE_NAME, name, sizeof(name)) ||
	    !text_of(&code->filename_is, code->filename, WIRE_FILENAME, filename, sizeof(filename)))
		return;
	if (!text_of(&code->qualname_is, code->qualname, WIRE_QUALNAME, qualname, sizeof(qualname)))
		snprintf(qualname, sizeof(qualname), "%s", name);
	if (want > m->codes_count) {
		if (code->code > 1u << 26)
			return;
		while (want < 2 * m->codes_count)
			want = 2 * m->codes_count;
		grown = realloc(m->codes, want * sizeof(*grown));
		if (!grown)
			return;
		memset(grown + m->codes_count, 0, (want - m->codes_count) * sizeof(*grown));
		m->codes = grown;
		m->codes_count = want;
	}
	if (filename[0] == '<' && strncmp(filename, "<frozen ", 8)) {
		/* Names that code was given while running may be made of data. */
		class = STRING_PRIVATE;
		cut_text(filename, GENERATED_MAX);
		cut_text(name, GENERATED_MAX);
		cut_text(qualname, GENERATED_MAX);
	}
	module = python_module(m, p, filename, code->filename_is.cut);
	function = module == REC_NULL ? REC_NULL
				      : function_id(m, module, name, qualname, code->line, class);
	if (function != REC_NULL) {
		m->codes[code->code] = function;
		module_files_ran(m->files, module);
		if (filename[0] && filename[0] != '<' && !code->filename_is.cut) {
			function_memory_add(m->memory, p, module, function, code);
			if (loaded_again(m, p, module, function, code->address))
				deep_reloaded(m->s->deep, p->serial);
		}
	}
}

uint64_t modules_function(const struct modules *m, uint32_t code)
{
	return code < m->codes_count && m->codes[code] ? m->codes[code] : REC_NULL;
}

uint64_t modules_count(const struct modules *m)
{
	return m->count;
}

void modules_tick(struct modules *m)
{
	module_files_tick(m->files);
}

bool modules_settle(struct modules *m, uint64_t timeout_ns)
{
	return module_files_settle(m->files, timeout_ns);
}

void modules_finish(struct modules *m, bool thorough)
{
	function_memory_look_again(m->memory, thorough);
	module_files_finish(m->files, thorough);
	function_memory_finish(m->memory, m->files, thorough);
}

void modules_stats(const struct modules *m, struct modules_stats *out)
{
	module_files_stats(m->files, out);
}
