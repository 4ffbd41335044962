/*
 * Outbound connections: who moved bytes on them, and for whose work. Their bytes are not copied,
 * but for the first few of a new connection: a protocol's header.
 */

/* The first bytes of what is sent; zeros when they cannot be read or are too few. */
static __always_inline void hop_start(const struct transfer *parts, wire_8 *start)
{
	struct kernel_iovec iov = { parts->base, parts->len };

	if (!parts->known)
		return;
	if (parts->iov &&
	    (!parts->count || bpf_probe_read_user(&iov, sizeof(iov), (const void *)parts->iov)))
		return;
	if (iov.len < WIRE_HOP_START || parts->length < WIRE_HOP_START ||
	    bpf_probe_read_user(start, WIRE_HOP_START, (const void *)iov.base))
		__builtin_memset(start, 0, WIRE_HOP_START);
}

/*
 * Books a transfer on an outbound connection. context: of the flow that made it, 0: none. Not
 * static: as connection_join().
 */
__noinline int hop_send(wire_32 process, struct connection_state *c, const struct transfer *parts,
			wire_64 context)
{
	struct wire_hop e = {
		.head = { .type = WIRE_HOP, .process = process, .time = bpf_ktime_get_ns() },
		.context = context,
	};
	wire_64 length, offset;

	if (!c || !parts)
		return 0;
	e.connection = c->id;
	e.length = length = parts->length;
	e.send = parts->send;
	offset = parts->send ? __sync_fetch_and_add(&c->sent, length)
			     : __sync_fetch_and_add(&c->received, length);
	if (parts->send && !offset)
		hop_start(parts, e.start);
	COUNT(HOP, ATTEMPTED);
	event_send(WIRE_STAGE_HOP, &e, sizeof(e));
	return 0;
}
