/*
 * Data on connections of targets. Two sources feed socket_data(): the socket tracepoints (Linux 6.3
 * and later) and the exit of system calls; the collector loads one of them.
 */

/* A chunk before it is sent: the head, then the captured bytes. Twice the size for the verifier. */
struct chunk {
	struct wire_data e;
	wire_8 bytes[2 * WIRE_CAPTURE_HEAD];
	struct transfer parts;
	wire_32 fill, limit, left;
	wire_32 done, skip; /* bytes of the transfer that were sent before; to be passed over */
	wire_32 failed;
	wire_32 busy;
	wire_32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* one a CPU, set by the collector */
	__type(key, wire_32);
	__type(value, struct chunk);
} chunks SEC(".maps");

/*
 * Where the current system call has its bytes; parts->known stays 0 when it has none that can be
 * read. Not static: as connection_join().
 */
__noinline int parts_read(struct transfer *parts)
{
	const struct pt_regs *regs =
		(const struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	wire_64 si = BPF_CORE_READ(regs, si), dx = BPF_CORE_READ(regs, dx), msg[2];

	if (!parts)
		return 0;
	parts->known = 1;
	switch (BPF_CORE_READ(regs, orig_ax)) {
	case NR_RECVFROM:
		parts->peek = (BPF_CORE_READ(regs, r10) & KERNEL_MSG_PEEK) != 0;
		/* fall through */
	case NR_SENDTO:
	case NR_READ:
	case NR_WRITE:
		parts->base = si;
		parts->len = dx;
		return 0;
	case NR_READV:
	case NR_WRITEV:
	case NR_PREADV2:
	case NR_PWRITEV2:
		parts->iov = si;
		parts->count = dx;
		return 0;
	case NR_RECVMSG:
		parts->peek = (dx & KERNEL_MSG_PEEK) != 0;
		/* fall through */
	case NR_SENDMSG:
		if (bpf_probe_read_user(msg, 16, (void *)(si + KERNEL_MSGHDR_IOV)))
			break;
		parts->iov = msg[0];
		parts->count = msg[1];
		return 0;
	}
	parts->known = 0;
	return 0;
}

/* Where the first of the user's bytes is, or 0. */
static __always_inline wire_64 first_byte(const struct transfer *parts)
{
	struct kernel_iovec iov = {};

	if (!parts->known)
		return 0;
	if (parts->iov)
		bpf_probe_read_user(&iov, sizeof(iov), (void *)parts->iov);
	return parts->iov ? iov.base : parts->base;
}

/* All that changes is in the map: the verifier need not count the rounds. */
static __always_inline int copy_part(struct chunk *c, wire_64 base, wire_64 len)
{
	wire_32 fill = c->fill & (WIRE_CAPTURE_HEAD - 1);

	if (len <= c->skip) {
		c->skip -= len;
		return 0;
	}
	base += c->skip;
	len -= c->skip;
	c->skip = 0;
	if (len > c->left)
		len = c->left;
	if (!len)
		return 0;
	if (len > c->limit - fill)
		len = c->limit - fill;
	if (len > WIRE_CAPTURE_HEAD)
		return 1;
	if (bpf_probe_read_user(c->bytes + fill, len, (void *)base)) {
		c->failed = 1;
		return 1;
	}
	c->left -= len;
	c->fill = fill + len;
	return c->fill >= c->limit || !c->left;
}

static long copy_callback(wire_32 i, struct chunk **at)
{
	struct chunk *c = *at;
	struct kernel_iovec iov;

	if (i >= c->parts.count)
		return 1;
	if (bpf_probe_read_user(&iov, sizeof(iov), (void *)(c->parts.iov + 16 * (wire_64)i))) {
		c->failed = 1;
		return 1;
	}
	return copy_part(c, iov.base, iov.len);
}

/* HTTP/2 begins here ("PRI"), after an upgrade too; or FastCGI (version 1, type 1). */
static __always_inline bool chunk_is_framed(const struct chunk *c)
{
	return !(c->e.flags & WIRE_DATA_SEND) && c->fill > 2 &&
	       ((c->bytes[0] == 'P' && c->bytes[1] == 'R' && c->bytes[2] == 'I') ||
		(!c->e.offset && c->bytes[0] == 1 && c->bytes[1] == 1));
}

/*
 * Copies the user's bytes behind the head and sends both. The rest of the length is a gap that the
 * decoder knows of. Returns 1 when the connection's protocol has frames. Global, so that it is
 * verified once.
 */
__noinline int chunk_output(wire_32 cpu)
{
	struct chunk *c = bpf_map_lookup_elem(&chunks, &cpu);
	wire_32 fill;

	if (!c)
		return 0;
	c->left = c->e.length;
	c->fill = c->failed = 0;
	c->skip = c->done;
	if (c->parts.known && c->parts.iov)
		bpf_loop(WIRE_IOVS, copy_callback, &c, 0);
	else if (c->parts.known)
		copy_part(c, c->parts.base, c->parts.len);
	if (c->failed)
		c->e.flags |= WIRE_DATA_UNREADABLE;
	fill = c->fill;
	if (fill > WIRE_CAPTURE_HEAD)
		fill = WIRE_CAPTURE_HEAD;
	c->e.captured = fill;
	if (c->e.flags & WIRE_DATA_UNREADABLE && !fill)
		COUNT(DATA, LOST_READ);
	else if (!bpf_ringbuf_output(&events, c, sizeof(c->e) + fill, wakeup_flag()))
		COUNT(DATA, DELIVERED);
	else
		COUNT(DATA, LOST_RING);
	return chunk_is_framed(c);
}

/*
 * How many bytes of a transfer are kept. More of what comes after an answer, since a head may be as
 * long; and more of everything where frames follow each other (HTTP/2, FastCGI).
 */
static __always_inline wire_32 chunk_limit(struct connection_state *conn, wire_64 length, bool send)
{
	wire_32 limit = WIRE_CAPTURE;

	if (!send && conn->sending)
		conn->head_left = WIRE_CAPTURE_HEAD;
	if (conn->framed)
		return WIRE_CAPTURE_HEAD;
	if (!send) {
		if (conn->head_left > limit)
			limit = conn->head_left;
		conn->head_left -= length < conn->head_left ? length : conn->head_left;
	}
	return limit;
}

/* Where in its stream a chunk lies; plaintext of a TLS library has streams of its own. */
static __always_inline wire_64 stream_moves(struct connection_state *conn, wire_64 length,
					    bool send, wire_32 tls)
{
	if (tls)
		return send ? __sync_fetch_and_add(&conn->tls_sent, length)
			    : __sync_fetch_and_add(&conn->tls_received, length);
	return send ? __sync_fetch_and_add(&conn->sent, length)
		    : __sync_fetch_and_add(&conn->received, length);
}

/* Not static: as connection_join(). */
__noinline int chunk_send(wire_32 process, struct connection_state *conn,
			  const struct transfer *parts, wire_64 context, wire_32 thread)
{
	wire_32 cpu = bpf_get_smp_processor_id();
	struct chunk *c = bpf_map_lookup_elem(&chunks, &cpu);
	wire_64 length, offset;
	bool send;

	if (!conn || !parts)
		return 0;
	length = parts->length;
	send = parts->send;
	/* Also when the chunk is lost: the decoder must meet the hole. */
	offset = stream_moves(conn, length, send, parts->tls);
	COUNT(DATA, ATTEMPTED);
	if (!c || c->busy) {
		COUNT(DATA, LOST_BUSY);
		return 0;
	}
	c->busy = 1;
	c->e.head.type = WIRE_DATA;
	c->e.head.process = process;
	c->e.head.time = bpf_ktime_get_ns();
	c->e.connection = conn->id;
	c->e.context = context;
	c->e.thread = thread;
	c->e.flags = (send ? WIRE_DATA_SEND : 0) | parts->tls;
	c->limit = chunk_limit(conn, length, send);
	c->parts = *parts;
	c->done = 0;
	for (int i = 0; i < WIRE_PIECES; i++) {
		wire_32 left = length - c->done;
		bool last = i == WIRE_PIECES - 1 || !conn->framed || left <= WIRE_CAPTURE_HEAD;

		if (i)
			COUNT(DATA, ATTEMPTED);
		c->e.offset = offset + c->done;
		c->e.length = last ? left : WIRE_CAPTURE_HEAD;
		if (chunk_output(cpu))
			conn->framed = 1;
		if (last)
			break;
		c->done += WIRE_CAPTURE_HEAD;
	}
	c->busy = 0;
	return 0;
}

/*
 * Bytes that moved beside a transfer, by the sequence numbers behind it and behind the last one.
 * When fewer moved than were transferred, the transfer's are none of them.
 */
static __always_inline wire_64 stream_missed(wire_32 *last, wire_8 *known, wire_32 now,
					     wire_64 length, wire_64 fin, bool *foreign)
{
	wire_64 moved = (wire_32)(now - *last);
	bool was_known = *known;

	*last = now;
	*known = 1;
	*foreign = was_known && moved < length;
	if (*foreign)
		return moved;
	return was_known && moved > length + fin ? moved - length : 0;
}

/*
 * What a socket moved by ways that no program sees (splice(2) from it; with the other source also
 * sendmmsg(2) and io_uring) leaves a hole, that the decoder meets. A socket with kernel TLS counts
 * more than its user moves. Returns 1 when it was not this stream that moved: at the end of a
 * system call its descriptor can be another socket's already; and what is not of the stream (urgent
 * bytes, the error queue) does not move it. Global, so that it is verified once.
 */
__noinline int stream_holes(wire_64 sock, wire_64 length, wire_32 send)
{
	struct connection_state *c = bpf_map_lookup_elem(&connections, &sock);
	struct sock *sk = (struct sock *)sock;
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	bool foreign = false;
	wire_64 missed;

	if (!c)
		return 0;
	if (BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_ulp_ops)) {
		c->copied_known = c->written_known = 0;
	} else if (send) {
		missed = stream_missed(&c->written, &c->written_known,
				       BPF_CORE_READ(tcp, write_seq), length, 0, &foreign);
		__sync_fetch_and_add(&c->sent, missed);
	} else {
		/* The end of the stream counts as one. */
		wire_64 fin = BPF_CORE_READ(sk, sk_shutdown) & KERNEL_RCV_SHUTDOWN;

		missed = stream_missed(&c->copied, &c->copied_known, BPF_CORE_READ(tcp, copied_seq),
				       length, fin, &foreign);
		__sync_fetch_and_add(&c->received, missed);
	}
	return foreign;
}

