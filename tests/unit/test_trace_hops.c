/* Hops of a trace: both ends of a connection, whose uses they were, and whose call a call was. */
#include "trace_fixture.h"

#define PROXY 1
#define SERVER 2

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_open(f);
	fixture_window(f);
	put(f, PROCESS, process, .pid = 11, .exe = REC_NULL);
	put(f, PROCESS, process, .pid = 12, .exe = REC_NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_release(*state);
	free(*state);
	return 0;
}

static uint64_t tcp(struct fixture *f, enum direction direction, const char *local, uint64_t lport,
		    const char *remote, uint64_t rport, uint64_t netns, uint64_t ms)
{
	return put(f, CONNECTION, connection, .process = direction == DIRECTION_IN ? SERVER : PROXY,
		   .family = FAMILY_TCP4, .local = priv(f, local), .local_port = lport,
		   .remote = priv(f, remote), .remote_port = rport, .direction = direction,
		   .cookie = REC_NULL, .opened = at_ms(ms), .joined = 0, .netns = netns,
		   .inode = REC_NULL, .peer_inode = REC_NULL);
}

static uint64_t pair(struct fixture *f, uint64_t port, uint64_t *accepted)
{
	uint64_t out = tcp(f, DIRECTION_OUT, "127.0.0.1", port, "127.0.0.1", 80, 1, 1);

	*accepted = tcp(f, DIRECTION_IN, "127.0.0.1", 80, "127.0.0.1", port, 1, 1);
	return out;
}

static void closed(struct fixture *f, uint64_t connection, uint64_t ms)
{
	put(f, CONNECTION_END, connection_end, .connection = connection, .time = at_ms(ms));
}

static uint64_t call_on(struct fixture *f, uint64_t process, uint64_t connection, uint64_t from,
			uint64_t until)
{
	return put(f, CALL, call, .process = process, .connection = connection,
		   .start = at_ms(from), .end = at_ms(until), .end_reason = CALL_END_COMPLETE,
		   .request_id = REC_NULL);
}

/* A use of a connection, for the call; 0: of nobody. Returns its context. */
static uint64_t use(struct fixture *f, uint64_t connection, uint64_t call, enum link link,
		    uint64_t from, uint64_t until)
{
	uint64_t context = put(f, CONTEXT, context, .process = PROXY, .start = at_ms(from));

	if (call)
		put(f, BINDING, binding, .context = context, .call = call, .from = at_ms(from - 1),
		    .until = at_ms(until + 1), .link = link);
	put(f, HOP, hop, .call = REC_NULL, .connection = connection, .time = at_ms(from),
	    .context = call ? context : REC_NULL, .last = at_ms(until), .received = 7, .sent = 3,
	    .process = PROXY, .protocol = REC_NULL);
	return context;
}

static uint64_t caller(struct fixture *f, uint64_t call)
{
	return trace_caller(f->t, trace_find(f->t, REC_CALL_KIND, call), NULL);
}

static uint64_t peer(struct fixture *f, uint64_t connection)
{
	const struct rec_connection *c =
		trace_peer(f->t, trace_find(f->t, REC_CONNECTION_KIND, connection));

	return c ? c->id : 0;
}

