/* Finds the taps of a live interpreter: its file, its symbol, its table of handlers, its memory. */
#include "collect/taps.h"

#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "collect/identity.h"
#include "collect/procfs.h"
#include "collect/taps_code.h"

#define MAPPINGS_MAX 64
#define MAPPING_BYTES_MAX ((uint64_t)128 << 20) /* all of them */
#define CODE_BYTES_MAX ((uint64_t)128 << 20)
#define FUNCTION_BYTES_MAX ((uint64_t)4 << 20)

/* The interpreter's file and where it is mapped. Addresses are as linked; plus bias, as mapped. */
struct image {
	const struct python_taps *know;
	const char *path;
	uint64_t inode, evaluator;
	struct {
		uint64_t offset, address, size;
		uint8_t *bytes;
	} segment[TAPS_CODE_SPANS];
	size_t segments;
	struct taps_code code; /* the segments, as mapped */
	uint64_t function, function_size;
	bool functions_differ, has_unless;
	char copy[64]; /* a symbol that the compiler made from the function */
	uint64_t bias;
	bool mapped, biases_differ;
	struct {
		uint64_t start, size;
	} mapping[MAPPINGS_MAX];
	size_t mappings;
};

static int refuse(struct taps *out, const char *why)
{
	snprintf(out->why, sizeof(out->why), "%s", why);
	out->count = 0;
	return -1;
}

/* ---- the file ---- */

/* Parts that no call enters at their beginning, or that are the function under another name. */
static bool harmless_copy(const char *suffix)
{
	return !strncmp(suffix, "cold", 4) || !strncmp(suffix, "localalias", 10);
}

static void look_at_symbol(struct image *image, const char *name, const GElf_Sym *sym)
{
	const char *function = image->know->function;
	size_t length = strlen(function);

	if (image->know->unless_symbol && !strcmp(name, image->know->unless_symbol))
		image->has_unless = true;
	if (strncmp(name, function, length) != 0 || GELF_ST_TYPE(sym->st_info) != STT_FUNC)
		return;
	if (name[length] == '.' && !harmless_copy(name + length + 1) && !image->copy[0])
		snprintf(image->copy, sizeof(image->copy), "%s", name);
	if (name[length])
		return;
	image->functions_differ |= image->function && (image->function != sym->st_value ||
						       image->function_size != sym->st_size);
	image->function = sym->st_value;
	image->function_size = sym->st_size;
}

static void read_symbols(Elf *elf, struct image *image)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr header;
		Elf_Data *data;

		if (!gelf_getshdr(scn, &header) || !header.sh_entsize ||
		    (header.sh_type != SHT_DYNSYM && header.sh_type != SHT_SYMTAB))
			continue;
		data = elf_getdata(scn, NULL);
		for (size_t i = 0; data && i < header.sh_size / header.sh_entsize; i++) {
			const char *name;
			GElf_Sym sym;

			if (!gelf_getsym(data, (int)i, &sym))
				break;
			if (!sym.st_value || sym.st_shndx == SHN_UNDEF)
				continue;
			name = elf_strptr(elf, header.sh_link, sym.st_name);
			if (name)
				look_at_symbol(image, name, &sym);
		}
	}
}

/* Reads what is executable. 0, or -1. */
static int read_segments(Elf *elf, int fd, struct image *image)
{
	uint64_t total = 0;
	size_t headers = 0;

	if (elf_getphdrnum(elf, &headers))
		return -1;
	for (size_t i = 0; i < headers; i++) {
		GElf_Phdr p;
		uint8_t *bytes;

		if (!gelf_getphdr(elf, (int)i, &p))
			return -1;
		if (p.p_type != PT_LOAD || !(p.p_flags & PF_X) || !p.p_filesz)
			continue;
		total += p.p_filesz;
		if (image->segments == TAPS_CODE_SPANS || p.p_filesz > CODE_BYTES_MAX ||
		    total > CODE_BYTES_MAX || p.p_offset > INT64_MAX - p.p_filesz)
			return -1;
		bytes = malloc(p.p_filesz);
		if (!bytes)
			return -1;
		image->segment[image->segments].bytes = bytes;
		image->segment[image->segments].offset = p.p_offset;
		image->segment[image->segments].address = p.p_vaddr;
		image->segment[image->segments++].size = p.p_filesz;
		if (pread(fd, bytes, p.p_filesz, (off_t)p.p_offset) != (ssize_t)p.p_filesz)
			return -1;
	}
	return image->segments ? 0 : -1;
}

