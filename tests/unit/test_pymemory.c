/*
 * Code objects in the memory of live interpreters, held against the same code in marshal data. The
 * interpreter loads modules of its library, warms their code up, and says where its code objects
 * are; for each its digest must be that of the compiled source. Then the code is tampered with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "catalog/catalog.h"
#include "collect/pymarshal.h"
#include "collect/pymemory.h"

static char top[64];
static struct catalog *catalog;

/*
 * argv: folder, mode. Writes N.marshal for each module and one line for each function: number of
 * the module, address, line, name, file name; then waits for its end.
 */
static const char program[] =
	"import gc, marshal, os, sys, types\n"
	"folder, mode = sys.argv[1:]\n"
	"sys.path.insert(0, folder)\n"
	"import sample\n"
	"import argparse, ast, collections, configparser, csv, datetime, decimal, difflib, "
	"email.message\n"
	"import fractions, http.client, http.server, inspect, json, logging, mimetypes, optparse\n"
	"import pprint, random, re, shlex, statistics, string, tarfile, textwrap, threading, "
	"tokenize\n"
	"import urllib.parse, uuid, xml.etree.ElementTree, zipfile, asyncio, unittest, dis, "
	"tempfile\n"
	"import _pydecimal, _pyio\n"
	"def warm():\n"
	"    for i in range(60):\n"
	"        json.loads(json.dumps({'a': [1, 2.5, None, True], 'b': 'x' * i}, indent=1))\n"
	"        textwrap.fill('word ' * 40, 30); shlex.split('a b \"c d\"')\n"
	"        re.compile('(a|b)+c{%d}' % (i + 1)); urllib.parse.urlparse('http://a/b?c=%d' % "
	"i)\n"
	"        _pydecimal.Decimal(i) * _pydecimal.Decimal('1.5') + 7\n"
	"        list(difflib.unified_diff(['a', 'b'], ['a', 'c']))\n"
	"        fractions.Fraction(i, 7) + 1; statistics.mean([1, 2, i]); uuid.uuid4()\n"
	"        pprint.pformat({'a': list(range(30))}); string.Template('$a').substitute(a=i)\n"
	"        ast.dump(ast.parse('a + b * c')); email.message.Message()['a'] = 'b'\n"
	"        sample.all_of(i)\n"
	"    p = argparse.ArgumentParser(); p.add_argument('-a', type=int); p.format_help()\n"
	"    for i in range(20): p.parse_args(['-a', str(i)])\n"
	"warm()\n"
	"if mode == 'consts':\n"
	"    f = sample.constants\n"
	"    f.__code__ = f.__code__.replace(co_consts=tuple(\n"
	"        8443 if c == 8442 else c for c in f.__code__.co_consts))\n"
	"if mode in ('int', 'text', 'byte'):\n"
	"    import ctypes\n"
	"    c = sample.constants.__code__\n"
	"    for v in c.co_consts:\n"
	"        if mode == 'int' and v == 8442:\n"
	"            ctypes.c_int.from_address(id(v) + 24).value = 8443\n"
	"        if mode == 'text' and v == 'plain text':\n"
	"            data = ctypes.string_at(id(v), sys.getsizeof(v))\n"
	"            ctypes.c_char.from_address(id(v) + data.index(b'plain')).value = b'P'\n"
	"    if mode == 'byte':\n"
	"        op = c.co_code\n"
	"        k = ctypes.string_at(id(c), 4096).find(c._co_code_adaptive)\n"
	"        at = [i for i in range(0, len(op), 2) if op[i] == dis.opmap['LOAD_CONST']][-1]\n"
	"        p = ctypes.c_ubyte.from_address(id(c) + k + at + 1)\n"
	"        p.value = p.value - 1\n"
	"if mode == 'subclass':\n"
	"    class Int(int): pass\n"
	"    f = sample.constants\n"
	"    f.__code__ = f.__code__.replace(co_consts=tuple(\n"
	"        Int(8442) if c == 8442 else c for c in f.__code__.co_consts))\n"
	"if mode == 'watched':\n"
	"    sys.settrace(lambda *a: (lambda *b: None))\n"
	"    sample.constants(3)\n"
	"files, out = {}, open(os.path.join(folder, 'list.tmp'), 'w')\n"
	"def one(c):\n"
	"    file = c.co_filename\n"
	"    if not file.endswith('.py') or not os.path.exists(file):\n"
	"        return\n"
	"    if file not in files:\n"
	"        if mode == 'some' and len(files) == 12: return\n"
	"        with open(file, 'rb') as f:\n"
	"            m = compile(f.read(), file, 'exec', dont_inherit=True)\n"
	"        files[file] = len(files)\n"
	"        with open(os.path.join(folder, '%d.marshal' % files[file]), 'wb') as f:\n"
	"            f.write(marshal.dumps(m))\n"
	"    print(files[file], id(c), c.co_firstlineno, c.co_name, file, file=out)\n"
	"    for v in c.co_consts:\n"
	"        if type(v) is types.CodeType: one(v)\n"
	"for f in gc.get_objects():\n"
	"    if type(f) is types.FunctionType and (mode in ('all', 'some') or "
	"f.__code__.co_filename == "
	"sample.__file__):\n"
	"        one(f.__code__)\n"
	"out.close(); os.rename(os.path.join(folder, 'list.tmp'), os.path.join(folder, 'list'))\n"
	"sys.stdin.read()\n";

