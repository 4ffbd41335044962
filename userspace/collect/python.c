/* Finds and proves the CPython runtime of a live process. */
#include "collect/python.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "collect/identity.h"
#include "collect/procfs.h"

#define SEARCH_THREADS 256 /* thread states that the proof looks at */
#define SEARCH_INTERPRETERS 64

/* Virtual addresses (as linked) in an ELF file; 0: not there. */
struct python_symbols {
	uint64_t runtime, version, code_type, debug_mark;
	bool fixed; /* not position independent */
	uint64_t load_offset, load_address; /* of the first executable segment */
};

static void look_up(Elf *elf, Elf_Scn *scn, const GElf_Shdr *header, struct python_symbols *out)
{
	static const char *const names[] = { "_PyRuntime", "Py_Version", "PyCode_Type",
					     "_Py_RefTotal" };
	uint64_t *const values[] = { &out->runtime, &out->version, &out->code_type,
				     &out->debug_mark };
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t count;

	if (!data || !header->sh_entsize)
		return;
	count = header->sh_size / header->sh_entsize;
	for (size_t i = 0; i < count; i++) {
		GElf_Sym sym;
		const char *name;

		if (!gelf_getsym(data, (int)i, &sym))
			return;
		if (!sym.st_value || sym.st_shndx == SHN_UNDEF)
			continue;
		name = elf_strptr(elf, header->sh_link, sym.st_name);
		for (size_t n = 0; name && n < sizeof(names) / sizeof(names[0]); n++)
			if (!strcmp(name, names[n]))
				*values[n] = sym.st_value;
	}
}

static int read_symbols(int fd, struct python_symbols *out)
{
	Elf_Scn *scn = NULL;
	GElf_Ehdr ehdr;
	size_t headers = 0;
	bool found = false;
	Elf *elf;

	memset(out, 0, sizeof(*out));
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf)
		return -1;
	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr) ||
	    elf_getphdrnum(elf, &headers)) {
		elf_end(elf);
		return -1;
	}
	out->fixed = ehdr.e_type == ET_EXEC;
	for (size_t i = 0; i < headers; i++) {
		GElf_Phdr p;

		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD && p.p_flags & PF_X) {
			out->load_offset = p.p_offset;
			out->load_address = p.p_vaddr;
			found = true;
			break;
		}
	}
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr header;

		if (gelf_getshdr(scn, &header) &&
		    (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB))
			look_up(elf, scn, &header, out);
	}
	elf_end(elf);
	return found ? 0 : -1;
}

struct candidate {
	struct python_symbols symbols;
	char path[512];
	uint64_t device, inode, bias;
	char last[512];
	pid_t pid;
	bool found;
};

static bool looks_like_python(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	return !strncmp(name, "python", 6) || !strncmp(name, "libpython", 9);
}

static int each_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct candidate *c = ctx;
	cleanup_close int fd = -1;
	const char *how;
	struct stat st;
	const uint64_t page = 4095;

	if (!m->executable || !looks_like_python(m->path) || !strcmp(m->path, c->last) ||
	    strlen(m->path) >= sizeof(c->path))
		return 0;
	snprintf(c->last, sizeof(c->last), "%s", m->path);
	fd = identity_open(c->pid, m->path, &st, &how);
	if (fd < 0 || st.st_ino != m->inode || read_symbols(fd, &c->symbols) || !c->symbols.runtime)
		return 0;
	c->bias = c->symbols.fixed ? 0
				   : m->start - m->offset -
					     ((c->symbols.load_address & ~page) -
					      (c->symbols.load_offset & ~page));
	snprintf(c->path, sizeof(c->path), "%s", m->path);
	c->found = true;
	return 1;
}

static int word(pid_t pid, uint64_t address, uint64_t *out)
{
	return procfs_memory(pid, address, out, sizeof(*out));
}

static int refuse(struct python_runtime *out, const char *why)
{
	out->state = PYTHON_REFUSED;
	snprintf(out->why, sizeof(out->why), "%s", why);
	return -1;
}

