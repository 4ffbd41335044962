/* Exchanges over HTTP/1: each is fed whole, byte by byte and cut everywhere, with equal calls. */
#include "http1_kit.h"

struct exchange {
	const char *name;
	struct kit_step steps[12];
	enum decoder_end end;
	bool ordered; /* the order between the two sides matters */
	const char *expect;
};

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define OK_EMPTY OK_HEAD "Content-Length: 0\r\n\r\n"
#define ID "X-Openstack-Request-Id: req-1\r\n"

static const struct exchange exchanges[] = {
	{ "keep-alive",
	  { { 'C', "GET /a?secret=1 HTTP/1.1\r\nHost: h:80\r\nCookie: c\r\n\r\n", 0 },
	    { 'S', OK_HEAD ID "Content-Length: 5\r\n\r\nhello", 0 },
	    { 'C', "POST /b#frag HTTP/1.1\r\nhost:h\r\nContent-Length: 3\r\n\r\nabc", 0 },
	    { 'S', "HTTP/1.1 201\r\ncontent-length: 2\r\n\r\n{}", 0 },
	    { 'C', "GET /c HTTP/1.1\r\n\r\n", 0 },
	    { 'S', "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 GET /a h:80 200 complete X-Openstack-Request-Id=req-1\n"
	  "2 POST /b h 201 complete\n"
	  "3 GET /c - 404 complete\n" },
	{ "pipelined in one piece, answers too",
	  { { 'C',
	      "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET "
	      "GET /3 HTTP/1.1\r\n\r\n",
	      0 },
	    { 'S',
	      OK_EMPTY "HTTP/1.1 202 x\r\nContent-Length: 1\r\n\r\nH"
		       "HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n",
	      0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 GET /1 - 200 complete\n2 POST /2 - 202 complete\n3 GET /3 - 500 complete\n" },
	{ "chunked both ways, extensions and trailers",
	  { { 'C',
	      "PUT /c HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
	      "4;a=b\r\nGET \r\n00A ; q=\"x\"\r\n/ HTTP/1.1\r\n0\r\nT: 1\r\nU:\r\n\r\n",
	      0 },
	    { 'S',
	      OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n"
		      "13\r\nHTTP/1.1 500 No\r\n\r\n\r\n0\r\n\r\n",
	      0 },
	    { 'C', "GET /d HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_EMPTY, 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 PUT /c - 200 complete\n2 GET /d - 200 complete\n" },
	{ "bodies that look like heads",
	  { { 'C',
	      "POST /p HTTP/1.1\r\nContent-Length: 38\r\n\r\n"
	      "GET /false HTTP/1.1\r\nHost: a\r\n\r\nGET / H",
	      0 },
	    { 'S', OK_HEAD "Content-Length: 38\r\n\r\n" OK_EMPTY, 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 POST /p - 200 complete\n" },
	{ "answer delimited by closing",
	  { { 'C', "GET /z HTTP/1.0\r\n\r\n", 0 },
	    { 'S', "HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 404 not one\r\n\r\n", 0 } },
	  DECODER_SERVER_GONE,
	  false,
	  "1 GET /z - 200 complete\n" },
	{ "answer delimited by closing, window ends",
	  { { 'C', "GET /z HTTP/1.0\r\n\r\n", 0 }, { 'S', "HTTP/1.0 200 OK\r\n\r\nbody", 0 } },
	  DECODER_WINDOW_STOP,
	  false,
	  "1 GET /z - 200 stop\n" },
	{ "coding that is not chunked ends by closing",
	  { { 'C', "GET /z HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_HEAD "Transfer-Encoding: gzip\r\n\r\nbody", 0 } },
	  DECODER_SERVER_GONE,
	  false,
	  "1 GET /z - 200 complete\n" },
	{ "HEAD, 204, 304 have no body",
	  { { 'C', "HEAD /h HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_HEAD "Content-Length: 99\r\n\r\n", 0 },
	    { 'C', "HEAD /h2 HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", 0 },
	    { 'C', "DELETE /d HTTP/1.1\r\n\r\n", 0 },
	    { 'S', "HTTP/1.1 204 No Content\r\n\r\n", 0 },
	    { 'C', "GET /n HTTP/1.1\r\n\r\n", 0 },
	    { 'S', "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 HEAD /h - 200 complete\n2 HEAD /h2 - 200 complete\n"
	  "3 DELETE /d - 204 complete\n4 GET /n - 304 complete\n" },
	{ "interim answers",
	  { { 'C', "POST /i HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", 0 },
	    { 'S', "HTTP/1.1 100 Continue\r\n\r\n", 0 },
	    { 'C', "ab", 0 },
	    { 'S', "HTTP/1.1 103 Early Hints\r\nLink: x\r\nX-Trans-Id: no\r\n\r\n" OK_EMPTY, 0 },
	    { 'C', "GET /j HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_EMPTY, 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 POST /i - 200 complete\n2 GET /j - 200 complete\n" },
	{ "answered before the body was there",
	  { { 'C', "POST /big HTTP/1.1\r\nContent-Length: 44\r\n\r\nGET /false HT", 0 },
	    { 'S', "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 0 },
	    { 'C', "TP/1.1\r\n\r\nGET /false HTTP/1.1\r\n\r\n", 0 },
	    { 'C', "GET /next HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_EMPTY, 0 } },
	  DECODER_CLIENT_GONE,
	  true,
	  "1 POST /big - 413 complete\n2 GET /next - 200 complete\n" },
	{ "refused in the middle of the head",
	  { { 'C', "GET /long?x HTTP/1.1\r\nHost: a\r\nCookie: aaaaaaaaaaaa", 0 },
	    { 'S', "HTTP/1.1 431 Too Large\r\nContent-Length: 3\r\n\r\n", 0 },
	    { 'C', "aaaa\r\n\r\nGET /false HTTP/1.1\r\n\r\n", 0 },
	    { 'S', "no\n", 0 } },
	  DECODER_SERVER_GONE,
	  true,
	  "1 GET /long a 431 complete\n" },
	{ "upgrade",
	  { { 'C', "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 0 },
	    { 'S', "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x02hi", 0 },
	    { 'C', "GET /false HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_EMPTY, 0 } },
	  DECODER_CLIENT_GONE,
	  true,
	  "1 GET /ws - 101 complete\nwhy upgraded\n" },
	{ "upgrade not taken",
	  { { 'C', "GET /ws HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", 0 },
	    { 'S', OK_EMPTY, 0 },
	    { 'C', "GET /x HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_EMPTY, 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 GET /ws - 200 complete\n2 GET /x - 200 complete\n" },
	{ "CONNECT, bytes of the tunnel come early",
	  { { 'C', "CONNECT db.example:443 HTTP/1.1\r\nHost: x\r\n\r\nGET /false HTTP/1.1\r\n\r\n",
	      0 },
	    { 'S', OK_HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\nHTTP/1.1 ", 0 },
	    { 'C', "GET /false HTTP/1.1\r\n\r\n", 0 } },
	  DECODER_CLIENT_GONE,
	  true,
	  "1 CONNECT  db.example:443 200 complete\nwhy upgraded\n" },
	{ "CONNECT refused",
	  { { 'C', "CONNECT db.example:443 HTTP/1.1\r\n\r\n", 0 },
	    { 'S', "HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno", 0 },
	    { 'C', "GET /x HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_EMPTY, 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 CONNECT  db.example:443 405 complete\n2 GET /x - 200 complete\n" },
	{ "targets",
	  { { 'C',
	      "GET http://user:pw@h.example:8080/p/q?x#y HTTP/1.1\r\nHost: other\r\n\r\n"
	      "GET HTTP://h?q HTTP/1.1\r\n\r\n"
	      "OPTIONS * HTTP/1.1\r\nHost: u:p@[::1]:5000\r\n\r\n"
	      "GET /?a HTTP/1.1\r\nHost: not a host\r\n\r\n"
	      "GET /a//\xc3\xa9%41|:@ HTTP/1.1\r\n\r\n",
	      0 },
	    { 'S', OK_EMPTY OK_EMPTY OK_EMPTY OK_EMPTY OK_EMPTY, 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 GET /p/q h.example:8080 200 complete\n2 GET / h 200 complete\n"
	  "3 OPTIONS * [::1]:5000 200 complete\n4 GET / - 200 complete\n"
	  "5 GET /a//%C3%A9%41|:@ - 200 complete\n" },
	{ "request ids",
	  { { 'C',
	      "GET /i HTTP/1.1\r\ntraceparent: 00-a-b-01\r\nx-openstack-request-id: req-q\r\n"
	      "X-Auth-Token: tok\r\n\r\n",
	      0 },
	    { 'S',
	      OK_HEAD "X-Compute-Request-Id:   req-c \t\r\nX-TRANS-ID: tx1\r\n"
		      "X-Trans-Id: tx2\r\nX-Openstack-Request-Id: a b\r\nContent-Length: 0\r\n\r\n",
	      0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 GET /i - 200 complete X-Compute-Request-Id=req-c X-Trans-Id=tx1 "
	  "?traceparent=00-a-b-01 ?X-Openstack-Request-Id=req-q\n" },
	{ "equal lengths may be repeated, bare LF ends a line, empty lines come before",
	  { { 'C',
	      "\r\n\n\r\nPOST /r HTTP/1.1\nContent-Length: 3\nContent-Length: 3, 03\n\nabc"
	      "\r\nGET /s HTTP/1.1\r\n\n",
	      0 },
	    { 'S', "HTTP/1.1 200 OK\nContent-Length: 1\n\nxHTTP/1.1 200 OK\nContent-Length:0\n\r\n",
	      0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 POST /r - 200 complete\n2 GET /s - 200 complete\n" },
	{ "client leaves: after a head, in a body, in a head",
	  { { 'C', "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 9\r\n\r\nab", 0 },
	    { 'S', OK_EMPTY, 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "1 GET /1 - 200 complete\n2 POST /2 - 0 client\n" },
	{ "client leaves in a head",
	  { { 'C', "GET /1 HTTP/1.1\r\nHost", 0 } },
	  DECODER_CLIENT_GONE,
	  false,
	  "" },
	{ "server leaves in its answer",
	  { { 'C', "GET /1 HTTP/1.1\r\n\r\n", 0 },
	    { 'S', OK_HEAD "Content-Length: 9\r\n\r\nab", 0 } },
	  DECODER_SERVER_GONE,
	  false,
	  "1 GET /1 - 200 server\n" },
	{ "server leaves in the head of its answer",
	  { { 'C', "GET /1 HTTP/1.1\r\n\r\n", 0 }, { 'S', OK_HEAD "Content-", 0 } },
	  DECODER_SERVER_GONE,
	  false,
	  "1 GET /1 - 0 server\n" },
};

struct cut {
	int step; /* the step that is cut, -1: none, -2: every step, into bytes */
	size_t at;
	int step2;
	size_t at2;
};

static size_t step_len(const struct kit_step *s)
{
	return s->len ? s->len : strlen(s->bytes);
}

static void feed_step(struct kit *k, const struct exchange *x, int i, const struct cut *cut)
{
	const struct kit_step *s = &x->steps[i];
	size_t len = step_len(s), first = len;

	if (cut->step == -2) {
		for (size_t at = 0; at < len; at++)
			kit_feed(k, s->side, s->bytes + at, 1);
		return;
	}
	if (cut->step == i)
		first = cut->at;
	else if (cut->step2 == i)
		first = cut->at2;
	kit_feed(k, s->side, s->bytes, first);
	kit_feed(k, s->side, s->bytes + first, len - first);
}

/* sides: "CS" all of the client's steps first; NULL: in order. */
static void run(struct kit *k, const struct exchange *x, struct cut cut, const char *sides)
{
	kit_init(k, false);
	for (const char *side = sides ? sides : "*"; *side; side++)
		for (int i = 0; x->steps[i].side; i++)
			if (!sides || x->steps[i].side == *side)
				feed_step(k, x, i, &cut);
	kit_end(k, x->end);
}

static void expect_same(struct kit *k, const struct kit *whole, const struct exchange *x)
{
	if (strcmp(k->full, whole->full) || strcmp(k->brief, x->expect))
		fail_msg("%s:\n%s%s-- instead of --\n%s%s", x->name, k->full, k->brief, whole->full,
			 x->expect);
}

static void test_exchanges(void **state)
{
	static struct kit whole, k;

	(void)state;
	for (size_t n = 0; n < sizeof(exchanges) / sizeof(*exchanges); n++) {
		const struct exchange *x = &exchanges[n];

		run(&whole, x, (struct cut){ -1, 0, -1, 0 }, NULL);
		expect_same(&whole, &whole, x);
		run(&k, x, (struct cut){ -2, 0, -1, 0 }, NULL);
		expect_same(&k, &whole, x);
		for (int i = 0; x->steps[i].side; i++)
			for (size_t at = 1; at < step_len(&x->steps[i]); at++) {
				run(&k, x, (struct cut){ i, at, -1, 0 }, NULL);
				expect_same(&k, &whole, x);
			}
		if (x->ordered)
			continue;
		run(&k, x, (struct cut){ -1, 0, -1, 0 }, "CS");
		expect_same(&k, &whole, x);
		run(&k, x, (struct cut){ -2, 0, -1, 0 }, "CS");
		expect_same(&k, &whole, x);
	}
}

/* Both streams cut at once, at every pair of places. */
static void test_pairs_of_cuts(void **state)
{
	static struct kit whole, k;

	(void)state;
	for (size_t n = 0; n < 5; n++) {
		const struct exchange *x = &exchanges[n];

		run(&whole, x, (struct cut){ -1, 0, -1, 0 }, NULL);
		for (size_t a = 1; a < step_len(&x->steps[0]); a++)
			for (size_t b = 1; b < step_len(&x->steps[1]); b++) {
				run(&k, x, (struct cut){ 0, a, 1, b }, NULL);
				expect_same(&k, &whole, x);
			}
	}
}

/* Seen again from any earlier place (a peek, a repeated read): nothing changes. */
static void test_repeats(void **state)
{
	static struct kit whole, k;
	const struct exchange *x = &exchanges[0];

	(void)state;
	run(&whole, x, (struct cut){ -1, 0, -1, 0 }, NULL);
	for (size_t back = 1; back < 60; back++) {
		kit_init(&k, false);
		for (int i = 0; x->steps[i].side; i++) {
			size_t len = step_len(&x->steps[i]), at = len / 2;
			size_t from = at > back ? at - back : 0;
			int d = x->steps[i].side == 'S';

			kit_feed(&k, x->steps[i].side, x->steps[i].bytes, at);
			k.sent[d] -= at - from;
			kit_feed(&k, x->steps[i].side, x->steps[i].bytes + from, len - from);
			k.sent[d] -= len;
			kit_feed(&k, x->steps[i].side, x->steps[i].bytes, len);
		}
		kit_end(&k, x->end);
		expect_same(&k, &whole, x);
	}
}

static struct decoder_call seen;

static void keep_call(void *ctx, const struct decoder_call *call)
{
	(void)ctx;
	seen = *call;
}

static void feed_at(struct decoder *h, enum decoder_direction d, uint64_t *offset, const char *text,
		    uint64_t time)
{
	struct decoder_chunk c = { d,	*offset, strlen(text), (const uint8_t *)text, strlen(text),
				   time };

	*offset += c.length;
	decoder_feed(h, &c);
}

static void test_times_and_sizes(void **state)
{
	struct decoder_callbacks callbacks = { keep_call, NULL };
	struct decoder *h = decoder_new(false, &callbacks);
	uint64_t in = 0, out = 0;

	(void)state;
	assert_int_equal(kit_current(h), 0);
	feed_at(h, DECODER_REQUEST, &in, "\r\n", 5);
	assert_int_equal(kit_current(h), 0);
	feed_at(h, DECODER_REQUEST, &in, "P", 10);
	assert_int_equal(kit_current(h), 1);
	feed_at(h, DECODER_REQUEST, &in, "OST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n", 11);
	feed_at(h, DECODER_RESPONSE, &out, "HTTP/1.1 100 Continue\r\n\r\n", 12);
	feed_at(h, DECODER_REQUEST, &in, "bodyGET /b HT", 13);
	feed_at(h, DECODER_RESPONSE, &out, "HTTP/1.1 200", 20);
	feed_at(h, DECODER_RESPONSE, &out, " OK\r\nContent-Length: 2\r\n\r\nx", 21);
	assert_int_equal(kit_current(h), 1);
	feed_at(h, DECODER_RESPONSE, &out, "y", 30);
	assert_int_equal(seen.seq, 1);
	assert_int_equal(seen.start, 10);
	assert_int_equal(seen.first_byte, 20);
	assert_int_equal(seen.end, 30);
	assert_int_equal(seen.request_bytes, 18 + 19 + 2 + 4);
	assert_int_equal(seen.response_bytes, out);
	assert_int_equal(kit_current(h), 2);
	feed_at(h, DECODER_REQUEST, &in, "TP/1.0\r\n\r\n", 31);
	feed_at(h, DECODER_RESPONSE, &out, "HTTP/1.0 200 OK\r\n\r\n", 40);
	feed_at(h, DECODER_RESPONSE, &out, "abc", 50);
	decoder_finish(h, DECODER_SERVER_GONE, 99);
	assert_int_equal(seen.seq, 2);
	assert_int_equal(seen.start, 13);
	assert_int_equal(seen.first_byte, 40);
	assert_int_equal(seen.end, 50);
	assert_int_equal(seen.end_reason, DECODER_COMPLETE);
	assert_int_equal(seen.response_bytes, 22);
	decoder_free(h);
}

/* While requests wait, the oldest one is current; after an early answer nobody is. */
static void test_current(void **state)
{
	struct kit k;

	(void)state;
	kit_init(&k, false);
	kit_text(&k, 'C', "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 5\r\n\r\na");
	assert_int_equal(kit_current(k.h), 1);
	kit_text(&k, 'S', OK_EMPTY);
	assert_int_equal(kit_current(k.h), 2);
	kit_text(&k, 'S', OK_EMPTY);
	assert_int_equal(kit_current(k.h), 0);
	kit_text(&k, 'C', "bcde");
	assert_int_equal(kit_current(k.h), 0);
	kit_text(&k, 'C', "G");
	assert_int_equal(kit_current(k.h), 3);
	kit_end(&k, DECODER_CLIENT_GONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exchanges), cmocka_unit_test(test_pairs_of_cuts),
		cmocka_unit_test(test_repeats),	  cmocka_unit_test(test_times_and_sizes),
		cmocka_unit_test(test_current),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
