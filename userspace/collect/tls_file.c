/* Reads a TLS library's file: symbols, code, frame descriptions, the pointers that it jumps by. */
#include "collect/tls_file.h"

#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "collect/buildid.h"
#include "collect/identity.h"
#include "collect/tls_code.h"

#define CODE_BYTES_MAX ((uint64_t)64 << 20)
#define STARTS_MAX 262144
#define ENTRIES_MAX 16 /* functions that a function goes on in */

struct image {
	struct tls_file *out;
	pid_t pid;
	uint64_t bias;
	Elf *elf;
	struct taps_code code; /* as linked */
	uint64_t offset[TAPS_CODE_SPANS]; /* in the file, of each span */
	uint8_t *bytes[TAPS_CODE_SPANS];
	uint64_t frames, frames_offset, frames_size; /* .eh_frame_hdr */
	uint64_t *starts;
	size_t starts_count;
	uint64_t address[TLS_FUNCTIONS_MAX];
	uint64_t methods;
	const char *wanted; /* a symbol that is looked for */
	uint64_t wanted_at;
};

static int refuse(struct image *image, const char *what, const char *why)
{
	snprintf(image->out->why, sizeof(image->out->why), "%s%s%s", what, what[0] ? ": " : "",
		 why);
	return -1;
}

/* ---- the file ---- */

static int read_segments(struct image *image)
{
	uint64_t total = 0;
	size_t headers = 0;

	if (elf_getphdrnum(image->elf, &headers))
		return -1;
	for (size_t i = 0; i < headers; i++) {
		size_t n = image->code.count;
		GElf_Phdr p;

		if (!gelf_getphdr(image->elf, (int)i, &p))
			return -1;
		if (p.p_type == PT_GNU_EH_FRAME) {
			image->frames = p.p_vaddr;
			image->frames_offset = p.p_offset;
			image->frames_size = p.p_filesz;
		}
		if (p.p_type != PT_LOAD || !(p.p_flags & PF_X) || !p.p_filesz)
			continue;
		if (n == TAPS_CODE_SPANS || p.p_filesz > CODE_BYTES_MAX - total ||
		    p.p_offset > INT64_MAX - p.p_filesz)
			return -1;
		total += p.p_filesz;
		image->bytes[n] = malloc(p.p_filesz);
		if (!image->bytes[n] || pread(image->out->fd, image->bytes[n], p.p_filesz,
					      (off_t)p.p_offset) != (ssize_t)p.p_filesz)
			return -1;
		image->offset[n] = p.p_offset;
		image->code.span[n] =
			(struct taps_code_span){ image->bytes[n], (size_t)p.p_filesz, p.p_vaddr };
		image->code.count++;
	}
	return image->code.count ? 0 : -1;
}

static int compare_addresses(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * The table of frame descriptions: a version (1), three encodings, the place of .eh_frame, a
 * count, pairs of distances from the table's beginning (Linux Standard Base, .eh_frame_hdr).
 */
static int read_starts(struct image *image)
{
	uint8_t head[12];
	uint32_t count;
	cleanup_free int32_t *pairs = NULL;
	size_t size;

	if (image->frames_size < sizeof(head) ||
	    pread(image->out->fd, head, sizeof(head), (off_t)image->frames_offset) != sizeof(head))
		return -1;
	memcpy(&count, head + 8, sizeof(count));
	/* Four bytes from here, a number of four bytes, four bytes from the table. */
	if (head[0] != 1 || head[1] != 0x1b || head[2] != 0x03 || head[3] != 0x3b || !count ||
	    count > STARTS_MAX || count > (image->frames_size - sizeof(head)) / 8)
		return -1;
	size = (size_t)count * 8;
	pairs = malloc(size);
	image->starts = calloc(count, sizeof(*image->starts));
	if (!pairs || !image->starts ||
	    pread(image->out->fd, pairs, size, (off_t)(image->frames_offset + sizeof(head))) !=
		    (ssize_t)size)
		return -1;
	for (size_t i = 0; i < count; i++)
		image->starts[i] = image->frames + (uint64_t)(int64_t)pairs[2 * i];
	qsort(image->starts, count, sizeof(*image->starts), compare_addresses);
	image->starts_count = count;
	return 0;
}

static int each_symbol(struct image *image,
		       int (*each)(struct image *image, const char *name, const GElf_Sym *sym))
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(image->elf, scn))) {
		GElf_Shdr header;
		Elf_Data *data;

		if (!gelf_getshdr(scn, &header) || !header.sh_entsize ||
		    header.sh_type != SHT_DYNSYM)
			continue;
		data = elf_getdata(scn, NULL);
		for (size_t i = 0; data && i < header.sh_size / header.sh_entsize; i++) {
			const char *name;
			GElf_Sym sym;

			if (!gelf_getsym(data, (int)i, &sym))
				break;
			name = elf_strptr(image->elf, header.sh_link, sym.st_name);
			if (name && sym.st_value && sym.st_shndx != SHN_UNDEF &&
			    GELF_ST_TYPE(sym.st_info) == STT_FUNC && each(image, name, &sym))
				return -1;
		}
	}
	return 0;
}