/* The stack of a thread whose process has no runtime; nothing hangs on it, so it can be left away.
 */
static __always_inline wire_32 socket_native(struct scratch *s, struct thread_state *thread)
{
	wire_64 began = bpf_ktime_get_ns();
	wire_32 stack;

	COUNT(WALK, ATTEMPTED);
	if (s->busy) {
		COUNT(WALK, LOST_BUSY);
		return 0;
	}
	if (!budget_left(s, began, config.budget_ns)) {
		COUNT(WALK, SKIP_PACED);
		return 0;
	}
	s->busy = 1;
	stack = native_walk();
	COUNT(WALK, SKIP_NO_FRAMES);
	walk_spent(s, thread, began);
	s->busy = 0;
	return stack;
}

/* native: the same with native frames, 0: there is none. */
static __always_inline void seen_send(struct wire_target *t, wire_64 context, wire_32 stack,
				      wire_32 native)
{
	sighting_send(t->process, context, stack, WIRE_SOURCE_SOCKET, 0);
	if (native)
		sighting_send(t->process, context, native, WIRE_SOURCE_SOCKET, 0);
}

#include "hops.h"

/*
 * Data was moved by the current task. What the flow did so far belongs to its old context; a
 * receive after a send, the first receive, and every send end it. Global, so that it is verified
 * once.
 */
