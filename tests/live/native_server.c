/*
 * An HTTP server of native code alone whose chain of calls is known: main, serve, answer, then
 * native_lib_call in the library, then send_back here again, then native_lib_write in the library,
 * which writes. It is built without frame pointers and stripped. Says `port N`, and `function NAME
 * OFFSET` for each of its own: the address of its first byte as linked.
 *
 *   native_server SECRET            the secret lies on the stack while calls are answered
 *   native_server SECRET --deep     each is answered below 1,000 calls of `deeper`, from another
 * depth of the stack than the one before
 */
#include <alloca.h>
#include <arpa/inet.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "native_lib.h"

static unsigned long counter;
static int deep;

__attribute__((noinline)) static long send_back(int fd, unsigned long size)
{
	char text[512];
	int length = snprintf(text, sizeof(text),
			      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
			      "X-Openstack-Request-Id: req-%lu-%lu\r\n\r\nok",
			      ++counter, size);
	long n = native_lib_write(fd, text, (unsigned long)length);

	return n - length;
}

__attribute__((noinline)) static long answer(int fd, const char *secret, unsigned long size)
{
	char copies[2048];
	unsigned long at = 0, length = strlen(secret) + 1;
	long n;

	while (at + length < sizeof(copies)) {
		memcpy(copies + at, secret, length);
		at += length;
	}
	/* Both sides of it depend on the stack, so that it stays there, and no call is a jump. */
	__asm__ volatile("" : : "r"(copies) : "memory");
	n = native_lib_call(send_back, fd, size);
	__asm__ volatile("" : : "r"(copies) : "memory");
	return n + (copies[0] == '\0');
}

__attribute__((noinline)) static long deeper(int fd, const char *secret, unsigned long size,
					     int left)
{
	volatile char pad[8] = { 0 };
	long n = left ? deeper(fd, secret, size, left - 1) : answer(fd, secret, size);

	return n + pad[0];
}

/* The stack is 16 bytes deeper each time. */
__attribute__((noinline)) static long answer_deep(int fd, const char *secret, unsigned long size)
{
	volatile char *pad = alloca(16 * (1 + counter));
	long n;

	pad[0] = 0;
	n = deeper(fd, secret, size, 1000);
	return n + pad[0];
}

__attribute__((noinline)) static void serve(int listener, const char *secret)
{
	char request[4096];
	long left = 0;

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			return;
		while ((n = read(fd, request, sizeof(request))) > 0)
			if (n >= 4 && !memcmp(request + n - 4, "\r\n\r\n", 4))
				left += deep ? answer_deep(fd, secret, (unsigned long)n)
					     : answer(fd, secret, (unsigned long)n);
		close(fd);
		if (left)
			fprintf(stderr, "%ld\n", left);
	}
}

static int own_place(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	*(unsigned long *)data = info->dlpi_addr;
	return 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	unsigned long base = 0;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	deep = argc == 3 && !strcmp(argv[2], "--deep");
	if (argc != 2 + deep || listener < 0 || bind(listener, (void *)&address, length) ||
	    listen(listener, 16) || getsockname(listener, (void *)&address, &length))
		return 1;
	dl_iterate_phdr(own_place, &base);
	printf("function send_back %lx\nfunction answer %lx\nfunction serve %lx\n",
	       (unsigned long)send_back - base, (unsigned long)answer - base,
	       (unsigned long)serve - base);
	printf("function deeper %lx\nfunction answer_deep %lx\n", (unsigned long)deeper - base,
	       (unsigned long)answer_deep - base);
	printf("function main %lx\nport %d\n", (unsigned long)main - base, ntohs(address.sin_port));
	fflush(stdout);
	serve(listener, argv[1]);
	return 0;
}
