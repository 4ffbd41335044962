/* HTTP/2 in cleartext: streams alone and mixed, frames cut anywhere, upgrade, damage. */
#include "protocol_kit.h"

#include <nghttp2/nghttp2.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum { DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION };
enum { END_STREAM = 1, END_HEADERS = 4, PADDED = 8, HAS_PRIORITY = 32 };

static struct wire in, out;
static nghttp2_hd_deflater *deflaters[2]; /* of the client, of the server */

static void frame(struct wire *w, unsigned int type, unsigned int flags, unsigned int id,
		  const void *bytes, size_t len)
{
	wire_big(w, len, 3);
	wire_big(w, type, 1);
	wire_big(w, flags, 1);
	wire_big(w, id, 4);
	wire_put(w, bytes, len);
}

/* pairs: names and values, ended by NULL. */
static size_t block(unsigned int side, uint8_t *to, size_t size, const char *const *pairs)
{
	nghttp2_nv nv[16];
	ssize_t len;
	size_t n = 0;

	for (; pairs[2 * n]; n++)
		nv[n] = (nghttp2_nv){ (uint8_t *)pairs[2 * n], (uint8_t *)pairs[2 * n + 1],
				      strlen(pairs[2 * n]), strlen(pairs[2 * n + 1]), 0 };
	len = nghttp2_hd_deflate_hd(deflaters[side], to, size, nv, n);
	assert_true(len >= 0);
	return (size_t)len;
}

static void request(unsigned int id, const char *method, const char *path, unsigned int flags)
{
	const char *const pairs[] = { ":method",
				      method,
				      ":scheme",
				      "http",
				      ":path",
				      path,
				      ":authority",
				      "h:1",
				      "cookie",
				      "secret",
				      "x-openstack-request-id",
				      "req-asked",
				      NULL };
	uint8_t bytes[4096];
	size_t len = block(0, bytes, sizeof(bytes), pairs);

	frame(&in, HEADERS, END_HEADERS | flags, id, bytes, len);
}

static void answer(unsigned int id, const char *status, unsigned int flags)
{
	const char *const pairs[] = { ":status", status, "content-length", "7", "x-trans-id",
				      "tx",	 NULL };
	uint8_t bytes[4096];
	size_t len = block(1, bytes, sizeof(bytes), pairs);

	frame(&out, HEADERS, END_HEADERS | flags, id, bytes, len);
}

static void begin(bool preface)
{
	in.len = out.len = 0;
	for (size_t i = 0; i < 2; i++) {
		if (deflaters[i])
			nghttp2_hd_deflate_del(deflaters[i]);
		assert_int_equal(nghttp2_hd_deflate_new(&deflaters[i], 4096), 0);
	}
	if (preface)
		wire_text(&in, PREFACE);
	frame(&in, SETTINGS, 0, 0, "\0\3\0\0\0\144", 6);
	frame(&out, SETTINGS, 0, 0, "", 0);
	frame(&out, SETTINGS, 1, 0, "", 0);
}

static int teardown(void **state)
{
	(void)state;
	nghttp2_hd_deflate_del(deflaters[0]);
	nghttp2_hd_deflate_del(deflaters[1]);
	return 0;
}

#define IDS " X-Trans-Id=tx ?X-Openstack-Request-Id=req-asked\n"

static void test_streams(void **state)
{
	(void)state;
	begin(true);
	request(1, "GET", "/one?secret=1", END_STREAM);
	request(3, "POST", "/three", 0);
	frame(&in, DATA, END_STREAM, 3, "GET / HTTP/1.1\r\n\r\n", 18);
	frame(&in, WINDOW, 0, 0, "\0\0\1\0", 4);
	answer(3, "100", 0);
	answer(3, "201", 0);
	frame(&out, DATA, 0, 3, "body", 4);
	answer(1, "200", 0);
	frame(&out, DATA, PADDED | END_STREAM, 1, "\3HTTP/1.1 200 OK", 16);
	frame(&out, DATA, END_STREAM, 3, "", 0);
	kit_both(&in, &out, DECODER_WINDOW_STOP,
		 "1 GET /one h:1 200 complete" IDS "2 POST /three h:1 201 complete" IDS);
	/* Without answers. */
	out.len = 0;
	kit_both(&in, &out, DECODER_SERVER_GONE,
		 "1 GET /one h:1 0 server ?X-Openstack-Request-Id=req-asked\n"
		 "2 POST /three h:1 0 server ?X-Openstack-Request-Id=req-asked\n");
}

