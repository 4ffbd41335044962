/*
 * Preloaded into a collector: its disk fails. From the moment on that the bundle (a file named
 * *.daylight) holds FAIL_AFTER bytes, FAIL_CALL (write or fdatasync) of it fails with the error
 * number FAIL_ERROR.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fails(const char *call, int fd)
{
	const char *which = getenv("FAIL_CALL"), *after = getenv("FAIL_AFTER");
	char link[64], path[4096];
	struct stat st;
	ssize_t n;

	if (!which || !after || strcmp(which, call))
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 9 || memcmp(path + n - 9, ".daylight", 9))
		return 0;
	if (fstat(fd, &st) || st.st_size < strtoll(after, NULL, 10))
		return 0;
	errno = (int)strtol(getenv("FAIL_ERROR"), NULL, 10);
	return 1;
}

ssize_t write(int fd, const void *data, size_t size)
{
	ssize_t (*real)(int, const void *, size_t);

	*(void **)&real = dlsym(RTLD_NEXT, "write");
	return fails("write", fd) ? -1 : real(fd, data, size);
}

int fdatasync(int fd)
{
	int (*real)(int);

	*(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
	return fails("fdatasync", fd) ? -1 : real(fd);
}
