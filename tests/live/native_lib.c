/* A library in the middle of native_server.c's chain of calls; see there. */
#include "native_lib.h"

#include <unistd.h>

__attribute__((noinline)) long native_lib_write(int fd, const char *data, unsigned long size)
{
	volatile char pad[200];
	long n;

	pad[0] = data[0];
	n = write(fd, data, size);
	return n + (pad[0] ? 0 : 1);
}

__attribute__((noinline)) long native_lib_call(native_back back, int fd, unsigned long size)
{
	volatile unsigned long grown[8];
	long n;

	for (unsigned int i = 0; i < 8; i++)
		grown[i] = size + i;
	n = back(fd, grown[0]);
	return n + (long)(grown[7] - size - 7);
}
