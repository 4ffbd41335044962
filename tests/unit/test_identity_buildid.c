/* Build ids of ELF files: a good one, and every field and cut of a bad one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collect/buildid.h"

static size_t build_id_of(const void *data, size_t len, uint8_t out[BUILDID_MAX])
{
	size_t n;
	int fd;

	fd = memfd_create("elf", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	n = buildid_read(fd, out);
	close(fd);
	return n;
}

struct elf64 {
	Elf64_Ehdr head;
	Elf64_Phdr segment[2];
	Elf64_Nhdr first;
	char first_name[8]; /* "abcde", padded */
	uint8_t first_desc[4];
	Elf64_Nhdr note;
	char name[4];
	uint8_t id[20];
};

static void make_elf(struct elf64 *e)
{
	*e = (struct elf64){
		.head = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB },
			  .e_phoff = offsetof(struct elf64, segment),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 2 },
		.segment = { { .p_type = PT_LOAD },
			     { .p_type = PT_NOTE,
			       .p_offset = offsetof(struct elf64, first),
			       .p_filesz = sizeof(*e) - offsetof(struct elf64, first),
			       .p_align = 4 } },
		.first = { 6, 3, 1 },
		.first_name = "abcde",
		.note = { 4, 20, NT_GNU_BUILD_ID },
		.name = "GNU",
		.id = "0123456789abcdefghi",
	};
}

static void test_build_id(void **state)
{
	uint8_t out[BUILDID_MAX];
	struct elf64 e;

	(void)state;
	make_elf(&e);
	assert_int_equal(build_id_of(&e, sizeof(e), out), 20);
	assert_memory_equal(out, e.id, 20);
	/* None, and every field at its worst. */
	assert_int_equal(build_id_of("", 0, out), 0);
	assert_int_equal(build_id_of("\177ELF", 4, out), 0);
	e.name[0] = 'X';
	assert_int_equal(build_id_of(&e, sizeof(e), out), 0);
	make_elf(&e);
	e.head.e_phoff = UINT64_MAX - 8;
	assert_int_equal(build_id_of(&e, sizeof(e), out), 0);
	make_elf(&e);
	e.head.e_phnum = 65535;
	assert_int_equal(build_id_of(&e, sizeof(e), out), 0);
	make_elf(&e);
	e.segment[1].p_offset = UINT64_MAX - 4;
	assert_int_equal(build_id_of(&e, sizeof(e), out), 0);
	make_elf(&e);
	e.segment[1].p_filesz = UINT64_MAX;
	assert_int_equal(build_id_of(&e, sizeof(e), out), 0);
	make_elf(&e);
	e.first.n_namesz = UINT32_MAX;
	assert_int_equal(build_id_of(&e, sizeof(e), out), 0);
	make_elf(&e);
	e.first.n_descsz = UINT32_MAX;
	assert_int_equal(build_id_of(&e, sizeof(e), out), 0);
	make_elf(&e);
	e.note.n_descsz = BUILDID_MAX + 1;
	assert_int_equal(build_id_of(&e, sizeof(e), out), 0);
	/* Every cut of the file. */
	make_elf(&e);
	for (size_t n = 0; n < offsetof(struct elf64, id) + sizeof(e.id); n++)
		assert_int_equal(build_id_of(&e, n, out), 0);
	/* Every byte at its extremes: anything but a crash. */
	for (size_t n = 0; n < sizeof(e); n++) {
		make_elf(&e);
		((uint8_t *)&e)[n] = 0xff;
		assert_true(build_id_of(&e, sizeof(e), out) <= BUILDID_MAX);
		((uint8_t *)&e)[n] = 0;
		assert_true(build_id_of(&e, sizeof(e), out) <= BUILDID_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_build_id) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
