/*
 * A TLS server in C: conformance_tls_server CERTIFICATE KEY. One connection after the other, one
 * call on each. Built with the static library it shows nothing of its plaintext; with the shared
 * one, it is read by SSL_read_ex and written by SSL_write_ex.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void serve(SSL_CTX *ctx, int fd)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	char head[16384];
	size_t have = 0, got, sent;
	SSL *ssl = SSL_new(ctx);

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		while (have < sizeof(head) - 1 &&
		       SSL_peek(ssl, head + have, 1) == 1 && /* peeked bytes are no data */
		       SSL_read_ex(ssl, head + have, sizeof(head) - 1 - have, &got)) {
			have += got;
			head[have] = '\0';
			if (strstr(head, "\r\n\r\n"))
				break;
		}
		SSL_write_ex(ssl, answer, sizeof(answer) - 1, &sent);
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (argc != 3 || !ctx ||
	    SSL_CTX_use_certificate_file(ctx, argv[1], SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, argv[2], SSL_FILETYPE_PEM) != 1 ||
	    bind(listener, (struct sockaddr *)&a, size) || listen(listener, 64) ||
	    getsockname(listener, (struct sockaddr *)&a, &size))
		return 1;
	printf("port %d\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return 1;
		serve(ctx, fd);
		close(fd);
	}
}
