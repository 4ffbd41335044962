/*
 * Taps of a live process: this one. Its own code and table stand for an interpreter's; symbols,
 * copies, breakpoints, altered bytes and wrong files. And the object `taps` of probe files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "catalog/probes.h"
#include "collect/taps.h"

/* Functions with an entry, with a copy by the compiler, and with opcode handlers and their table.
 */
void taps_test_entry(void);
void taps_test_copied(void);
void taps_test_unknown(void);
void taps_test_loop(void);
extern char taps_test_first[], taps_test_second[], taps_test_tap[];
extern char taps_test_other[], taps_test_other_tap[];

__asm__(".macro begin name\n"
	".globl \\name\n"
	".type \\name, @function\n"
	"\\name:\n"
	".endm\n"
	".macro end name\n"
	".size \\name, . - \\name\n"
	".endm\n"
	".text\n"
	"begin taps_test_entry\n"
	"endbr64\n"
	"push %rbp\n"
	"pop %rbp\n"
	"ret\n"
	"end taps_test_entry\n"
	"begin taps_test_copied\n"
	"push %rbp\n"
	"ret\n"
	"end taps_test_copied\n"
	"begin taps_test_copied.part.0\n"
	"ret\n"
	"end taps_test_copied.part.0\n"
	"begin taps_test_kept\n"
	"push %rbp\n"
	"ret\n"
	"end taps_test_kept\n"
	"begin taps_test_kept.cold\n"
	"ret\n"
	"end taps_test_kept.cold\n"
	"begin taps_test_loop\n"
	"lea taps_test_table(%rip), %rax\n"
	"jmp *(%rax,%rdi,8)\n"
	"taps_test_unknown:\n"
	"ret\n"
	"taps_test_first:\n"
	"mov %r14, 56(%rbp)\n"
	"jmp 1f\n"
	"taps_test_second:\n"
	"mov %r14, 56(%rbp)\n"
	"lea 2(%r14), %rax\n"
	"cmp $1, %r9d\n"
	"taps_test_tap:\n"
	"je taps_test_unknown\n"
	"1: ret\n"
	"taps_test_other:\n"
	"mov %r14, 56(%rbp)\n"
	"taps_test_other_tap:\n"
	"jne taps_test_unknown\n"
	"ret\n"
	"end taps_test_loop\n"
	".section .data.rel.ro, \"aw\"\n"
	".balign 8\n"
	"taps_test_table:\n"
	".rept 150\n"
	".quad taps_test_unknown\n"
	".endr\n"
	".quad taps_test_first, taps_test_second, taps_test_other, taps_test_other\n"
	".rept 102\n"
	".quad taps_test_unknown\n"
	".endr\n"
	".text\n");

static struct python_layout layout;
static struct python_runtime runtime;
static struct taps taps;

static void prepare(enum python_taps_kind kind, const char *function)
{
	ssize_t n;

	layout = (struct python_layout){ .taps = { .kind = kind,
						   .function = function,
						   .opcodes = { 150, 151 },
						   .opcodes_count = 2,
						   .frame_at = 56,
						   .frame_argument = 1,
						   .throw_argument = 2 } };
	runtime = (struct python_runtime){ .state = PYTHON_READY, .layout = &layout };
	n = readlink("/proc/self/exe", runtime.library, sizeof(runtime.library) - 1);
	assert_true(n > 0);
}

static int look(void)
{
	int ret;

	taps_release(&taps);
	ret = taps_find(getpid(), &runtime, &taps);
	assert_int_equal(ret ? 1 : 0, taps.count == 0);
	assert_int_equal(ret ? 1 : 0, taps.why[0] != '\0');
	return ret;
}

static void refused(const char *because)
{
	assert_int_equal(look(), -1);
	if (!strstr(taps.why, because))
		fail_msg("'%s' does not say '%s'", taps.why, because);
}

/* The uprobe's place in the file holds the bytes of the tap. */
static void same_bytes(const struct tap *tap)
{
	uint8_t bytes[2];

	assert_int_equal(pread(taps.fd, bytes, sizeof(bytes), (off_t)tap->offset), sizeof(bytes));
	assert_memory_equal(bytes, (const void *)(uintptr_t)tap->address, sizeof(bytes));
}

static void test_entry(void **state)
{
	uint8_t id[BUILDID_MAX];

	(void)state;
	prepare(PYTHON_TAPS_ENTRY, "taps_test_entry");
	assert_int_equal(look(), 0);
	assert_int_equal(taps.count, 1);
	assert_int_equal(taps.at[0].address, (uintptr_t)taps_test_entry + 4);
	assert_int_equal(taps.at[0].frame_reg, WIRE_RDI);
	assert_int_equal(taps.throw_reg, WIRE_RSI);
	assert_string_equal(taps.path, runtime.library);
	assert_ptr_equal(taps.know, &layout.taps);
	assert_int_equal(taps.build_id_size, buildid_read(taps.fd, id));
	assert_memory_equal(taps.build_id, id, taps.build_id_size);
	same_bytes(&taps.at[0]);
	layout.taps.frame_argument = 6;
	layout.taps.throw_argument = 3;
	assert_int_equal(look(), 0);
	assert_int_equal(taps.at[0].frame_reg, WIRE_R9);
	assert_int_equal(taps.throw_reg, WIRE_RDX);
	prepare(PYTHON_TAPS_ENTRY, "taps_test_kept");
	assert_int_equal(look(), 0);
}

