/* Call-frame rows and functions of an ELF file, through libdw. */
#include "collect/unwind_file.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define SEGMENTS_MAX 16
#define NOTES_MAX 4096
#define TABLE_MAX (64u << 20) /* bytes of .eh_frame_hdr, of .eh_frame */
#define SYMBOLS_MAX (1u << 20)
#define NAMES_MAX (256u << 20) /* bytes of a string table */
#define ROWS_MAX 32768

const uint8_t unwind_saved[UNWIND_SAVED] = { UNWIND_RBX, UNWIND_RBP, UNWIND_R12,
					     UNWIND_R13, UNWIND_R14, UNWIND_R15 };

struct symbol {
	uint64_t value, size;
	const char *name;
	uint8_t rank; /* the lowest is shown where several begin at one place */
};

struct cached {
	uint64_t address;
	bool none;
	struct unwind_row row;
	UT_hash_handle hh;
};

struct unwind_file {
	int fd;
	Elf *elf;
	Dwarf *dwarf;
	Dwarf_CFI *eh, *debug;
	struct {
		uint64_t offset, address, size;
	} code[SEGMENTS_MAX];
	size_t code_count;
	uint8_t *starts; /* pairs of a function's start and its description, from .eh_frame_hdr */
	size_t starts_count;
	uint64_t starts_base; /* what the starts are relative to */
	uint8_t *notes;
	size_t notes_len;
	uint64_t notes_address;
	struct symbol *symbols; /* by value */
	size_t symbols_count;
	struct cached *rows;
};

/* ---- opening ---- */

static uint8_t *read_part(int fd, uint64_t offset, uint64_t len)
{
	uint8_t *out = malloc(len ? len : 1);
	uint64_t got = 0;

	while (out && got < len) {
		ssize_t n = pread(fd, out + got, len - got, (off_t)(offset + got));

		if (n <= 0) {
			free(out);
			return NULL;
		}
		got += (uint64_t)n;
	}
	return out;
}

/*
 * .eh_frame_hdr (Linux Standard Base, "Exception Frames"): version, three encodings, then the
 * address of .eh_frame, a count, and pairs of 4-byte offsets from its own start, sorted. Linkers
 * write no other form.
 */
static void read_starts(struct unwind_file *f, const GElf_Phdr *p)
{
	cleanup_free uint8_t *part = NULL;
	struct bytes_reader r = { 0 };
	uint32_t count;

	if (f->starts || p->p_filesz < 12 || p->p_filesz > TABLE_MAX)
		return;
	part = read_part(f->fd, p->p_offset, p->p_filesz);
	if (!part)
		return;
	r.data = part;
	r.len = p->p_filesz;
	if (bytes_get_u8(&r) != 1 || bytes_get_u8(&r) != (DW_EH_PE_pcrel | DW_EH_PE_sdata4) ||
	    bytes_get_u8(&r) != DW_EH_PE_udata4 ||
	    bytes_get_u8(&r) != (DW_EH_PE_datarel | DW_EH_PE_sdata4))
		return;
	bytes_get_le32(&r);
	count = bytes_get_le32(&r);
	if (r.bad || !count || count > (r.len - r.at) / 8)
		return;
	f->starts = malloc((size_t)count * 8);
	if (!f->starts)
		return;
	memcpy(f->starts, part + r.at, (size_t)count * 8);
	f->starts_count = count;
	f->starts_base = p->p_vaddr;
}

static bool has_build_id(const uint8_t *notes, size_t len)
{
	static const uint8_t head[] = { 4, 0, 0, 0 }, tail[] = { 3, 0, 0, 0, 'G', 'N', 'U', 0 };

	/* name length 4, any length of the id, type NT_GNU_BUILD_ID, name */
	return len >= 16 && !memcmp(notes, head, 4) && !memcmp(notes + 8, tail, 8);
}