static void test_tables(void **state)
{
	static char expect[KIT_LOG];
	char path[32];

	(void)state;
	begin(true);
	expect[0] = '\0';
	/* The tables fill and forget; a later block names what an earlier one said. */
	for (unsigned int i = 0; i < 120; i++) {
		snprintf(path, sizeof(path), "/path/%u", i % 50);
		request(2 * i + 1, i % 3 ? "GET" : "DELETE", path, END_STREAM);
		answer(2 * i + 1, i % 2 ? "200" : "404", END_STREAM);
		kit_add(expect, "%u %s %s h:1 %s complete" IDS, i + 1, i % 3 ? "GET" : "DELETE",
			path, i % 2 ? "200" : "404");
	}
	kit_both(&in, &out, DECODER_CLIENT_GONE, expect);
}

static void test_blocks(void **state)
{
	static const char *const get[] = { ":method", "GET",	    ":scheme", "http", ":path",
					   "/cut",    ":authority", "h",       NULL };
	static const char *const ok[] = { ":status", "200", NULL };
	static const char *const trailer[] = { "grpc-status", "0", NULL };
	uint8_t bytes[512], padded[600];
	size_t len;

	(void)state;
	begin(true);
	/* Padding, priority, and a block in three frames. */
	len = block(0, bytes, sizeof(bytes), get);
	memset(padded, 0, sizeof(padded));
	padded[0] = 9;
	memcpy(padded + 6, bytes, 3);
	frame(&in, HEADERS, END_STREAM | PADDED | HAS_PRIORITY, 1, padded, 6 + 3 + 9);
	frame(&in, CONTINUATION, 0, 1, bytes + 3, 2);
	frame(&in, CONTINUATION, END_HEADERS, 1, bytes + 5, len - 5);
	frame(&in, PRIORITY, 0, 1, "\0\0\0\0\1", 5);
	/* What the server promises is no call. */
	memset(padded, 0, sizeof(padded));
	padded[3] = 2;
	len = block(1, padded + 4, sizeof(padded) - 4, get);
	frame(&out, PUSH, END_HEADERS, 1, padded, len + 4);
	len = block(1, bytes, sizeof(bytes), ok);
	frame(&out, HEADERS, END_HEADERS, 2, bytes, len);
	frame(&out, DATA, END_STREAM, 2, "pushed", 6);
	len = block(1, bytes, sizeof(bytes), ok);
	frame(&out, HEADERS, END_HEADERS, 1, bytes, len);
	len = block(1, bytes, sizeof(bytes), trailer);
	frame(&out, HEADERS, END_HEADERS | END_STREAM, 1, bytes, len);
	kit_both(&in, &out, DECODER_WINDOW_STOP, "1 GET /cut h 200 complete\n");
}

static void test_resets(void **state)
{
	static struct kit k;
	uint64_t seqs[DECODER_CURRENT_MAX];

	(void)state;
	begin(true);
	request(1, "GET", "/a", END_STREAM);
	request(5, "GET", "/b", END_STREAM);
	kit_init(&k, false);
	kit_wire(&k, 'C', &in, 11);
	assert_int_equal(decoder_current(k.h, seqs, DECODER_CURRENT_MAX), 2);
	in.len = 0;
	frame(&in, RST, 0, 1, "\0\0\0\10", 4);
	frame(&out, RST, 0, 5, "\0\0\0\2", 4);
	kit_wire(&k, 'C', &in, 11);
	kit_wire(&k, 'S', &out, 11);
	/* The answer to what was reset comes all the same. */
	out.len = 0;
	answer(1, "200", END_STREAM);
	kit_wire(&k, 'S', &out, 11);
	kit_end(&k, DECODER_WINDOW_STOP);
	assert_string_equal(k.brief, "1 GET /a h:1 0 client ?X-Openstack-Request-Id=req-asked\n"
				     "2 GET /b h:1 0 server ?X-Openstack-Request-Id=req-asked\n");
}

