/*
 * Connections of targets: met at their handshake, or when data moves on one that was open before;
 * followed through their TCP states until they close. Unix connections have no such states: they
 * are met when data moves, and looked at from time to time.
 */

/* The inode number of a socket, 0: it has none. */
static __always_inline wire_64 socket_inode(struct sock *sk)
{
	struct socket *socket = sk ? BPF_CORE_READ(sk, sk_socket) : NULL;
	struct file *file = socket ? BPF_CORE_READ(socket, file) : NULL;

	return file ? BPF_CORE_READ(file, f_inode, i_ino) : 0;
}

static __always_inline void address_read(struct sock *sk, struct wire_address *a)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);

	__builtin_memset(a, 0, sizeof(*a));
	a->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	a->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	a->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	a->netns = BPF_CORE_READ(net, ns.inum);
	if (a->family == KERNEL_AF_UNIX) {
		wire_64 own = socket_inode(sk);
		wire_64 peer = socket_inode(BPF_CORE_READ((struct unix_sock *)sk, peer));

		a->local_port = a->remote_port = 0;
		__builtin_memcpy(a->local, &own, 8);
		__builtin_memcpy(a->remote, &peer, 8);
	} else if (a->family == KERNEL_AF_INET) {
		__be32 local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		__be32 remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);

		__builtin_memcpy(a->local, &local, 4);
		__builtin_memcpy(a->remote, &remote, 4);
	} else {
		bpf_probe_read_kernel(a->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(a->remote, 16, &sk->__sk_common.skc_v6_daddr);
	}
}

static __always_inline bool port_watched(const struct wire_address *a)
{
	struct wire_port key = { .netns = a->netns, .port = a->local_port };

	/* A listener on any address, or on this one. */
	if (bpf_map_lookup_elem(&ports, &key))
		return true;
	__builtin_memcpy(key.address, a->local, sizeof(key.address));
	return bpf_map_lookup_elem(&ports, &key) != NULL;
}

/* Remembers a connection. NULL: there is no room. */
static __always_inline struct connection_state *connection_insert(wire_64 sock, wire_64 identity,
								  wire_8 direction, wire_32 process)
{
	struct connection_state fresh = {
		.identity = identity,
		.direction = direction,
		.process = process,
	};

	fresh.head_left = WIRE_CAPTURE_HEAD;
	fresh.id = __sync_fetch_and_add(&next_connection, 1);
	if (bpf_map_update_elem(&connections, &sock, &fresh, 0))
		return NULL;
	return bpf_map_lookup_elem(&connections, &sock);
}

/* A bound name of at least one byte. */
static __always_inline wire_32 unix_name_length(struct unix_address *name)
{
	int len = name ? BPF_CORE_READ(name, len) : 0;

	return len > 2 ? len - 2 : 0;
}

/*
 * Which side of a Unix connection a socket is: an accepted one shares the name of its listener. 1:
 * the server's, 0: the client's, -1: it is none (socketpair(2)), or cannot be told.
 */
static __always_inline int unix_side(struct sock *sk, struct unix_address **name)
{
	struct unix_address *own = BPF_CORE_READ((struct unix_sock *)sk, addr), *its;
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
	wire_32 own_len = unix_name_length(own), its_len;

	its = peer ? BPF_CORE_READ((struct unix_sock *)peer, addr) : NULL;
	its_len = unix_name_length(its);
	*name = own_len ? own : its;
	if (!own_len && !its_len)
		return -1;
	if (!own_len || !its_len)
		return own_len ? 1 : 0;
	/* Both are bound: the listener holds the name that is shared. */
	own_len = BPF_CORE_READ(own, refcnt.refs.counter);
	its_len = BPF_CORE_READ(its, refcnt.refs.counter);
	if ((own_len > 1) == (its_len > 1))
		return -1;
	*name = own_len > 1 ? own : its;
	return own_len > 1;
}

/*
 * Room in the ring to tell of a connection, with its addresses: too large for a program's stack.
 * NULL: it is lost.
 */
