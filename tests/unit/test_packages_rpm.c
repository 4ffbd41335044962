/*
 * The rpm database. tests/golden/rpm/rpmdb.sqlite is one that rpm 4.18 wrote when it installed two
 * small packages; then the tables of its indexes were dropped, rows that are no headers added, and
 * the pages made small, so that there are trees of several levels and chains of pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/digest.h"
#include "collect/packages.h"
#include "collect/sqlite_table.h"

#include "root_kit.h"

#define GOLDEN "tests/golden/rpm/rpmdb.sqlite"
#define PLACE "/var/lib/rpm/rpmdb.sqlite"

static uint8_t golden[65536];
static size_t golden_len;

static void put_database(const char *path, const uint8_t *data, size_t len)
{
	char full[512];
	FILE *f;

	put(path, "");
	snprintf(full, sizeof(full), "%s%s", top, path);
	f = fopen(full, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static void remove_file(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", top, path);
	assert_int_equal(remove(full), 0);
}

static int begin(void **state)
{
	FILE *f = fopen(GOLDEN, "rb");

	if (!f)
		return -1;
	golden_len = fread(golden, 1, sizeof(golden), f);
	fclose(f);
	return setup(state);
}

static bool find(struct packages *p, const char *path, struct packages_owner *out)
{
	int root = top_fd();
	bool found = packages_find(p, root, path, out);

	close(root);
	return found;
}

static struct packages *load(void)
{
	int root = top_fd();
	struct packages *p = packages_load(root);

	close(root);
	return p;
}

static void owned(struct packages *p, const char *path, const char *name, const char *version,
		  const char *content)
{
	struct packages_owner owner;
	uint8_t want[32];

	assert_true(find(p, path, &owner));
	assert_string_equal(owner.manager, "rpm");
	assert_string_equal(owner.name, name);
	assert_string_equal(owner.version, version);
	assert_true(owner.has_sha256);
	assert_false(owner.has_md5);
	assert_int_equal(digest_sha256(content, strlen(content), want), 0);
	assert_memory_equal(owner.sha256, want, 32);
}

static void test_golden(void **state)
{
	static const char *const none[] = {
		"/usr/lib/tiny",
		"/usr/lib/tiny/link.py", /* a folder, a link */
		"/var/log/tiny.log",
		"/usr/share/doc/tiny/README", /* no file of it, no code */
		"/usr/lib/tiny/code",
		"code.py",
		"",
		"/",
	};
	struct packages_owner owner;
	struct packages *p;

	(void)state;
	put_database(PLACE, golden, golden_len);
	p = load();
	assert_non_null(p);
	owned(p, "/usr/lib/tiny/code.py", "tiny", "2:1.4-3", "x = 1\n");
	owned(p, "/etc/tiny.conf", "tiny", "2:1.4-3", "a = 1\n");
	owned(p, "/usr/lib/tiny/more.py", "tiny-more", "0:5~rc1-3", "y = 1\n");
	/* Of both, and both say the same of it. */
	owned(p, "/usr/lib/tiny/both.py", "tiny", "2:1.4-3", "z = 1\n");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_false(find(p, none[i], &owner));
	packages_free(p);
}

/* The database of a root that dpkg has no packages in; not with changes in a log. */
static void test_places(void **state)
{
	static const char *const logs[] = { PLACE "-wal", PLACE "-journal" };
	struct packages *p;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		put(logs[i], "");
		p = load();
		assert_non_null(p);
		packages_free(p);
		put(logs[i], "x");
		assert_null(load());
		remove_file(logs[i]);
	}
	put("/var/lib/dpkg/status", "");
	put("/var/lib/dpkg/info/x.list", "");
	p = load();
	assert_non_null(p);
	owned(p, "/usr/lib/tiny/code.py", "tiny", "2:1.4-3", "x = 1\n");
	packages_free(p);
	put("/var/lib/dpkg/status", "Package: x\nStatus: install ok installed\nArchitecture: all\n"
				    "Version: 1\n");
	p = load();
	assert_non_null(p);
	assert_false(find(p, "/usr/lib/tiny/code.py", &(struct packages_owner){ 0 }));
	packages_free(p);
	remove_file("/var/lib/dpkg/info/x.list");
	remove_file("/var/lib/dpkg/status");
	remove_file("/var/lib/dpkg/info");
	remove_file(PLACE);
	assert_null(load());
	put_database("/usr/lib/sysimage/rpm/rpmdb.sqlite", golden, golden_len);
	p = load();
	assert_non_null(p);
	packages_free(p);
	remove_file("/usr/lib/sysimage/rpm/rpmdb.sqlite");
}

static void test_stale(void **state)
{
	int root = top_fd();
	struct packages_rpm *p;

	(void)state;
	put_database(PLACE, golden, golden_len);
	p = packages_rpm_load(root);
	assert_non_null(p);
	assert_false(packages_rpm_stale(p, root));
	put(PLACE "-wal", "x");
	assert_true(packages_rpm_stale(p, root));
	remove_file(PLACE "-wal");
	assert_false(packages_rpm_stale(p, root));
	usleep(20000);
	put_database(PLACE, golden, golden_len);
	assert_true(packages_rpm_stale(p, root));
	packages_rpm_free(p);
	close(root);
}

static int count_row(void *ctx, const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += data[i]; /* each byte must be there */
	(void)sum;
	++*(size_t *)ctx;
	return 0;
}

static int read_rows(const uint8_t *data, size_t len, const char *table, uint32_t max, size_t *rows)
{
	int ret, root = top_fd(), fd;

	put_database("/tmp.sqlite", data, len);
	fd = openat(root, "tmp.sqlite", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	*rows = 0;
	ret = sqlite_table_read(fd, len, table, 1, max, count_row, rows);
	close(fd);
	close(root);
	return ret;
}

static void test_table(void **state)
{
	size_t rows;

	(void)state;
	assert_int_equal(read_rows(golden, golden_len, "Packages", 65536, &rows), 0);
	assert_int_equal(rows, 26);
	assert_int_equal(read_rows(golden, golden_len, "Package", 65536, &rows), -1);
	assert_int_equal(read_rows(golden, golden_len, "Packages", 2000, &rows), -1);
	assert_int_equal(read_rows(golden, 0, "Packages", 65536, &rows), -1);
	for (size_t len = 0; len < golden_len; len += 512)
		assert_int_equal(read_rows(golden, len, "Packages", 65536, &rows), -1);
}

/* Nothing that stands in the file makes it crash, hang or read the same page for ever. */
static void test_hostile(void **state)
{
	uint8_t *copy = malloc(golden_len);
	size_t rows;

	(void)state;
	assert_non_null(copy);
	srandom(7);
	for (size_t i = 0; i < 1000; i++) {
		memcpy(copy, golden, golden_len);
		for (size_t k = 0; k < 1 + i % 8; k++) {
			size_t page = (size_t)random() % (golden_len / 512);
			size_t at = page * 512 + (size_t)random() % (k % 2 ? 512 : 40);

			copy[at] = (uint8_t)random();
		}
		if (i % 10) {
			read_rows(copy, golden_len, "Packages", 65536, &rows);
			assert_true(rows < 100000);
			continue;
		}
		put_database(PLACE, copy, golden_len);
		packages_free(load());
	}
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	cmocka_unit_test(test_places),
		cmocka_unit_test(test_stale),	cmocka_unit_test(test_table),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, begin, teardown);
}