__noinline int socket_data(wire_64 sock, const struct transfer *parts)
{
	struct wire_target *t = current_target();
	wire_64 id = bpf_get_current_pid_tgid(), context = 0, identity, length;
	wire_32 zero = 0, tid = id, stack = 0, native = 0;
	struct flow_key key = { .pid = id >> 32, .thread = tid };
	struct thread_state *thread;
	struct connection_state *c;
	struct flow_state *f;
	struct scratch *s;
	int result = WALK_NO_FRAMES;
	bool in, send, coroutine = false;
	wire_32 how;

	if (!t || !parts)
		return 0;
	send = parts->send;
	identity = parts->identity;
	length = parts->length;
	if (parts->peek) {
		COUNT(DATA, ATTEMPTED);
		COUNT(DATA, SKIP_PEEK);
		return 0;
	}
	c = bpf_map_lookup_elem(&connections, &sock);
	if (c && c->identity && c->identity != identity) {
		if (c->is_unix)
			connection_tell(c, KERNEL_TCP_CLOSE, true);
		c = NULL; /* the memory is another socket's now */
	}
	if (!c && parts->is_unix) {
		connection_add_unix(sock, identity, t->process);
		c = bpf_map_lookup_elem(&connections, &sock);
		if (!c) {
			COUNT(DATA, ATTEMPTED);
			COUNT(DATA, SKIP_FAMILY);
			return 0;
		}
	}
	if (!c) {
		connection_join(sock, identity, t->process);
		c = bpf_map_lookup_elem(&connections, &sock);
		if (!c)
			return 0;
	}
	c->identity = identity;
	in = c->direction == WIRE_IN;
	if (!parts->tls && tls_ciphertext(sock, first_byte(parts), length, parts->sp | send) &&
	    in) {
		COUNT(DATA, ATTEMPTED);
		COUNT(DATA, SKIP_CIPHERTEXT);
		return 0;
	}
	if (in && !c->is_unix && !parts->tls && stream_holes(sock, length, send)) {
		COUNT(DATA, ATTEMPTED);
		COUNT(DATA, LOST_AMBIGUOUS);
		return 0;
	}

	thread = bpf_map_lookup_elem(&threads, &tid);
	if (!in && (!thread || !thread->bound)) {
		hop_send(t->process, c, parts, 0);
		COUNT(DATA, ATTEMPTED);
		COUNT(DATA, SKIP_OUTBOUND);
		return 0;
	}
	s = bpf_map_lookup_elem(&scratches, &zero);
	if (!s)
		return 0;
	if (bpf_map_lookup_elem(&runtimes, &t->image)) {
		COUNT(WALK, ATTEMPTED);
		if (s->busy) {
			COUNT(WALK, LOST_BUSY);
			result = WALK_PARTIAL;
		} else {
			s->busy = 1;
			s->began = bpf_ktime_get_ns();
			/* Always made, though it counts towards the budget: bindings hang on it. */
			result = walk_current(t, thread, parts->sp);
			key.flow = s->flow;
			stack = s->found;
			coroutine = s->coroutine;
			if (stack)
				native = native_python();
			else if (result == WALK_NO_FRAMES)
				stack = native_walk();
			walk_book(result);
			walk_spent(s, thread, s->began);
			s->busy = 0;
		}
	} else {
		stack = socket_native(s, thread);
	}
	if (result == WALK_PARTIAL) {
		/* Whose work this is cannot be told: nothing is bound to it. */
		if (in) {
			chunk_send(t->process, c, parts, 0, tid);
			c->sending = send;
		} else {
			hop_send(t->process, c, parts, 0);
			COUNT(DATA, ATTEMPTED);
			COUNT(DATA, SKIP_OUTBOUND);
		}
		return 0;
	}
	how = coroutine ? BIND_COROUTINE : thread && thread->loop ? BIND_SHARED : 0;
	f = flow_find(&key);
	if (!f && key.flow && !coroutine) {
		/* No flow of its own: the thread may work for the connection. */
		key.flow = 0;
		f = flow_find(&key);
		if (!f || (in && f->sock != sock)) {
			key.flow = s->flow;
			f = NULL;
		}
	}
	if (!in) {
		context = f ? f->context : coroutine ? coroutine_context(&key, t->process) : 0;
		hop_send(t->process, c, parts, context);
		if (stack) {
			if (!context && thread)
				context = outside_context(thread, tid, t->process);
			seen_send(t, context, stack, native);
		}
		COUNT(DATA, ATTEMPTED);
		COUNT(DATA, SKIP_OUTBOUND);
		return 0;
	}
	if (!c->first.pid)
		c->first = key;
	c->last = key;
	if (send) {
		if (coroutine) {
			/* What it did before this answer may have been for it: the collector knows.
			 */
			context = f ? f->context : coroutine_context(&key, t->process);
		} else {
			if (!f || f->sock != sock) {
				flow_bind(&key, t->process, c->id, sock, how);
				f = bpf_map_lookup_elem(&flows, &key);
			}
			context = f ? f->context : 0;
		}
		if (stack)
			seen_send(t, context, stack, native);
		chunk_send(t->process, c, parts, context, tid);
		c->sending = 1;
		flow_bind(&key, t->process, c->id, sock, how);
	} else {
		/* The data comes first: by its bytes the collector knows which call it is. */
		chunk_send(t->process, c, parts, 0, tid);
		if (!f || f->sock != sock || c->sending)
			flow_bind(&key, t->process, c->id, sock, how);
		c->sending = 0;
		f = bpf_map_lookup_elem(&flows, &key);
		if (stack)
			seen_send(t, f ? f->context : 0, stack, native);
	}
	return 0;
}

