/* HTTP/1 that cannot be decided: attacks, other protocols, holes, limits. */
#include "http1_kit.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define OK_EMPTY OK_HEAD "Content-Length: 0\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n\r\n"

static struct kit k;

static void expect_end(const char *calls, const char *counts)
{
	kit_end(&k, DECODER_WINDOW_STOP);
	assert_string_equal(k.brief, calls);
	if (!strstr(k.full, counts))
		fail_msg("no \"%s\" in\n%s", counts, k.full);
}

/* A bad request behind a good one: the good one is answered, the bad one is no call. */
static const struct {
	const char *bytes;
	size_t len;
} bad_requests[] = {
	{ "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nContent-Length: 1,\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nTransfer-Encoding: x y, chunked\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n", 0 },
	{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\n A: b\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\nContent-Length : 3\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\nno colon\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\n: empty\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 26 },
	{ "GET /\0 HTTP/1.1\r\n\r\n", 20 },
	{ "GET / HTTP/1.1\r\nA: b\rB: c\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n", 0 },
	{ "GET  / HTTP/1.1\r\n\r\n", 0 },
	{ "GET /  HTTP/1.1\r\n\r\n", 0 },
	{ "GET / a HTTP/1.1\r\n\r\n", 0 },
	{ "GET /\t HTTP/1.1\r\n\r\n", 0 },
	{ "GET / HTTP/1.1 \r\n\r\n", 0 },
	{ "GET / http/1.1\r\n\r\n", 0 },
	{ "GET / HTTP/2.0\r\n\r\n", 0 },
	{ "GET /\r\n\r\n", 0 },
	{ "GET user:pw@host/ HTTP/1.1\r\n\r\n", 0 },
	{ "GET ?q HTTP/1.1\r\n\r\n", 0 },
	{ " GET / HTTP/1.1\r\n\r\n", 0 },
	{ "\rGET / HTTP/1.1\r\n\r\n", 0 },
	{ "G(T / HTTP/1.1\r\n\r\n", 0 },
	{ "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n\r\n", 0 },
};

static void test_bad_requests(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(bad_requests) / sizeof(*bad_requests); n++) {
		const char *bytes = bad_requests[n].bytes;
		size_t len = bad_requests[n].len ? bad_requests[n].len : strlen(bytes);

		for (size_t cut = 0; cut <= len; cut++) {
			struct decoder_stats stats;

			kit_init(&k, false);
			kit_text(&k, 'C', GET("/good"));
			kit_feed(&k, 'C', bytes, cut);
			kit_feed(&k, 'C', bytes + cut, len - cut);
			kit_text(&k, 'C', GET("/later"));
			assert_int_equal(kit_current(k.h), 1);
			kit_text(&k, 'S', OK_EMPTY);
			decoder_stats(k.h, &stats);
			if (strcmp(stats.why, "suspect"))
				fail_msg("taken: %s", bytes);
			kit_text(&k, 'S', "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
			expect_end("1 GET /good - 200 complete\nwhy suspect\n", "suspect=1 gaps=0");
		}
	}
}