static int look_at_symbol(struct image *image, const char *name, const GElf_Sym *sym)
{
	const struct tls_library *library = image->out->library;

	if (library->methods && !strcmp(name, library->methods))
		image->methods = sym->st_value;
	for (size_t i = 0; i < library->functions_count; i++) {
		if (strcmp(name, library->functions[i].symbol) != 0)
			continue;
		if (image->address[i] && image->address[i] != sym->st_value)
			return refuse(image, name, "the file has two functions of this name");
		image->address[i] = sym->st_value;
	}
	return 0;
}

/* The symbol that the dynamic loader puts at a place; NULL: none. */
static const char *pointer_symbol(struct image *image, uint64_t place)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(image->elf, scn))) {
		GElf_Shdr header, symbols;
		Elf_Scn *symbols_scn;
		Elf_Data *data;

		if (!gelf_getshdr(scn, &header) || header.sh_type != SHT_RELA || !header.sh_entsize)
			continue;
		symbols_scn = elf_getscn(image->elf, header.sh_link);
		data = elf_getdata(scn, NULL);
		if (!data || !symbols_scn || !gelf_getshdr(symbols_scn, &symbols))
			continue;
		for (size_t i = 0; i < header.sh_size / header.sh_entsize; i++) {
			GElf_Rela rela;
			GElf_Sym sym;

			if (!gelf_getrela(data, (int)i, &rela))
				break;
			if (rela.r_offset != place ||
			    !gelf_getsym(elf_getdata(symbols_scn, NULL),
					 (int)GELF_R_SYM(rela.r_info), &sym))
				continue;
			return elf_strptr(image->elf, symbols.sh_link, sym.st_name);
		}
	}
	return NULL;
}

/* ---- places ---- */

static int file_offset(const struct image *image, uint64_t address, uint64_t *out)
{
	for (size_t i = 0; i < image->code.count; i++) {
		const struct taps_code_span *span = &image->code.span[i];

		if (address >= span->address && address - span->address < span->size) {
			*out = image->offset[i] + address - span->address;
			return 0;
		}
	}
	return -1;
}

/* The file's bytes stand in the process's memory, or somebody's breakpoint does. */
static bool stands_in_memory(const struct image *image, uint64_t address, size_t want)
{
	size_t size = want;
	const uint8_t *bytes = taps_code_at(&image->code, address, &size);
	uint8_t memory[16];

	if (!bytes || size > sizeof(memory) ||
	    procfs_memory(image->pid, address + image->bias, memory, size))
		return false;
	return !memcmp(memory + 1, bytes + 1, size - 1) &&
	       (memory[0] == bytes[0] || memory[0] == 0xcc);
}

static int add_return(struct image *image, const char *name, uint64_t address)
{
	struct tls_file *out = image->out;
	uint64_t offset;

	if (!stands_in_memory(image, address, 1) || file_offset(image, address, &offset))
		return refuse(image, name, "its code differs from the file's");
	for (size_t i = 0; i < out->returns_count; i++)
		if (out->returns[i] == offset)
			return 0;
	if (out->returns_count == TLS_FILE_RETURNS)
		return refuse(image, name, "it returns at too many places");
	out->returns[out->returns_count++] = offset;
	return 0;
}

static int look_for_wanted(struct image *image, const char *name, const GElf_Sym *sym)
{
	if (!strcmp(name, image->wanted))
		image->wanted_at = sym->st_value;
	return 0;
}

/* The address of any function of the file; 0: it has none of this name. */
static uint64_t function_at(struct image *image, const char *name)
{
	image->wanted = name;
	image->wanted_at = 0;
	each_symbol(image, look_for_wanted);
	return image->wanted_at;
}

/* A function and those that it goes on in. */
struct entries {
	uint64_t at[ENTRIES_MAX];
	size_t count;
};

static int add_entry(struct image *image, const char *name, struct entries *entries, uint64_t at)
{
	for (size_t i = 0; i < entries->count; i++)
		if (entries->at[i] == at)
			return 0;
	if (entries->count == ENTRIES_MAX)
		return refuse(image, name, "it jumps to too many functions");
	entries->at[entries->count++] = at;
	return 1;
}

/*
 * A jump to a function that is tapped itself goes on there; others of the file are looked at, too;
 * one to elsewhere would be lost. Returns how many entries came to it, or -1.
 */
static int follow_jumps(struct image *image, const char *name, const struct tls_code_ends *ends,
			struct entries *entries)
{
	const struct tls_library *library = image->out->library;
	int added = 0;

	for (size_t i = 0; i < ends->jumps_count; i++) {
		const char *to = pointer_symbol(image, ends->jumps[i]);
		uint64_t at = 0;
		size_t n = 0;
		int more;

		while (to && n < library->functions_count &&
		       (strcmp(to, library->functions[n].symbol) != 0 || !image->address[n]))
			n++;
		if (to && n < library->functions_count)
			continue;
		if (to)
			at = function_at(image, to);
		if (!at)
			return refuse(image, name, "it is left by a jump to another file");
		more = add_entry(image, name, entries, at);
		if (more < 0)
			return -1;
		added += more;
	}
	return added;
}

