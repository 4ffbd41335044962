/* Symbols and a few instructions of an interpreter's file. */
#include "collect/python_elf.h"

#include <gelf.h>
#include <libelf.h>
#include <string.h>

static void look_up(Elf *elf, Elf_Scn *scn, const GElf_Shdr *header, struct python_symbol *symbols,
		    size_t count)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t entries;

	if (!data || !header->sh_entsize)
		return;
	entries = header->sh_size / header->sh_entsize;
	for (size_t i = 0; i < entries; i++) {
		GElf_Sym sym;
		const char *name;

		if (!gelf_getsym(data, (int)i, &sym))
			return;
		if (!sym.st_value || sym.st_shndx == SHN_UNDEF)
			continue;
		name = elf_strptr(elf, header->sh_link, sym.st_name);
		for (size_t n = 0; name && n < count; n++) {
			if (strcmp(name, symbols[n].name) != 0)
				continue;
			symbols[n].address = sym.st_value;
			symbols[n].size = sym.st_size;
			symbols[n].function = GELF_ST_TYPE(sym.st_info) == STT_FUNC;
		}
	}
}

static bool find_code(Elf *elf, struct python_image *out)
{
	size_t headers = 0;

	if (elf_getphdrnum(elf, &headers))
		return false;
	for (size_t i = 0; i < headers; i++) {
		GElf_Phdr p;

		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD && p.p_flags & PF_X) {
			out->load_offset = p.p_offset;
			out->load_address = p.p_vaddr;
			return true;
		}
	}
	return false;
}

int python_elf_read(int fd, struct python_symbol *symbols, size_t count, struct python_image *out)
{
	Elf_Scn *scn = NULL;
	GElf_Ehdr ehdr;
	Elf *elf;

	memset(out, 0, sizeof(*out));
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf)
		return -1;
	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr) ||
	    ehdr.e_machine != EM_X86_64 || !find_code(elf, out)) {
		elf_end(elf);
		return -1;
	}
	out->fixed = ehdr.e_type == ET_EXEC;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr header;

		if (gelf_getshdr(scn, &header) &&
		    (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB))
			look_up(elf, scn, &header, symbols, count);
	}
	elf_end(elf);
	return 0;
}

uint64_t python_elf_bias(const struct python_image *image, uint64_t start, uint64_t offset)
{
	const uint64_t page = 4095;

	if (image->fixed)
		return 0;
	return start - offset - ((image->load_address & ~page) - (image->load_offset & ~page));
}

static bool starts(const uint8_t *code, size_t size, const void *with, size_t length)
{
	return size >= length && !memcmp(code, with, length);
}

uint64_t python_code_returns(const uint8_t *code, size_t size, uint64_t address)
{
	size_t at = 0;
	int32_t displacement;
	bool framed;

	if (starts(code, size, "\xf3\x0f\x1e\xfa", 4)) /* endbr64 */
		at += 4;
	framed = starts(code + at, size - at, "\x55\x48\x89\xe5", 4); /* push rbp; mov rbp, rsp */
	if (framed)
		at += 4;
	if (!starts(code + at, size - at, "\x48\x8b\x05", 3) || size - at < 8) /* mov rax, [rip+] */
		return 0;
	memcpy(&displacement, code + at + 3, sizeof(displacement));
	at += 7;
	if (framed && code[at++] != 0x5d) /* pop rbp */
		return 0;
	if (at >= size || code[at] != 0xc3) /* ret */
		return 0;
	return address + at - framed + (uint64_t)(int64_t)displacement;
}

int python_code_addresses(const uint8_t *code, size_t size, uint64_t address,
			  int (*each)(void *ctx, uint64_t constant), void *ctx)
{
	for (size_t i = 0; i + 5 <= size; i++) {
		int32_t number;
		int result = 0;

		if (i + 7 <= size && (code[i] & 0xfb) == 0x48 && code[i + 1] == 0x8d &&
		    (code[i + 2] & 0xc7) == 0x05) { /* lea reg, [rip+] */
			memcpy(&number, code + i + 3, sizeof(number));
			result = each(ctx, address + i + 7 + (uint64_t)(int64_t)number);
		} else if ((code[i] & 0xf8) == 0xb8) { /* mov reg, constant */
			memcpy(&number, code + i + 1, sizeof(number));
			result = number > 0 ? each(ctx, (uint64_t)number) : 0;
		}
		if (result)
			return result;
	}
	return 0;
}