static int read_file(struct image *image, struct taps *out)
{
	Elf *elf;
	int bad;

	elf_version(EV_CURRENT);
	elf = elf_begin(out->fd, ELF_C_READ, NULL);
	if (!elf)
		return refuse(out, "the interpreter's file is no ELF file");
	bad = elf_kind(elf) != ELF_K_ELF || gelf_getclass(elf) != ELFCLASS64 ||
	      read_segments(elf, out->fd, image);
	if (!bad)
		read_symbols(elf, image);
	elf_end(elf);
	if (bad)
		return refuse(out, "the interpreter's file has no readable code");
	if (!image->function || image->functions_differ)
		return refuse(out, "the evaluation function's symbol is missing or not unique");
	if (image->function_size > FUNCTION_BYTES_MAX || !image->function_size)
		return refuse(out, "the evaluation function's symbol has no plausible size");
	if (image->copy[0]) {
		snprintf(out->why, sizeof(out->why), "the compiler made a copy of it: %s",
			 image->copy);
		return -1;
	}
	if (image->has_unless)
		return refuse(out, "this build has a second way to run functions");
	return 0;
}

/* ---- the process ---- */

static int each_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct image *image = ctx;

	if (m->inode != image->inode || strcmp(m->path, image->path) != 0)
		return 0;
	if (image->mappings < MAPPINGS_MAX) {
		image->mapping[image->mappings].start = m->start;
		image->mapping[image->mappings++].size = m->end - m->start;
	}
	for (size_t i = 0; m->executable && i < image->segments; i++) {
		uint64_t offset = image->segment[i].offset & ~(uint64_t)4095;
		uint64_t end = image->segment[i].offset + image->segment[i].size;
		uint64_t bias;

		if (m->offset < offset || m->offset >= end)
			continue;
		bias = m->start - m->offset + image->segment[i].offset - image->segment[i].address;
		image->biases_differ |= image->mapped && image->bias != bias;
		image->bias = bias;
		image->mapped = true;
	}
	return 0;
}

static int find_mapped(pid_t pid, struct image *image, struct taps *out)
{
	if (procfs_maps(pid, each_mapping, image) < 0 || !image->mapped)
		return refuse(out, "the interpreter's file is not mapped, or was replaced");
	if (image->biases_differ)
		return refuse(out, "the interpreter's file is mapped more than once");
	for (size_t i = 0; i < image->segments; i++)
		image->code.span[image->code.count++] =
			(struct taps_code_span){ image->segment[i].bytes,
						 (size_t)image->segment[i].size,
						 image->segment[i].address + image->bias };
	return 0;
}

/* The file's bytes that a site was derived from stand in the process's memory, too. */
static int prove_site(pid_t pid, const struct image *image, const struct taps_code_site *site,
		      struct taps *out)
{
	for (size_t i = 0; i < site->pieces; i++) {
		uint8_t memory[TAPS_CODE_PIECE_MAX];
		size_t size = (size_t)(site->piece[i].to - site->piece[i].from), have = size;
		const uint8_t *file = taps_code_at(&image->code, site->piece[i].from, &have);

		if (!file || have != size || size > sizeof(memory) ||
		    procfs_memory(pid, site->piece[i].from, memory, size))
			return refuse(out, "the code at a tap cannot be read");
		for (size_t n = 0; n < size; n++)
			if (memory[n] != file[n])
				return refuse(out,
					      memory[n] == 0xcc
						      ? "somebody's breakpoint stands at a tap"
						      : "code at a tap differs from the file's");
	}
	return 0;
}

static int add_tap(const struct image *image, const struct taps_code_site *site, struct taps *out)
{
	uint64_t linked = site->address - image->bias;
	struct tap tap = { .address = site->address, .frame_reg = site->frame_reg };
	size_t size = site->size;
	const uint8_t *bytes = taps_code_at(&image->code, site->address, &size);

	if (!bytes || !taps_code_emulated(bytes, size))
		return refuse(out, "a tap is no emulated instruction");
	for (size_t i = 0; i < image->segments; i++)
		if (linked >= image->segment[i].address &&
		    linked - image->segment[i].address < image->segment[i].size)
			tap.offset = image->segment[i].offset + linked - image->segment[i].address;
	out->at[out->count++] = tap;
	return 0;
}

/* ---- by the entry of the evaluation function ---- */

static const uint8_t argument_registers[] = { WIRE_RDI, WIRE_RSI, WIRE_RDX,
					      WIRE_RCX, WIRE_R8,  WIRE_R9 };

static int find_entry(pid_t pid, const struct image *image, struct taps *out)
{
	unsigned int frame_reg = argument_registers[image->know->frame_argument - 1];
	struct taps_code_site site;
	const char *why;

	out->throw_reg = argument_registers[image->know->throw_argument - 1];
	if (taps_code_entry(&image->code, image->function + image->bias,
			    1U << frame_reg | 1U << out->throw_reg, &site, &why))
		return refuse(out, why);
	site.frame_reg = frame_reg;
	if (prove_site(pid, image, &site, out))
		return -1;
	return add_tap(image, &site, out);
}

/* ---- by the handlers of opcodes ---- */

/* The one table of handlers, from the process's memory. */
static int find_table(pid_t pid, const struct image *image, uint64_t table[TAPS_CODE_OPCODES],
		      struct taps *out)
{
	uint64_t total = 0;
	size_t found = 0;