/* A number for the verifier, that a function of its own may be given. */
static __always_inline wire_64 sock_number(struct sock *sk)
{
	wire_64 sock;

	bpf_probe_read_kernel(&sock, sizeof(sock), &sk);
	return sock;
}

/* TCP over IPv4 or IPv6, Unix streams; others are booked as skipped. */
static __always_inline bool socket_is_followed(struct sock *sk, wire_8 *is_unix)
{
	wire_16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	*is_unix = family == KERNEL_AF_UNIX;
	if ((family == KERNEL_AF_INET || family == KERNEL_AF_INET6) &&
	    BPF_CORE_READ(sk, sk_protocol) == KERNEL_IPPROTO_TCP)
		return true;
	if (*is_unix && BPF_CORE_READ(sk, sk_type) == KERNEL_SOCK_STREAM)
		return true;
	COUNT(DATA, ATTEMPTED);
	COUNT(DATA, SKIP_FAMILY);
	return false;
}

/* Nothing was received: the client of a Unix connection may have closed it. */
static __always_inline void socket_end(struct sock *sk)
{
	wire_64 sock = (wire_64)sk;
	struct connection_state *c = bpf_map_lookup_elem(&connections, &sock);

	if (c && c->is_unix && c->identity == socket_inode(sk))
		unix_look_client(sk, c);
}

