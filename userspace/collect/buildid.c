/* The GNU build id of an ELF file: program headers, then notes, every offset checked. */
#include "collect/buildid.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define HEADERS_MAX 256
#define NOTES_MAX (64 * 1024)

static size_t read_at(int fd, void *out, size_t len, uint64_t at)
{
	size_t got = 0;

	if (at > INT64_MAX - len)
		return 0;
	while (got < len) {
		ssize_t n = pread(fd, (uint8_t *)out + got, len - got, (off_t)(at + got));

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got;
}

static size_t up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static size_t find_note(const uint8_t *notes, size_t len, size_t align, uint8_t out[BUILDID_MAX])
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t desc, next;

		memcpy(&note, notes + at, sizeof(note));
		if (note.n_namesz > len || note.n_descsz > len)
			return 0;
		desc = at + up(sizeof(note) + note.n_namesz, align);
		next = up(desc + note.n_descsz, align);
		if (desc > len || note.n_descsz > len - desc)
			return 0;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    !memcmp(notes + at + sizeof(note), "GNU", 4) && note.n_descsz &&
		    note.n_descsz <= BUILDID_MAX) {
			memcpy(out, notes + desc, note.n_descsz);
			return note.n_descsz;
		}
		if (next > len)
			return 0;
		at = next;
	}
	return 0;
}

size_t buildid_read(int fd, uint8_t out[BUILDID_MAX])
{
	cleanup_free uint8_t *notes = NULL;
	union {
		Elf64_Ehdr e64;
		Elf32_Ehdr e32;
		uint8_t ident[EI_NIDENT];
	} head;
	uint64_t headers;
	size_t count, each, found = 0;
	bool wide;

	memset(&head, 0, sizeof(head));
	if (read_at(fd, &head, sizeof(head), 0) < sizeof(head.e32))
		return 0;
	if (memcmp(head.ident, ELFMAG, SELFMAG) || head.ident[EI_DATA] != ELFDATA2LSB)
		return 0;
	wide = head.ident[EI_CLASS] == ELFCLASS64;
	headers = wide ? head.e64.e_phoff : head.e32.e_phoff;
	count = wide ? head.e64.e_phnum : head.e32.e_phnum;
	each = wide ? head.e64.e_phentsize : head.e32.e_phentsize;
	if (each != (wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || count > HEADERS_MAX)
		return 0;
	notes = malloc(NOTES_MAX);
	if (!notes)
		return 0;
	for (size_t i = 0; i < count && !found; i++) {
		Elf64_Phdr p64;
		Elf32_Phdr p32;
		uint64_t offset, size, align;

		if (headers > INT64_MAX - i * each)
			return 0;
		if (read_at(fd, wide ? (void *)&p64 : (void *)&p32, each, headers + i * each) <
		    each)
			return 0;
		if ((wide ? p64.p_type : p32.p_type) != PT_NOTE)
			continue;
		offset = wide ? p64.p_offset : p32.p_offset;
		size = wide ? p64.p_filesz : p32.p_filesz;
		align = wide ? p64.p_align : p32.p_align;
		if (size > NOTES_MAX)
			continue;
		size = read_at(fd, notes, (size_t)size, offset);
		found = find_note(notes, (size_t)size, align == 8 ? 8 : 4, out);
	}
	return found;
}
