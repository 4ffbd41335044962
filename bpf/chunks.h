/*
 * Chunks: the bytes of a transfer on a server-side connection, copied from the user's memory and
 * sent with the context that begins with them.
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

/* An array of iovecs; most have one. */
static __always_inline void parts_of(struct transfer *parts, wire_64 iov, wire_64 count)
{
	struct kernel_iovec only;

	if (count == 1 && !bpf_probe_read_user(&only, sizeof(only), (void *)iov)) {
		parts->base = only.base;
		parts->len = only.len;
		return;
	}
	parts->iov = iov;
	parts->count = count;
}

/*
 * Where the current system call has its bytes; parts->known stays 0 when it has none that can be
 * read. Not static: as connection_join().
 */
__noinline int parts_read(struct transfer *parts)
{
	const struct pt_regs *regs =
		(const struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	wire_64 si = regs->si, dx = regs->dx, msg[2];

	if (!parts)
		return 0;
	parts->known = 1;
	switch (regs->orig_ax) {
	case NR_RECVFROM:
		parts->peek = (regs->r10 & KERNEL_MSG_PEEK) != 0;
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
		parts_of(parts, si, dx);
		return 0;
	case NR_RECVMSG:
		parts->peek = (dx & KERNEL_MSG_PEEK) != 0;
		/* fall through */
	case NR_SENDMSG:
		if (bpf_probe_read_user(msg, 16, (void *)(si + KERNEL_MSGHDR_IOV)))
			break;
		parts_of(parts, msg[0], msg[1]);
		return 0;
	}
	parts->known = 0;
	return 0;
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

#define CHUNK_FRAMED 1 /* the connection's protocol has frames */
#define CHUNK_SENT 2

/*
 * Copies the user's bytes behind the head and sends both. The rest of the length is a gap that the
 * decoder knows of. Global, so that it is verified once.
 */
__noinline int chunk_output(wire_32 cpu)
{
	struct chunk *c = bpf_map_lookup_elem(&chunks, &cpu);
	wire_32 fill, sent = 0;

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
	if (c->e.flags & WIRE_DATA_UNREADABLE && !fill) {
		COUNT(DATA, LOST_READ);
	} else if (!bpf_ringbuf_output(&events, c, sizeof(c->e) + fill, wakeup_flag())) {
		COUNT(DATA, DELIVERED);
		sent = CHUNK_SENT;
	} else {
		COUNT(DATA, LOST_RING);
	}
	return (chunk_is_framed(c) ? CHUNK_FRAMED : 0) | sent;
}

/* A context that begins goes with the last chunk of a transfer; by itself when that is lost. */
static __always_inline void begins_send(struct scratch *s, bool sent)
{
	if (!s || !s->begins.context)
		return;
	if (sent) {
		COUNT(CONTEXT, DELIVERED);
		return;
	}
	s->begins.head.time = bpf_ktime_get_ns();
	event_send(WIRE_STAGE_CONTEXT, &s->begins, sizeof(s->begins));
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
	wire_32 zero = 0, result = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	wire_64 length, offset;
	bool send;

	if (!conn || !parts || !s)
		return 0;
	length = parts->length;
	send = parts->send;
	/* Also when the chunk is lost: the decoder must meet the hole. */
	offset = stream_moves(conn, length, send, parts->tls);
	COUNT(DATA, ATTEMPTED);
	if (!c || c->busy) {
		COUNT(DATA, LOST_BUSY);
		begins_send(s, false);
		return 0;
	}
	c->busy = 1;
	c->e.begins.context = 0;
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
		if (last && s->begins.context) {
			s->begins.head.time = c->e.head.time;
			c->e.begins = s->begins;
		}
		result = chunk_output(cpu);
		if (result & CHUNK_FRAMED)
			conn->framed = 1;
		if (last)
			break;
		c->done += WIRE_CAPTURE_HEAD;
	}
	begins_send(s, result & CHUNK_SENT);
	c->busy = 0;
	return 0;
}