	for (size_t i = 0; i < image->mappings; i++) {
		uint64_t start = image->mapping[i].start, size = image->mapping[i].size;
		cleanup_free uint64_t *words = NULL;
		size_t first, here;

		if (size > MAPPING_BYTES_MAX - total)
			return refuse(out, "the interpreter's file is mapped too large");
		total += size;
		words = malloc(size);
		if (!words)
			return refuse(out, "out of memory");
		if (procfs_memory(pid, start, words, size))
			continue;
		here = taps_code_tables(&image->code, image->function + image->bias,
					image->function_size, words, size / sizeof(*words), start,
					&first);
		if (here)
			memcpy(table, words + first, TAPS_CODE_OPCODES * sizeof(*table));
		found += here;
	}
	if (!found)
		return refuse(out, "there is no table of opcode handlers");
	return found == 1 ? 0 : refuse(out, "there is more than one table of opcode handlers");
}

/* No other opcode may run into a site. */
static bool shared(const struct python_taps *know, const uint64_t table[TAPS_CODE_OPCODES],
		   uint64_t handler, const struct taps_code_site *site)
{
	for (size_t i = 0; i < TAPS_CODE_OPCODES; i++)
		if (!memchr(know->opcodes, (int)i, know->opcodes_count) &&
		    (table[i] == handler || (table[i] > site->store && table[i] <= site->address)))
			return true;
	return false;
}

static int find_handlers(pid_t pid, const struct image *image, struct taps *out)
{
	uint64_t table[TAPS_CODE_OPCODES];
	struct taps_code_site sites[PYTHON_TAPS_OPCODES];
	size_t count = 0;
	const char *why;

	if (find_table(pid, image, table, out))
		return -1;
	for (size_t i = 0; i < image->know->opcodes_count; i++) {
		uint64_t handler = table[image->know->opcodes[i]];
		struct taps_code_site *site = &sites[count];
		size_t same = 0;

		if (taps_code_handler(&image->code, handler, image->know->frame_at, site, &why))
			return refuse(out, why);
		if (shared(image->know, table, handler, site))
			return refuse(out, "another opcode has the same handler");
		if (prove_site(pid, image, site, out))
			return -1;
		while (same < count && sites[same].address != site->address)
			same++;
		if (same < count && sites[same].frame_reg != site->frame_reg)
			return refuse(out,
				      "two handlers share a tap, but not the frame's register");
		count += same == count;
	}
	for (size_t i = 0; i < count; i++)
		if (taps_code_closed(&image->code, sites, count, i, &why))
			return refuse(out, why);
	for (size_t i = 0; i < count; i++)
		if (add_tap(image, &sites[i], out))
			return -1;
	return 0;
}

/* ---- all of it ---- */

static int find(pid_t pid, struct image *image, struct taps *out)
{
	const char *how;
	struct stat st;

	if (image->know->kind == PYTHON_TAPS_NONE)
		return refuse(out, "where this version starts functions is not known");
	out->fd = identity_open(pid, out->path, &st, &how);
	if (out->fd < 0) {
		snprintf(out->why, sizeof(out->why), "the interpreter's file cannot be opened: %s",
			 how);
		return -1;
	}
	image->inode = out->inode = st.st_ino;
	out->device = st.st_dev;
	out->build_id_size = buildid_read(out->fd, out->build_id);
	if (!out->build_id_size)
		return refuse(out, "the interpreter's file has no build id");
	if (read_file(image, out) || find_mapped(pid, image, out))
		return -1;
	if (image->evaluator && image->evaluator != image->function + image->bias)
		return refuse(out, "the evaluation function does not lie where the runtime has it");
	return image->know->kind == PYTHON_TAPS_ENTRY ? find_entry(pid, image, out)
						      : find_handlers(pid, image, out);
}

int taps_find(pid_t pid, const struct python_runtime *runtime, struct taps *out)
{
	struct image image = { 0 };
	int ret;

	image.evaluator = runtime->evaluator;
	*out = (struct taps){ .fd = -1, .throw_reg = WIRE_REGISTERS };
	if (runtime->state != PYTHON_READY)
		return refuse(out, "the runtime is not proven");
	snprintf(out->path, sizeof(out->path), "%s", runtime->library);
	out->know = image.know = &runtime->layout->taps;
	image.path = out->path;
	ret = find(pid, &image, out);
	out->eval_start = image.function + image.bias;
	out->eval_end = out->eval_start + image.function_size;
	for (size_t i = 0; i < image.segments; i++)
		free(image.segment[i].bytes);
	return ret;
}

void taps_release(struct taps *taps)
{
	cleanup_closep(&taps->fd);
	taps->fd = -1;
}

static int is_copies(void *ctx, const struct procfs_mapping *m)
{
	(void)ctx;
	return !strcmp(m->path, "[uprobes]");
}

bool taps_stepped(pid_t pid)
{
	return procfs_maps(pid, is_copies, NULL) == 1;
}