static int read_segments(struct unwind_file *f)
{
	size_t count = 0;

	if (elf_getphdrnum(f->elf, &count))
		return -1;
	for (size_t i = 0; i < count && i < 256; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(f->elf, (int)i, &p))
			return -1;
		if (p.p_type == PT_LOAD && p.p_flags & PF_X && f->code_count < SEGMENTS_MAX) {
			f->code[f->code_count].offset = p.p_offset;
			f->code[f->code_count].address = p.p_vaddr;
			f->code[f->code_count++].size = p.p_filesz;
		} else if (p.p_type == PT_GNU_EH_FRAME) {
			read_starts(f, &p);
		} else if (p.p_type == PT_NOTE && !f->notes && p.p_filesz <= NOTES_MAX) {
			f->notes = read_part(f->fd, p.p_offset, p.p_filesz);
			if (f->notes && has_build_id(f->notes, p.p_filesz)) {
				f->notes_len = p.p_filesz;
				f->notes_address = p.p_vaddr;
			} else {
				free(f->notes);
				f->notes = NULL;
			}
		}
	}
	return f->code_count && f->starts ? 0 : -1;
}

/* Plain names go before those with underscores in front, public ones before others. */
static uint8_t name_rank(const char *name, unsigned char bind)
{
	size_t underscores = strspn(name, "_");

	return (uint8_t)((underscores < 15 ? underscores : 15) * 4 + (bind == STB_GLOBAL ? 0
								      : bind == STB_WEAK ? 1
											 : 2));
}