static void test_peers(void **state)
{
	struct fixture *f = *state;
	uint64_t in, out = pair(f, 4000, &in);
	/* The same port, later. */
	uint64_t later = tcp(f, DIRECTION_OUT, "127.0.0.1", 4001, "127.0.0.1", 80, 1, 1);
	uint64_t first = tcp(f, DIRECTION_IN, "127.0.0.1", 80, "127.0.0.1", 4001, 1, 1), second;
	uint64_t again = tcp(f, DIRECTION_OUT, "127.0.0.1", 4001, "127.0.0.1", 80, 1, 50);
	/* Loopback of another namespace; a routed address of another one. */
	uint64_t inner = tcp(f, DIRECTION_OUT, "127.0.0.1", 4002, "127.0.0.1", 80, 2, 1);
	uint64_t outer = tcp(f, DIRECTION_IN, "127.0.0.1", 80, "127.0.0.1", 4002, 1, 1);
	uint64_t bridge = tcp(f, DIRECTION_OUT, "10.0.0.2", 4003, "10.0.0.1", 80, 2, 1);
	uint64_t routed = tcp(f, DIRECTION_IN, "10.0.0.1", 80, "10.0.0.2", 4003, 1, 1);
	/* Two that cannot be told apart, and one that two claim. */
	uint64_t twin = tcp(f, DIRECTION_OUT, "127.0.0.1", 4004, "127.0.0.1", 80, 1, 1), twins[2];
	uint64_t claim[2], claimed = tcp(f, DIRECTION_IN, "127.0.0.1", 80, "127.0.0.1", 4005, 1, 1);

	second = tcp(f, DIRECTION_IN, "127.0.0.1", 80, "127.0.0.1", 4001, 1, 50);
	closed(f, later, 40);
	closed(f, first, 41);
	for (int i = 0; i < 2; i++) {
		twins[i] = tcp(f, DIRECTION_IN, "127.0.0.1", 80, "127.0.0.1", 4004, 1, 1);
		claim[i] = tcp(f, DIRECTION_OUT, "127.0.0.1", 4005, "127.0.0.1", 80, 1, 1);
	}
	fixture_load(f);
	assert_int_equal(peer(f, out), in);
	assert_int_equal(peer(f, in), out);
	assert_int_equal(peer(f, later), first);
	assert_int_equal(peer(f, again), second);
	assert_int_equal(peer(f, inner), 0);
	assert_int_equal(peer(f, outer), 0);
	assert_int_equal(peer(f, bridge), routed);
	assert_int_equal(peer(f, twin), 0);
	assert_int_equal(peer(f, twins[0]), 0);
	assert_int_equal(peer(f, claim[0]), 0);
	assert_int_equal(peer(f, claim[1]), 0);
	assert_int_equal(peer(f, claimed), 0);
}

static uint64_t unix_end(struct fixture *f, enum direction direction, uint64_t inode,
			 uint64_t peer_inode)
{
	return put(f, CONNECTION, connection, .process = PROXY, .family = FAMILY_UNIX,
		   .local = REC_NULL, .remote = REC_NULL, .direction = direction,
		   .opened = at_ms(1), .inode = inode, .peer_inode = peer_inode);
}

static void test_unix_peers(void **state)
{
	struct fixture *f = *state;
	uint64_t out = unix_end(f, DIRECTION_OUT, 70, 71), in = unix_end(f, DIRECTION_IN, 71, 70);
	/* Sent before it was accepted; accepted when the client had gone. */
	uint64_t early = unix_end(f, DIRECTION_OUT, 72, REC_NULL);
	uint64_t late = unix_end(f, DIRECTION_IN, 73, 72);
	uint64_t whole = unix_end(f, DIRECTION_OUT, 74, 75);
	uint64_t alone = unix_end(f, DIRECTION_IN, 75, REC_NULL);
	uint64_t blind = unix_end(f, DIRECTION_OUT, 76, REC_NULL);
	uint64_t none = unix_end(f, DIRECTION_IN, 77, REC_NULL);

	fixture_load(f);
	assert_int_equal(peer(f, out), in);
	assert_int_equal(peer(f, early), late);
	assert_int_equal(peer(f, whole), alone);
	assert_int_equal(peer(f, blind), 0);
	assert_int_equal(peer(f, none), 0);
}