static void test_handlers(void **state)
{
	(void)state;
	prepare(PYTHON_TAPS_RESUME, "taps_test_loop");
	assert_int_equal(look(), 0);
	assert_int_equal(taps.count, 2);
	assert_int_equal(taps.at[0].address, (uintptr_t)taps_test_second - 2);
	assert_int_equal(taps.at[1].address, (uintptr_t)taps_test_tap);
	assert_int_equal(taps.at[0].frame_reg, WIRE_RBP);
	assert_int_equal(taps.throw_reg, WIRE_REGISTERS);
	same_bytes(&taps.at[0]);
	same_bytes(&taps.at[1]);
	/* Two opcodes with one handler: one tap. */
	layout.taps.opcodes[0] = 152;
	layout.taps.opcodes[1] = 153;
	assert_int_equal(look(), 0);
	assert_int_equal(taps.count, 1);
	assert_int_equal(taps.at[0].address, (uintptr_t)taps_test_other_tap);
	/* The second of them is another opcode. */
	layout.taps.opcodes_count = 1;
	refused("another opcode");
	layout.taps.opcodes[0] = 1;
	refused("no emulated branch");
	layout.taps.opcodes[0] = 150;
	layout.taps.frame_at = 64;
	refused("a handler");
}

static void test_refused(void **state)
{
	static const char symbol[] = "taps_test_loop";
	char path[] = "/tmp/daylight-taps.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	prepare(PYTHON_TAPS_NONE, NULL);
	refused("not known");
	prepare(PYTHON_TAPS_ENTRY, "taps_test_no_such_thing");
	refused("symbol is missing");
	prepare(PYTHON_TAPS_ENTRY, "taps_test_copied");
	refused("taps_test_copied.part.0");
	prepare(PYTHON_TAPS_RESUME, "taps_test_loop");
	layout.taps.unless_symbol = symbol;
	refused("second way");
	prepare(PYTHON_TAPS_RESUME, "taps_test_entry");
	refused("no table");
	prepare(PYTHON_TAPS_ENTRY, "taps_test_entry");
	runtime.evaluator = (uintptr_t)taps_test_entry;
	assert_int_equal(look(), 0);
	runtime.evaluator++;
	refused("does not lie");
	runtime.state = PYTHON_REFUSED;
	refused("not proven");
	/* Files: none, no program, no build id, another one with the same content. */
	prepare(PYTHON_TAPS_ENTRY, "taps_test_entry");
	snprintf(runtime.library, sizeof(runtime.library), "/nowhere/python");
	refused("cannot be opened");
	snprintf(runtime.library, sizeof(runtime.library), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "\177ELF", 4), 4);
	refused("no build id");
	prepare(PYTHON_TAPS_ENTRY, "taps_test_entry");
	{
		char command[1200];

		snprintf(command, sizeof(command), "cp '%s' '%s'", runtime.library, path);
		assert_int_equal(system(command), 0);
	}
	snprintf(runtime.library, sizeof(runtime.library), "%s", path);
	refused("not mapped");
	/* Cut off at any place: refused, whatever the reason. */
	for (off_t size = 65536; size > 0; size -= 4093) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(look(), -1);
	}
	close(fd);
	unlink(path);
}

