/* The dpkg database: a crafted one in a folder, and this host's against dpkg itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "collect/packages.h"
#include "collect/rootfile.h"

#include "root_kit.h"

/* md5 of "hello\n" */
#define HELLO "b1946ac92492d2347c6235b4d2611184"

static void craft(void)
{
	put("/var/lib/dpkg/status",
	    "Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2.0-3\n"
	    "Conffiles:\n /etc/tool.py " HELLO "\n /etc/new.py newconffile\n"
	    " /etc/old.py " HELLO " obsolete\nDescription: a tool\n with a text\n\n"
	    "Package: lib\nStatus: install ok installed\nArchitecture: amd64\n"
	    "Multi-Arch: same\nVersion: 1.0-64\n\n"
	    "Package: lib\nStatus: install ok installed\nArchitecture: i386\n"
	    "Multi-Arch: same\nVersion: 1.0-32\n\n"
	    "Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 9\n"
	    "Conffiles:\n /etc/gone.py " HELLO "\n\n"
	    "Package: ../../evil\nStatus: install ok installed\nArchitecture: all\n"
	    "Version: 1\n\n"
	    "Package: other\nStatus: install ok installed\nArchitecture: all\nVersion: 5\n");
	put("/var/lib/dpkg/info/tool.list",
	    "/.\n/usr\n/usr/bin\n/usr/bin/tool\n/usr/lib\n/usr/lib/tool.py\n/usr/lib/wide\n"
	    "/etc\n/etc/tool.py\n/etc/new.py\n/etc/old.py\n/usr/bin/split\nnonsense\n\n/last");
	put("/var/lib/dpkg/info/tool.md5sums",
	    HELLO "  usr/bin/tool\nzz\n" HELLO "  usr/bin/split\n" HELLO " usr/lib/tool.py\n"
		  "zz946ac92492d2347c6235b4d2611184  usr/lib/tool.py\n");
	put("/var/lib/dpkg/info/lib:amd64.list", "/lib\n/lib/x64\n/lib/x64/lib.so\n");
	put("/var/lib/dpkg/info/lib:amd64.md5sums", HELLO "  lib/x64/lib.so\n");
	put("/var/lib/dpkg/info/lib:i386.list", "/lib\n/lib/x32\n/lib/x32/lib.so\n");
	put("/var/lib/dpkg/info/gone.list", "/etc/gone.py\n");
	put("/var/lib/dpkg/info/other.list", "/usr/bin/split\n/usr/bin/other\n/usr/bin/t\n");
	put("/var/lib/evil.list", "/evil\n"); /* where the package "../../evil" points */
	put("/var/lib/dpkg/info/other.md5sums", HELLO "  usr/bin/split\n");
	put("/var/lib/dpkg/diversions", "/usr/bin/split\n/usr/bin/split.distrib\ntool\n/x\n/y\n");
}

static void test_crafted(void **state)
{
	struct packages_owner o;
	struct packages *p;
	uint8_t hello[16];
	int root;

	(void)state;
	craft();
	root = top_fd();
	p = packages_load(root);
	assert_non_null(p);
	bytes_from_hex(HELLO, hello, 16);

	assert_true(packages_find(p, root, "/usr/bin/tool", &o));
	assert_string_equal(o.manager, "dpkg");
	assert_string_equal(o.name, "tool");
	assert_string_equal(o.version, "1:2.0-3");
	assert_true(o.has_md5);
	assert_memory_equal(o.md5, hello, 16);
	/* Bad md5sums lines are no digests; the file still has its owner. */
	assert_true(packages_find(p, root, "/usr/lib/tool.py", &o));
	assert_false(o.has_md5);
	assert_true(packages_find(p, root, "/last", &o));
	/* Configuration files. */
	assert_true(packages_find(p, root, "/etc/tool.py", &o) && o.has_md5);
	assert_memory_equal(o.md5, hello, 16);
	assert_true(packages_find(p, root, "/etc/new.py", &o) && !o.has_md5);
	assert_true(packages_find(p, root, "/etc/old.py", &o) && o.has_md5);
	/* The version of the architecture that owns the path. */
	assert_true(packages_find(p, root, "/lib/x64/lib.so", &o) && o.has_md5);
	assert_string_equal(o.name, "lib");
	assert_string_equal(o.version, "1.0-64");
	assert_true(packages_find(p, root, "/lib/x32/lib.so", &o));
	assert_string_equal(o.version, "1.0-32");
	/* Not files, not installed, not there. */
	assert_false(packages_find(p, root, "/usr/bin", &o));
	assert_false(packages_find(p, root, "/etc/gone.py", &o));
	assert_false(packages_find(p, root, "nonsense", &o));
	assert_false(packages_find(p, root, "/evil", &o));
	assert_false(packages_find(p, root, "/usr/bin/tool2", &o));
	/* tool diverts other's file. */
	assert_true(packages_find(p, root, "/usr/bin/split", &o) && o.has_md5);
	assert_string_equal(o.name, "tool");
	assert_true(packages_find(p, root, "/usr/bin/split.distrib", &o) && o.has_md5);
	assert_string_equal(o.name, "other");
	packages_free(p);
	close(root);
}