/* A pooled connection: each call of the server is its caller's, however late the ends are noted. */
static void test_callers(void **state)
{
	struct fixture *f = *state;
	uint64_t in, out = pair(f, 4000, &in), a, b, c, qa, qb, qn, qc, first;
	struct trace_hop *hops;

	a = call_on(f, PROXY, 9, 5, 30);
	b = call_on(f, PROXY, 9, 31, 60);
	use(f, out, a, LINK_FLOW, 10, 20);
	/* The answer's time is noted when the next request is under way. */
	qa = call_on(f, SERVER, in, 11, 45);
	/* The request's time is noted when the server has begun. */
	use(f, out, b, LINK_FLOW, 43, 50);
	qb = call_on(f, SERVER, in, 41, 47);
	use(f, out, 0, LINK_FLOW, 52, 54);
	qn = call_on(f, SERVER, in, 53, 53);
	/* Whose it was cannot be told. */
	c = call_on(f, PROXY, 9, 61, 90);
	use(f, out, c, LINK_AMBIGUOUS, 65, 80);
	qc = call_on(f, SERVER, in, 66, 70);
	fixture_load(f);
	assert_int_equal(caller(f, qa), a);
	assert_int_equal(caller(f, qb), b);
	assert_int_equal(caller(f, qn), REC_NULL);
	assert_int_equal(caller(f, qc), REC_NULL);
	assert_int_equal(caller(f, a), REC_NULL);
	assert_int_equal(trace_called(f->t, a, &first), 1);
	assert_int_equal(trace_called_at(f->t, first)->id, qa);
	assert_int_equal(trace_called(f->t, c, &first), 0);

	assert_int_equal(trace_call_hops(f->t, c, &hops), 1);
	assert_false(hops[0].sure);
	assert_int_equal(hops[0].links, 1U << LINK_AMBIGUOUS);
	free(hops);
	assert_int_equal(trace_call_hops(f->t, b, &hops), 1);
	assert_true(hops[0].sure);
	assert_int_equal(hops[0].connection, out);
	assert_int_equal(hops[0].first, at_ms(43));
	assert_int_equal(hops[0].last, at_ms(50));
	assert_int_equal(hops[0].received, 7);
	assert_int_equal(hops[0].sent, 3);
	free(hops);
	assert_int_equal(trace_call_hops(f->t, qa, &hops), 0);
	assert_null(hops);
}

/* Two contexts of one call, on two connections: one row each, summed. */
static void test_hops(void **state)
{
	struct fixture *f = *state;
	uint64_t in, out = pair(f, 4000, &in), other = pair(f, 4001, &in), a, context;
	struct trace_hop *hops;

	a = call_on(f, PROXY, 9, 5, 90);
	use(f, out, a, LINK_FLOW, 10, 20);
	use(f, other, a, LINK_THREAD, 30, 40);
	context = use(f, out, a, LINK_AMBIGUOUS, 50, 60);
	/* The same context, long after the call: not its work. */
	put(f, HOP, hop, .call = REC_NULL, .connection = other, .time = at_ms(300),
	    .context = context, .last = at_ms(301), .received = 1000, .sent = 1000);
	fixture_load(f);
	assert_int_equal(trace_call_hops(f->t, a, &hops), 2);
	assert_int_equal(hops[0].connection, out);
	assert_int_equal(hops[0].sent, 6);
	assert_int_equal(hops[0].first, at_ms(10));
	assert_int_equal(hops[0].last, at_ms(60));
	assert_true(hops[0].sure);
	assert_int_equal(hops[0].record, 1);
	assert_int_equal(hops[0].links, 1U << LINK_FLOW | 1U << LINK_AMBIGUOUS);
	assert_int_equal(hops[1].connection, other);
	assert_int_equal(hops[1].received, 7);
	assert_int_equal(hops[1].links, 1U << LINK_THREAD);
	free(hops);
}

/* Uses that meet on one connection (many requests at once) tie nothing. */
static void test_shared(void **state)
{
	struct fixture *f = *state;
	uint64_t in, out = pair(f, 4000, &in), a = call_on(f, PROXY, 9, 5, 90);
	uint64_t b = call_on(f, PROXY, 9, 6, 90), qa, qb, qc;

	use(f, out, a, LINK_FLOW, 10, 20);
	use(f, out, b, LINK_FLOW, 15, 30);
	qa = call_on(f, SERVER, in, 11, 18);
	qb = call_on(f, SERVER, in, 25, 28);
	/* Two uses of one call may meet. */
	use(f, out, a, LINK_FLOW, 40, 50);
	use(f, out, a, LINK_FLOW, 45, 55);
	qc = call_on(f, SERVER, in, 42, 44);
	fixture_load(f);
	assert_int_equal(caller(f, qa), REC_NULL);
	assert_int_equal(caller(f, qb), REC_NULL);
	assert_int_equal(caller(f, qc), a);
}

