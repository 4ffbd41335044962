/* What a module's file is: digests, build ids, owners, and files that are not what they should be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "collect/identity.h"
#include "collect/rootfile.h"

#define SECOND 1000000000ULL

static char top[64];
static struct identity_store *store;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/daylight-identity.XXXXXX");
	store = identity_store_new();
	if (!store || !mkdtemp(top) || chmod(top, 0755))
		return -1;
	/* One further down: others write to /tmp. */
	memcpy(top + strlen(top), "/in", 4);
	return mkdir(top, 0755);
}

static int teardown(void **state)
{
	(void)state;
	identity_store_free(store);
	*strrchr(top, '/') = 0;
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

static void put_bytes(const char *name, const void *data, size_t len)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static const char *how_of(const char *path)
{
	static struct identity id;

	assert_int_equal(identity_file(store, 0, path, 0, 0, &id), 0);
	assert_int_equal(id.has_sha256, !strcmp(id.how, "open"));
	return id.how;
}

static void assert_hex(const void *data, size_t len, const char *hex)
{
	char text[256];

	assert_true(len < sizeof(text) / 2);
	bytes_to_hex(data, len, text);
	assert_string_equal(text, hex);
}

#define SHA_HELLO "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_digest(void **state)
{
	struct identity id;
	struct stat st;

	(void)state;
	put("a.py", "hello\n");
	assert_int_equal(stat(at("a.py"), &st), 0);
	for (int i = 0; i < 2; i++) {
		identity_file(store, 0, at("a.py"), st.st_dev, st.st_ino, &id);
		assert_string_equal(id.how, "open");
		assert_hex(id.sha256, 32, SHA_HELLO);
		assert_int_equal(id.size, 6);
		assert_int_equal(id.inode, st.st_ino);
		assert_int_equal(id.device, st.st_dev);
		assert_int_equal(id.mtime, rootfile_ns(&st.st_mtim));
		assert_int_equal(id.ctime, rootfile_ns(&st.st_ctim));
		assert_int_equal(id.build_id_len, 0);
		assert_string_equal(id.package, "");
		assert_int_equal(id.digest_matches, -1);
	}
	put("empty", "");
	identity_file(store, 0, at("empty"), 0, 0, &id);
	assert_string_equal(id.how, "open");
	assert_hex(id.sha256, 32, SHA_EMPTY);
	/* Not the file that the process maps. */
	identity_file(store, 0, at("a.py"), st.st_dev, st.st_ino + 1, &id);
	assert_string_equal(id.how, "changed");
	assert_false(id.has_sha256);
	identity_file(store, 0, at("a.py"), st.st_dev + 1, st.st_ino, &id);
	assert_string_equal(id.how, "changed");
}

/* A file that was read before and written at once must be read again. */
static void test_rewritten(void **state)
{
	struct identity id;

	(void)state;
	for (int i = 0; i < 200; i++) {
		char text[2] = { (char)('a' + i % 26), 0 };
		uint8_t first[32];

		put("f", text);
		identity_file(store, 0, at("f"), 0, 0, &id);
		assert_string_equal(id.how, "open");
		memcpy(first, id.sha256, 32);
		text[0]++;
		put("f", text);
		identity_file(store, 0, at("f"), 0, 0, &id);
		assert_string_equal(id.how, "open");
		assert_memory_not_equal(first, id.sha256, 32);
	}
}

static void test_not_files(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	(void)state;
	assert_int_equal(mkfifo(at("fifo"), 0644), 0);
	assert_string_equal(how_of(at("fifo")), "not-regular");
	assert_int_equal(symlink("fifo", at("to-fifo")), 0);
	assert_string_equal(how_of(at("to-fifo")), "not-regular");
	assert_string_equal(how_of(top), "not-regular");
	assert_string_equal(how_of("/dev/zero"), "not-regular");
	assert_string_equal(how_of("/dev/tty"), "not-regular");
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", at("socket"));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_string_equal(how_of(at("socket")), "not-regular");
	/* Regular by name only. */
	assert_string_equal(how_of("/proc/kmsg"), "not-regular");
	assert_string_equal(how_of("/proc/self/maps"), "not-regular");
	assert_string_equal(how_of("/sys/kernel/mm/transparent_hugepage/enabled"), "not-regular");
}

static void test_no_files(void **state)
{
	char longer[6000];

	(void)state;
	assert_string_equal(how_of(at("none")), "missing");
	assert_string_equal(how_of("relative"), "missing");
	assert_string_equal(how_of(""), "missing");
	assert_string_equal(how_of("<frozen importlib._bootstrap>"), "missing");
	assert_int_equal(symlink("loop2", at("loop1")), 0);
	assert_int_equal(symlink("loop1", at("loop2")), 0);
	assert_string_equal(how_of(at("loop1")), "missing");
	assert_int_equal(symlink("/none/at/all", at("dangling")), 0);
	assert_string_equal(how_of(at("dangling")), "missing");
	put("f", "x");
	assert_string_equal(how_of(at("f/x")), "behind-file");
	memset(longer, 'a', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = 0;
	assert_string_equal(how_of(longer), "missing");
	/* A link that leads through another process's descriptors. */
	assert_int_equal(symlink("/proc/self/exe", at("magic")), 0);
	assert_string_not_equal(how_of(at("magic")), "open");
	/* Deleted while something maps it. */
	put("gone.py", "x");
	assert_int_equal(unlink(at("gone.py")), 0);
	assert_string_equal(how_of(at("gone.py")), "missing");
}

static void test_denied(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	put("secret", "x");
	assert_int_equal(chmod(at("secret"), 0), 0);
	pid = fork();
	if (!pid) {
		if (!geteuid() && setuid(12345))
			_exit(2);
		_exit(strcmp(how_of(at("secret")), "denied") ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_large(void **state)
{
	uint64_t start = clock_monotonic();
	struct identity id;

	(void)state;
	put("huge", "");
	assert_int_equal(truncate(at("huge"), 2LL << 30), 0);
	identity_file(store, 0, at("huge"), 0, 0, &id);
	assert_string_equal(id.how, "too-large");
	assert_int_equal(id.size, 2ULL << 30);
	assert_true(clock_monotonic() - start < SECOND);
}

/* ---- a file that changes while it is read ---- */

static atomic_bool writing;

static void *keep_writing(void *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	for (unsigned int i = 0; writing; i++) {
		if (pwrite(fd, &i, sizeof(i), 0) < 0)
			break;
		usleep(1000);
	}
	close(fd);
	return NULL;
}

static void test_written(void **state)
{
	char path[256];
	pthread_t thread;
	bool seen = false;

	(void)state;
	snprintf(path, sizeof(path), "%s", at("busy"));
	put("busy", "");
	assert_int_equal(truncate(path, 64 << 20), 0);
	writing = true;
	assert_int_equal(pthread_create(&thread, NULL, keep_writing, path), 0);
	usleep(20000);
	for (int i = 0; i < 10 && !seen; i++)
		seen = !strcmp(how_of(path), "changed");
	writing = false;
	pthread_join(thread, NULL);
	assert_true(seen);
}

/* Replaced by rename again and again: each answer is one whole file, never a mixture. */
static void *keep_replacing(void *path)
{
	char other[300];

	snprintf(other, sizeof(other), "%s.new", (char *)path);
	for (int i = 0; writing; i++) {
		int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		char fill[4096];

		memset(fill, 'a' + i % 2, sizeof(fill));
		for (int j = 0; j < 16; j++) {
			if (write(fd, fill, sizeof(fill)) < 0)
				break;
		}
		close(fd);
		if (rename(other, path))
			break;
		usleep(3000);
	}
	return NULL;
}

static void test_replaced(void **state)
{
	char path[256], one[65] = "", two[65] = "";
	struct identity id;
	pthread_t thread;
	uint64_t start = clock_monotonic();
	int opened = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s", at("swap"));
	writing = true;
	assert_int_equal(pthread_create(&thread, NULL, keep_replacing, path), 0);
	while (opened < 100 && clock_monotonic() - start < 20 * SECOND) {
		char hex[65];

		identity_file(store, 0, path, 0, 0, &id);
		if (strcmp(id.how, "open"))
			continue;
		opened++;
		bytes_to_hex(id.sha256, 32, hex);
		if (!*one)
			memcpy(one, hex, sizeof(one));
		else if (strcmp(hex, one) && !*two)
			memcpy(two, hex, sizeof(two));
		else if (*two)
			assert_true(!strcmp(hex, one) || !strcmp(hex, two));
	}
	writing = false;
	pthread_join(thread, NULL);
	assert_int_equal(opened, 100);
	assert_true(*two);
}

/* ---- changes since a time ---- */

static bool changed(const char *path, uint64_t since)
{
	int result = identity_changed_since(0, path, NULL, since);

	assert_true(result == 0 || result == 1);
	return result;
}

static void test_changed_since(void **state)
{
	struct clock_triple now;
	struct identity id;

	(void)state;
	put("m.py", "x");
	put("other.py", "x");
	assert_int_equal(symlink("m.py", at("link.py")), 0);
	identity_file(store, 0, at("m.py"), 0, 0, &id);
	assert_true(changed(at("m.py"), id.ctime - SECOND));
	assert_true(changed(at("m.py"), id.ctime)); /* within the grain of file times */
	usleep(50000);
	clock_read(&now);
	assert_false(changed(at("m.py"), now.realtime));
	assert_int_equal(identity_changed_since(0, at("m.py"), &id, now.realtime), 0);
	assert_false(changed(at("link.py"), now.realtime));
	assert_false(changed(at("missing.py"), now.realtime));
	/* Another file stands there, though it is old enough. */
	assert_int_equal(identity_changed_since(0, at("other.py"), &id, now.realtime), 1);
	usleep(50000);
	/* Times can be set back; the change time cannot. */
	put("m.py", "y");
	assert_int_equal(
		utimensat(AT_FDCWD, at("m.py"), (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0), 0);
	assert_true(changed(at("m.py"), now.realtime));
	/* A link that was turned to an older file. */
	unlink(at("link.py"));
	assert_int_equal(symlink("other.py", at("link.py")), 0);
	assert_true(changed(at("link.py"), now.realtime));
	assert_false(changed(at("other.py"), now.realtime));
	/* Missing: the folder says that something happened; a missing folder asks its own. */
	unlink(at("other.py"));
	assert_true(changed(at("other.py"), now.realtime));
	assert_true(changed(at("no/such/folder.py"), now.realtime));
	clock_read(&now);
	assert_false(changed(at("no/such/folder.py"), now.realtime + SECOND));
	/* What cannot be looked at is shown to be neither. */
	assert_int_equal(identity_changed_since(0x3fffff, "/", NULL, now.realtime + SECOND), -1);
}

/* Two releases, each with app/pkg/m.py, the one that is served, and a folder beside the code. */
static uint64_t make_releases(void)
{
	static const char *const folders[] = { "srv",
					       "srv/one",
					       "srv/one/app",
					       "srv/one/app/pkg",
					       "srv/one/app/pkg/__pycache__",
					       "srv/one/data",
					       "srv/two",
					       "srv/two/app",
					       "srv/two/app/pkg" };
	struct clock_triple now;

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		assert_int_equal(mkdir(at(folders[i]), 0755), 0);
	put("srv/one/app/pkg/m.py", "x");
	put("srv/one/app/pkg/__pycache__/m.pyc", "x");
	put("srv/two/app/pkg/m.py", "y");
	assert_int_equal(symlink("one", at("srv/current")), 0);
	usleep(50000);
	clock_read(&now);
	usleep(50000);
	return now.realtime;
}

#define DIRECT "srv/one/app/pkg/m.py"
#define LINKED "srv/current/app/pkg/m.py"

static void move(const char *from, const char *to)
{
	char other[256];

	snprintf(other, sizeof(other), "%s", at(to));
	assert_int_equal(rename(at(from), other), 0);
}

static void test_unchanged_above(void **state)
{
	uint64_t since = make_releases();

	(void)state;
	assert_false(changed(at(DIRECT), since));
	assert_false(changed(at(LINKED), since));
	assert_false(changed(at("srv/one/app/../app//./pkg/m.py"), since));
	/* Another compiled file, or whatever else, beside them: no matter. */
	put("srv/one/app/pkg/__pycache__/other.pyc", "x");
	assert_false(changed(at("srv/one/app/pkg/__pycache__/m.pyc"), since));
	assert_false(changed(at(LINKED), since));
	put("srv/one/data/file", "x");
	put("srv/file", "x");
	assert_false(changed(at(DIRECT), since));
	assert_false(changed(at(LINKED), since));
}

static void test_unchanged_beside(void **state)
{
	uint64_t since = make_releases();

	(void)state;
	put("srv/one/app/pkg/unrelated", "x");
	assert_false(changed(at(DIRECT), since));
	unlink(at("srv/one/app/pkg/unrelated"));
	assert_false(changed(at(LINKED), since));
	/* A folder and the one above it were written to: a move could hide behind that. */
	put("srv/one/app/unrelated", "x");
	assert_true(changed(at(DIRECT), since));
}

static void test_link_above(void **state)
{
	uint64_t since = make_releases();

	(void)state;
	assert_int_equal(symlink("two", at("srv/next")), 0);
	move("srv/next", "srv/current");
	assert_true(changed(at(LINKED), since));
	assert_false(changed(at(DIRECT), since));
	assert_false(changed(at("srv/two/app/pkg/m.py"), since));
	/* A link that a link leads through. */
	assert_int_equal(symlink("srv/current/app", at("outer")), 0);
	assert_true(changed(at("outer/pkg/m.py"), since));
}

static void test_folder_moved(void **state)
{
	uint64_t since = make_releases();

	(void)state;
	/* Two levels up, and with its times set back. */
	move("srv/one/app", "srv/one/old");
	move("srv/two/app", "srv/one/app");
	assert_true(changed(at(DIRECT), since));
	assert_true(changed(at(LINKED), since));
	assert_int_equal(
		utimensat(AT_FDCWD, at("srv/one"), (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0),
		0);
	assert_true(changed(at(DIRECT), since));
}

/* The move's trace in the folder itself is gone after a write to it. */
static void test_move_hidden(void **state)
{
	uint64_t since = make_releases();

	(void)state;
	move("srv/one/app", "srv/one/old");
	move("srv/two/app", "srv/one/app");
	put("srv/one/app/unrelated", "x");
	assert_true(changed(at(DIRECT), since));
}

static void test_renamed_over(void **state)
{
	uint64_t since = make_releases();

	(void)state;
	move("srv/two/app/pkg/m.py", DIRECT);
	assert_true(changed(at(DIRECT), since));
	assert_true(changed(at(LINKED), since));
}

/* Looks like a move, so it counts as one (docs/evidence.md). */
static void test_chmod_above(void **state)
{
	uint64_t since = make_releases();

	(void)state;
	assert_int_equal(chmod(at("srv/one/app"), 0700), 0);
	assert_true(changed(at(DIRECT), since));
	assert_false(changed(at("srv/two/app/pkg/m.py"), since));
}

/* What cannot be followed is not shown to be unchanged. */
static void test_walk_bounds(void **state)
{
	uint64_t since = make_releases();
	char name[32], before[32] = "srv/one/app/pkg", many[4000] = "";
	struct clock_triple now;

	(void)state;
	for (int i = 0; i < 41; i++) {
		char target[256];

		snprintf(name, sizeof(name), "link%d", i);
		snprintf(target, sizeof(target), "%s", at(before));
		assert_int_equal(symlink(target, at(name)), 0);
		memcpy(before, name, sizeof(name));
	}
	usleep(50000);
	clock_read(&now);
	assert_false(changed(at("link39/m.py"), now.realtime));
	/* What cannot be walked is shown to be neither. */
	assert_int_equal(identity_changed_since(0, at("link40/m.py"), NULL, now.realtime), -1);
	assert_int_equal(symlink("loop2", at("loop1")), 0);
	assert_int_equal(symlink("loop1", at("loop2")), 0);
	assert_int_equal(identity_changed_since(0, at("loop1"), NULL, now.realtime + SECOND), -1);
	for (int i = 0; i < 300; i++)
		memcpy(many + 2 * i, "/.", 3);
	assert_int_equal(identity_changed_since(0, many, NULL, now.realtime + SECOND), -1);
	assert_int_equal(identity_changed_since(0, "relative", NULL, now.realtime + SECOND), -1);
	assert_int_equal(identity_changed_since(0, "/proc/self/exe", NULL, now.realtime + SECOND),
			 -1);
	/* Up from the root stays there; a file is no folder. */
	assert_false(changed("/../../../etc/passwd", now.realtime + SECOND));
	assert_true(changed(at(DIRECT "/../m.py"), since - SECOND));
}

/* ---- other roots ---- */

/* A process with its own root; it lives until the pipe is closed. */
static pid_t start_inside(const char *root, int *keep)
{
	int fds[2], ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		close(fds[1]);
		if (chroot(root) || chdir("/") || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(fds[0], &byte, 1) ? 1 : 0);
	}
	close(fds[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	*keep = fds[1];
	return pid;
}

static void test_other_root(void **state)
{
	static const char *const folders[] = {
		"usr", "usr/lib", "etc", "var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/info"
	};
	struct identity id;
	struct stat st;
	const char *how;
	int keep, fd;
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		assert_int_equal(mkdir(at(folders[i]), 0755), 0);
	put("etc/passwd", "hello\n");
	put("usr/lib/m.so", "hello\n");
	put("usr/lib/edited.so", "hello!\n");
	assert_int_equal(symlink("/etc/passwd", at("absolute")), 0);
	assert_int_equal(symlink("../../../../../etc/passwd", at("upwards")), 0);
	assert_int_equal(symlink("usr/lib", at("lib")), 0);
	put("var/lib/dpkg/status", "Package: m\nStatus: install ok installed\n"
				   "Architecture: amd64\nMulti-Arch: same\nVersion: 7-1\n");
	put("var/lib/dpkg/info/m:amd64.list", "/lib\n/lib/m.so\n/lib/edited.so\n");
	put("var/lib/dpkg/info/m:amd64.md5sums",
	    "b1946ac92492d2347c6235b4d2611184  lib/m.so\n"
	    "b1946ac92492d2347c6235b4d2611184  lib/edited.so\n");
	pid = start_inside(top, &keep);

	/* Links stay inside: this is the root's own passwd. */
	identity_file(store, pid, "/absolute", 0, 0, &id);
	assert_string_equal(id.how, "open");
	assert_hex(id.sha256, 32, SHA_HELLO);
	identity_file(store, pid, "/upwards", 0, 0, &id);
	assert_hex(id.sha256, 32, SHA_HELLO);
	identity_file(store, pid, "/usr/lib/m.so", 0, 0, &id);
	assert_string_equal(id.package_manager, "dpkg");
	assert_string_equal(id.package, "m");
	assert_string_equal(id.package_version, "7-1");
	assert_int_equal(id.digest_matches, 1);
	identity_file(store, pid, "/usr/lib/edited.so", 0, 0, &id);
	assert_string_equal(id.package, "m");
	assert_int_equal(id.digest_matches, 0);
	identity_file(store, pid, "/usr/bin/python3", 0, 0, &id);
	assert_string_equal(id.how, "missing");
	fd = identity_open(pid, "/lib/m.so", &st, &how);
	assert_true(fd >= 0);
	assert_int_equal(st.st_size, 6);
	close(fd);

	close(keep);
	waitpid(pid, NULL, 0);
	identity_file(store, pid, "/usr/lib/m.so", 0, 0, &id);
	assert_string_equal(id.how, "gone");
}

/* ---- this host ---- */

static void test_host(void **state)
{
	static const char *const names[] = { "/lib/x86_64-linux-gnu/libc.so.6",
					     "/usr/lib/x86_64-linux-gnu/libc.so.6" };
	struct identity id;
	char line[256];
	FILE *f;

	(void)state;
	if (access("/var/lib/dpkg/status", R_OK) || access(names[0], R_OK))
		skip();
	for (size_t i = 0; i < 2; i++) {
		identity_file(store, 0, names[i], 0, 0, &id);
		assert_string_equal(id.how, "open");
		assert_string_equal(id.package, "libc6");
		assert_int_equal(id.digest_matches, 1);
		assert_true(id.build_id_len > 0);
	}
	f = popen("readelf -n /lib/x86_64-linux-gnu/libc.so.6 | sed -n 's/.*Build ID: //p'", "r");
	if (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		assert_hex(id.build_id, id.build_id_len, line);
	}
	pclose(f);
	identity_file(store, 0, "/usr/bin/python3", 0, 0, &id);
	if (!strcmp(id.how, "open")) {
		/* Through a link: the owner of the file, not of the link. */
		assert_non_null(strstr(id.package, "-minimal"));
		assert_int_equal(id.digest_matches, 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_digest),
		TEST(test_rewritten),
		TEST(test_not_files),
		TEST(test_no_files),
		TEST(test_denied),
		TEST(test_large),
		TEST(test_written),
		TEST(test_replaced),
		TEST(test_changed_since),
		TEST(test_unchanged_above),
		TEST(test_unchanged_beside),
		TEST(test_link_above),
		TEST(test_folder_moved),
		TEST(test_move_hidden),
		TEST(test_renamed_over),
		TEST(test_chmod_above),
		TEST(test_walk_bounds),
		TEST(test_other_root),
		TEST(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