/* The answer's end is missing: it counts as whole when all of its content was sent. */
static void test_content(void **state)
{
	(void)state;
	for (int sent = 6; sent <= 8; sent++) {
		begin(true);
		request(1, "GET", "/a", END_STREAM);
		answer(1, "200", 0);
		frame(&out, DATA, 0, 1, "content!", (size_t)sent);
		kit_both(&in, &out, DECODER_CLIENT_GONE,
			 sent == 7 ? "1 GET /a h:1 200 complete" IDS
				   : "1 GET /a h:1 200 client" IDS);
		kit_both(&in, &out, DECODER_SERVER_GONE, "1 GET /a h:1 200 server" IDS);
	}
	begin(true);
	request(1, "GET", "/a", END_STREAM);
	answer(1, "200", 0);
	frame(&out, DATA, PADDED, 1, "\2abcde", 7);
	kit_both(&in, &out, DECODER_CLIENT_GONE, "1 GET /a h:1 200 client" IDS);
}

/* A server may speak before its client. */
static void test_server_first(void **state)
{
	static struct kit k;

	(void)state;
	begin(true);
	kit_init(&k, false);
	kit_wire(&k, 'S', &out, 5);
	out.len = 0;
	request(1, "GET", "/a", END_STREAM);
	answer(1, "200", END_STREAM);
	kit_wire(&k, 'C', &in, 5);
	kit_wire(&k, 'S', &out, 5);
	kit_end(&k, DECODER_WINDOW_STOP);
	assert_string_equal(k.brief, "1 GET /a h:1 200 complete" IDS);
}

static void test_upgrade(void **state)
{
	static const size_t pieces[] = { 1, 10, WIRE_MAX };
	static struct wire text;
	static struct kit k;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		kit_init(&k, false);
		kit_text(&k, 'C', "GET /first HTTP/1.1\r\n\r\n");
		kit_text(&k, 'S', "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		kit_text(&k, 'C',
			 "GET /up HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n"
			 "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
		begin(true);
		answer(1, "200", END_STREAM);
		request(3, "GET", "/next", END_STREAM);
		answer(3, "204", END_STREAM);
		text.len = 0;
		wire_text(&text, "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
				 "\r\n");
		/* The answer to the upgrade comes with it; the rest once the client has asked. */
		wire_put(&text, out.bytes, out.len);
		kit_wire(&k, 'S', &text, text.len - 9 < pieces[i] ? text.len - 9 : pieces[i]);
		kit_wire(&k, 'C', &in, pieces[i]);
		kit_end(&k, DECODER_WINDOW_STOP);
		assert_non_null(strstr(k.brief, "1 GET /first - 200 complete\n2 GET /up h 200 "
						"complete X-Trans-Id=tx\n"));
	}
	/* Another upgrade is not HTTP/2. */
	kit_init(&k, false);
	kit_text(&k, 'C', "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
	kit_text(&k, 'S', "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n\x81\5hello");
	kit_end(&k, DECODER_SERVER_GONE);
	assert_string_equal(k.brief, "1 GET /ws - 101 complete\nwhy upgraded\n");
}

/* Malformed requests are no calls; the streams around them are read. */
static void test_malformed(void **state)
{
	static const char *const wrong[][13] = {
		{ ":method", "GET", ":scheme", "http", ":path", "/x", "Upper", "1", NULL },
		{ ":method", "GET", ":scheme", "http", ":path", "/x", "a b", "1", NULL },
		{ ":method", "GET", ":scheme", "http", ":path", "/x", "a", "1\r\nb: 2", NULL },
		{ ":method", "GET", ":scheme", "http", ":path", "/x", "", "1", NULL },
		{ ":method", "GET", ":scheme", "http", ":path", "/x", ":status", "200", NULL },
		{ ":method", "GET", ":scheme", "http", ":path", "/x", ":other", "200", NULL },
		{ ":method", "GET", ":scheme", "http", ":path", "/x", ":path", "/y", NULL },
		{ ":method", "GET", ":scheme", "http", "a", "1", ":path", "/x", NULL },
		{ ":method", "G T", ":scheme", "http", ":path", "/x", NULL },
		{ ":method", "GET", ":scheme", "http", NULL },
		{ ":method", "GET", ":scheme", "http", ":path", "", NULL },
		{ ":scheme", "http", ":path", "/x", NULL },
		{ "a", "1", NULL },
	};
	static struct kit k;
	uint8_t bytes[512];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		begin(true);
		request(1, "GET", "/a", END_STREAM);
		len = block(0, bytes, sizeof(bytes), wrong[i]);
		frame(&in, HEADERS, END_HEADERS, 3, bytes, len);
		frame(&in, DATA, END_STREAM, 3, "GET / HTTP/1.1\r\n\r\n", 18);
		/* The table has what the malformed one put there. */
		len = block(0, bytes, sizeof(bytes), wrong[i]);
		frame(&in, HEADERS, END_HEADERS | END_STREAM, 5, bytes, len);
		request(7, "GET", "/b", END_STREAM);
		answer(1, "200", END_STREAM);
		frame(&out, RST, 0, 3, "\0\0\0\1", 4);
		answer(5, "400", END_STREAM);
		answer(7, "200", END_STREAM);
		kit_both(&in, &out, DECODER_WINDOW_STOP,
			 "1 GET /a h:1 200 complete" IDS "4 GET /b h:1 200 complete" IDS);
		kit_init(&k, false);
		kit_wire(&k, 'C', &in, 100);
		kit_end(&k, DECODER_WINDOW_STOP);
		if (!strstr(k.full, "suspect=2 "))
			fail_msg("%zu: not two are suspect:\n%s", i, k.full);
	}
}

