/* Compiled Python files: the header, the proof, the attacks on it, the fence of the helper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "collect/identity.h"

#define PYTHON "/usr/bin/python3"
#define SECOND 1000000000ULL

static char top[64];
static char tag[32];
static unsigned int magic;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/daylight-pyc.XXXXXX");
	/* The helper runs as another user. */
	return mkdtemp(top) && !chmod(top, 0755) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *at(const char *name)
{
	static char paths[4][256];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, 256, "%s/%s", top, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Runs a Python program in the test's folder; fails the test when it fails. */
static void python(const char *program)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (!chdir(top))
			execl(PYTHON, PYTHON, "-I", "-c", program, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int find_python(void **state)
{
	FILE *f;

	(void)state;
	if (access(PYTHON, X_OK))
		return 0;
	f = popen(PYTHON " -I -c \"import sys; from importlib.util import MAGIC_NUMBER as m; "
			 "print(sys.implementation.cache_tag, m[0] | m[1] << 8)\"",
		  "r");
	if (!f || fscanf(f, "%31s %u", tag, &magic) != 2)
		return -1;
	return pclose(f);
}

#define NEED_PYTHON()           \
	do {                    \
		if (!magic)     \
			skip(); \
	} while (0)

/* One module that has a bit of everything in its constants and variables. */
#define SOURCE                                                           \
	"'''Text.'''\n"                                                  \
	"import os\n"                                                    \
	"A = (1, 1.0, -0.0, 'x', b'x', None, ..., 2j, (True, 10**30))\n" \
	"def f(a, /, b, *c, d=5, **e):\n"                                \
	"    z = a\n"                                                    \
	"    def g():\n"                                                 \
	"        return a + z\n"                                         \
	"    if b in {1, 'two', 3.0}:\n"                                 \
	"        try:\n"                                                 \
	"            return g() + len(c) * 1000\n"                       \
	"        except ValueError:\n"                                   \
	"            return e\n"                                         \
	"    return [q for q in c if q]\n"                               \
	"class K:\n"                                                     \
	"    async def m(self):\n"                                       \
	"        x = self\n"                                             \
	"        y = 7\n"                                                \
	"        return x, y\n"

static void make_module(void)
{
	put("m.py", SOURCE);
	python("import py_compile; py_compile.compile('m.py')");
}

static struct identity source_id;
static struct pyc pyc_seen;

static void look(void)
{
	struct identity_store *s = identity_store_new();

	assert_non_null(s);
	identity_file(s, 0, at("m.py"), 0, 0, &source_id);
	assert_string_equal(source_id.how, "open");
	assert_int_equal(pyc_look(0, at("m.py"), &source_id, tag, magic, 16, 0, &pyc_seen), 0);
	identity_store_free(s);
}

/* Proves m.py as it is now. */
static struct pyc_item prove_header(unsigned int header)
{
	struct err err = ERR_INIT;
	struct pyc_item item = { .source_path = at("m.py"),
				 .pyc_path = pyc_seen.path,
				 .source_sha256 = source_id.sha256,
				 .pyc_sha256 = pyc_seen.sha256,
				 .header = header };

	assert_int_equal(pyc_prove(PYTHON, &item, 1, 30 * SECOND, &err), 0);
	return item;
}

static struct pyc_item prove(void)
{
	return prove_header(16);
}

static void test_look(void **state)
{
	struct clock_triple now;
	struct pyc pyc;
	char expected[512];

	(void)state;
	NEED_PYTHON();
	make_module();
	look();
	snprintf(expected, sizeof(expected), "%s/__pycache__/m.%s.pyc", top, tag);
	assert_string_equal(pyc_seen.how, "open");
	assert_string_equal(pyc_seen.path, expected);
	assert_true(pyc_seen.has_sha256 && pyc_seen.size > 16);
	assert_int_equal(pyc_seen.header_matches, 1);
	assert_int_equal(pyc_seen.changed_after, 1); /* after 1970 */

	clock_read(&now);
	assert_int_equal(
		pyc_look(0, at("m.py"), &source_id, tag, magic, 16, now.realtime + SECOND, &pyc),
		0);
	assert_int_equal(pyc.changed_after, 0);

	/* Another version's file is not this interpreter's. */
	pyc_look(0, at("m.py"), &source_id, tag, magic + 1, 16, 0, &pyc);
	assert_string_equal(pyc.how, "unsupported-magic");
	assert_int_equal(pyc.header_matches, 0);

	/* A source that was changed after it was compiled. */
	python("import os; os.utime('m.py', (1, 1))");
	look();
	assert_int_equal(pyc_seen.header_matches, 0);

	/* By hash: not compared with a time. */
	python("import py_compile as p; p.compile('m.py', "
	       "invalidation_mode=p.PycInvalidationMode.CHECKED_HASH)");
	look();
	assert_int_equal(pyc_seen.header_matches, -1);

	/* Cut within the header. */
	assert_int_equal(truncate(expected, 9), 0);
	look();
	assert_string_equal(pyc_seen.how, "open");
	assert_int_equal(pyc_seen.header_matches, 0);
	assert_int_equal(truncate(expected, 0), 0);
	look();
	assert_string_equal(pyc_seen.how, "open");

	/* None: the folder's times tell whether one was there. */
	assert_int_equal(unlink(expected), 0);
	pyc_look(0, at("m.py"), &source_id, tag, magic, 16, 0, &pyc);
	assert_string_equal(pyc.how, "absent");
	assert_true(pyc.changed_after == 1 && !pyc.has_sha256);
	pyc_look(0, at("m.py"), &source_id, tag, magic, 16, now.realtime + 3600 * SECOND, &pyc);
	assert_int_equal(pyc.changed_after, 0);
	assert_int_equal(mkfifo(expected, 0644), 0);
	pyc_look(0, at("m.py"), &source_id, tag, magic, 16, 0, &pyc);
	assert_string_equal(pyc.how, "not-regular");

	/* Only modules are compiled to files. */
	pyc_look(0, "/usr/bin/keystone-wsgi-public", &source_id, tag, magic, 16, 0, &pyc);
	assert_string_equal(pyc.how, "absent");
	assert_string_equal(pyc.path, "");
}

static void test_same(void **state)
{
	struct pyc_item item;

	(void)state;
	NEED_PYTHON();
	make_module();
	look();
	item = prove();
	assert_string_equal(item.why, "");
	assert_int_equal(item.proven, 1);
	/* In an encoding that the helper can no longer load when it sees the source. */
	put("m.py", "# -*- coding: iso-8859-15 -*-\nx = '\xa4'\n");
	python("import py_compile; py_compile.compile('m.py')");
	look();
	assert_int_equal(prove().proven, 1);
	make_module();
	/* Compiled under another path, as package builds do. */
	python("import py_compile; py_compile.compile('m.py', dfile='/build/elsewhere.py')");
	look();
	assert_int_equal(prove().proven, 1);
}

/*
 * Each attack rewrites the .pyc below its valid header. `edit` is a Python program that has the
 * marshalled code as bytes `b` and the module's code object as `c`, and leaves new bytes in `b`.
 */
static void attack(const char *edit, int proven, const char *why)
{
	char program[4096];
	struct pyc_item item;

	make_module();
	snprintf(program, sizeof(program),
		 "import marshal, glob\n"
		 "p = glob.glob('__pycache__/m.*.pyc')[0]\n"
		 "h = open(p, 'rb').read(); h, b = h[:16], h[16:]\n"
		 "c = marshal.loads(b)\n"
		 "def inner(c, name, new):\n"
		 "    return c.replace(co_consts=tuple(\n"
		 "        new(k) if getattr(k, 'co_name', '') == name else\n"
		 "        inner(k, name, new) if hasattr(k, 'co_name') else k\n"
		 "        for k in c.co_consts))\n"
		 "was = b\n"
		 "%s\n"
		 "assert b != was\n"
		 "open(p, 'wb').write(h + b)\n",
		 edit);
	python(program);
	look();
	assert_int_equal(pyc_seen.header_matches, 1);
	item = prove();
	if (item.proven != proven || strcmp(item.why, why))
		print_message("%s\n-> %d %s\n", edit, item.proven, item.why);
	assert_int_equal(item.proven, proven);
	assert_string_equal(item.why, why);
}

static void test_attacks(void **state)
{
	static const char *const edits[] = {
		/* Constants: another value; the same value of another type or sign. */
		"b = b.replace((1000).to_bytes(4, 'little'), (1001).to_bytes(4, 'little'))",
		"b = marshal.dumps(inner(c, 'f', lambda k: k.replace(co_consts=tuple(\n"
		"    1000.0 if x == 1000 else x for x in k.co_consts))))",
		"b = marshal.dumps(c.replace(co_consts=tuple((True,) + x[1:] if type(x) is tuple\n"
		"    and len(x) == 9 else x for x in c.co_consts)))",
		"b = marshal.dumps(c.replace(co_consts=tuple(x[:2] + (0.0,) + x[3:] if type(x) is\n"
		"    tuple and len(x) == 9 else x for x in c.co_consts)))",
		"b = marshal.dumps(inner(c, 'f', lambda k: k.replace(co_consts=tuple(\n"
		"    frozenset({1.0, 'two', 3.0}) if type(x) is frozenset else x\n"
		"    for x in k.co_consts))))",
		/* Names, lines, flags, tables. */
		"b = marshal.dumps(c.replace(co_names=('sys',) + c.co_names[1:]))",
		"b = marshal.dumps(inner(c, 'f', lambda k: k.replace(co_name='h')))",
		"b = marshal.dumps(inner(c, 'f', lambda k: k.replace(co_qualname='h')))",
		"b = marshal.dumps(inner(c, 'm', lambda k: k.replace(co_firstlineno=1)))",
		"b = marshal.dumps(inner(c, 'm', lambda k: k.replace(co_flags=k.co_flags ^ 0x80)))",
		"b = marshal.dumps(inner(c, 'f', lambda k: k.replace(co_exceptiontable=b'')))",
		"b = marshal.dumps(inner(c, 'm', lambda k: k.replace(co_linetable=b'')))",
		"b = marshal.dumps(inner(c, 'm', lambda k: k.replace(co_stacksize=99)))",
		/* One more constant that nothing names. */
		"b = marshal.dumps(c.replace(co_consts=c.co_consts + (None,)))",
		/* A function that gives itself out as another file's. */
		"b = marshal.dumps(inner(c, 'f', lambda k: k.replace(co_filename='/other.py')))",
	};

	(void)state;
	NEED_PYTHON();
	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++)
		attack(edits[i], 0, "");
}

/*
 * What co_code and co_varnames do not show in 3.11 and later: an instruction that is already
 * specialised, and the order of local variables and cells.
 */
static void test_hidden_attacks(void **state)
{
	(void)state;
	NEED_PYTHON();
	if (magic < 3495)
		skip();
	attack("import opcode\n"
	       "m = [k for k in c.co_consts if getattr(k, 'co_name', '') == 'K'][0]\n"
	       "m = [k for k in m.co_consts if getattr(k, 'co_name', '') == 'm'][0]\n"
	       "special = opcode._specialized_instructions\n"
	       "free = [i for i in range(1, 256) if opcode.opname[i].startswith('<')]\n"
	       "op = free[special.index('LOAD_FAST__LOAD_CONST')]\n"
	       "lf = opcode.opmap['LOAD_FAST']\n"
	       "code = m.co_code\n"
	       "i = [i for i in range(0, len(code) - 2, 2)\n"
	       "     if code[i] == lf and code[i + 2] == lf][0]\n"
	       "at = b.index(code)\n"
	       "b = b[:at + i] + bytes([op]) + b[at + i + 1:]\n"
	       "n = marshal.loads(b)\n"
	       "n = [k for k in n.co_consts if getattr(k, 'co_name', '') == 'K'][0]\n"
	       "n = [k for k in n.co_consts if getattr(k, 'co_name', '') == 'm'][0]\n"
	       "assert n.co_code == m.co_code",
	       0, "");
	/* f has the slots a (cell), b, d, c, e, g, z (cell): swap g and z. */
	attack("import re\n"
	       "b = marshal.dumps(c, 2)\n"
	       "f = [k for k in c.co_consts if getattr(k, 'co_name', '') == 'f'][0]\n"
	       "names = [f._varname_from_oparg(i) for i in range(7)]\n"
	       "kinds = bytes(0x20 * (n in f.co_varnames) | 0x40 * (n in f.co_cellvars)\n"
	       "              for n in names)\n"
	       "assert names[5:] == ['g', 'z'] and b.count(kinds) == 1\n"
	       "b = b.replace(kinds, kinds[:5] + kinds[:4:-1])\n"
	       "b, n = re.subn(b'(.\\1\\0\\0\\0g)(.\\1\\0\\0\\0z)', lambda m: m[2] + m[1], b)\n"
	       "n = [k for k in marshal.loads(b).co_consts if getattr(k, 'co_name', '') == "
	       "'f'][0]\n"
	       "assert [n._varname_from_oparg(i) for i in (5, 6)] == ['z', 'g']\n"
	       "assert n.co_varnames == f.co_varnames and n.co_cellvars == f.co_cellvars",
	       0, "");
}

static void test_damaged(void **state)
{
	(void)state;
	NEED_PYTHON();
	attack("b = b'no code at all'", -1, "damaged");
	attack("b = b''", -1, "damaged");
	attack("b = b[:len(b) // 2]", -1, "damaged");
	attack("b = marshal.dumps((1, 2))", -1, "damaged");
	attack("b = b')\\x01' * 100000", -1, "damaged");
	/* A tuple of 2^31-1 items: 16 GiB, if nothing held it. */
	attack("b = b'(\\xff\\xff\\xff\\x7f'", -1, "failed");
}

static void test_other_source(void **state)
{
	struct pyc_item item;
	struct pyc kept;

	(void)state;
	NEED_PYTHON();
	make_module();
	/* The same size and time, so that the header still fits. */
	python("import os; s = os.stat('m.py'); t = open('m.py').read().replace('1000', '1001');"
	       "open('m.py', 'w').write(t); os.utime('m.py', ns=(s.st_atime_ns, s.st_mtime_ns))");
	look();
	assert_int_equal(pyc_seen.header_matches, 1);
	assert_int_equal(prove().proven, 0);
	/* A source that is no Python. */
	put("m.py", "def (:\n");
	kept = pyc_seen;
	look();
	item = prove();
	assert_int_equal(item.proven, -1);
	assert_string_equal(item.why, "source-not-compiled");
	/* Files that are not what was seen in the window. */
	put("m.py", SOURCE "x = 1\n");
	item = prove();
	assert_int_equal(item.proven, -1);
	assert_string_equal(item.why, "changed");
	look();
	memset(pyc_seen.sha256, 1, 32);
	assert_string_equal(prove().why, "changed");
	pyc_seen = kept;
}

/* ---- kept elsewhere ---- */

/* What pyc_elsewhere says of an interpreter that was started so (with -B: it shall write none). */
static const char *elsewhere_of(const char *const argv[], const char *variable)
{
	char *envp[] = { (char *)"PATH=/usr/bin", (char *)variable, NULL };
	int in[2], out[2], status;
	const char *how;
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		if (dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1)
			execve(PYTHON, (char **)argv, envp);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	assert_int_equal(read(out[0], &byte, 1), 1); /* it runs its program */
	how = pyc_elsewhere(pid);
	close(in[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(out[0]);
	return how ? how : "";
}

#define WAIT "import sys; print(flush=True); sys.stdin.read()"

static void test_elsewhere(void **state)
{
	static const char *const plain[] = { PYTHON, "-B", "-c", WAIT, NULL };
	static const char *const option[] = { PYTHON, "-B", "-X", "pycache_prefix=/nowhere",
					      "-c",   WAIT, NULL };
	static const char *const joined[] = { PYTHON, "-BXpycache_prefix=/nowhere", "-c", WAIT,
					      NULL };
	static const char *const other[] = { PYTHON, "-B", "-X", "utf8", "-c", WAIT, NULL };
	siginfo_t info;
	pid_t pid;

	(void)state;
	NEED_PYTHON();
	assert_string_equal(elsewhere_of(plain, NULL), "");
	assert_string_equal(elsewhere_of(other, "PYTHONPYCACHEPREFIX_=/nowhere"), "");
	assert_string_equal(elsewhere_of(option, NULL), "elsewhere");
	assert_string_equal(elsewhere_of(joined, NULL), "elsewhere");
	assert_string_equal(elsewhere_of(plain, "PYTHONPYCACHEPREFIX=/nowhere"), "elsewhere");
	/* As the interpreter does: an empty value is none. */
	assert_string_equal(elsewhere_of(plain, "PYTHONPYCACHEPREFIX="), "");
	/* Ended, waited for or not: its strings cannot be read. */
	pid = fork();
	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_string_equal(pyc_elsewhere(pid), "gone");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_string_equal(pyc_elsewhere(pid), "gone");
}

static void test_nothing_to_run(void **state)
{
	struct err err = ERR_INIT;
	struct pyc_item item = { .source_path = "/x.py" };

	(void)state;
	NEED_PYTHON();
	assert_int_equal(pyc_prove(PYTHON, &item, 1, SECOND, &err), 0);
	assert_int_equal(item.proven, -1);
	assert_string_equal(item.why, "absent");
	assert_int_equal(pyc_prove("/no/such/python", &item, 1, SECOND, &err), -1);
	assert_int_equal(item.proven, -1);
	assert_string_equal(item.why, "interpreter-missing");
	assert_non_null(strstr(err.text, "/no/such/python"));
	make_module();
	look();
	item = (struct pyc_item){ .source_path = at("m.py"),
				  .pyc_path = pyc_seen.path,
				  .source_sha256 = source_id.sha256,
				  .pyc_sha256 = pyc_seen.sha256 };
	err.kind = ERR_NONE;
	assert_int_equal(pyc_prove("/bin/true", &item, 1, 5 * SECOND, &err), -1);
	assert_string_equal(item.why, "interpreter-failed");
	assert_int_equal(err.kind, ERR_MACHINE);
}

/* ---- a helper that misbehaves: it speaks the protocol, and does what the source says ---- */

#define FAKE                                                                                       \
	"import os, struct, sys, time, resource, socket\n"                                         \
	"def read(n):\n"                                                                           \
	"    d = b''\n"                                                                            \
	"    while len(d) < n:\n"                                                                  \
	"        p = os.read(0, n - len(d))\n"                                                     \
	"        if not p: sys.exit(0)\n"                                                          \
	"        d += p\n"                                                                         \
	"    return d\n"                                                                           \
	"def fenced():\n"                                                                          \
	"    s = dict(l.split(':', 1) for l in open('/proc/self/status'))\n"                       \
	"    R = resource\n"                                                                       \
	"    ok = [s['NoNewPrivs'].strip() == '1', int(s['CapEff'], 16) == 0,\n"                   \
	"          int(s['CapPrm'], 16) == 0, int(s['CapAmb'], 16) == 0,\n"                        \
	"          os.getuid() != 0 and os.getgid() != 0, os.geteuid() == os.getuid(),\n"          \
	"          PARENT != 0 or (os.getuid() == 65534 and os.getgroups() == []),\n"              \
	"          os.getcwd() == '/', os.getsid(0) == os.getpid(),\n"                             \
	"          set(os.environ) <= {'LC_CTYPE'},\n"                                             \
	"          [f for f in range(3, 64) if os.path.exists('/proc/self/fd/%d' % f)] == [],\n"   \
	"          R.getrlimit(R.RLIMIT_FSIZE) == (0, 0), R.getrlimit(R.RLIMIT_CORE) == (0, 0),\n" \
	"          R.getrlimit(R.RLIMIT_NPROC) == (0, 0),\n"                                       \
	"          R.getrlimit(R.RLIMIT_AS)[1] == 1 << 30, R.getrlimit(R.RLIMIT_CPU)[1] < 60]\n"   \
	"    try:\n"                                                                               \
	"        if not os.fork(): os._exit(0)\n"                                                  \
	"        ok.append(False)\n"                                                               \
	"    except OSError: pass\n"                                                               \
	"    if PARENT == 0 and NET:\n"                                                            \
	"        ok.append(socket.if_nameindex() == [(1, 'lo')])\n"                                \
	"    return b'1' if all(ok) else b'0'\n"                                                   \
	"os.write(1, b'r')\n"                                                                      \
	"while True:\n"                                                                            \
	"    a, b, c = struct.unpack('<III', read(12))\n"                                          \
	"    p, s, y = read(a), read(b), read(c)\n"                                                \
	"    if b'CRASH' in s: os.kill(os.getpid(), 11)\n"                                         \
	"    if b'HANG' in s: time.sleep(100)\n"                                                   \
	"    os.write(1, fenced() if b'FENCE' in s else b'1')\n"

static void make_fake(void)
{
	char path[256], *text = NULL;

	assert_true(asprintf(&text, "#!" PYTHON " -I\nPARENT = %d\nNET = %d\n%s", (int)geteuid(),
			     access("/proc/self/ns/net", F_OK) == 0, FAKE) > 0);
	put("fake", text);
	free(text);
	snprintf(path, sizeof(path), "%s", at("fake"));
	assert_int_equal(chmod(path, 0755), 0);
}

#define MANY 6

/* Proves files whose sources are these words with the fake helper; returns the time it took. */
static uint64_t prove_words(const char *const words[MANY], struct pyc_item items[MANY],
			    uint64_t timeout)
{
	static struct identity ids[MANY];
	static char paths[MANY][256];
	struct identity_store *s = identity_store_new();
	struct err err = ERR_INIT;
	uint64_t start;

	for (size_t i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%zu.py", i);
		put(name, words[i]);
		snprintf(paths[i], sizeof(paths[i]), "%s", at(name));
		identity_file(s, 0, paths[i], 0, 0, &ids[i]);
		items[i] = (struct pyc_item){ .source_path = paths[i],
					      .pyc_path = paths[i],
					      .source_sha256 = ids[i].sha256,
					      .pyc_sha256 = ids[i].sha256 };
	}
	identity_store_free(s);
	start = clock_monotonic();
	assert_int_equal(pyc_prove(at("fake"), items, MANY, timeout, &err), 0);
	return clock_monotonic() - start;
}

static void test_crash(void **state)
{
	const char *const words[MANY] = { "a", "CRASH", "b", "CRASH", "CRASH", "c" };
	struct pyc_item items[MANY];

	(void)state;
	NEED_PYTHON();
	make_fake();
	prove_words(words, items, 30 * SECOND);
	for (size_t i = 0; i < MANY; i++) {
		bool crash = !strcmp(words[i], "CRASH");

		assert_int_equal(items[i].proven, crash ? -1 : 1);
		assert_string_equal(items[i].why, crash ? "failed" : "");
	}
	/* Nothing is left behind. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_timeout(void **state)
{
	const char *const words[MANY] = { "a", "b", "HANG", "c", "d", "e" };
	struct pyc_item items[MANY];
	uint64_t took;

	(void)state;
	NEED_PYTHON();
	make_fake();
	took = prove_words(words, items, 3 * SECOND);
	assert_true(took >= 3 * SECOND && took < 6 * SECOND);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(items[i].proven, i < 2 ? 1 : -1);
		assert_string_equal(items[i].why, i < 2 ? "" : "timeout");
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_fence(void **state)
{
	const char *const words[MANY] = { "FENCE", "a", "a", "a", "a", "a" };
	struct pyc_item items[MANY];
	int spare = open("/etc/passwd", O_RDONLY); /* without close-on-exec: must not get through */

	(void)state;
	NEED_PYTHON();
	make_fake();
	if (!geteuid())
		assert_int_equal(setgroups(1, (gid_t[]){ 4 }), 0);
	prove_words(words, items, 20 * SECOND);
	if (!geteuid())
		assert_int_equal(setgroups(0, NULL), 0);
	close(spare);
	assert_string_equal(items[0].why, "");
	if (geteuid())
		skip(); /* what the fake checks of the caller's identity is for root */
	assert_int_equal(items[0].proven, 1);
}

/* The same proof by an ordinary user. */
static void test_unprivileged(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	NEED_PYTHON();
	if (geteuid())
		skip();
	make_module();
	look();
	pid = fork();
	if (!pid) {
		if (setgid(12345) || setuid(12345))
			_exit(2);
		_exit(prove().proven == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- real code ---- */

#define CORPUS "/usr/lib/python3/dist-packages/keystone"
#define CORPUS_MAX 2000

static struct pyc_item corpus[CORPUS_MAX];
static uint8_t corpus_digests[CORPUS_MAX][2][32];
static size_t corpus_count;
static struct identity_store *corpus_store;

static int add_module(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	size_t n = corpus_count, len = strlen(path);
	struct identity id;
	struct pyc pyc;

	(void)st, (void)ftw;
	if (type != FTW_F || len < 4 || strcmp(path + len - 3, ".py") || n >= CORPUS_MAX)
		return 0;
	identity_file(corpus_store, 0, path, 0, 0, &id);
	assert_string_equal(id.how, "open");
	assert_int_equal(id.digest_matches, 1);
	pyc_look(0, path, &id, tag, magic, 16, 0, &pyc);
	if (!strcmp(pyc.how, "absent"))
		return 0;
	assert_string_equal(pyc.how, "open");
	memcpy(corpus_digests[n][0], id.sha256, 32);
	memcpy(corpus_digests[n][1], pyc.sha256, 32);
	corpus[n] = (struct pyc_item){ .source_path = strdup(path),
				       .pyc_path = strdup(pyc.path),
				       .source_sha256 = corpus_digests[n][0],
				       .pyc_sha256 = corpus_digests[n][1] };
	corpus_count++;
	return 0;
}

static void test_corpus(void **state)
{
	struct err err = ERR_INIT;
	uint64_t start;
	size_t proven = 0;

	(void)state;
	NEED_PYTHON();
	if (access(CORPUS, R_OK))
		skip();
	corpus_store = identity_store_new();
	assert_int_equal(nftw(CORPUS, add_module, 16, FTW_PHYS), 0);
	identity_store_free(corpus_store);
	assert_true(corpus_count > 200);
	start = clock_monotonic();
	assert_int_equal(pyc_prove(PYTHON, corpus, corpus_count, 120 * SECOND, &err), 0);
	for (size_t i = 0; i < corpus_count; i++) {
		if (corpus[i].proven != 1)
			print_message("%d %s %s\n", corpus[i].proven, corpus[i].why,
				      corpus[i].source_path);
		proven += corpus[i].proven == 1;
		free((char *)corpus[i].source_path);
		free((char *)corpus[i].pyc_path);
	}
	print_message("%zu of %zu proven in %.1f s\n", proven, corpus_count,
		      (double)(clock_monotonic() - start) / 1e9);
	assert_int_equal(proven, corpus_count);
}

/* Before 3.7 the header was shorter; in version 2 the file lies beside its source. */
static void test_short_headers(void **state)
{
	struct pyc_item item;
	struct pyc pyc;

	(void)state;
	NEED_PYTHON();
	make_module();
	look();
	python("import glob, shutil\n"
	       "p = glob.glob('__pycache__/m.*.pyc')[0]\n"
	       "b = open(p, 'rb').read()\n"
	       "open(p, 'wb').write(b[:4] + b[8:])\n"
	       "open('m.pyc', 'wb').write(b[:4] + b[8:12] + b[16:])\n");
	pyc_look(0, at("m.py"), &source_id, tag, magic, 12, 0, &pyc_seen);
	assert_int_equal(pyc_seen.header_matches, 1);
	item = prove_header(12);
	assert_string_equal(item.why, "");
	assert_int_equal(item.proven, 1);
	/* With the wrong length nothing is proven. */
	item = prove_header(16);
	assert_int_equal(item.proven, -1);
	pyc_look(0, at("m.py"), &source_id, NULL, magic, 8, 0, &pyc);
	assert_string_equal(pyc.path, at("m.pyc"));
	assert_int_equal(pyc.header_matches, 1);
	pyc_seen = pyc;
	item = prove_header(8);
	assert_int_equal(item.proven, 1);
	source_id.mtime += SECOND;
	pyc_look(0, at("m.py"), &source_id, NULL, magic, 8, 0, &pyc);
	assert_int_equal(pyc.header_matches, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_look),	  TEST(test_same),
		TEST(test_attacks),	  TEST(test_hidden_attacks),
		TEST(test_damaged),	  TEST(test_other_source),
		TEST(test_elsewhere),	  TEST(test_nothing_to_run),
		TEST(test_crash),	  TEST(test_timeout),
		TEST(test_fence),	  TEST(test_unprivileged),
		TEST(test_short_headers), cmocka_unit_test(test_corpus),
	};

	return cmocka_run_group_tests(tests, find_python, NULL);
}