static __always_inline struct wire_connection *connection_event(struct sock *sk)
{
	struct wire_connection *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	COUNT(CONNECTION, ATTEMPTED);
	if (!e) {
		COUNT(CONNECTION, LOST_RING);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->head.type = WIRE_CONNECTION;
	e->head.time = bpf_ktime_get_ns();
	address_read(sk, &e->address);
	return e;
}

/* Tells of it. c: NULL when there was no room for it. */
static __always_inline void connection_announce(struct wire_connection *e,
						struct connection_state *c, bool joined)
{
	if (!c) {
		COUNT(CONNECTION, LOST_MAP);
		bpf_ringbuf_discard(e, 0);
		return;
	}
	e->head.process = c->process;
	e->connection = c->id;
	e->identity = c->identity;
	e->direction = c->direction;
	e->joined = joined;
	c->announced = 1;
	bpf_ringbuf_submit(e, wakeup_flag());
	COUNT(CONNECTION, DELIVERED);
}

/* Without data on a TCP socket nothing is known of its sequence numbers but at its beginning. */
static __always_inline void connection_number(struct connection_state *c, struct sock *sk)
{
	c->copied = BPF_CORE_READ((struct tcp_sock *)sk, copied_seq);
	c->written = BPF_CORE_READ((struct tcp_sock *)sk, write_seq);
	c->copied_known = c->written_known = 1;
}

/*
 * A TCP connection that data moves on, and that was open before. Not static: verified once, and
 * what it needs of the stack does not add up in its callers, who have 512 bytes in all.
 */
__noinline int connection_join(wire_64 sock, wire_64 identity, wire_32 process)
{
	struct wire_connection *e = connection_event((struct sock *)sock);
	wire_8 direction;

	if (!e)
		return 0;
	direction = port_watched(&e->address) ? WIRE_IN : WIRE_OUT;
	connection_announce(e, connection_insert(sock, identity, direction, process), true);
	return 0;
}

/* A Unix connection that data moves on. Nothing tells when it was made, so a list must. */
__noinline int connection_add_unix(wire_64 sock, wire_64 inode, wire_32 process)
{
	struct sock *sk = (struct sock *)sock;
	struct unix_address *name;
	int side = unix_side(sk, &name);
	struct wire_connection *e;
	struct connection_state *c;
	wire_64 len;
	bool old;

	if (side < 0)
		return 0;
	e = connection_event(sk);
	if (!e)
		return 0;
	len = unix_name_length(name);
	BPF_ONE_REGISTER(len);
	if (len > sizeof(e->path))
		len = sizeof(e->path);
	BPF_ONE_REGISTER(len);
	bpf_probe_read_kernel(e->path, len, name->name[0].sun_path);
	e->path_len = len;
	old = sockets_listing || bpf_map_lookup_elem(&old_sockets, &inode);
	c = connection_insert(sock, inode, side ? WIRE_IN : WIRE_OUT, process);
	if (c)
		c->is_unix = 1;
	connection_announce(e, c, old);
	return 0;
}

static __always_inline void connection_tell(const struct connection_state *c, wire_16 to,
					    bool closed_here)
{
	struct wire_state e = { .head = { .type = WIRE_STATE } };

	COUNT(CONNECTION, ATTEMPTED);
	e.head.time = bpf_ktime_get_ns();
	e.connection = c->id;
	e.from = KERNEL_TCP_ESTABLISHED;
	e.to = to;
	e.closed_here = closed_here;
	event_send(WIRE_STAGE_CONNECTION, &e, sizeof(e));
}

/* The other side of a Unix connection sends no more: tells of it once. */
static __always_inline void unix_look_client(struct sock *sk, struct connection_state *c)
{
	if (c->client_closed || !(BPF_CORE_READ(sk, sk_shutdown) & KERNEL_RCV_SHUTDOWN))
		return;
	c->client_closed = 1;
	connection_tell(c, KERNEL_TCP_CLOSE_WAIT, false);
}

/* The flow may work for another connection already. */
static __always_inline void retire_if(const struct flow_key *at, wire_64 connection)
{
	struct flow_key key = *at;
	struct flow_state *f = bpf_map_lookup_elem(&flows, &key);

	if (f && f->connection == connection)
		flow_retire(&key);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, struct sock *sk, int from, int to)
{
	struct wire_state e = { .head = { .type = WIRE_STATE }, .from = from, .to = to };
	struct connection_state *c;
	struct wire_listen listen = { .head = { .type = WIRE_LISTEN } };
	wire_64 sock = (wire_64)sk;
	struct wire_address a;
	struct wire_connection *connection;
	struct wire_target *t;
	wire_32 one = 1;

	if (sk->sk_protocol != KERNEL_IPPROTO_TCP)
		return 0;
	if (to == KERNEL_TCP_ESTABLISHED && from == KERNEL_TCP_SYN_RECV) {
		/* Made by the network, for a listener; often in another process's context. */
		address_read(sk, &a);
		connection = port_watched(&a) ? connection_event(sk) : NULL;
		if (!connection)
			return 0;
		c = connection_insert(sock, 0, WIRE_IN, 0);
		if (c)
			connection_number(c, sk);
		connection_announce(connection, c, false);
		return 0;
	}
	if (to == KERNEL_TCP_SYN_SENT || to == KERNEL_TCP_LISTEN) {
		t = current_target();
		address_read(sk, &a);
		if (to == KERNEL_TCP_SYN_SENT) {
			/* Its local port is not chosen yet: told of once it is established. */
			if (t && !connection_insert(sock, 0, WIRE_OUT, t->process)) {
				COUNT(CONNECTION, ATTEMPTED);
				COUNT(CONNECTION, LOST_MAP);
			}
			return 0;
		}
		if (!t && !port_watched(&a))
			return 0;
		COUNT(CONNECTION, ATTEMPTED);
		if (t) {
			struct wire_port key = { .netns = a.netns, .port = a.local_port };

			__builtin_memcpy(key.address, a.local, sizeof(key.address));
			if (bpf_map_update_elem(&ports, &key, &one, 0)) {
				COUNT(CONNECTION, LOST_MAP);
				return 0;
			}
		}
		listen.head.process = t ? t->process : 0;
		listen.head.time = bpf_ktime_get_ns();
		listen.address = a;
		event_send(WIRE_STAGE_CONNECTION, &listen, sizeof(listen));
		return 0;
	}
	c = bpf_map_lookup_elem(&connections, &sock);
	if (!c)
		return 0;
	if (!c->announced) {
		if (to == KERNEL_TCP_ESTABLISHED) {
			connection = connection_event(sk);
			if (connection)
				connection_announce(connection, c, false);
			else
				bpf_map_delete_elem(&connections, &sock);
		} else if (to == KERNEL_TCP_CLOSE) {
			bpf_map_delete_elem(&connections, &sock); /* never came about */
		}
		return 0;
	}
	if (to == KERNEL_TCP_FIN_WAIT1 || to == KERNEL_TCP_LAST_ACK || to == KERNEL_TCP_CLOSE)
		c->closing = 1;
	COUNT(CONNECTION, ATTEMPTED);
	/* Whose task this happens in says nothing: the network interrupts anyone. */
	e.closed_here = sk->sk_shutdown & KERNEL_SEND_SHUTDOWN ? 1 : 0;
	e.error = sk->sk_err;
	e.head.time = bpf_ktime_get_ns();
	e.connection = c->id;
	event_send(WIRE_STAGE_CONNECTION, &e, sizeof(e));
	if (to == KERNEL_TCP_CLOSE) {
		retire_if(&c->first, c->id);
		retire_if(&c->last, c->id);
		bpf_map_delete_elem(&connections, &sock);
	}
	return 0;
}

/* What a look at a Unix connection finds. The memory may be another socket's by now. */
static long unix_look(void *map, wire_64 *sock, struct connection_state *c, void *ctx)
{
	struct sock *sk = (struct sock *)*sock;
	wire_32 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (!c->is_unix)
		return 0;
	if (state == KERNEL_TCP_ESTABLISHED && socket_inode(sk) == c->identity) {
		unix_look_client(sk, c);
		return 0;
	}
	connection_tell(c, KERNEL_TCP_CLOSE, true);
	retire_if(&c->first, c->id);
	retire_if(&c->last, c->id);
	bpf_map_delete_elem(&connections, sock);
	return 0;
}

/* Run by the collector, from time to time. */
SEC("syscall")
int unix_closed(void *ctx)
{
	bpf_for_each_map_elem(&connections, unix_look, NULL, 0);
	return 0;
}