static const char sample[] =
	"'''Text.'''\n"
	"def all_of(i, j=1, *args, k=2, **kw):\n"
	"    a = {1, 2.5, 'x', b'y', None, True} if i in {1, 2, 3, 'four', (5, 6), b'seven'} else "
	"()\n"
	"    for x in range(3):\n"
	"        i = i + x * 2 - 10 ** 30\n"
	"    def inner(y, z=(1, (2, ('three', b'4', -5.5, 6j, ..., None)))):\n"
	"        return (y, i, -0.0, 0.0, 1e400, 123456789012345678901234567890, -7, -10**40)\n"
	"    async def slow():\n"
	"        async with a as b:\n"
	"            return [q async for q in b]\n"
	"    try:\n"
	"        return inner(j)[0], '\\u20ac\\udc80 d\\xfcnn \\U0001f600', [m for m in a], "
	"constants(i)\n"
	"    except (ValueError, TypeError) as e:\n"
	"        return str(e), k, kw, args, slow, lambda: a\n"
	"def constants(i):\n"
	"    x = i if i == 8442 else 8441\n"
	"    return ('plain text', x, i)[1:][0] or 'other'\n"
	"class K:\n"
	"    'Doc.'\n"
	"    def __init__(self): self.a = 1\n"
	"    @property\n"
	"    def p(self): return __class__, super().__init__()\n";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	catalog = catalog_load(NULL, &err);
	return catalog ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	catalog_free(catalog);
	return 0;
}

/* ---- the interpreter ---- */

struct child {
	pid_t pid;
	int stdin_fd;
};

static void child_start(struct child *c, const char *exe, const char *mode)
{
	char list[128];
	int pair[2];

	snprintf(top, sizeof(top), "/tmp/daylight-pymemory.XXXXXX");
	assert_non_null(mkdtemp(top));
	put("sample.py", sample);
	put("program.py", program);
	assert_int_equal(pipe(pair), 0);
	c->pid = fork();
	if (!c->pid) {
		char path[128];

		snprintf(path, sizeof(path), "%s/program.py", top);
		dup2(pair[0], 0);
		close(pair[1]);
		execl(exe, exe, "-I", "-S", "-B", path, top, mode, NULL);
		_exit(127);
	}
	close(pair[0]);
	c->stdin_fd = pair[1];
	snprintf(list, sizeof(list), "%s/list", top);
	for (int i = 0; i < 1200 && access(list, R_OK); i++) {
		assert_int_equal(waitpid(c->pid, NULL, WNOHANG), 0);
		usleep(50000);
	}
	assert_int_equal(access(list, R_OK), 0);
}