/* The process moves data by io_uring: which, cannot be read. */
static __always_inline void socket_unseen(void)
{
	struct wire_target *t = current_target();
	wire_64 one = 1, *count;

	if (!t)
		return;
	count = bpf_map_lookup_elem(&io_urings, &t->process);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&io_urings, &t->process, &one, 0);
}

/* ---- source one: the socket tracepoints ---- */

/* In memory of the CPU: nothing comes between, and a chain of calls has but 512 bytes of stack. */
static __always_inline struct transfer *transfer_new(void)
{
	wire_32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

	if (!s)
		return NULL;
	__builtin_memset(&s->transfer, 0, sizeof(s->transfer));
	return &s->transfer;
}

static __always_inline int socket_length(struct sock *sk, int ret, int flags, bool send)
{
	struct task_struct *task;
	struct transfer *parts;
	struct pt_regs *regs;

	if (ret < 0 || !current_target())
		return 0;
	if (!ret) {
		if (!send)
			socket_end(sk);
		return 0;
	}
	parts = transfer_new();
	if (!parts || !socket_is_followed(sk, &parts->is_unix))
		return 0;
	task = bpf_get_current_task_btf();
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (flags & KERNEL_MSG_PEEK)
		parts->peek = 1;
	else if (BPF_CORE_READ(regs, cs) == KERNEL_USER_CS)
		parts_read(parts);
	if (BPF_CORE_READ(task, flags) & KERNEL_PF_IO_WORKER ||
	    BPF_CORE_READ(regs, orig_ax) == NR_IO_URING_ENTER)
		socket_unseen();
	parts->identity = parts->is_unix ? socket_inode(sk) : bpf_get_socket_cookie(sk);
	parts->length = ret;
	parts->send = send;
	parts->sp = BPF_CORE_READ(regs, sp);
	return socket_data(sock_number(sk), parts);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received, struct sock *sk, int ret, int flags)
{
	return socket_length(sk, ret, flags, false);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_sent, struct sock *sk, int ret, int flags)
{
	return socket_length(sk, ret, flags, true);
}

