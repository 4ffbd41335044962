/* Python distributions: who owns a file by RECORD. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/digest.h"
#include "collect/identity.h"
#include "collect/packages.h"

#include "root_kit.h"

#define SITE "/opt/app/lib/python3.11/site-packages"
/* Of "x = 1\n". */
#define X_SHA256 "sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q"

static void put_distribution(const char *folder, const char *metadata, const char *record)
{
	char path[512];

	snprintf(path, sizeof(path), SITE "/%s/METADATA", folder);
	put(path, metadata);
	snprintf(path, sizeof(path), SITE "/%s/RECORD", folder);
	put(path, record);
}

static void craft(void)
{
	put_distribution("tool-1.0.dist-info",
			 "Metadata-Version: 2.1\r\nName: tool\r\nVersion: 1.0+local\r\n\r\n"
			 "Name: other\r\n",
			 "tool/__init__.py," X_SHA256 ",6\r\n"
			 "tool/no_hash.py,,\n"
			 "tool/md5.py,md5=sQqNsWTg1tl8C1KJoIP7ZQ,6\n"
			 "\"tool/with, comma \"\"and\"\".py\"," X_SHA256 ",6\n"
			 "tool/short.py,sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_,6\n"
			 "tool/bad.py,sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM=Q,6\n"
			 "tool/padded.py," X_SHA256 "=,6\n"
			 "tool/left.py,sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_R,6\n"
			 "../../../bin/tool," X_SHA256 ",6\n"
			 "/etc/passwd," X_SHA256 ",6\n"
			 "tool/../tool/dots.py," X_SHA256 ",6\n"
			 "\"tool/open.py,,\n"
			 "shared/same.py," X_SHA256 ",6\n"
			 "shared/other.py," X_SHA256 ",6\n"
			 "last.py," X_SHA256);
	put_distribution("zope.part-2.dist-info", "Name: zope.part\nVersion: 2\n",
			 "shared/same.py," X_SHA256 ",6\n"
			 "shared/other.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n");
	put_distribution("unnamed-3.dist-info", "Version: 3\n", "unnamed.py,,\n");
	put_distribution("twice-3.dist-info", "Name: a\nName: b\nVersion: 3\n", "twice.py,,\n");
	put_distribution("space-3.dist-info", "Name: a b\nVersion: 3\n", "space.py,,\n");
	put(SITE "/half-4.dist-info/METADATA", "Name: half\nVersion: 4\n");
	put(SITE "/a.dist-info", "a file\n");
}

static bool find(struct packages_records *r, const char *path, struct packages_owner *out)
{
	char real[1024];
	int root = top_fd();
	bool found;

	snprintf(real, sizeof(real), SITE "/%s", path);
	found = packages_records_find(r, root, real, out);
	close(root);
	return found;
}

static void test_record(void **state)
{
	static const char *const none[] = { "unnamed.py", "twice.py",	   "space.py",
					    "half.py",	  "tool/open.py",  "tool/dots.py",
					    "tool",	  "tool/__init__", "nothing.py",
					    "etc/passwd" };
	static const char *const no_digest[] = { "tool/no_hash.py", "tool/md5.py",
						 "tool/short.py",   "tool/bad.py",
						 "tool/padded.py",  "tool/left.py",
						 "shared/other.py" };
	static const char *const with_digest[] = { "tool/__init__.py", "last.py", "shared/same.py",
						   "tool/with, comma \"and\".py" };
	struct packages_records *r = packages_records_new();
	struct packages_owner owner;
	uint8_t want[32];

	(void)state;
	craft();
	assert_int_equal(digest_sha256("x = 1\n", 6, want), 0);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_false(find(r, none[i], &owner));
	for (size_t i = 0; i < sizeof(no_digest) / sizeof(no_digest[0]); i++) {
		assert_true(find(r, no_digest[i], &owner));
		assert_false(owner.has_sha256 || owner.has_md5);
	}
	for (size_t i = 0; i < sizeof(with_digest) / sizeof(with_digest[0]); i++) {
		assert_true(find(r, with_digest[i], &owner));
		assert_string_equal(owner.manager, "python");
		assert_string_equal(owner.name, "tool");
		assert_string_equal(owner.version, "1.0+local");
		assert_true(owner.has_sha256);
		assert_memory_equal(owner.sha256, want, 32);
	}
	/* What is outside of the folder, though named. */
	int root = top_fd();

	assert_false(packages_records_find(r, root, "/opt/app/bin/tool", &owner));
	assert_false(packages_records_find(r, root, "/etc/passwd", &owner));
	assert_false(packages_records_find(r, root, "last.py", &owner));
	assert_false(packages_records_find(r, root, "/", &owner));
	close(root);
	/* A distribution that comes is seen. */
	usleep(20000);
	put_distribution("late-5.dist-info", "Name: late\nVersion: 5\n", "late.py,,\n");
	assert_true(find(r, "late.py", &owner));
	assert_string_equal(owner.version, "5");
	packages_records_free(r);
}

/* identity_file asks where no other database owns the file; the digest decides. */
static void test_identity(void **state)
{
	struct identity_store *s = identity_store_new();
	struct identity id;
	char path[512];

	(void)state;
	put(SITE "/tool/__init__.py", "x = 1\n");
	put(SITE "/last.py", "x = 2\n");
	put_link("/opt/app/lib64", "lib");
	snprintf(path, sizeof(path), "%s/opt/app/lib64/python3.11/site-packages/tool/__init__.py",
		 top);
	identity_file(s, 0, path, 0, 0, &id);
	assert_string_equal(id.how, "open");
	assert_string_equal(id.package_manager, "python");
	assert_string_equal(id.package, "tool");
	assert_int_equal(id.digest_matches, 1);
	snprintf(path, sizeof(path), "%s" SITE "/last.py", top);
	identity_file(s, 0, path, 0, 0, &id);
	assert_string_equal(id.package, "tool");
	assert_int_equal(id.digest_matches, 0);
	identity_store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