/* A thread's innermost frame, when it has one, must show a code object with a readable name. */
static int prove_frame(pid_t pid, const struct python_layout *l, uint64_t tstate,
		       uint64_t code_type, struct python_runtime *out)
{
	uint64_t cframe, frame, code, type, name, length;
	uint32_t line;

	if (word(pid, tstate + (uint64_t)l->tstate_cframe, &cframe) || !cframe ||
	    word(pid, cframe + (uint64_t)l->cframe_current_frame, &frame))
		return refuse(out, "self-check: thread state without a C frame record");
	if (!frame)
		return 0;
	/* The process runs on while it is looked at: what cannot be read proves nothing. */
	if (word(pid, frame + (uint64_t)l->frame_code, &code) || !code ||
	    word(pid, code + (uint64_t)l->object_type, &type))
		return 0;
	if (type != code_type)
		return 0;
	if (procfs_memory(pid, code + (uint64_t)l->code_firstlineno, &line, sizeof(line)) ||
	    word(pid, code + (uint64_t)l->code_filename, &name) ||
	    word(pid, name + (uint64_t)l->unicode_length, &length))
		return 0;
	if (line > 10000000 || length > 65536)
		return refuse(out, "self-check: a code object reads as nonsense");
	return 1;
}

/* Walks interpreters and thread states; every one must point back to its interpreter. */
static int prove(pid_t pid, const struct python_layout *l, const struct candidate *c,
		 struct python_runtime *out)
{
	uint64_t interp, tstate, back;
	int interps = 0, threads = 0, tries = 0, proven = 0;

again:
	proven = 0;
	threads = 0;
	if (word(pid, out->address + (uint64_t)l->runtime_interpreters_head, &interp))
		return refuse(out, "self-check: the runtime cannot be read");
	if (!interp) {
		out->state = PYTHON_STARTING;
		return -1;
	}
	for (interps = 0; interp && interps < SEARCH_INTERPRETERS; interps++) {
		if (word(pid, interp + (uint64_t)l->interp_threads_head, &tstate))
			return refuse(out, "self-check: an interpreter cannot be read");
		for (; tstate && threads < SEARCH_THREADS; threads++) {
			int result;

			if (word(pid, tstate + (uint64_t)l->tstate_interp, &back) ||
			    back != interp) {
				/* A thread may have ended meanwhile. */
				if (tries++ < 3)
					goto again;
				return refuse(out,
					      "self-check: a thread state does not point to its "
					      "interpreter");
			}
			result = prove_frame(pid, l, tstate, c->symbols.code_type + c->bias, out);
			if (result < 0) {
				if (tries++ < 3) {
					out->state = PYTHON_NONE;
					goto again;
				}
				return -1;
			}
			proven += result;
			if (word(pid, tstate + (uint64_t)l->tstate_next, &tstate))
				return refuse(out, "self-check: a thread state cannot be read");
		}
		if (word(pid, interp + (uint64_t)l->interp_next, &interp))
			return refuse(out, "self-check: an interpreter cannot be read");
	}
	if (!threads) {
		out->state = PYTHON_STARTING;
		return -1;
	}
	return 0;
}

void python_find(pid_t pid, const struct catalog *catalog, struct python_runtime *out)
{
	struct candidate c = { .pid = pid };
	uint64_t version = 0;
	unsigned int major, minor, micro, level;

	memset(out, 0, sizeof(*out));
	if (procfs_maps(pid, each_mapping, &c) < 0 || !c.found)
		return;
	snprintf(out->library, sizeof(out->library), "%s", c.path);
	out->address = c.symbols.runtime + c.bias;
	if (!c.symbols.version) {
		refuse(out, "this CPython does not export its version (older than 3.11)");
		return;
	}
	if (word(pid, c.symbols.version + c.bias, &version)) {
		refuse(out, "the interpreter's version cannot be read");
		return;
	}
	/* Py_Version is PY_VERSION_HEX: major, minor, micro, level and serial. */
	major = version >> 24 & 0xff;
	minor = version >> 16 & 0xff;
	micro = version >> 8 & 0xff;
	level = version >> 4 & 0xf;
	snprintf(out->version, sizeof(out->version), "%u.%u.%u%s", major, minor, micro,
		 level == 0xf ? "" : "-pre");
	if (version >> 32 || level != 0xf) {
		refuse(out, "not a released CPython version");
		return;
	}
	if (c.symbols.debug_mark) {
		refuse(out, "a debug build of CPython");
		return;
	}
	out->layout = catalog_python(catalog, major, minor);
	if (!out->layout) {
		refuse(out, "no layout for this CPython version");
		return;
	}
	if (out->layout->cframe_current_frame < 0 || out->layout->owner_c_stack >= 0) {
		refuse(out, "the walk cannot use this version's layout");
		return;
	}
	if (!c.symbols.code_type) {
		refuse(out, "self-check: PyCode_Type is not exported");
		return;
	}
	if (!prove(pid, out->layout, &c, out))
		out->state = PYTHON_READY;
}
