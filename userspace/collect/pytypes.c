/* Where the interpreter's own objects lie in a process: by the symbols of its file. */
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "collect/identity.h"
#include "collect/procfs.h"
#include "collect/pymemory.h"

#define TYPES_COUNT (sizeof(struct pymemory_types) / sizeof(uint64_t))

static const char *const names[] = {
#define TYPE_NAME(member, symbol) symbol,
	PYMEMORY_TYPES(TYPE_NAME)
};

struct image {
	const char *library;
	uint64_t inode;
	uint64_t values[TYPES_COUNT]; /* as linked */
	uint64_t offset, address; /* of the first executable segment */
	uint64_t bias;
	bool fixed, found;
};

static void look_up(Elf *elf, Elf_Scn *scn, const GElf_Shdr *header, struct image *out)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t count = data && header->sh_entsize ? header->sh_size / header->sh_entsize : 0;

	for (size_t i = 0; i < count; i++) {
		GElf_Sym sym;
		const char *name;

		if (!gelf_getsym(data, (int)i, &sym))
			return;
		if (!sym.st_value || sym.st_shndx == SHN_UNDEF)
			continue;
		name = elf_strptr(elf, header->sh_link, sym.st_name);
		for (size_t n = 0; name && n < TYPES_COUNT; n++)
			if (!strcmp(name, names[n]))
				out->values[n] = sym.st_value;
	}
}

static int read_symbols(int fd, struct image *out)
{
	Elf_Scn *scn = NULL;
	GElf_Ehdr ehdr;
	size_t headers = 0;
	bool found = false;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf)
		return -1;
	if (elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &ehdr) &&
	    !elf_getphdrnum(elf, &headers)) {
		out->fixed = ehdr.e_type == ET_EXEC;
		for (size_t i = 0; i < headers && !found; i++) {
			GElf_Phdr p;

			found = gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD &&
				p.p_flags & PF_X;
			out->offset = p.p_offset;
			out->address = p.p_vaddr;
		}
		while (found && (scn = elf_nextscn(elf, scn))) {
			GElf_Shdr header;

			if (gelf_getshdr(scn, &header) && header.sh_type == SHT_DYNSYM)
				look_up(elf, scn, &header, out);
		}
	}
	elf_end(elf);
	return found ? 0 : -1;
}

static int each_mapping(void *ctx, const struct procfs_mapping *m)
{
	struct image *image = ctx;
	const uint64_t page = 4095;

	if (!m->executable || strcmp(m->path, image->library) || m->inode != image->inode)
		return 0;
	image->bias = image->fixed ? 0
				   : m->start - m->offset -
					     ((image->address & ~page) - (image->offset & ~page));
	image->found = true;
	return 1;
}

int pymemory_types(pid_t pid, const char *library, struct pymemory_types *out)
{
	struct image image = { .library = library };
	cleanup_close int fd = -1;
	uint64_t values[TYPES_COUNT];
	const char *how;
	struct stat st;

	fd = identity_open(pid, library, &st, &how);
	if (fd < 0 || read_symbols(fd, &image))
		return -1;
	image.inode = st.st_ino;
	if (procfs_maps(pid, each_mapping, &image) < 0 || !image.found)
		return -1;
	for (size_t i = 0; i < TYPES_COUNT; i++) {
		if (!image.values[i])
			return -1;
		values[i] = image.values[i] + image.bias;
	}
	memcpy(out, values, sizeof(*out));
	return 0;
}
