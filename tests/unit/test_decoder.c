/* The choice of a decoder by the first bytes; the PROXY protocol in front of them. */
#include "protocol_kit.h"

#define ASK "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define CALL "1 GET /a h 200 complete\n"

static struct wire in, out;

static void expect(const void *first, size_t len, const char *behind, const char *calls)
{
	in.len = out.len = 0;
	wire_put(&in, first, len);
	wire_text(&in, behind);
	wire_text(&out, OK);
	kit_both(&in, &out, DECODER_WINDOW_STOP, calls);
}

#define EXPECT(first, behind, calls) expect(first, sizeof(first) - 1, behind, calls)

static void test_proxy(void **state)
{
	static char large[4096] = V2 "\x21\x11\x0f\xf0";

	(void)state;
	EXPECT("PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\r\n", ASK, CALL);
	EXPECT("PROXY TCP6 2001:db8::1 2001:db8::2 40000 80\r\n", ASK, CALL);
	EXPECT("PROXY UNKNOWN\r\n", ASK, CALL);
	EXPECT(V2 "\x21\x11\0\x0c"
		  "abcdefghijkl",
	       ASK, CALL);
	EXPECT(V2 "\x20\0\0\0", ASK, CALL);
	expect(large, sizeof(large), ASK, CALL);
	/* What is in a header is no call. */
	EXPECT(V2 "\x21\x11\0\x1c" ASK, "", "why suspect\n");
	/* None of these is one. */
	EXPECT("PROXY UDP4 192.0.2.1 192.0.2.2 40000 80\r\n", ASK, "why unknown-protocol\n");
	EXPECT("PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\n", ASK, "why unknown-protocol\n");
	EXPECT(V2 "\x31\x11\0\0", ASK, "why unknown-protocol\n");
	EXPECT("PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n", ASK, "why unknown-protocol\n");
}

static void test_choice(void **state)
{
	static const char tls[] = "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
	static struct kit k;

	(void)state;
	EXPECT("", ASK, CALL);
	EXPECT("\r\n\r\n\r\n", ASK, CALL);
	EXPECT(tls, "", "why tls-unseen\n");
	EXPECT("\x16\x03\x01\x02\0\x02\0", "", "why unknown-protocol\n");
	EXPECT("\x80\0\0\0", ASK, "why unknown-protocol\n");
	/* Cut before it can be told: nothing is said of it. */
	kit_init(&k, false);
	kit_feed(&k, 'C', "\1\1\0", 3);
	assert_int_equal(kit_current(k.h), 1);
	kit_end(&k, DECODER_CLIENT_GONE);
	assert_string_equal(k.brief, "");
	/* A hole, or a loss, at the start. */
	kit_init(&k, false);
	kit_hole(&k, 'C', 1);
	kit_text(&k, 'C', ASK);
	kit_end(&k, DECODER_CLIENT_GONE);
	assert_string_equal(k.brief, "why gap\n");
	/* A server that speaks first. */
	kit_init(&k, false);
	kit_text(&k, 'S', "220 mail\r\n");
	kit_text(&k, 'C', ASK);
	kit_text(&k, 'S', OK);
	kit_end(&k, DECODER_CLIENT_GONE);
	assert_string_equal(k.brief, "why unknown-protocol\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