static void poke(void *at, uint8_t byte)
{
	uintptr_t page = (uintptr_t)at & ~(uintptr_t)4095;

	assert_int_equal(mprotect((void *)page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	*(uint8_t *)at = byte;
	assert_int_equal(mprotect((void *)page, 8192, PROT_READ | PROT_EXEC), 0);
}

static void test_memory(void **state)
{
	uint8_t *entry = (uint8_t *)taps_test_entry, *second = (uint8_t *)taps_test_second;
	uint8_t was = entry[4];

	(void)state;
	prepare(PYTHON_TAPS_ENTRY, "taps_test_entry");
	poke(entry + 4, 0xcc);
	refused("breakpoint");
	poke(entry + 4, 0x56);
	refused("differs");
	poke(entry + 4, was);
	assert_int_equal(look(), 0);
	/* Before the tap; what follows it does not matter. */
	prepare(PYTHON_TAPS_RESUME, "taps_test_loop");
	was = second[0];
	poke(second, 0xcc);
	refused("breakpoint");
	poke(second, was);
	was = *(uint8_t *)taps_test_unknown;
	poke((void *)taps_test_unknown, 0xcc);
	assert_int_equal(look(), 0);
	poke((void *)taps_test_unknown, was);
}

/* ---- probe files ---- */

static struct python_taps know;
static struct err err;

static int read_text(const char *text)
{
	static struct arena arena;
	struct probe_reader r = { &arena, "x.json", &err };
	json_t *root;
	int ret;

	err = (struct err)ERR_INIT;
	arena_release(&arena);
	arena = (struct arena){ 0 };
	root = probe_parse(&r, text, strlen(text));
	assert_non_null(root);
	ret = python_taps_read(&r, root, &know);
	json_decref(root);
	return ret;
}

#define RESUME(opcodes, at)                                                                  \
	"{\"taps\": {\"kind\": \"resume-handlers\", \"function\": \"_Py_f1\", \"opcodes\": " \
	"[" opcodes "], \"frame.instruction\": " at "}}"
#define ENTRY(frame, throw, at)                                           \
	"{\"taps\": {\"kind\": \"function-entry\", \"function\": \"f\", " \
	"\"frame_argument\": " frame ", \"throw_argument\": " throw ", \"frame.lasti\": " at "}}"

static void test_probe(void **state)
{
	(void)state;
	assert_int_equal(read_text("{}"), 0);
	assert_int_equal(know.kind, PYTHON_TAPS_NONE);
	assert_int_equal(read_text(RESUME("151, 150", "56")), 0);
	assert_int_equal(know.kind, PYTHON_TAPS_RESUME);
	assert_string_equal(know.function, "_Py_f1");
	assert_int_equal(know.opcodes_count, 2);
	assert_int_equal(know.opcodes[1], 150);
	assert_int_equal(know.frame_at, 56);
	assert_null(know.unless_symbol);
	assert_int_equal(read_text(RESUME("1", "0, \"unless_symbol\": \"jit\"")), 0);
	assert_string_equal(know.unless_symbol, "jit");
	assert_int_equal(read_text(ENTRY("2", "3", "96")), 0);
	assert_int_equal(know.kind, PYTHON_TAPS_ENTRY);
	assert_int_equal(know.frame_argument, 2);
	assert_int_equal(know.throw_argument, 3);
	assert_int_equal(know.frame_at, 96);
}

static void test_probe_refused(void **state)
{
	static const struct {
		const char *text, *place;
	} bad[] = {
		{ "{\"taps\": null}", "taps: must be an object" },
		{ "{\"taps\": []}", "taps: must be an object" },
		{ "{\"taps\": {}}", "taps.kind" },
		{ "{\"taps\": {\"kind\": \"x\", \"function\": \"f\"}}", "taps.kind: 'x'" },
		{ "{\"taps\": {\"kind\": \"function-entry\"}}", "taps.function" },
		{ "{\"taps\": {\"kind\": \"function-entry\", \"function\": \"a.b\"}}",
		  "taps.function" },
		{ "{\"taps\": {\"kind\": \"function-entry\", \"function\": \"1a\"}}",
		  "taps.function" },
		{ RESUME("", "56"), "taps.opcodes" },
		{ RESUME("1, 2, 3, 4, 5", "56"), "taps.opcodes" },
		{ RESUME("0", "56"), "taps.opcodes[0]" },
		{ RESUME("1, 256", "56"), "taps.opcodes[1]" },
		{ RESUME("1, \"2\"", "56"), "taps.opcodes[1]" },
		{ RESUME("7, 7", "56"), "taps.opcodes[1]" },
		{ RESUME("7", "57"), "taps.frame.instruction" },
		{ RESUME("7", "-8"), "taps.frame.instruction" },
		{ RESUME("7", "65536"), "taps.frame.instruction" },
		{ RESUME("7", "56, \"more\": 1"), "taps" },
		{ RESUME("7", "56, \"unless_symbol\": \"\""), "taps.unless_symbol" },
		{ RESUME("7", "56, \"unless_symbol\": 1"), "taps.unless_symbol" },
		{ ENTRY("0", "1", "96"), "taps.frame_argument" },
		{ ENTRY("1", "7", "96"), "taps.throw_argument" },
		{ ENTRY("1", "1", "96"), "taps: frame_argument" },
		{ ENTRY("1", "2", "98"), "taps.frame.lasti" },
		{ ENTRY("1", "2", "\"4\""), "taps.frame.lasti" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(read_text(bad[i].text), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		if (!strstr(err.text, bad[i].place))
			fail_msg("'%s' does not name %s", err.text, bad[i].place);
	}
	assert_int_equal(read_text("{}"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry),	cmocka_unit_test(test_handlers),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_memory),
		cmocka_unit_test(test_probe),	cmocka_unit_test(test_probe_refused),
	};

	taps.fd = -1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