static int by_value(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void read_symbols(struct unwind_file *f, Elf_Scn *scn, const GElf_Shdr *header)
{
	Elf_Scn *names = elf_getscn(f->elf, header->sh_link);
	struct symbol *grown;
	GElf_Shdr strings;
	Elf_Data *data;
	size_t count;

	if (header->sh_entsize != sizeof(Elf64_Sym) || header->sh_flags & SHF_COMPRESSED ||
	    header->sh_size > SYMBOLS_MAX * sizeof(Elf64_Sym) || f->symbols_count > SYMBOLS_MAX ||
	    !names || !gelf_getshdr(names, &strings) || strings.sh_size > NAMES_MAX ||
	    strings.sh_flags & SHF_COMPRESSED)
		return;
	data = elf_getdata(scn, NULL);
	count = data ? data->d_size / sizeof(Elf64_Sym) : 0;
	grown = realloc(f->symbols, (f->symbols_count + count + 1) * sizeof(*grown));
	if (!grown)
		return;
	f->symbols = grown;
	for (size_t i = 0; i < count; i++) {
		GElf_Sym sym;
		const char *name;
		int type;

		if (!gelf_getsym(data, (int)i, &sym))
			break;
		type = GELF_ST_TYPE(sym.st_info);
		if ((type != STT_FUNC && type != STT_GNU_IFUNC) || !sym.st_value ||
		    sym.st_shndx == SHN_UNDEF)
			continue;
		name = elf_strptr(f->elf, header->sh_link, sym.st_name);
		if (!name || !name[0] || strlen(name) > 1024)
			continue;
		grown[f->symbols_count++] = (struct symbol){
			.value = sym.st_value,
			.size = sym.st_size,
			.name = name,
			.rank = name_rank(name, GELF_ST_BIND(sym.st_info)),
		};
	}
}

/* What is compressed is left alone: it could grow without bound. */
static int read_sections(struct unwind_file *f)
{
	Elf_Scn *scn = NULL;
	size_t names = 0;
	bool debug_frame = false;

	if (elf_getshdrstrndx(f->elf, &names))
		return -1;
	while ((scn = elf_nextscn(f->elf, scn))) {
		GElf_Shdr header;
		const char *name;

		if (!gelf_getshdr(scn, &header))
			return -1;
		name = elf_strptr(f->elf, names, header.sh_name);
		if (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB)
			read_symbols(f, scn, &header);
		if (!name)
			continue;
		if (!strcmp(name, ".eh_frame") && header.sh_size > TABLE_MAX)
			return -1;
		if (!strcmp(name, ".debug_frame") && header.sh_size <= TABLE_MAX &&
		    !(header.sh_flags & SHF_COMPRESSED))
			debug_frame = true;
	}
	if (f->symbols)
		qsort(f->symbols, f->symbols_count, sizeof(*f->symbols), by_value);
	f->eh = dwarf_getcfi_elf(f->elf);
	if (debug_frame && (f->dwarf = dwarf_begin_elf(f->elf, DWARF_C_READ, NULL)))
		f->debug = dwarf_getcfi(f->dwarf);
	return f->eh || f->debug ? 0 : -1;
}

struct unwind_file *unwind_file_open(int fd)
{
	struct unwind_file *f = calloc(1, sizeof(*f));
	GElf_Ehdr ehdr;

	if (!f)
		return NULL;
	elf_version(EV_CURRENT);
	f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (f->fd >= 0)
		f->elf = elf_begin(f->fd, ELF_C_READ, NULL);
	if (!f->elf || elf_kind(f->elf) != ELF_K_ELF || !gelf_getehdr(f->elf, &ehdr) ||
	    ehdr.e_machine != EM_X86_64 || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_ident[EI_DATA] != ELFDATA2LSB ||
	    (ehdr.e_type != ET_EXEC && ehdr.e_type != ET_DYN) || read_segments(f) ||
	    read_sections(f)) {
		unwind_file_close(f);
		return NULL;
	}
	return f;
}

static void forget_row(struct unwind_row *row)
{
	free(row->cfa.operations);
	free(row->rip.operations);
	for (size_t i = 0; i < UNWIND_SAVED; i++)
		free(row->saved[i].operations);
}

static void forget_rows(struct unwind_file *f)
{
	struct cached *c, *next;

	HASH_ITER(hh, f->rows, c, next) {
		HASH_DEL(f->rows, c);
		forget_row(&c->row);
		free(c);
	}
}

void unwind_file_close(struct unwind_file *f)
{
	if (!f)
		return;
	forget_rows(f);
	if (f->eh)
		dwarf_cfi_end(f->eh);
	if (f->dwarf)
		dwarf_end(f->dwarf);
	if (f->elf)
		elf_end(f->elf);
	if (f->fd >= 0)
		close(f->fd);
	free(f->starts);
	free(f->notes);
	free(f->symbols);
	free(f);
}

/* ---- rows ---- */

static int copy_operations(struct unwind_rule *rule, const Dwarf_Op *ops, size_t count)
{
	if (count > UNWIND_OPERATIONS)
		return -1;
	rule->operations = calloc(count, sizeof(*rule->operations));
	if (!rule->operations)
		return -1;
	rule->count = (uint8_t)count;
	for (size_t i = 0; i < count; i++)
		rule->operations[i] = (struct unwind_operation){
			.atom = ops[i].atom,
			.first = (int64_t)ops[i].number,
			.second = (int64_t)ops[i].number2,
		};
	return 0;
}

static void cfa_rule(Dwarf_Frame *frame, struct unwind_rule *out)
{
	Dwarf_Op *ops;
	size_t count;

	out->how = UNWIND_UNKNOWN;
	if (dwarf_frame_cfa(frame, &ops, &count) || !count)
		return;
	if (count == 1 && ops[0].atom == DW_OP_bregx && ops[0].number < UNWIND_REGISTERS) {
		out->how = UNWIND_VALUE;
		out->reg = (uint8_t)ops[0].number;
		out->offset = (int64_t)ops[0].number2;
	} else if (!copy_operations(out, ops, count)) {
		out->how = UNWIND_COMPUTED;
	}
}

/* libdw puts a rule into words of DWARF; see <elfutils/libdw.h>, dwarf_frame_register. */
static void register_rule(Dwarf_Frame *frame, int reg, struct unwind_rule *out)
{
	Dwarf_Op memory[3], *ops = NULL;
	size_t count = 0;

	out->how = UNWIND_UNKNOWN;
	if (dwarf_frame_register(frame, reg, memory, &ops, &count))
		return;
	if (!count) {
		/* The ABI keeps the other registers; no rule is needed to say so. */
		if (reg != UNWIND_RIP)
			out->how = UNWIND_SAME;
		else if (ops)
			out->how = UNWIND_UNDEFINED;
		return;
	}
	if (ops == memory && ops[0].atom == DW_OP_call_frame_cfa) {
		bool value = ops[count - 1].atom == DW_OP_stack_value;
		size_t plain = count - value;

		if (plain == 1 || (plain == 2 && ops[1].atom == DW_OP_plus_uconst)) {
			out->how = value ? UNWIND_VALUE : UNWIND_AT;
			out->offset = plain == 2 ? (int64_t)ops[1].number : 0;
			return;
		}
	}
	if (ops == memory && count == 1 && ops[0].atom == DW_OP_regx) {
		if (ops[0].number < UNWIND_REGISTERS) {
			out->how = UNWIND_OTHER;
			out->reg = (uint8_t)ops[0].number;
		}
		return;
	}
	if (ops[count - 1].atom == DW_OP_stack_value) {
		if (!copy_operations(out, ops, count - 1))
			out->how = UNWIND_COMPUTED;
	} else if (!copy_operations(out, ops, count)) {
		out->how = UNWIND_PLACE;
	}
}

/* Start of the function by .eh_frame_hdr; 0: the address lies before the first. */
static uint64_t start_of(const struct unwind_file *f, uint64_t address)
{
	size_t low = 0, high = f->starts_count;
	uint64_t start = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int32_t offset;
		uint64_t value;

		memcpy(&offset, f->starts + 8 * middle, sizeof(offset));
		value = f->starts_base + (uint64_t)(int64_t)offset;
		if (value <= address) {
			start = value;
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return start;
}

/* The symbol that contains the address; among several the one that begins last. */
static const struct symbol *symbol_of(const struct unwind_file *f, uint64_t address, uint64_t start)
{
	const struct symbol *found = NULL;
	size_t low = 0, high = f->symbols_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->symbols[middle].value <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t looked = 0; low-- && looked < 64; looked++) {
		const struct symbol *s = &f->symbols[low];

		if (found && s->value != found->value)
			break;
		if (address - s->value < s->size || (!s->size && s->value == start))
			found = s; /* the first of its place comes last here: the lowest rank */
	}
	return found;
}

static bool read_row(struct unwind_file *f, uint64_t address, struct unwind_row *row)
{
	Dwarf_Frame *frame = NULL;
	const struct symbol *symbol;

	if ((!f->eh || dwarf_cfi_addrframe(f->eh, address, &frame)) &&
	    (!f->debug || dwarf_cfi_addrframe(f->debug, address, &frame)))
		return false;
	if (dwarf_frame_info(frame, NULL, NULL, &row->signal) != UNWIND_RIP) {
		free(frame);
		return false;
	}
	cfa_rule(frame, &row->cfa);
	register_rule(frame, UNWIND_RIP, &row->rip);
	for (size_t i = 0; i < UNWIND_SAVED; i++)
		register_rule(frame, unwind_saved[i], &row->saved[i]);
	free(frame);
	row->function = start_of(f, address);
	row->name = "";
	symbol = symbol_of(f, address, row->function);
	if (symbol) {
		row->function = symbol->value;
		row->name = symbol->name;
	}
	return row->function != 0;
}

const struct unwind_row *unwind_file_row(struct unwind_file *f, uint64_t address)
{
	struct cached *c;

	HASH_FIND(hh, f->rows, &address, sizeof(address), c);
	if (c)
		return c->none ? NULL : &c->row;
	if (HASH_COUNT(f->rows) >= ROWS_MAX)
		forget_rows(f);
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->address = address;
	c->none = !read_row(f, address, &c->row);
	HASH_ADD(hh, f->rows, address, sizeof(address), c);
	return c->none ? NULL : &c->row;
}

uint64_t unwind_file_address(const struct unwind_file *f, uint64_t offset)
{
	for (size_t i = 0; i < f->code_count; i++)
		if (offset >= f->code[i].offset && offset - f->code[i].offset < f->code[i].size)
			return f->code[i].address + (offset - f->code[i].offset);
	return UINT64_MAX;
}

size_t unwind_file_notes(const struct unwind_file *f, uint64_t *address, const uint8_t **bytes)
{
	*address = f->notes_address;
	*bytes = f->notes;
	return f->notes_len;
}

size_t unwind_file_cached(const struct unwind_file *f)
{
	return HASH_COUNT(f->rows);
}
