/*
 * A server in a thread of C code, for a Python program to load: its thread never runs Python.
 * flow_native_start() returns the port. Each answer comes 50 ms after its request, with the request
 * id req-native-NUMBER, the NUMBER that it asked for (GET /native?NUMBER).
 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;

static void *serve(void *unused)
{
	char buf[4096];
	int number;

	(void)unused;
	for (;;) {
		int fd = accept(listener, NULL, NULL), len;
		ssize_t n;

		if (fd < 0)
			continue;
		n = read(fd, buf, sizeof(buf) - 1);
		buf[n > 0 ? n : 0] = '\0';
		if (sscanf(buf, "GET /native?%d", &number) == 1) {
			usleep(50000);
			len = snprintf(
				buf, sizeof(buf),
				"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
				"X-Openstack-Request-Id: req-native-%d\r\n\r\nok",
				number);
			if (write(fd, buf, (size_t)len) < len)
				perror("write");
		}
		close(fd);
	}
	return NULL;
}

int flow_native_start(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(a);
	pthread_t thread;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, size) || listen(listener, 64) ||
	    getsockname(listener, (struct sockaddr *)&a, &size) ||
	    pthread_create(&thread, NULL, serve, NULL))
		return -1;
	return ntohs(a.sin_port);
}
