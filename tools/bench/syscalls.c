/*
 * A process that has nothing to do with a traced service: for each number read from stdin it makes
 * so many rounds of getppid(2) and stat(2) and prints the CPU time (ns) that they took.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long long cpu_time(int fd)
{
	char text[128];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		exit(1);
	text[n] = 0;
	return strtoull(text, NULL, 10);
}

int main(void)
{
	int fd = open("/proc/self/schedstat", O_RDONLY);
	char line[64];
	struct stat st;

	while (fd >= 0 && fgets(line, sizeof(line), stdin)) {
		long rounds = strtol(line, NULL, 10);
		unsigned long long start = cpu_time(fd);

		for (long i = 0; i < rounds; i++) {
			syscall(SYS_getppid);
			if (stat("/", &st))
				return 1;
		}
		printf("%llu\n", cpu_time(fd) - start);
		fflush(stdout);
	}
	return fd < 0;
}