static void child_end(struct child *c)
{
	close(c->stdin_fd);
	waitpid(c->pid, NULL, 0);
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The file of the interpreter that a process runs. */
static bool library_of(pid_t pid, char *out, size_t size)
{
	char path[64], line[4400];
	FILE *f;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	/* A library after its program: the last one holds the interpreter. */
	while (fgets(line, sizeof(line), f)) {
		char *file = strchr(line, '/'), *name = file ? strrchr(file, '/') : NULL;

		if (!name || !strstr(line, " r-xp ") ||
		    (strncmp(name, "/libpython", 10) && strncmp(name, "/python", 7)))
			continue;
		file[strcspn(file, "\n")] = '\0';
		snprintf(out, size, "%s", file);
		found = true;
	}
	fclose(f);
	return found;
}

static void slurp(const char *name, struct bytes *out)
{
	char path[128];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	f = fopen(path, "r");
	assert_non_null(f);
	out->len = 0;
	do {
		assert_int_equal(bytes_reserve(out, 65536), 0);
		n = fread(out->data + out->len, 1, 65536, f);
		out->len += n;
	} while (n);
	fclose(f);
}

/* ---- comparing ---- */

struct tally {
	unsigned int functions, same, differ, none;
	char differs[256]; /* the last one's name */
	const char *why; /* of the last that has no digest */
};

static bool is_one(const struct pymarshal *m, const char *name, unsigned int line,
		   const uint8_t *digest)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->codes[i].line == line && m->codes[i].name_len == strlen(name) &&
		    !memcmp(m->codes[i].name, name, strlen(name)) && !m->codes[i].why &&
		    !memcmp(m->codes[i].digest, digest, DIGEST_SIZE))
			return true;
	return false;
}

static void compare(struct child *c, const struct python_layout *l, struct tally *t)
{
	struct bytes list = BYTES_INIT, data = BYTES_INIT;
	struct pymemory_types types;
	struct pymarshal code = { 0 };
	char library[4096];
	int loaded = -1, module, at;
	unsigned long long address;
	unsigned int line;
	char name[256], file[1024];

	memset(t, 0, sizeof(*t));
	assert_true(library_of(c->pid, library, sizeof(library)));
	assert_int_equal(pymemory_types(c->pid, library, &types), 0);
	slurp("list", &list);
	assert_int_equal(bytes_put_u8(&list, 0), 0);
	for (char *p = (char *)list.data; sscanf(p, "%d %llu %u %255s %1023s\n%n", &module,
						 &address, &line, name, file, &at) == 5;
	     p += at) {
		struct pymemory_expected e = { .filename = file,
					       .filename_len = strlen(file),
					       .name = name,
					       .name_len = strlen(name),
					       .line = line };
		uint8_t digest[DIGEST_SIZE];
		const char *why;

		if (module != loaded) {
			char path[64];

			snprintf(path, sizeof(path), "%d.marshal", module);
			pymarshal_release(&code);
			slurp(path, &data);
			why = pymarshal_read(l->code, l->pyc_magic, data.data, data.len, &code);
			if (why)
				fail_msg("%s: %s", file, why);
			loaded = module;
		}
		t->functions++;
		why = pymemory_read(c->pid, l, &types, address, &e, digest);
		if (why) {
			t->none++;
			t->why = why;
			if (t->none < 4)
				print_message("%s:%u %s: %s\n", file, line, name, why);
		} else if (is_one(&code, name, line, digest)) {
			t->same++;
		} else {
			t->differ++;
			snprintf(t->differs, sizeof(t->differs), "%s", name);
			if (t->differ < 4)
				print_message("%s:%u %s differs\n", file, line, name);
		}
		/* What is not there is not read. */
		e.line++;
		assert_string_equal(pymemory_read(c->pid, l, &types, address, &e, digest), "gone");
	}
	pymarshal_release(&code);
	bytes_release(&list);
	bytes_release(&data);
}

/* ---- tests ---- */

static const char *const interpreters[][2] = {
	{ "/usr/bin/python3", "3.11" },
	{ "/root/.pyenv/versions/3.6.15/bin/python3", "3.6" },
	{ "/root/.pyenv/versions/3.7.16/bin/python3", "3.7" },
	{ "/root/.pyenv/versions/3.8.18/bin/python3", "3.8" },
	{ "/root/.pyenv/versions/3.9.18/bin/python3", "3.9" },
	{ "/root/.pyenv/versions/3.10.13/bin/python3", "3.10" },
	{ "/root/.pyenv/versions/3.11.7/bin/python3", "3.11" },
	{ "/root/.pyenv/versions/3.12.1/bin/python3", "3.12" },
	{ "/root/.pyenv/versions/3.13.0/bin/python3", "3.13" },
};

static const struct python_layout *layout_of(const char *version)
{
	unsigned int major, minor;

	assert_int_equal(sscanf(version, "%u.%u", &major, &minor), 2);
	return catalog_python(catalog, major, minor);
}