/* No use that could have asked for it; a caller that had not begun. */
static void test_no_caller(void **state)
{
	struct fixture *f = *state;
	uint64_t in, out = pair(f, 4000, &in), a = call_on(f, PROXY, 9, 5, 4000);
	uint64_t early, late, young, b, good, split;

	early = call_on(f, SERVER, in, 6, 7);
	use(f, out, a, LINK_FLOW, 30, 40);
	b = call_on(f, PROXY, 9, 60, 90);
	young = call_on(f, SERVER, in, 59, 70);
	use(f, out, b, LINK_FLOW, 61, 75);
	use(f, out, a, LINK_FLOW, 3010, 3020);
	good = call_on(f, SERVER, in, 3011, 3012);
	/* Sent in one record, received in the next one. */
	use(f, out, a, LINK_FLOW, 3030, 3030);
	split = call_on(f, SERVER, in, 3031, 3032);
	use(f, out, a, LINK_FLOW, 3045, 3045);
	late = call_on(f, SERVER, in, 3050, 3060);
	fixture_load(f);
	assert_int_equal(caller(f, early), REC_NULL);
	assert_int_equal(caller(f, young), REC_NULL);
	assert_int_equal(caller(f, good), a);
	assert_int_equal(caller(f, split), a);
	assert_int_equal(caller(f, late), REC_NULL);
}

/* When events were lost a use may be missing: who asked cannot be told. */
static void test_lost(void **state)
{
	struct fixture *f = *state;
	uint64_t in, out = pair(f, 4000, &in), a = call_on(f, PROXY, 9, 5, 9000), before, lost;

	use(f, out, a, LINK_FLOW, 30, 40);
	before = call_on(f, SERVER, in, 31, 32);
	use(f, out, a, LINK_FLOW, 8010, 8020);
	lost = call_on(f, SERVER, in, 8011, 8012);
	put(f, LOSS, loss, .time = at_ms(5000), .stage = pub(f, "hops"), .class = LOSS_ATTEMPTED,
	    .cause = REC_EMPTY, .count = 5);
	put(f, LOSS, loss, .time = at_ms(8500), .stage = pub(f, "hops"), .class = LOSS_LOST,
	    .cause = pub(f, "ring-full"), .count = 1);
	fixture_load(f);
	assert_int_equal(caller(f, before), a);
	assert_int_equal(caller(f, lost), REC_NULL);
}

static uint64_t answered(struct fixture *f, uint64_t process, uint64_t connection, uint64_t from,
			 uint64_t until, const char *id)
{
	return put(f, CALL, call, .process = process, .connection = connection,
		   .start = at_ms(from), .first_byte = at_ms(until), .end = at_ms(until),
		   .end_reason = CALL_END_COMPLETE, .request_id = pub(f, id));
}

