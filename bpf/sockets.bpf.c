/*
 * Data on connections of targets. Two sources feed socket_data(): the socket tracepoints (Linux 6.3
 * and later) and the exit of system calls; the collector loads one of them.
 */

#include "chunks.h"

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
 * more than its user moves. True: it was not this stream that moved: at the end of a system call
 * its descriptor can be another socket's already; and what is not of the stream (urgent bytes, the
 * error queue) does not move it.
 */
static __always_inline bool stream_holes(struct connection_state *c, const struct transfer *parts)
{
	bool foreign = false;
	wire_64 missed;

	if (parts->ktls) {
		c->copied_known = c->written_known = 0;
	} else if (parts->send) {
		missed = stream_missed(&c->written, &c->written_known, parts->sequence,
				       parts->length, 0, &foreign);
		if (missed)
			__sync_fetch_and_add(&c->sent, missed);
	} else {
		/* The end of the stream counts as one. */
		missed = stream_missed(&c->copied, &c->copied_known, parts->sequence, parts->length,
				       parts->ended, &foreign);
		if (missed)
			__sync_fetch_and_add(&c->received, missed);
	}
	return foreign;
}

#define NATIVE_CREDIT 2000000000ULL /* ns that may be unpaid */

/*
 * The stack of a thread whose process has no runtime; nothing hangs on it, so it can be left away.
 * A server that is all system calls would pay without end for stacks that are no news; a few calls
 * at once have theirs.
 */
static __always_inline wire_32 socket_native(struct scratch *s, struct thread_state *thread)
{
	wire_64 began = bpf_ktime_get_ns(), spent;
	wire_32 stack;

	COUNT(WALK, ATTEMPTED);
	if (s->busy) {
		COUNT(WALK, LOST_BUSY);
		return 0;
	}
	if (s->native_paid > began + NATIVE_CREDIT || !budget_left(s, began, config.budget_ns)) {
		COUNT(WALK, SKIP_PACED);
		return 0;
	}
	s->busy = 1;
	stack = native_walk();
	COUNT(WALK, SKIP_NO_FRAMES);
	spent = walk_spent(s, thread, began);
	if (s->native_paid < began)
		s->native_paid = began;
	s->native_paid += spent * config.pace_native;
	s->busy = 0;
	return stack;
}

/* native: the same with native frames, 0: there is none. */
static __always_inline void seen_send(const struct wire_target *t, wire_64 context, wire_32 stack,
				      wire_32 native)
{
	sighting_send(t->process, context, stack, WIRE_SOURCE_SOCKET, 0);
	if (native)
		sighting_send(t->process, context, native, WIRE_SOURCE_SOCKET, 0);
}

#include "hops.h"

/* Whose transfer it is. 0: no target's. Not static: as connection_join(). */
__noinline int transfer_target(struct transfer *parts)
{
	struct wire_target *t = current_target();

	if (!t || !parts)
		return 0;
	parts->target = *t;
	return 1;
}

/*
 * Data was moved by the current task. What the flow did so far belongs to its old context; a
 * receive after a send, the first receive, and every send end it. Global, so that it is verified
 * once.
 */