static void damaged(const char *why)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "1 GET /a h:1 0 stop ?X-Openstack-Request-Id=req-asked\n"
		 "why %s\n",
		 why);
	kit_both(&in, &out, DECODER_WINDOW_STOP, text);
}

static void test_damaged(void **state)
{
	static struct kit k;
	static char zeros[70000];

	(void)state;
	begin(true);
	request(1, "GET", "/a", END_STREAM);
	frame(&in, HEADERS, END_HEADERS, 3, "\xff\xff\xff\xff\xff\xff", 6);
	damaged("suspect");
	begin(true);
	request(1, "GET", "/a", END_STREAM);
	request(2, "GET", "/even", END_STREAM);
	damaged("suspect");
	begin(true);
	request(1, "GET", "/a", END_STREAM);
	request(1, "GET", "/again", END_STREAM);
	damaged("suspect");
	begin(true);
	request(1, "GET", "/a", 0);
	frame(&in, HEADERS, 0, 3, "\x82", 1);
	frame(&in, DATA, 0, 1, "", 0);
	damaged("suspect");
	begin(true);
	request(1, "GET", "/a", 0);
	frame(&out, DATA, END_STREAM, 1, "body", 4);
	damaged("suspect");
	begin(false);
	in.len = 0;
	wire_text(&in, "PRI * HTTP/2.0\r\n\r\nSM\r\nXX");
	kit_both(&in, &out, DECODER_WINDOW_STOP, "why unknown-protocol\n");
	/* Missing bytes: in a payload of DATA they are none. */
	for (int i = 0; i < 2; i++) {
		begin(true);
		request(1, "GET", "/a", END_STREAM);
		answer(1, "200", 0);
		wire_big(&out, 60000, 3);
		wire_put(&out, "\0\1\0\0\0\1", 6);
		kit_init(&k, false);
		kit_wire(&k, 'C', &in, 1000);
		kit_wire(&k, 'S', &out, 1000);
		kit_feed_cut(&k, 'S', zeros, 60000 + (size_t)i, 100);
		kit_end(&k, DECODER_WINDOW_STOP);
		assert_string_equal(k.brief, i ? "1 GET /a h:1 200 complete" IDS "why gap\n"
					       : "1 GET /a h:1 200 complete" IDS);
	}
	/* A block that was not seen: from there on nothing can be told. */
	begin(true);
	kit_init(&k, false);
	kit_wire(&k, 'C', &in, 1000);
	kit_hole(&k, 'C', 50);
	in.len = 0;
	request(3, "GET", "/b", END_STREAM);
	kit_wire(&k, 'C', &in, 1000);
	kit_end(&k, DECODER_WINDOW_STOP);
	assert_string_equal(k.brief, "why gap\n");
	/* Joined in the middle. */
	kit_init(&k, true);
	kit_wire(&k, 'C', &in, 1000);
	kit_end(&k, DECODER_WINDOW_STOP);
	assert_string_equal(k.brief, "why joined\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),	     cmocka_unit_test(test_tables),
		cmocka_unit_test(test_blocks),	     cmocka_unit_test(test_resets),
		cmocka_unit_test(test_server_first), cmocka_unit_test(test_content),
		cmocka_unit_test(test_upgrade),	     cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