/* Finds the owner of a file of the crafted root, as identity_file does. */
static bool owner_of(struct packages *p, int root, const char *path, struct packages_owner *o)
{
	const char *how;
	struct stat st;
	char real[4096];
	int fd = rootfile_find(root, path, true, &st, &how);
	bool has_real, found;

	assert_true(fd >= 0);
	has_real = !rootfile_real_path(root, fd, &st, real, sizeof(real));
	close(fd);
	found = packages_find_file(p, root, path, has_real ? real : NULL, &st, o);
	return found;
}

static void test_other_names(void **state)
{
	struct packages_owner o;
	struct packages *p;
	int root;

	(void)state;
	craft();
	put("/usr/lib/x64/lib.so", "hello\n");
	put_link("/lib", "usr/lib");
	put("/usr/bin/tool", "hello\n");
	put_link("/etc/alternatives/t", "/usr/bin/tool");
	put_link("/usr/bin/t", "/etc/alternatives/t");
	put("/bin/tool", "not the same file\n");
	root = top_fd();
	p = packages_load(root);
	assert_non_null(p);
	/* Merged /usr, both ways. */
	assert_true(owner_of(p, root, "/usr/lib/x64/lib.so", &o) && o.has_md5);
	assert_string_equal(o.name, "lib");
	assert_true(owner_of(p, root, "/lib/x64/lib.so", &o) && o.has_md5);
	/*
	 * An alternative: two absolute links, resolved inside the root. Another package owns the
	 * first link; the file's owner counts.
	 */
	assert_true(owner_of(p, root, "/usr/bin/t", &o) && o.has_md5);
	assert_string_equal(o.name, "tool");
	/* /bin is not /usr/bin here, so /bin/tool is nobody's. */
	assert_false(owner_of(p, root, "/bin/tool", &o));
	packages_free(p);
	close(root);
}