/* An event loop with two calls: the id of the answer tells whose each was. */
static void test_request_ids(void **state)
{
	struct fixture *f = *state;
	uint64_t in, out = pair(f, 4000, &in), in2, out2 = pair(f, 4001, &in2), a, b, c, d;
	uint64_t qa, qb, qc, qd, context;
	enum trace_caller_by by;

	a = answered(f, PROXY, 8, 5, 50, "req-a");
	b = answered(f, PROXY, 9, 6, 60, "req-b");
	context = use(f, out, a, LINK_AMBIGUOUS, 10, 11);
	put(f, BINDING, binding, .context = context, .call = b, .from = at_ms(9),
	    .until = at_ms(20), .link = LINK_AMBIGUOUS);
	put(f, HOP, hop, .call = REC_NULL, .connection = out2, .time = at_ms(12),
	    .context = context, .last = at_ms(12), .process = PROXY);
	qa = answered(f, SERVER, in2, 13, 40, "req-a");
	qb = answered(f, SERVER, in, 12, 41, "req-b");
	/* Two have the same id; one had ended before; one used nothing. */
	c = answered(f, PROXY, 8, 70, 90, "req-c");
	d = answered(f, PROXY, 9, 71, 91, "req-c");
	use(f, out, c, LINK_AMBIGUOUS, 72, 73);
	use(f, out, d, LINK_AMBIGUOUS, 72, 73);
	qc = answered(f, SERVER, in, 73, 80, "req-c");
	use(f, out2, answered(f, PROXY, 8, 92, 93, "req-d"), LINK_AMBIGUOUS, 92, 93);
	answered(f, PROXY, 9, 92, 99, "req-d");
	qd = answered(f, SERVER, in2, 94, 95, "req-d");
	fixture_load(f);
	assert_int_equal(caller(f, qa), a);
	assert_int_equal(caller(f, qb), b);
	trace_caller(f->t, trace_find(f->t, REC_CALL_KIND, qb), &by);
	assert_int_equal(by, TRACE_BY_REQUEST_ID);
	assert_int_equal(caller(f, qc), REC_NULL);
	assert_int_equal(caller(f, qd), REC_NULL);
}

static void test_far_ends(void **state)
{
	static const struct {
		const char *address, *class;
		enum family family;
	} ends[] = {
		{ "127.1.2.3", "loopback", FAMILY_TCP4 },
		{ "10.9.8.7", "private", FAMILY_TCP4 },
		{ "172.31.0.1", "private", FAMILY_TCP4 },
		{ "172.32.0.1", "public", FAMILY_TCP4 },
		{ "192.168.1.1", "private", FAMILY_TCP4 },
		{ "169.254.169.254", "link-local", FAMILY_TCP4 },
		{ "8.8.8.8", "public", FAMILY_TCP4 },
		{ "::1", "loopback", FAMILY_TCP6 },
		{ "fd00::1", "private", FAMILY_TCP6 },
		{ "fe80::1", "link-local", FAMILY_TCP6 },
		{ "2001:db8::1", "public", FAMILY_TCP6 },
		{ "@abstract", "unix", FAMILY_UNIX },
		{ "rubbish", NULL, FAMILY_TCP4 },
	};
	const size_t count = sizeof(ends) / sizeof(ends[0]);
	struct fixture *f = *state;
	uint64_t amqp = pub(f, "amqp"), other = pub(f, "amq");
	const struct rec_connection *c;

	for (size_t i = 0; i < count; i++)
		put(f, CONNECTION, connection, .family = ends[i].family, .local = REC_NULL,
		    .remote = priv(f, ends[i].address), .remote_port = i ? 80 : 5672,
		    .direction = DIRECTION_OUT);
	put(f, CONNECTION, connection, .family = FAMILY_TCP4, .remote = REC_NULL,
	    .remote_port = 5672, .direction = DIRECTION_IN);
	fixture_load(f);
	for (size_t i = 0; i < count; i++) {
		const char *class;

		c = trace_at(f->t, REC_CONNECTION_KIND, i);
		class = trace_remote_class(f->t, c);
		if (ends[i].class)
			assert_string_equal(class, ends[i].class);
		else
			assert_null(class);
		assert_int_equal(trace_remote_messages(f->t, c, REC_NULL), !i);
		assert_true(trace_remote_messages(f->t, c, amqp));
		assert_int_equal(trace_remote_messages(f->t, c, other), !i);
	}
	c = trace_at(f->t, REC_CONNECTION_KIND, count);
	assert_null(trace_remote_class(f->t, c));
	assert_false(trace_remote_messages(f->t, c, REC_NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unix_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_callers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_caller, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_request_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_far_ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
