/*
 * An HTTP/1 server whose bytes move by io_uring: uring_server. Says `port N`; answers one request a
 * connection. Exits with 77 where the kernel has no io_uring.
 */
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct io_uring_params params;
static struct io_uring_sqe *sqes;
static unsigned int *sq_tail, *sq_array, *cq_head, *cq_tail;
static struct io_uring_cqe *cqes;
static int ring;

static int ring_open(void)
{
	size_t size;
	char *at;

	ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0 || !(params.features & IORING_FEAT_SINGLE_MMAP))
		return -1;
	size = params.cq_off.cqes + params.cq_entries * sizeof(*cqes);
	if (size < params.sq_off.array + params.sq_entries * sizeof(unsigned int))
		size = params.sq_off.array + params.sq_entries * sizeof(unsigned int);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, params.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED,
		    ring, IORING_OFF_SQES);
	if (at == MAP_FAILED || sqes == MAP_FAILED)
		return -1;
	sq_tail = (unsigned int *)(at + params.sq_off.tail);
	sq_array = (unsigned int *)(at + params.sq_off.array);
	cq_head = (unsigned int *)(at + params.cq_off.head);
	cq_tail = (unsigned int *)(at + params.cq_off.tail);
	cqes = (struct io_uring_cqe *)(at + params.cq_off.cqes);
	return 0;
}

/* One transfer, waited for. async: by a worker thread of the kernel. */
static int transfer(int op, int fd, void *data, unsigned int len, int async)
{
	unsigned int index = *sq_tail & (params.sq_entries - 1);
	int result;

	memset(&sqes[index], 0, sizeof(sqes[index]));
	sqes[index].opcode = (unsigned char)op;
	sqes[index].flags = async ? IOSQE_ASYNC : 0;
	sqes[index].fd = fd;
	sqes[index].addr = (unsigned long)data;
	sqes[index].len = len;
	sq_array[index] = index;
	__atomic_store_n(sq_tail, *sq_tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -1;
	while (*cq_head == __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE))
		;
	result = cqes[*cq_head & (params.cq_entries - 1)].res;
	__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	return result;
}

int main(void)
{
	static char answer[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), number = 0;
	char request[4096];

	if (ring_open())
		return 77;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 16) ||
	    getsockname(listener, (struct sockaddr *)&address, &size))
		return 1;
	printf("port %d\n", ntohs(address.sin_port));
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		/* Its own thread and the kernel's workers in turn. */
		number++;
		if (transfer(IORING_OP_RECV, fd, request, sizeof(request), number % 2) > 0)
			transfer(IORING_OP_SEND, fd, answer, sizeof(answer) - 1, number % 2);
		close(fd);
	}
}