/* ---- source two: system calls on exit, by the socket's inode ---- */

/* The socket's address as a number; 0: the descriptor is of none. Not static: as connection_join().
 */
__noinline wire_64 socket_of_fd(wire_64 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct socket *socket;
	struct file **files, *file = NULL;
	struct inode *node;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if (!file)
		return 0;
	node = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(node, i_mode) & KERNEL_S_IFMT) != KERNEL_S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return (wire_64)BPF_CORE_READ(socket, sk);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(socket_call, struct pt_regs *regs, long ret)
{
	struct transfer *parts;
	struct sock *sk = NULL;
	wire_64 nr;
	bool send;

	if (ret < 0 || !current_target() || BPF_CORE_READ(regs, cs) != KERNEL_USER_CS)
		return 0;
	nr = BPF_CORE_READ(regs, orig_ax);
	switch (nr) {
	case NR_READ:
	case NR_READV:
	case NR_RECVFROM:
	case NR_RECVMSG:
	case NR_PREADV2:
		send = false;
		break;
	case NR_WRITE:
	case NR_WRITEV:
	case NR_SENDTO:
	case NR_SENDMSG:
	case NR_SENDFILE:
	case NR_PWRITEV2:
		send = true;
		break;
	case NR_SPLICE:
		/* Between a pipe and a socket: the bytes are not the process's. */
		sk = (struct sock *)socket_of_fd(BPF_CORE_READ(regs, dx));
		send = sk != NULL;
		break;
	case NR_IO_URING_ENTER:
		if (ret)
			socket_unseen();
		return 0;
	default:
		return 0;
	}
	if (!sk)
		sk = (struct sock *)socket_of_fd(BPF_CORE_READ(regs, di));
	if (!sk)
		return 0;
	if (!ret) {
		if (!send)
			socket_end(sk);
		return 0;
	}
	parts = transfer_new();
	if (!parts || !socket_is_followed(sk, &parts->is_unix))
		return 0;
	parts_read(parts);
	parts->identity = socket_inode(sk);
	parts->length = ret;
	parts->send = send;
	parts->sp = BPF_CORE_READ(regs, sp);
	return socket_data(sock_number(sk), parts);
}