__noinline int socket_data(wire_64 sock, const struct transfer *parts)
{
	const struct wire_target *t;
	wire_64 id = bpf_get_current_pid_tgid(), context = 0;
	wire_32 at = 0, tid = id, stack = 0, native = 0;
	struct flow_key key = { .pid = id >> 32, .thread = tid };
	struct thread_state *thread;
	struct connection_state *c;
	struct flow_state *f;
	struct scratch *s;
	int result = WALK_NO_FRAMES;
	bool in, send, coroutine = false;
	wire_32 how;

	if (!parts)
		return 0;
	t = &parts->target;
	send = parts->send;
	if (parts->peek) {
		COUNT(DATA, ATTEMPTED);
		COUNT(DATA, SKIP_PEEK);
		return 0;
	}
	c = bpf_map_lookup_elem(&connections, &sock);
	if (c && c->identity && c->identity != parts->identity) {
		if (c->is_unix)
			connection_tell(c, KERNEL_TCP_CLOSE, true);
		c = NULL; /* the memory is another socket's now */
	}
	if (!c && parts->is_unix) {
		connection_add_unix(sock, parts->identity, t->process);
		c = bpf_map_lookup_elem(&connections, &sock);
		if (!c) {
			COUNT(DATA, ATTEMPTED);
			COUNT(DATA, SKIP_FAMILY);
			return 0;
		}
	}
	if (!c) {
		connection_join(sock, parts->identity, t->process);
		c = bpf_map_lookup_elem(&connections, &sock);
		if (!c)
			return 0;
	}
	c->identity = parts->identity;
	in = c->direction == WIRE_IN;
	if (!parts->tls && (send ? c->tls & TLS_TIED : tls_ciphertext(c, sock, parts)) && in) {
		COUNT(DATA, ATTEMPTED);
		COUNT(DATA, SKIP_CIPHERTEXT);
		return 0;
	}
	if (in && !c->is_unix && !parts->tls && stream_holes(c, parts)) {
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
	s = bpf_map_lookup_elem(&scratches, &at);
	if (!s)
		return 0;
	at = t->image; /* Linux 6.1 looks up with what is on this stack only */
	if (bpf_map_lookup_elem(&runtimes, &at)) {
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
	f = flow_find_near(&key, sock, c);
	if (!f && key.flow && !coroutine) {
		/* No flow of its own: the thread may work for the connection. */
		key.flow = 0;
		f = flow_find_near(&key, sock, c);
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
		flow_begins(&key, f, t->process, c->id, how);
		chunk_send(t->process, c, parts, context, tid);
		c->sending = 1;
		flow_began(&key, sock);
	} else {
		bool begins = !f || f->sock != sock || c->sending;

		/* The data comes first: by its bytes the collector knows which call it is. */
		if (begins)
			flow_begins(&key, f, t->process, c->id, how);
		chunk_send(t->process, c, parts, 0, tid);
		if (begins)
			flow_began(&key, sock);
		c->sending = 0;
		if (stack) {
			f = bpf_map_lookup_elem(&flows, &key);
			seen_send(t, f ? f->context : 0, stack, native);
		}
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
static __always_inline bool socket_is_followed(wire_16 family, wire_16 protocol, wire_16 type,
					       wire_8 *is_unix)
{
	*is_unix = family == KERNEL_AF_UNIX;
	if ((family == KERNEL_AF_INET || family == KERNEL_AF_INET6) &&
	    protocol == KERNEL_IPPROTO_TCP)
		return true;
	if (*is_unix && type == KERNEL_SOCK_STREAM)
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
	struct wire_target *t = current_target();
	struct task_struct *task;
	struct transfer *parts;
	struct pt_regs *regs;
	struct tcp_sock *tcp;

	if (ret < 0 || !t)
		return 0;
	if (!ret) {
		if (!send)
			socket_end(sk);
		return 0;
	}
	parts = transfer_new();
	if (!parts || !socket_is_followed(sk->__sk_common.skc_family, sk->sk_protocol, sk->sk_type,
					  &parts->is_unix))
		return 0;
	parts->target = *t;
	task = bpf_get_current_task_btf();
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (flags & KERNEL_MSG_PEEK)
		parts->peek = 1;
	else if (regs->cs == KERNEL_USER_CS)
		parts_read(parts);
	if (task->flags & KERNEL_PF_IO_WORKER || regs->orig_ax == NR_IO_URING_ENTER)
		socket_unseen();
	parts->identity = parts->is_unix ? socket_inode(sk) : sk->__sk_common.skc_cookie.counter;
	if (!parts->identity)
		parts->identity = bpf_get_socket_cookie(sk); /* it had none yet */
	parts->length = ret;
	parts->send = send;
	parts->sp = regs->sp;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (tcp) {
		parts->sequence = send ? tcp->write_seq : tcp->copied_seq;
		parts->ktls = ((struct inet_connection_sock *)tcp)->icsk_ulp_ops != NULL;
		parts->ended = (sk->sk_shutdown & KERNEL_RCV_SHUTDOWN) != 0;
	}
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

/* What socket_length() reads of its sock; 0: it is not followed. Not static: verified once. */
__noinline int socket_describe(wire_64 sock, struct transfer *parts)
{
	struct inet_connection_sock *icsk = (struct inet_connection_sock *)sock;
	struct tcp_sock *tcp = (struct tcp_sock *)sock;
	struct sock *sk = (struct sock *)sock;

	if (!parts || !socket_is_followed(BPF_CORE_READ(sk, __sk_common.skc_family),
					  BPF_CORE_READ(sk, sk_protocol),
					  BPF_CORE_READ(sk, sk_type), &parts->is_unix))
		return 0;
	parts->identity = socket_inode(sk);
	if (parts->is_unix)
		return 1;
	parts->sequence =
		parts->send ? BPF_CORE_READ(tcp, write_seq) : BPF_CORE_READ(tcp, copied_seq);
	parts->ktls = BPF_CORE_READ(icsk, icsk_ulp_ops) != NULL;
	parts->ended = (BPF_CORE_READ(sk, sk_shutdown) & KERNEL_RCV_SHUTDOWN) != 0;
	return 1;
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
	if (!parts)
		return 0;
	parts->send = send;
	parts->length = ret;
	parts->sp = BPF_CORE_READ(regs, sp);
	if (!socket_describe((wire_64)sk, parts) || !transfer_target(parts))
		return 0;
	parts_read(parts);
	return socket_data(sock_number(sk), parts);
}
