/* Outbound connections as the collector counts them: texts of addresses, protocols, records. */
#include "trace_fixture.h"

#include <arpa/inet.h>

#include "collect/hops.h"

static void address(struct wire_address *a, int family, const char *local, const char *remote)
{
	memset(a, 0, sizeof(*a));
	a->family = (wire_16)family;
	assert_int_equal(inet_pton(family, local, a->local), 1);
	assert_int_equal(inet_pton(family, remote, a->remote), 1);
}

static void test_addresses(void **state)
{
	char local[HOPS_ADDRESS], remote[HOPS_ADDRESS];
	struct wire_address a;

	(void)state;
	address(&a, AF_INET, "127.0.0.1", "10.1.2.3");
	assert_int_equal(hops_addresses(&a, local, remote), FAMILY_TCP4);
	assert_string_equal(local, "127.0.0.1");
	assert_string_equal(remote, "10.1.2.3");
	address(&a, AF_INET6, "::1", "fe80::2");
	assert_int_equal(hops_addresses(&a, local, remote), FAMILY_TCP6);
	assert_string_equal(local, "::1");
	assert_string_equal(remote, "fe80::2");
	/* As an accepted connection of a socket on [::] has it: the client's end says IPv4. */
	address(&a, AF_INET6, "::ffff:127.0.0.1", "::ffff:10.1.2.3");
	assert_int_equal(hops_addresses(&a, local, remote), FAMILY_TCP4);
	assert_string_equal(local, "127.0.0.1");
	assert_string_equal(remote, "10.1.2.3");
}

static void test_protocols(void **state)
{
	(void)state;
	assert_string_equal(hops_protocol((const uint8_t *)"AMQP\0\0\x09\x01"), "amqp");
	assert_string_equal(hops_protocol((const uint8_t *)"AMQP\x03\x01\0\0"), "amqp");
	assert_null(hops_protocol((const uint8_t *)"AMQ\0\0\0\x09\x01"));
	assert_null(hops_protocol((const uint8_t *)"GET / HT"));
	assert_null(hops_protocol((const uint8_t *)"\0\0\0\0\0\0\0"));
}

static void use(struct hops *h, uint64_t connection, uint64_t context, uint32_t process,
		uint64_t ms, uint32_t length, bool send)
{
	const struct wire_hop e = {
		.head = { .type = WIRE_HOP, .process = process, .time = at_ms(ms) },
		.connection = connection,
		.context = context,
		.length = length,
		.send = send,
	};

	hops_use(h, &e, connection == 2 ? "amqp" : NULL);
}

/* One record for what a context does without another one in between. */
static void test_records(void **state)
{
	static const struct {
		uint64_t connection, context, process, from, until, received, sent;
	} want[] = {
		{ 1, 7, 3, 1, 3, 50, 15 }, { 1, REC_NULL, 3, 4, 4, 1, 0 }, { 1, 7, 3, 5, 5, 0, 2 },
		{ 1, 7, 4, 6, 6, 0, 3 },   { 2, 8, 3, 2, 2, 0, 9 },	   { 1, 7, 4, 8, 8, 4, 0 },
	};
	struct fixture f;
	struct session s = { 0 };
	struct hops *h;

	(void)state;
	fixture_open(&f);
	s.writer = f.w;
	h = hops_new(&s);
	assert_non_null(h);
	use(h, 1, 7, 3, 1, 10, true);
	use(h, 2, 8, 3, 2, 9, true);
	use(h, 1, 7, 3, 2, 50, false);
	use(h, 1, 7, 3, 3, 5, true);
	use(h, 1, 0, 3, 4, 1, false);
	use(h, 1, 7, 3, 5, 2, true);
	use(h, 1, 7, 4, 6, 3, true);
	hops_flush(h);
	use(h, 1, 7, 4, 8, 4, false);
	hops_flush(h);
	hops_flush(h);
	hops_free(h);
	fixture_load(&f);
	assert_int_equal(trace_count(f.t, REC_HOP_KIND), 6);
	for (size_t i = 0; i < 6; i++) {
		const struct rec_hop *rec = NULL;

		/* Those that a flush puts come in any order. */
		for (size_t j = 0; j < 6 && !rec; j++) {
			const struct rec_hop *r = trace_at(f.t, REC_HOP_KIND, j);

			if (r->connection == want[i].connection && r->time == at_ms(want[i].from))
				rec = r;
		}
		assert_non_null(rec);
		assert_int_equal(rec->context, want[i].context);
		assert_int_equal(rec->process, want[i].process);
		assert_int_equal(rec->last, at_ms(want[i].until));
		assert_int_equal(rec->received, want[i].received);
		assert_int_equal(rec->sent, want[i].sent);
		assert_int_equal(rec->call, REC_NULL);
		if (rec->connection == 2)
			assert_string_equal(trace_text(f.t, rec->protocol), "amqp");
		else
			assert_int_equal(rec->protocol, REC_NULL);
	}
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
