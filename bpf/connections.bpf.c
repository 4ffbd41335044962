/*
 * Connections of targets: met at their handshake, or when data moves on one that was open before;
 * followed through their TCP states until they close.
 */

static __always_inline void address_read(struct sock *sk, struct wire_address *a)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);

	__builtin_memset(a, 0, sizeof(*a));
	a->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	a->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	a->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	a->netns = BPF_CORE_READ(net, ns.inum);
	if (a->family == KERNEL_AF_INET) {
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

/* Remembers a connection. */
static __always_inline struct connection_state *connection_insert(wire_64 sock, wire_64 identity,
								  wire_8 direction, wire_32 process)
{
	struct connection_state fresh = {
		.identity = identity,
		.direction = direction,
		.process = process,
	};

	fresh.id = __sync_fetch_and_add(&next_connection, 1);
	if (bpf_map_update_elem(&connections, &sock, &fresh, 0)) {
		COUNT(CONNECTION, ATTEMPTED);
		COUNT(CONNECTION, LOST_MAP);
		return NULL;
	}
	return bpf_map_lookup_elem(&connections, &sock);
}

/* Tells of it. Negative when that failed; the connection is then forgotten. */
static __always_inline long connection_announce(wire_64 sock, struct connection_state *c,
						const struct wire_address *a, bool joined)
{
	struct wire_connection e = {
		.head = { .type = WIRE_CONNECTION,
			  .process = c->process,
			  .time = bpf_ktime_get_ns() },
		.connection = c->id,
		.identity = c->identity,
		.address = *a,
		.direction = c->direction,
		.joined = joined,
	};

	COUNT(CONNECTION, ATTEMPTED);
	c->announced = 1;
	if (!event_send(WIRE_STAGE_CONNECTION, &e, sizeof(e)))
		return 0;
	bpf_map_delete_elem(&connections, &sock);
	return -1;
}

/* Books a connection that is met for the first time. */
static __always_inline struct connection_state *connection_add(wire_64 sock, wire_64 identity,
							       const struct wire_address *a,
							       wire_8 direction, bool joined,
							       wire_32 process)
{
	struct connection_state *c = connection_insert(sock, identity, direction, process);

	if (!c || connection_announce(sock, c, a, joined))
		return NULL;
	return c;
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
	struct wire_target *t;
	wire_32 one = 1;

	if (sk->sk_protocol != KERNEL_IPPROTO_TCP)
		return 0;
	if (to == KERNEL_TCP_ESTABLISHED && from == KERNEL_TCP_SYN_RECV) {
		/* Made by the network, for a listener; often in another process's context. */
		address_read(sk, &a);
		if (port_watched(&a))
			connection_add(sock, 0, &a, WIRE_IN, false, 0);
		return 0;
	}
	if (to == KERNEL_TCP_SYN_SENT || to == KERNEL_TCP_LISTEN) {
		t = current_target();
		address_read(sk, &a);
		if (to == KERNEL_TCP_SYN_SENT) {
			/* Its local port is not chosen yet: told of once it is established. */
			if (t)
				connection_insert(sock, 0, WIRE_OUT, t->process);
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
			address_read(sk, &a);
			connection_announce(sock, c, &a, false);
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
