/* A root folder of our own for tests: files and links in it, gone at the end. Include after cmocka.
 */
#ifndef DAYLIGHT_ROOT_KIT_H
#define DAYLIGHT_ROOT_KIT_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];

static inline void make_folders(const char *path)
{
	char part[1024];

	for (const char *p = path + strlen(top) + 1; (p = strchr(p, '/')); p++) {
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		mkdir(part, 0755);
	}
}

static inline void put(const char *path, const char *text)
{
	char full[1024];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", top, path);
	make_folders(full);
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static inline void put_link(const char *path, const char *target)
{
	char full[1024];

	snprintf(full, sizeof(full), "%s%s", top, path);
	make_folders(full);
	assert_int_equal(symlink(target, full), 0);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/daylight-packages.XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static inline int teardown(void **state)
{
	(void)state;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline int top_fd(void)
{
	int fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

#endif