/* What a handshake's computed jump may lead to. */
static int add_methods(struct image *image, const char *name, struct entries *entries)
{
	const struct tls_library *library = image->out->library;
	uint64_t table = image->methods ? tls_code_constant(&image->code, image->methods) : 0, at;

	for (size_t i = 0; table && i < library->methods_count; i++) {
		if (procfs_memory(image->pid, table + image->bias + library->methods_at[i], &at,
				  sizeof(at)))
			return refuse(image, name, "its methods cannot be read");
		if (add_entry(image, name, entries, at - image->bias) < 0)
			return -1;
	}
	return table ? 0 : refuse(image, name, "its methods are not found");
}

static int add_returns(struct image *image, const struct tls_function *f, uint64_t address)
{
	const struct tls_code_starts starts = { image->starts, image->starts_count };
	struct entries entries = { { address }, 1 };
	cleanup_free struct tls_code_ends *ends = malloc(sizeof(*ends));
	bool methods = f->role == TLS_HANDSHAKE && image->out->library->methods;
	const char *why;
	int added = 1;

	if (!ends)
		return refuse(image, f->symbol, "out of memory");
	while (added) {
		if (tls_code_ends(&image->code, &starts, entries.at, entries.count, ends, &why))
			return refuse(image, f->symbol, why);
		added = follow_jumps(image, f->symbol, ends, &entries);
		if (added < 0)
			return -1;
		if (methods && ends->computed) {
			if (add_methods(image, f->symbol, &entries))
				return -1;
			methods = false;
			added++;
		}
	}
	for (size_t i = 0; i < ends->count; i++)
		if (add_return(image, f->symbol, ends->returns[i]))
			return -1;
	return 0;
}

static bool returns_matter(enum tls_role role)
{
	return role != TLS_FREE && role != TLS_CLEAR && role != TLS_REBIND;
}

static int add_function(struct image *image, size_t i)
{
	const struct tls_function *f = &image->out->library->functions[i];
	struct tls_file *out = image->out;
	uint64_t address = image->address[i], offset;

	if (!address)
		return f->optional ? 0 : refuse(image, f->symbol, "the file has no such function");
	if (!stands_in_memory(image, address, 16) || file_offset(image, address, &offset))
		return refuse(image, f->symbol, "its code differs from the file's");
	out->entry[out->entries].offset = offset;
	out->entry[out->entries++].function = f;
	return returns_matter(f->role) ? add_returns(image, f, address) : 0;
}

/* ---- all of it ---- */

static int find_bias(struct image *image, const struct procfs_mapping *m)
{
	for (size_t i = 0; i < image->code.count; i++) {
		if (m->offset != (image->offset[i] & ~(uint64_t)4095))
			continue;
		image->bias = m->start - m->offset + image->offset[i] - image->code.span[i].address;
		return 0;
	}
	return -1;
}

static int read_image(struct image *image, const struct procfs_mapping *m)
{
	uint8_t build_id[BUILDID_MAX];
	GElf_Ehdr header;

	if (!buildid_read(image->out->fd, build_id))
		return refuse(image, "", "the library has no build id");
	elf_version(EV_CURRENT);
	image->elf = elf_begin(image->out->fd, ELF_C_READ, NULL);
	if (!image->elf || elf_kind(image->elf) != ELF_K_ELF ||
	    gelf_getclass(image->elf) != ELFCLASS64 || !gelf_getehdr(image->elf, &header) ||
	    header.e_machine != EM_X86_64)
		return refuse(image, "", "the library is no ELF file of x86-64");
	if (read_segments(image) || find_bias(image, m))
		return refuse(image, "", "the library has no readable code where it is mapped");
	if (read_starts(image))
		return refuse(image, "", "the library does not say where its functions begin");
	if (each_symbol(image, look_at_symbol))
		return -1;
	for (size_t i = 0; i < image->out->library->functions_count; i++)
		if (add_function(image, i))
			return -1;
	return 0;
}

int tls_file_find(pid_t pid, const struct procfs_mapping *m, const struct tls_library *library,
		  struct tls_file *out)
{
	struct image image = { .out = out, .pid = pid };
	const char *how;
	struct stat st;
	int ret;

	*out = (struct tls_file){ .library = library, .device = m->device, .inode = m->inode };
	out->fd = identity_open(pid, m->path, &st, &how);
	if (out->fd < 0)
		return refuse(&image, "the library cannot be opened", how);
	ret = st.st_ino == m->inode ? read_image(&image, m)
				    : refuse(&image, "", "the library was replaced");
	elf_end(image.elf);
	free(image.starts);
	for (size_t i = 0; i < TAPS_CODE_SPANS; i++)
		free(image.bytes[i]);
	if (ret)
		out->entries = out->returns_count = 0;
	return ret;
}

void tls_file_release(struct tls_file *file)
{
	cleanup_closep(&file->fd);
	file->fd = -1;
}
