/* FastCGI: requests alone and mixed, records cut anywhere, damage. */
#include "protocol_kit.h"

static struct wire in, out;

static void record(struct wire *w, unsigned int type, unsigned int id, const void *bytes,
		   size_t len, unsigned int padding)
{
	wire_big(w, 1, 1);
	wire_big(w, type, 1);
	wire_big(w, id, 2);
	wire_big(w, len, 2);
	wire_big(w, padding, 1);
	wire_big(w, 0, 1);
	wire_put(w, bytes, len);
	wire_put(w, "\0\0\0\0\0\0\0", padding);
}

static void begin(struct wire *w, unsigned int id)
{
	record(w, 1, id, "\0\1\1\0\0\0\0\0", 8, 0);
}

static void param(struct wire *w, const char *name, const char *value)
{
	size_t len = strlen(value);

	wire_big(w, strlen(name), 1);
	if (len > 127)
		wire_big(w, len | 1u << 31, 4);
	else
		wire_big(w, len, 1);
	wire_text(w, name);
	wire_text(w, value);
}

/* The parameters come in two records, cut in the middle of one. */
static void request(struct wire *w, unsigned int id, const char *method, const char *path)
{
	static struct wire params;
	char secret[200];

	params.len = 0;
	memset(secret, 's', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	param(&params, "HTTP_AUTHORIZATION", secret);
	param(&params, "REQUEST_METHOD", method);
	param(&params, "REQUEST_URI", path);
	param(&params, "HTTP_HOST", "h");
	begin(w, id);
	record(w, 4, id, params.bytes, 31, 1);
	record(w, 4, id, params.bytes + 31, params.len - 31, 7);
	record(w, 4, id, "", 0, 0);
}

static void stdout_text(struct wire *w, unsigned int id, const char *text)
{
	record(w, 6, id, text, strlen(text), strlen(text) % 8);
}

static void finish(struct wire *w, unsigned int id, unsigned int status)
{
	uint8_t body[8] = { 0, 0, 0, 0, (uint8_t)status };

	record(w, 3, id, body, 8, 0);
}

static void clear(void)
{
	in.len = out.len = 0;
}

static void test_one(void **state)
{
	(void)state;
	clear();
	request(&in, 1, "POST", "/a.php?x=1");
	record(&in, 5, 1, "body", 4, 4);
	record(&in, 5, 1, "", 0, 0);
	stdout_text(&out, 1, "Status: 404 Not Found\r\nX-Openst");
	record(&out, 7, 1, "a warning", 9, 0);
	stdout_text(&out, 1, "ack-Request-Id: r1\r\n\r\nbody");
	stdout_text(&out, 1, "Status: 500 no head\r\n\r\n");
	record(&out, 6, 1, "", 0, 0);
	finish(&out, 1, 0);
	kit_both(&in, &out, DECODER_WINDOW_STOP,
		 "1 POST /a.php h 404 complete X-Openstack-Request-Id=r1\n");
}

/* The server is given the second request once it has answered the first one. */
static void test_kept(void **state)
{
	static struct kit k;

	(void)state;
	kit_init(&k, false);
	for (int i = 0; i < 3; i++) {
		clear();
		request(&in, 1, "GET", i == 1 ? "/one" : "/other");
		kit_wire(&k, 'C', &in, 5);
		assert_int_equal(kit_current(k.h), i + 1);
		stdout_text(&out, 1, i == 2 ? "Location: http://x/\r\n\r\n" : "A: b\r\n\r\n");
		finish(&out, 1, 0);
		kit_wire(&k, 'S', &out, 5);
		assert_int_equal(kit_current(k.h), 0);
	}
	kit_end(&k, DECODER_CLIENT_GONE);
	assert_string_equal(k.brief, "1 GET /other h 200 complete\n2 GET /one h 200 complete\n"
				     "3 GET /other h 302 complete\n");
}

static void test_mixed(void **state)
{
	static struct kit k;
	uint64_t seqs[DECODER_CURRENT_MAX];

	(void)state;
	clear();
	request(&in, 7, "GET", "/seven");
	request(&in, 300, "PUT", "/three");
	stdout_text(&out, 300, "Status: 201 C\r\n\r\n");
	stdout_text(&out, 7, "Status: 202 A\r\n\r\n");
	finish(&out, 300, 0);
	finish(&out, 7, 0);
	kit_both(&in, &out, DECODER_WINDOW_STOP,
		 "2 PUT /three h 201 complete\n"
		 "1 GET /seven h 202 complete\n");
	kit_init(&k, false);
	kit_wire(&k, 'C', &in, 100);
	assert_int_equal(decoder_current(k.h, seqs, DECODER_CURRENT_MAX), 2);
	assert_int_equal(seqs[0], 1);
	assert_int_equal(seqs[1], 2);
	kit_end(&k, DECODER_SERVER_GONE);
	assert_string_equal(k.brief, "1 GET /seven h 0 server\n2 PUT /three h 0 server\n");
	/* Refused, and what is not a responder's. */
	clear();
	request(&in, 1, "GET", "/r");
	record(&in, 1, 2, "\0\2\1\0\0\0\0\0", 8, 0);
	record(&in, 9, 0, "\17\0FCGI_MPXS_CONNS", 17, 0);
	finish(&out, 1, 2);
	record(&out, 10, 0, "\17\1FCGI_MPXS_CONNS1", 18, 6);
	kit_both(&in, &out, DECODER_WINDOW_STOP, "1 GET /r h 0 server\n");
}

static void expect_why(const char *why)
{
	char text[128];

	snprintf(text, sizeof(text), "why %s\n", why);
	kit_both(&in, &out, DECODER_WINDOW_STOP, text);
}

static void test_damaged(void **state)
{
	static struct kit k;
	static char zeros[70000];

	(void)state;
	/* Parameters that do not end where their records do; without a method; of no request. */
	clear();
	begin(&in, 1);
	record(&in, 4, 1, "\16\3REQUEST_METHODGE", 18, 0);
	record(&in, 4, 1, "", 0, 0);
	expect_why("suspect");
	clear();
	begin(&in, 1);
	record(&in, 4, 1, "\13\2REQUEST_URI/a", 15, 0);
	record(&in, 4, 1, "", 0, 0);
	expect_why("suspect");
	clear();
	begin(&in, 1);
	begin(&in, 1);
	expect_why("suspect");
	clear();
	begin(&in, 1);
	wire_put(&in, "\2\5\0\1\0\0\0\0", 8);
	expect_why("suspect");
	/* A record that the other side sends. */
	clear();
	request(&in, 1, "GET", "/a");
	finish(&in, 1, 0);
	kit_both(&in, &out, DECODER_WINDOW_STOP, "1 GET /a h 0 stop\nwhy suspect\n");
	clear();
	request(&in, 1, "GET", "/a");
	stdout_text(&out, 1, "no head\r\n\r\n");
	finish(&out, 1, 0);
	kit_both(&in, &out, DECODER_WINDOW_STOP, "1 GET /a h 0 stop\nwhy suspect\n");
	clear();
	wire_put(&in, "\1\1\0\1\0\10\0\0\0\4\1\0\0\0\0\0", 16);
	expect_why("unknown-protocol");
	/* Missing bytes: of a body they are none, of a header they are. */
	for (int i = 0; i < 2; i++) {
		clear();
		request(&in, 1, "GET", "/a");
		stdout_text(&out, 1, "A: b\r\n\r\n");
		wire_put(&out, "\1\6\0\1\377\377\0\0", 8);
		kit_init(&k, false);
		kit_wire(&k, 'C', &in, 1000);
		kit_wire(&k, 'S', &out, 1000);
		kit_feed_cut(&k, 'S', zeros, 65535 + (size_t)i, 100);
		clear();
		finish(&out, 1, 0);
		kit_wire(&k, 'S', &out, 1000);
		kit_end(&k, DECODER_SERVER_GONE);
		assert_string_equal(k.brief, i ? "1 GET /a h 200 server\nwhy gap\n"
					       : "1 GET /a h 200 complete\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