static void test_every_function_is_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(interpreters) / sizeof(interpreters[0]); i++) {
		const struct python_layout *l = layout_of(interpreters[i][1]);
		struct child c;
		struct tally t;

		if (access(interpreters[i][0], X_OK)) {
			print_message("%s is missing: passed over\n", interpreters[i][0]);
			continue;
		}
		assert_non_null(l);
		assert_null(pymemory_supported(l));
		child_start(&c, interpreters[i][0], i ? "some" : "all");
		compare(&c, l, &t);
		child_end(&c);
		print_message("%s: %u functions, %u the same, %u differ, %u without a digest\n",
			      interpreters[i][0], t.functions, t.same, t.differ, t.none);
		assert_true(t.functions > (i ? 200 : 2000));
		assert_int_equal(t.same, t.functions);
	}
}

/* The numbers of each probe file, read by interpreters that need not have been built with them. */
static void test_probe_files_are_right(void **state)
{
	(void)state;
	if (access("tools/python-opcodes", X_OK))
		skip();
	for (size_t i = 0; i < sizeof(interpreters) / sizeof(interpreters[0]); i++) {
		char command[256];

		if (access(interpreters[i][0], X_OK))
			continue;
		snprintf(command, sizeof(command),
			 "tools/python-opcodes prove probes/python/cpython-%s.json %s >/dev/null",
			 interpreters[i][1], interpreters[i][0]);
		assert_int_equal(system(command), 0);
	}
}

/* Tampered with in one place: that function differs, and no other. */
static void test_tampering_shows(void **state)
{
	static const char *const modes[] = { "consts", "int", "text", "byte" };

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct child c;
		struct tally t;

		if (access(interpreters[0][0], X_OK))
			skip();
		child_start(&c, interpreters[0][0], modes[i]);
		compare(&c, layout_of("3.11"), &t);
		child_end(&c);
		assert_int_equal(t.none, 0);
		assert_int_equal(t.differ, 1);
		assert_int_equal(t.same, t.functions - 1);
		assert_string_equal(t.differs, "constants");
	}
}

/* A constant that no compiler makes, and code that a tool watches: no digest, and it is said why.
 */
static void test_no_digest_where_not_exact(void **state)
{
	struct child c;
	struct tally t;

	(void)state;
	if (access(interpreters[0][0], X_OK))
		skip();
	child_start(&c, interpreters[0][0], "subclass");
	compare(&c, layout_of("3.11"), &t);
	child_end(&c);
	assert_int_equal(t.differ, 0);
	assert_int_equal(t.none, 1);
	assert_string_equal(t.why, "unsupported-constant");
	if (access(interpreters[7][0], X_OK))
		return;
	child_start(&c, interpreters[7][0], "watched");
	compare(&c, layout_of("3.12"), &t);
	child_end(&c);
	assert_int_equal(t.differ, 0);
	assert_int_equal(t.none, 1);
	assert_string_equal(t.why, "instrumented");
}

static void test_garbage_is_gone(void **state)
{
	const struct python_layout *l = layout_of("3.11");
	struct pymemory_types types = { .code = 1 };
	struct pymemory_expected e = {
		.filename = "a", .filename_len = 1, .name = "b", .name_len = 1, .line = 1
	};
	static uint64_t memory[4096];
	uint8_t digest[DIGEST_SIZE];

	(void)state;
	assert_string_equal(pymemory_read(getpid(), l, &types, 0, &e, digest), "gone");
	assert_string_equal(pymemory_read(getpid(), l, &types, ~0ULL - 4, &e, digest), "gone");
	assert_string_equal(pymemory_read(getpid(), l, &types, (uintptr_t)memory, &e, digest),
			    "gone");
	/* Everything points to itself, and every length is enormous. */
	for (size_t i = 0; i < 4096; i++)
		memory[i] = (uintptr_t)memory;
	types.code = types.text = types.tuple = types.bytes = (uintptr_t)memory;
	e.line = (uint32_t)(uintptr_t)memory;
	assert_string_equal(pymemory_read(getpid(), l, &types, (uintptr_t)memory, &e, digest),
			    "gone");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_function_is_the_same),
		cmocka_unit_test(test_probe_files_are_right),
		cmocka_unit_test(test_tampering_shows),
		cmocka_unit_test(test_no_digest_where_not_exact),
		cmocka_unit_test(test_garbage_is_gone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