/* Bad chunks of a request body: the call is answered, what follows is not read. */
static void test_bad_chunks(void **state)
{
	static const char *const bad[] = {
		"\r\n",
		"x\r\n",
		";a\r\n",
		"5\n",
		"5 \r\n",
		"5;a\rb\r\n",
		"5;a\nb\r\n",
		"-1\r\n",
		"0x5\r\n",
		"1\r\naX\n",
		"1\r\na\n",
		"1\r\na\rX",
		"0\r\n A: b\r\n",
		"0\r\nA b\r\n",
		"0\r\nA : b\r\n",
		"0\r\nA: b\rX",
		"0\r\n:\r\n",
		"0\r\nA: \x01\r\n",
		"0\r\n\rX",
		"FFFFFFFFFFFFFFFFF\r\n",
		"8000000000000000\r\n",
	};

	(void)state;
	for (size_t n = 0; n < sizeof(bad) / sizeof(*bad); n++)
		for (int bytewise = 0; bytewise < 2; bytewise++) {
			struct decoder_stats stats;

			kit_init(&k, false);
			kit_text(&k, 'C', "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
			for (size_t i = 0; bytewise && i < strlen(bad[n]); i++)
				kit_feed(&k, 'C', bad[n] + i, 1);
			if (!bytewise)
				kit_text(&k, 'C', bad[n]);
			decoder_stats(k.h, &stats);
			if (strcmp(stats.why, "suspect"))
				fail_msg("taken: %s", bad[n]);
			kit_text(&k, 'C', "\r\n0\r\n\r\n" GET("/false"));
			kit_text(&k, 'S', OK_EMPTY);
			expect_end("1 PUT /c - 200 complete\nwhy suspect\n", "suspect=1 gaps=0");
		}
}

/* Bad answers: nothing can be said any more; what waits stays open. */
static void test_bad_responses(void **state)
{
	static const char *const bad[] = {
		"HTTP/2 200\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n",
		"\r\nHTTP/1.1 200 OK\r\n\r\n",
		"hello",
		OK_HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		OK_HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
		OK_HEAD "Transfer-Encoding: chunked, gzip\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		OK_HEAD "A: b\r\n folded\r\n\r\n",
		OK_HEAD "Content-Length : 0\r\n\r\n",
	};

	(void)state;
	for (size_t n = 0; n < sizeof(bad) / sizeof(*bad); n++)
		for (size_t cut = 0; cut <= strlen(bad[n]); cut++) {
			kit_init(&k, false);
			kit_text(&k, 'C', GET("/1") GET("/2"));
			kit_feed(&k, 'S', bad[n], cut);
			kit_text(&k, 'S', bad[n] + cut);
			kit_text(&k, 'C', GET("/false"));
			kit_text(&k, 'S', OK_EMPTY OK_EMPTY);
			expect_end("1 GET /1 - 0 stop\n2 GET /2 - 0 stop\nwhy suspect\n",
				   "suspect=1 gaps=0");
		}
}

static void test_not_http(void **state)
{
	static const struct kit_step first[] = {
		{ 'C', "\x16\x03\x01\x02", 4 }, { 'C', "*1\r\n$4\r\nPING\r\n", 0 },
		{ 'C', "\0\0\0\0", 4 },		{ 'S', "220 mail\r\n", 0 },
		{ 'S', "\x4a\0\0\0\n8.0", 8 },
	};

	(void)state;
	for (size_t n = 0; n < sizeof(first) / sizeof(*first); n++) {
		size_t len = first[n].len ? first[n].len : strlen(first[n].bytes);

		kit_init(&k, false);
		for (size_t i = 0; i < len; i++)
			kit_feed(&k, first[n].side, first[n].bytes + i, 1);
		kit_text(&k, 'C', GET("/false"));
		kit_text(&k, 'S', OK_EMPTY);
		/* The one that begins with a token is taken for HTTP/1 until its line says else. */
		expect_end(first[n].bytes[0] == '*' ? "why not-http\n" : "why unknown-protocol\n",
			   "suspect=0 gaps=0");
	}
	/* Asked in text, answered in something else. */
	kit_init(&k, false);
	kit_text(&k, 'C', "get a\r\n");
	kit_text(&k, 'S', "END\r\n");
	expect_end("why not-http\n", "suspect=0 gaps=0");
	/* Answers that nobody asked for. */
	kit_init(&k, false);
	kit_text(&k, 'S', OK_EMPTY);
	expect_end("why suspect\n", "suspect=1 gaps=0");
	kit_init(&k, false);
	kit_text(&k, 'C', GET("/1"));
	kit_text(&k, 'S', OK_EMPTY OK_EMPTY);
	expect_end("1 GET /1 - 200 complete\nwhy suspect\n", "suspect=1 gaps=0");
	kit_init(&k, false);
	kit_text(&k, 'C', "GET /no-line");
	kit_text(&k, 'S', "HTTP/1.1 414 Too Long\r\nContent-Length: 0\r\n\r\n");
	expect_end("why suspect\n", "suspect=1 gaps=0");
}

/* A body that was asked about and refused: what follows may be it, or another request. */
static void test_refused_body(void **state)
{
	static const char ask[] = "POST /a HTTP/1.1\r\nExpect: 100-continue\r\n"
				  "Content-Length: 23\r\n\r\n";

	(void)state;
	kit_init(&k, false);
	kit_text(&k, 'C', ask);
	kit_text(&k, 'S', "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
	expect_end("1 POST /a - 413 complete\n", "suspect=0 gaps=0");
	kit_init(&k, false);
	kit_text(&k, 'C', ask);
	kit_text(&k, 'S', "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
	/* As long as the body would have been. */
	kit_text(&k, 'C', GET("/false"));
	kit_text(&k, 'C', GET("/b"));
	kit_text(&k, 'S', OK_EMPTY);
	expect_end("1 POST /a - 413 complete\nwhy suspect\n", "suspect=1 gaps=0");
	/* Asked for, or sent all the same: then it is the body. */
	for (int i = 0; i < 2; i++) {
		kit_init(&k, false);
		kit_text(&k, 'C', ask);
		if (i)
			kit_text(&k, 'S', "HTTP/1.1 100 Continue\r\n\r\n");
		else
			kit_text(&k, 'C', "G");
		kit_text(&k, 'S', OK_EMPTY);
		kit_text(&k, 'C', i ? "GET /false HTTP/1.1\r\n\r\n" : "ET /false HTTP/1.1\r\n\r\n");
		kit_text(&k, 'C', GET("/b"));
		kit_text(&k, 'S', OK_EMPTY);
		expect_end("1 POST /a - 200 complete\n2 GET /b - 200 complete\n",
			   "suspect=0 gaps=0");
	}
}

static void test_gaps(void **state)
{
	static const char zeros[4096];

	(void)state;
	/* Inside bodies of known length, up to their last byte: only counted. */
	kit_init(&k, false);
	kit_text(&k, 'C', "POST /1 HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
	kit_hole(&k, 'C', 40);
	kit_feed_cut(&k, 'C', zeros, 60, 0);
	kit_text(&k, 'C', GET("/2"));
	kit_feed_cut(&k, 'S', OK_HEAD "Content-Length: 1000\r\n\r\n", strlen(OK_HEAD) + 24 + 1000,
		     strlen(OK_HEAD) + 24);
	kit_text(&k, 'S', OK_EMPTY);
	assert_non_null(strstr(k.full, "in=141 out=1041 lost=1"));
	assert_non_null(strstr(k.full, "lost=0"));
	expect_end("1 POST /1 - 200 complete\n2 GET /2 - 200 complete\n", "suspect=0 gaps=0");

	/* Data of a chunk and the CRLF behind it. */
	kit_init(&k, false);
	kit_text(&k, 'C', GET("/1") GET("/2"));
	kit_text(&k, 'S', OK_HEAD "Transfer-Encoding: chunked\r\n\r\n40\r\nabcd");
	kit_feed_cut(&k, 'S', zeros, 62, 0);
	kit_text(&k, 'S', "0\r\n\r\n" OK_EMPTY);
	expect_end("1 GET /1 - 200 complete\n2 GET /2 - 200 complete\n", "suspect=0 gaps=0");

	/* A chunk header is missing: nothing more can be said. */
	kit_init(&k, false);
	kit_text(&k, 'C', GET("/1") GET("/2"));
	kit_text(&k, 'S', OK_HEAD "Transfer-Encoding: chunked\r\n\r\n40\r\nabcd");
	kit_feed_cut(&k, 'S', zeros, 63, 0);
	kit_text(&k, 'S', "0\r\n\r\n" OK_EMPTY);
	assert_int_equal(kit_current(k.h), 0);
	expect_end("1 GET /1 - 200 stop\n2 GET /2 - 0 stop\nwhy gap\n", "suspect=1 gaps=1");
	assert_null(strstr(k.full, "lost=0"));

	/* Not captured where a chunk header of a request stands. */
	kit_init(&k, false);
	kit_text(&k, 'C', "PUT /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	kit_feed_cut(&k, 'C', zeros, 8, 0);
	kit_text(&k, 'S', OK_EMPTY);
	expect_end("1 PUT /1 - 200 complete\nwhy gap\n", "suspect=1 gaps=1");
	assert_non_null(strstr(k.full, "lost=1"));

	/* A trailer is missing. */
	kit_init(&k, false);
	kit_text(&k, 'C', "PUT /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
	kit_hole(&k, 'C', 2);
	kit_text(&k, 'C', GET("/false"));
	kit_text(&k, 'S', OK_EMPTY OK_EMPTY);
	expect_end("1 PUT /1 - 200 complete\nwhy gap\n", "suspect=1 gaps=1");

	/* In a head, between heads, in an answer's head, at the very start. */
	kit_init(&k, false);
	kit_text(&k, 'C', GET("/1") "GET /2 HT");
	kit_hole(&k, 'C', 1);
	kit_text(&k, 'C', "P/1.1\r\n\r\n");
	kit_text(&k, 'S', OK_EMPTY OK_EMPTY);
	expect_end("1 GET /1 - 200 complete\nwhy gap\n", "suspect=1 gaps=1");
	kit_init(&k, false);
	kit_text(&k, 'C', GET("/1"));
	kit_hole(&k, 'C', 100);
	kit_text(&k, 'C', GET("/false"));
	kit_text(&k, 'S', OK_EMPTY);
	expect_end("1 GET /1 - 200 complete\nwhy gap\n", "suspect=1 gaps=1");
	kit_init(&k, false);
	kit_text(&k, 'C', GET("/1"));
	kit_hole(&k, 'S', 10);
	kit_text(&k, 'S', OK_EMPTY);
	expect_end("1 GET /1 - 0 stop\nwhy gap\n", "suspect=1 gaps=1");
	assert_non_null(strstr(k.full, "lost=1"));
	kit_init(&k, false);
	kit_hole(&k, 'C', 10);
	kit_text(&k, 'C', GET("/false"));
	expect_end("why gap\n", "suspect=1 gaps=1");

	/* A hole that swallows the end of a body and more. */
	kit_init(&k, false);
	kit_text(&k, 'C', "POST /1 HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
	kit_hole(&k, 'C', UINT32_MAX);
	kit_text(&k, 'C', GET("/false"));
	kit_text(&k, 'S', OK_EMPTY);
	expect_end("1 POST /1 - 200 complete\nwhy gap\n", "suspect=1 gaps=1");
}

/* Offsets and lengths at the edges of their type. */
static void test_extreme_offsets(void **state)
{
	struct decoder_chunk c = { DECODER_REQUEST, UINT64_MAX - 1, 5, NULL, 0, 1 };

	(void)state;
	kit_init(&k, false);
	decoder_feed(k.h, &c);
	c.offset = 0;
	c.length = 0;
	decoder_feed(k.h, &c);
	kit_text(&k, 'C', "POST /1 HTTP/1.1\r\nContent-Length: 9223372036854775000\r\n\r\n");
	c.offset = k.sent[0];
	c.length = UINT64_MAX - c.offset;
	decoder_feed(k.h, &c);
	kit_text(&k, 'S', OK_EMPTY);
	expect_end("1 POST /1 - 200 complete\nwhy gap\n", "suspect=1 gaps=1");
}

static void feed_head_of(size_t len, size_t piece)
{
	static char head[HTTP1_HEAD_MAX + 64];
	static const char line[] = "GET /long HTTP/1.1\r\nA: ";

	memset(head, 'x', sizeof(head));
	memcpy(head, line, sizeof(line) - 1);
	memcpy(head + len - 4, "\r\n\r\n", 4);
	kit_init(&k, false);
	for (size_t at = 0; at < len; at += piece)
		kit_feed(&k, 'C', head + at, len - at < piece ? len - at : piece);
	kit_text(&k, 'C', GET("/2"));
	kit_text(&k, 'S', OK_EMPTY OK_EMPTY);
}

static void test_limits(void **state)
{
	static const size_t pieces[] = { 1, 1000, HTTP1_HEAD_MAX, HTTP1_HEAD_MAX + 64 };
	static char path[5000];

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		feed_head_of(HTTP1_HEAD_MAX, pieces[i]);
		expect_end("1 GET /long - 200 complete\n2 GET /2 - 200 complete\n", "suspect=0");
		feed_head_of(HTTP1_HEAD_MAX + 1, pieces[i]);
		expect_end("why suspect\n", "suspect=1");
	}
	for (unsigned int n = HTTP1_PENDING_MAX; n <= HTTP1_PENDING_MAX + 1; n++) {
		kit_init(&k, false);
		for (unsigned int i = 0; i < n; i++)
			kit_text(&k, 'C', GET("/"));
		for (unsigned int i = 0; i < n; i++)
			kit_text(&k, 'S', OK_EMPTY);
		assert_int_equal(k.calls, HTTP1_PENDING_MAX);
		kit_end(&k, DECODER_CLIENT_GONE);
		assert_int_equal(!!strstr(k.full, "suspect=1"), n > HTTP1_PENDING_MAX);
	}
	/* An endless chunk extension, endless trailers. */
	for (int trailer = 0; trailer < 2; trailer++) {
		kit_init(&k, false);
		kit_text(&k, 'C', "PUT /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
		kit_text(&k, 'C', trailer ? "0\r\n" : "5;");
		for (int i = 0; i < HTTP1_HEAD_MAX / 4; i++)
			kit_text(&k, 'C', trailer ? "A:b\r\n" : "extend");
		expect_end("1 PUT /1 - 0 stop\nwhy suspect\n", "suspect=1");
	}
	/* A path is cut, and not inside an encoded byte. */
	memset(path, 'p', sizeof(path) - 1);
	path[4094] = '\xe9';
	kit_init(&k, false);
	kit_text(&k, 'C', "GET /");
	kit_text(&k, 'C', path);
	kit_text(&k, 'C', "?secret HTTP/1.1\r\n\r\n");
	kit_text(&k, 'S', OK_EMPTY);
	assert_null(strstr(k.brief, "secret"));
	assert_int_equal(strchr(strchr(k.brief, '/'), ' ') - strchr(k.brief, '/'), 4095);
	kit_end(&k, DECODER_CLIENT_GONE);
	/* A request id is kept up to its limit. */
	for (int extra = 0; extra < 2; extra++) {
		kit_init(&k, false);
		path[256 + extra] = '\0';
		kit_text(&k, 'C', "GET / HTTP/1.1\r\nX-Trans-Id: ");
		kit_text(&k, 'C', path);
		kit_text(&k, 'C', "\r\n\r\n");
		kit_text(&k, 'S', OK_EMPTY);
		assert_int_equal(!strstr(k.brief, "X-Trans-Id"), extra);
		kit_end(&k, DECODER_CLIENT_GONE);
		path[256 + extra] = 'p';
	}
}

/* Freed without an end, in every state: nothing leaks (the address sanitizer says so). */
static void test_freed_early(void **state)
{
	(void)state;
	for (int joined = 0; joined < 2; joined++) {
		kit_init(&k, joined);
		kit_text(&k, 'S', joined ? OK_HEAD "Content-" : "");
		kit_text(&k, 'C', GET("/1") "GET /2");
		decoder_free(k.h);
		assert_int_equal(k.calls, 0);
	}
	decoder_free(NULL);
	kit_init(&k, false);
	kit_text(&k, 'C', GET("/1"));
	decoder_finish(k.h, DECODER_WINDOW_STOP, 9);
	kit_text(&k, 'C', GET("/late"));
	decoder_finish(k.h, DECODER_WINDOW_STOP, 9);
	decoder_free(k.h);
	assert_int_equal(k.calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_requests),	cmocka_unit_test(test_bad_chunks),
		cmocka_unit_test(test_bad_responses),	cmocka_unit_test(test_not_http),
		cmocka_unit_test(test_refused_body),	cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_extreme_offsets), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_freed_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