static void test_hostile_database(void **state)
{
	struct packages_owner o;
	struct packages *p;
	char path[512];
	int root;

	(void)state;
	root = top_fd();
	assert_null(packages_load(root)); /* none */
	craft();
	/* A FIFO where a list should be would block; a link out of the root is not followed. */
	snprintf(path, sizeof(path), "%s/var/lib/dpkg/info/tool.list", top);
	unlink(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	snprintf(path, sizeof(path), "%s/var/lib/dpkg/info/other.list", top);
	unlink(path);
	put_link("/var/lib/dpkg/info/other.list", "/etc/passwd");
	p = packages_load(root);
	assert_non_null(p);
	assert_false(packages_find(p, root, "/usr/bin/tool", &o));
	assert_true(packages_find(p, root, "/lib/x64/lib.so", &o));
	packages_free(p);
	/* No status file. */
	snprintf(path, sizeof(path), "%s/var/lib/dpkg/status", top);
	unlink(path);
	assert_null(packages_load(root));
	close(root);
}

/* ---- this host ---- */

#define SAMPLE 300

struct sample {
	char *path;
	char names[512]; /* what dpkg prints before the colon */
};

static size_t read_lines(const char *command, char ***out)
{
	FILE *f = popen(command, "r");
	char *line = NULL, **lines = NULL;
	size_t cap = 0, count = 0;
	ssize_t n;

	assert_non_null(f);
	while ((n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		lines = realloc(lines, (count + 1) * sizeof(*lines));
		assert_non_null(lines);
		lines[count++] = strdup(line);
	}
	free(line);
	pclose(f);
	*out = lines;
	return count;
}

static void free_lines(char **lines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(lines[i]);
	free(lines);
}

static bool name_in(const char *names, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = names; (p = strstr(p, name)); p++) {
		if ((p == names || p[-1] == ' ') && strchr(",:", p[n]))
			return true;
	}
	return false;
}

static void test_host(void **state)
{
	char **sample, **dpkg = NULL;
	size_t samples, lines = 0, with_md5 = 0;
	struct packages *p;
	int root;

	(void)state;
	if (access("/usr/bin/dpkg-query", X_OK) || access("/var/lib/dpkg/status", R_OK))
		skip();
	/* Every n-th regular file of the lists, in a fixed order, plus some that matter. */
	samples = read_lines("cat /var/lib/dpkg/info/*.list | sort -u | grep -v ' ' | "
			     "while read -r f; do [ -f \"$f\" ] && [ ! -L \"$f\" ] && echo \"$f\";"
			     " done | awk '{a[NR]=$0} END {s=NR/300; for (i=1;i<=NR;i+=s) "
			     "print a[int(i)]}'",
			     &sample);
	assert_true(samples > SAMPLE / 2);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	p = packages_load(root);
	assert_non_null(p);
	for (size_t i = 0; i < samples; i++) {
		struct packages_owner o;
		char command[8192];
		bool known = false;

		/* A few at a time would be faster; one at a time is plain. */
		if (i % 50 == 0) {
			size_t at = (size_t)snprintf(command, sizeof(command), "dpkg-query -S");

			for (size_t j = i; j < samples && j < i + 50; j++)
				at += (size_t)snprintf(command + at, sizeof(command) - at, " '%s'",
						       sample[j]);
			assert_true(at < sizeof(command) - 64);
			if (i)
				free_lines(dpkg, lines);
			lines = read_lines(command, &dpkg);
		}
		if (!packages_find(p, root, sample[i], &o)) {
			print_message("no owner: %s\n", sample[i]);
			fail();
		}
		with_md5 += o.has_md5;
		for (size_t j = 0; j < lines && !known; j++) {
			const char *at = strstr(dpkg[j], sample[i]);

			known = at && !strcmp(at, sample[i]) && name_in(dpkg[j], o.name);
		}
		if (!known) {
			print_message("%s: we say %s\n", sample[i], o.name);
			fail();
		}
	}
	free_lines(dpkg, lines);
	free_lines(sample, samples);
	/* Nearly every packaged file has a digest. */
	assert_true(with_md5 > samples * 9 / 10);
	packages_free(p);
	close(root);
}

static void test_host_versions(void **state)
{
	struct packages *p;
	char **shown;
	size_t count, checked = 0;
	int root;

	(void)state;
	if (access("/usr/bin/dpkg-query", X_OK) || access("/var/lib/dpkg/status", R_OK))
		skip();
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	p = packages_load(root);
	assert_non_null(p);
	count = read_lines("dpkg-query -W -f '${Package} ${Version} "
			   "/usr/share/doc/${Package}/copyright\\n'",
			   &shown);
	for (size_t i = 0; i < count; i++) {
		char name[128], version[128], path[256];
		struct packages_owner o;

		assert_int_equal(sscanf(shown[i], "%127s %127s %255s", name, version, path), 3);
		if (!packages_find(p, root, path, &o) || strcmp(o.name, name))
			continue;
		assert_string_equal(o.version, version);
		checked++;
	}
	assert_true(checked > count / 2);
	free_lines(shown, count);
	packages_free(p);
	close(root);
}

static void test_cost(void **state)
{
	struct rusage before, after;
	struct packages *p;
	double cpu;
	int root;

	(void)state;
	if (access("/var/lib/dpkg/status", R_OK))
		skip();
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	getrusage(RUSAGE_SELF, &before);
	p = packages_load(root);
	getrusage(RUSAGE_SELF, &after);
	assert_non_null(p);
	cpu = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
	      (double)(after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
	      (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6 +
	      (double)(after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1e6;
	print_message("indexing this host: %.2f s CPU\n", cpu);
	/* Sanitizers slow it down several times; without them the limit is 1 s. */
	assert_true(cpu < 5);
	packages_free(p);
	close(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_crafted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_database, setup, teardown),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_host_versions),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
