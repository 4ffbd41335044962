/*
 * Data on connections of targets. Two sources feed socket_data(): the socket tracepoints (Linux 6.3
 * and later) and the exit of system calls; the collector loads one of them.
 */

/* A chunk before it is sent: the head, then the captured bytes. Twice the size for the verifier. */
struct chunk {
	struct wire_data e;
	wire_8 bytes[2 * WIRE_CAPTURE];
	wire_32 fill;
	wire_32 busy;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* one a CPU, set by the collector */
	__type(key, wire_32);
	__type(value, struct chunk);
} chunks SEC(".maps");

/* One transfer on a socket, and where the user's bytes are. */
struct transfer {
	wire_64 iov; /* array of iovecs, or 0 */
	wire_64 count;
	wire_64 base, len; /* the only part when iov is 0 */
	wire_64 identity, length, sp;
	wire_32 known;
	wire_32 peek;
	wire_32 send;
	wire_32 tls; /* flags of wire_data: plaintext of a TLS library */
};

/* Where system call nr has its bytes; parts->known stays 0 when it has none that can be read. */
static __always_inline void parts_of(const struct pt_regs *regs, wire_64 nr, struct transfer *parts)
{
	wire_64 si = BPF_CORE_READ(regs, si), dx = BPF_CORE_READ(regs, dx), msg[2];

	parts->known = 1;
	switch (nr) {
	case NR_RECVFROM:
		parts->peek = BPF_CORE_READ(regs, r10) & KERNEL_MSG_PEEK;
		/* fall through */
	case NR_SENDTO:
	case NR_READ:
	case NR_WRITE:
		parts->base = si;
		parts->len = dx;
		return;
	case NR_READV:
	case NR_WRITEV:
	case NR_PREADV2:
	case NR_PWRITEV2:
		parts->iov = si;
		parts->count = dx;
		return;
	case NR_RECVMSG:
		parts->peek = dx & KERNEL_MSG_PEEK;
		/* fall through */
	case NR_SENDMSG:
		if (bpf_probe_read_user(msg, 16, (void *)(si + KERNEL_MSGHDR_IOV)))
			break;
		parts->iov = msg[0];
		parts->count = msg[1];
		return;
	}
	parts->known = 0;
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

struct copy_job {
	struct chunk *c;
	const struct transfer *parts;
	wire_64 left;
	wire_32 failed;
};

static __always_inline int copy_part(struct copy_job *job, wire_64 base, wire_64 len)
{
	struct chunk *c = job->c;
	wire_32 fill = c->fill & (WIRE_CAPTURE - 1);

	if (len > job->left)
		len = job->left;
	if (!len)
		return 0;
	if (len > WIRE_CAPTURE - fill)
		len = WIRE_CAPTURE - fill;
	if (len > WIRE_CAPTURE)
		return 1;
	if (bpf_probe_read_user(c->bytes + fill, len, (void *)base)) {
		job->failed = 1;
		return 1;
	}
	job->left -= len;
	c->fill = fill + len;
	return c->fill >= WIRE_CAPTURE || !job->left;
}

static long copy_callback(wire_32 i, struct copy_job *job)
{
	struct kernel_iovec iov;

	if (i >= job->parts->count)
		return 1;
	if (bpf_probe_read_user(&iov, sizeof(iov), (void *)(job->parts->iov + 16 * (wire_64)i))) {
		job->failed = 1;
		return 1;
	}
	return copy_part(job, iov.base, iov.len);
}

/* The captured bytes are there; the rest of the length is a gap that the decoder knows of. */
static __always_inline void chunk_fill(struct chunk *c, const struct transfer *parts,
				       wire_64 length)
{
	struct copy_job job = { .c = c, .parts = parts, .left = length };

	c->fill = 0;
	if (!parts->known)
		return;
	if (parts->iov)
		bpf_loop(WIRE_IOVS, copy_callback, &job, 0);
	else
		copy_part(&job, parts->base, parts->len);
	if (job.failed)
		c->e.flags |= WIRE_DATA_UNREADABLE;
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

static __always_inline void chunk_send(struct wire_target *t, struct connection_state *conn,
				       const struct transfer *parts, wire_64 length, bool send,
				       wire_64 context, wire_32 thread)
{
	wire_32 cpu = bpf_get_smp_processor_id(), fill;
	struct chunk *c = bpf_map_lookup_elem(&chunks, &cpu);
	/* Also when the chunk is lost: the decoder must meet the hole. */
	wire_64 offset = stream_moves(conn, length, send, parts->tls);

	COUNT(DATA, ATTEMPTED);
	if (!c || c->busy) {
		COUNT(DATA, LOST_BUSY);
		return;
	}
	c->busy = 1;
	c->e.head.type = WIRE_DATA;
	c->e.head.process = t->process;
	c->e.head.time = bpf_ktime_get_ns();
	c->e.connection = conn->id;
	c->e.offset = offset;
	c->e.context = context;
	c->e.length = length;
	c->e.thread = thread;
	c->e.flags = (send ? WIRE_DATA_SEND : 0) | parts->tls;
	chunk_fill(c, parts, length);
	fill = c->fill;
	if (fill > WIRE_CAPTURE)
		fill = WIRE_CAPTURE;
	c->e.captured = fill;
	if (c->e.flags & WIRE_DATA_UNREADABLE && !fill)
		COUNT(DATA, LOST_READ);
	else if (!bpf_ringbuf_output(&events, c, sizeof(c->e) + fill, wakeup_flag()))
		COUNT(DATA, DELIVERED);
	else
		COUNT(DATA, LOST_RING);
	c->busy = 0;
}

/* The stack of a thread whose process has no runtime; nothing hangs on it, so it can be left away. */
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
	sighting_send(t, context, stack, WIRE_SOURCE_SOCKET, 0);
	if (native)
		sighting_send(t, context, native, WIRE_SOURCE_SOCKET, 0);
}

/*
 * Data was moved by the current task. What the flow did so far belongs to its old context; a
 * receive after a send, the first receive, and every send end it.
 */
static __noinline int socket_data(struct sock *sk, const struct transfer *parts)
{
	struct wire_target *t = current_target();
	wire_64 id = bpf_get_current_pid_tgid(), sock = (wire_64)sk, began, context = 0;
	wire_64 identity = parts->identity, length = parts->length;
	wire_32 zero = 0, tid = id, stack = 0, native = 0;
	struct flow_key key = { .pid = id >> 32, .thread = tid };
	struct thread_state *thread;
	struct connection_state *c;
	struct flow_state *f;
	struct scratch *s;
	int result = WALK_NO_FRAMES;
	bool in, send = parts->send, coroutine = false;
	wire_32 shared;

	if (!t)
		return 0;
	if (parts->peek) {
		COUNT(DATA, ATTEMPTED);
		COUNT(DATA, SKIP_PEEK);
		return 0;
	}
	c = bpf_map_lookup_elem(&connections, &sock);
	if (c && c->identity && c->identity != identity)
		c = NULL; /* the memory is another socket's now */
	if (!c) {
		struct wire_address a;

		address_read(sk, &a);
		c = connection_add(sock, identity, &a, port_watched(&a) ? WIRE_IN : WIRE_OUT, true,
				   t->process);
		if (!c)
			return 0;
	}
	c->identity = identity;
	in = c->direction == WIRE_IN;
	if (!parts->tls && tls_ciphertext(c, sock, first_byte(parts), length, parts->sp | send)) {
		stream_moves(c, length, send, 0);
		COUNT(DATA, ATTEMPTED);
		COUNT(DATA, SKIP_CIPHERTEXT);
		return 0;
	}

	thread = bpf_map_lookup_elem(&threads, &tid);
	if (!in && (!thread || !thread->bound)) {
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
			began = bpf_ktime_get_ns();
			/* Always made, though it counts towards the budget: bindings hang on it. */
			result = walk_current(t, s, thread, parts->sp);
			key.flow = s->flow;
			stack = s->found;
			coroutine = s->coroutine;
			if (stack)
				native = native_python();
			else if (result == WALK_NO_FRAMES)
				stack = native_walk();
			walk_book(result);
			walk_spent(s, thread, began);
			s->busy = 0;
		}
	} else {
		stack = socket_native(s, thread);
	}
	if (result == WALK_PARTIAL) {
		/* Whose work this is cannot be told: nothing is bound to it. */
		if (in) {
			chunk_send(t, c, parts, length, send, 0, tid);
			c->sending = send;
		} else {
			COUNT(DATA, ATTEMPTED);
			COUNT(DATA, SKIP_OUTBOUND);
		}
		return 0;
	}
	shared = thread && thread->loop && !coroutine ? WIRE_SHARED_LOOP : 0;
	if (c->tls & TLS_ADJACENT)
		shared |= WIRE_SHARED_TLS_ADJACENT;
	f = flow_find(&key);
	if (!f && key.flow && !coroutine) {
		/* No flow of its own: the thread may work for the connection. */
		struct flow_key plain = { .pid = key.pid, .thread = tid };

		f = flow_find(&plain);
		if (f && !in)
			key = plain;
		else if (f && f->sock == sock)
			key = plain;
		else
			f = NULL;
	}
	if (!in) {
		if (stack) {
			context = f ? f->context : 0;
			if (!context && thread)
				context = outside_context(t, thread, tid);
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
		if (!f || f->sock != sock) {
			flow_bind(t, &key, c->id, sock, shared);
			f = bpf_map_lookup_elem(&flows, &key);
		}
		context = f ? f->context : 0;
		if (stack)
			seen_send(t, context, stack, native);
		chunk_send(t, c, parts, length, true, context, tid);
		c->sending = 1;
		flow_bind(t, &key, c->id, sock, shared);
	} else {
		/* The data comes first: by its bytes the collector knows which call it is. */
		chunk_send(t, c, parts, length, false, 0, tid);
		if (!f || f->sock != sock || c->sending)
			flow_bind(t, &key, c->id, sock, shared);
		c->sending = 0;
		f = bpf_map_lookup_elem(&flows, &key);
		if (stack)
			seen_send(t, f ? f->context : 0, stack, native);
	}
	return 0;
}

/* TCP over IPv4 or IPv6; others are booked as skipped. */
static __always_inline bool socket_is_tcp(struct sock *sk)
{
	wire_16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if ((family == KERNEL_AF_INET || family == KERNEL_AF_INET6) &&
	    BPF_CORE_READ(sk, sk_protocol) == KERNEL_IPPROTO_TCP)
		return true;
	COUNT(DATA, ATTEMPTED);
	COUNT(DATA, SKIP_FAMILY);
	return false;
}

/* ---- source one: the socket tracepoints ---- */

static __always_inline int socket_length(struct sock *sk, int ret, int flags, bool send)
{
	struct task_struct *task;
	struct transfer parts = {};
	struct pt_regs *regs;

	if (ret <= 0 || !current_target() || !socket_is_tcp(sk))
		return 0;
	task = bpf_get_current_task_btf();
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (flags & KERNEL_MSG_PEEK)
		parts.peek = 1;
	else if (BPF_CORE_READ(regs, cs) == KERNEL_USER_CS)
		parts_of(regs, BPF_CORE_READ(regs, orig_ax), &parts);
	parts.identity = bpf_get_socket_cookie(sk);
	parts.length = ret;
	parts.send = send;
	parts.sp = BPF_CORE_READ(regs, sp);
	return socket_data(sk, &parts);
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

static __always_inline struct sock *socket_of_fd(wire_64 fd, wire_64 *inode)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct socket *socket;
	struct file **files, *file = NULL;
	struct inode *node;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if (!file)
		return NULL;
	node = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(node, i_mode) & KERNEL_S_IFMT) != KERNEL_S_IFSOCK)
		return NULL;
	*inode = BPF_CORE_READ(node, i_ino);
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(socket_call, struct pt_regs *regs, long ret)
{
	struct transfer parts = {};
	struct sock *sk;
	wire_64 nr, inode = 0;
	bool send;

	if (ret <= 0 || !current_target() || BPF_CORE_READ(regs, cs) != KERNEL_USER_CS)
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
	default:
		return 0;
	}
	sk = socket_of_fd(BPF_CORE_READ(regs, di), &inode);
	if (!sk || !socket_is_tcp(sk))
		return 0;
	parts_of(regs, nr, &parts);
	parts.identity = inode;
	parts.length = ret;
	parts.send = send;
	parts.sp = BPF_CORE_READ(regs, sp);
	return socket_data(sk, &parts);
}
