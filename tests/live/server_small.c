/*
 * A small HTTP/1.1 server on loopback, N processes of M threads each, that writes down what it
 * answered: one JSON line {method, path, status, request_id} an answer, appended to --truth FILE.
 *
 *   server_small [--port P] [--processes N] [--threads M] [--truth FILE]
 *
 * It says `port N` on stdout once it listens. /alpha/X, /beta/X (functions of their own, with
 * system calls), /echo and /fork/N (N children that end at once) are answered 200, anything else
 * 404. Bodies of requests are read by
 * length or in chunks; answers have a content length. Ends at SIGTERM or SIGINT, with its
 * processes.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAD_MAX 65536

struct connection {
	int fd;
	char buf[HEAD_MAX + 1];
	size_t len; /* bytes in buf that were not used yet */
};

struct request {
	char method[16];
	char path[2048];
	bool chunked, close;
	long length;
};

static int listener = -1, truth = -1;
static atomic_ulong counter;

static bool send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool receive(struct connection *c)
{
	ssize_t n = recv(c->fd, c->buf + c->len, HEAD_MAX - c->len, 0);

	if (n <= 0)
		return false;
	c->len += (size_t)n;
	c->buf[c->len] = '\0';
	return true;
}

static void consume(struct connection *c, size_t n)
{
	c->len -= n;
	memmove(c->buf, c->buf + n, c->len + 1);
}

/* Takes bytes up to and with `mark` off the connection; the length, or 0 when the client left. */
static size_t read_until(struct connection *c, const char *mark)
{
	for (;;) {
		char *at = memmem(c->buf, c->len, mark, strlen(mark));

		if (at)
			return (size_t)(at - c->buf) + strlen(mark);
		if (c->len == HEAD_MAX || !receive(c))
			return 0;
	}
}

static bool skip(struct connection *c, unsigned long n)
{
	while (n) {
		size_t part = n < c->len ? n : c->len;

		consume(c, part);
		n -= part;
		if (n && !receive(c))
			return false;
	}
	return true;
}

static bool read_chunks(struct connection *c)
{
	for (;;) {
		size_t line = read_until(c, "\r\n");
		unsigned long size;

		if (!line)
			return false;
		size = strtoul(c->buf, NULL, 16);
		consume(c, line);
		if (size && !skip(c, size + 2))
			return false;
		if (size)
			continue;
		/* Trailers up to an empty line. */
		do {
			line = read_until(c, "\r\n");
			if (!line)
				return false;
			consume(c, line);
		} while (line > 2);
		return true;
	}
}

static bool read_request(struct connection *c, struct request *r)
{
	size_t len = read_until(c, "\r\n\r\n");
	char *line;

	memset(r, 0, sizeof(*r));
	if (!len)
		return false;
	c->buf[len - 1] = '\0';
	if (sscanf(c->buf, "%15s %2047s", r->method, r->path) != 2)
		return false;
	r->path[strcspn(r->path, "?#")] = '\0';
	for (line = strstr(c->buf, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		if (!strncasecmp(line + 2, "content-length:", 15))
			r->length = strtol(line + 17, NULL, 10);
		else if (!strncasecmp(line + 2, "transfer-encoding: chunked", 26))
			r->chunked = true;
		else if (!strncasecmp(line + 2, "connection: close", 17))
			r->close = true;
		else if (!strncasecmp(line + 2, "expect: 100-continue", 20))
			send_all(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	}
	consume(c, len);
	return r->chunked ? read_chunks(c) : skip(c, (unsigned long)r->length);
}

__attribute__((noinline)) void handle_alpha(char *out, size_t size)
{
	struct stat st;

	stat("/", &st);
	snprintf(out, size, "alpha pid %d mode %o\n", (int)getpid(), st.st_mode);
}

__attribute__((noinline)) void handle_beta(char *out, size_t size)
{
	char text[64] = "";
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		close(fd);
	}
	snprintf(out, size, "beta %s\n", text);
}

static void fork_many(long count)
{
	for (long i = 0; i < count; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit((int)(i & 127));
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
}

static void answer(struct connection *c, const struct request *r)
{
	char id[80], body[256] = "ok\n", head[512], line[4096];
	unsigned int status = 200;
	int n;

	if (!strncmp(r->path, "/alpha/", 7))
		handle_alpha(body, sizeof(body));
	else if (!strncmp(r->path, "/beta/", 6))
		handle_beta(body, sizeof(body));
	else if (!strncmp(r->path, "/fork/", 6))
		fork_many(strtol(r->path + 6, NULL, 10));
	else if (strcmp(r->path, "/echo"))
		status = 404;
	snprintf(id, sizeof(id), "req-%d-%lu", (int)getpid(), atomic_fetch_add(&counter, 1));
	/* Paths of the test's clients need no escapes in JSON. */
	n = snprintf(line, sizeof(line),
		     "{\"method\": \"%s\", \"path\": \"%s\", \"status\": %u, "
		     "\"request_id\": \"%s\"}\n",
		     r->method, r->path, status, id);
	if (truth >= 0 && write(truth, line, (size_t)n) != n)
		abort();
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 %u %s\r\nX-Openstack-Request-Id: %s\r\nContent-Length: %zu\r\n\r\n",
		     status, status == 200 ? "OK" : "Not Found", id, strlen(body));
	if (send_all(c->fd, head, (size_t)n) && strcmp(r->method, "HEAD"))
		send_all(c->fd, body, strlen(body));
}

static void *serve(void *unused)
{
	struct connection *c = malloc(sizeof(*c));
	const int one = 1;
	struct request r;

	(void)unused;
	if (!c)
		abort();
	for (;;) {
		c->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (c->fd < 0)
			continue;
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->len = 0;
		c->buf[0] = '\0';
		while (read_request(c, &r)) {
			answer(c, &r);
			if (r.close)
				break;
		}
		close(c->fd);
	}
	return NULL;
}

static void run_process(long threads)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == 1)
		_exit(1);
	for (long i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, serve, NULL))
			abort();
	serve(NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	long processes = 1, threads = 1;
	int one = 1, signo;
	sigset_t ends;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--processes"))
			processes = strtol(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--threads"))
			threads = strtol(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--port"))
			address.sin_port = htons((uint16_t)strtol(argv[i + 1], NULL, 10));
		else if (!strcmp(argv[i], "--truth"))
			truth = open(argv[i + 1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	}
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 128) ||
	    getsockname(listener, (struct sockaddr *)&address, &size)) {
		perror("server_small: listen");
		return 1;
	}
	for (long i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("server_small: fork");
			return 1;
		}
		if (!pid)
			run_process(threads);
	}
	printf("port %d\n", ntohs(address.sin_port));
	fflush(stdout);
	/* The processes die with this one. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	sigwait(&ends, &signo);
	return 0;
}
