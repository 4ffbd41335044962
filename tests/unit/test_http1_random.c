/* Random HTTP/1 traffic and bodies made of heads: the calls are those that were made. */
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

static uint64_t rng;

static uint64_t draw(uint64_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % below;
}

/* A body that is nothing but heads, by length or in chunks cut anywhere. */
static void add_body(char *out, bool chunked)
{
	static const char heads[] = OK_EMPTY GET("/false") "POST /false HTTP/1.1\r\n"
							   "Content-Length: 1\r\n\r\n0\r\n\r\n";
	size_t from = draw(40), len = draw(sizeof(heads) - 1 - from), at = 0;

	if (!chunked) {
		kit_add(out, "Content-Length: %zu\r\n\r\n%.*s", len, (int)len, heads + from);
		return;
	}
	kit_add(out, "Transfer-Encoding: chunked\r\n\r\n");
	while (at < len) {
		size_t n = 1 + draw(len - at);

		kit_add(out, "%zx%s\r\n%.*s\r\n", n, draw(4) ? "" : ";e=\"GET / HTTP/1.1\"", (int)n,
			heads + from + at);
		at += n;
	}
	kit_add(out, "0\r\n%s\r\n", draw(4) ? "" : "GET: / HTTP/1.1\r\n");
}

/* Whatever the bodies and the cuts: the calls are those that were made. */
static void test_random_traffic(void **state)
{
	static char in[KIT_LOG], out[KIT_LOG], truth[KIT_LOG];

	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		size_t n, at[2] = { 0, 0 }, piece;

		rng = seed * 0x9e3779b97f4a7c15u;
		n = 1 + draw(12);
		piece = 1 + draw(200);
		in[0] = out[0] = truth[0] = '\0';
		for (size_t i = 1; i <= n; i++) {
			bool body = draw(2), head = !body && !draw(4);
			unsigned int status = draw(5) ? 200 + (unsigned int)draw(3) : 404;
			const char *method = body ? "POST" : head ? "HEAD" : "GET";

			kit_add(in, "%s /r/%zu?q HTTP/1.1\r\n", method, i);
			if (body)
				add_body(in, draw(2));
			else
				kit_add(in, "\r\n");
			if (!draw(4))
				kit_add(out, "HTTP/1.1 100 Continue\r\n\r\n");
			kit_add(out, "HTTP/1.1 %u X\r\nX-Trans-Id: t%zu\r\n", status, i);
			if (head)
				kit_add(out, "Content-Length: 55\r\n\r\n");
			else
				add_body(out, draw(2));
			kit_add(truth, "%zu %s /r/%zu - %u complete X-Trans-Id=t%zu\n", i, method,
				i, status, i);
		}
		kit_init(&k, false);
		while (in[at[0]] || out[at[1]]) {
			int side = in[at[0]] ? 0 : 1; /* answers behind all requests */
			const char *from = side ? out : in;
			size_t len = strlen(from + at[side]), take = 1 + draw(piece);

			if (take > len)
				take = len;
			kit_feed(&k, side ? 'S' : 'C', from + at[side], take);
			at[side] += take;
		}
		assert_int_equal(k.calls, n);
		expect_end(truth, "suspect=0 gaps=0");
	}
}

/* Bodies made of heads, cut in the stream and in the chunks at every place. */
static void test_bodies_of_heads(void **state)
{
	static const char body[] = GET("/false") OK_EMPTY GET("/false");
	static char in[KIT_LOG], out[KIT_LOG];
	size_t len = sizeof(body) - 1;

	(void)state;
	for (size_t chunk = 1; chunk <= len; chunk++) {
		in[0] = out[0] = '\0';
		kit_add(in, "POST /true HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
		kit_add(out, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n");
		for (size_t at = 0; at < len; at += chunk) {
			size_t n = len - at < chunk ? len - at : chunk;

			kit_add(in, "%zx\r\n%.*s\r\n", n, (int)n, body + at);
			kit_add(out, "%zx\r\n%.*s\r\n", n, (int)n, body + at);
		}
		kit_add(in, "0\r\n\r\n");
		kit_add(out, "0\r\n\r\n");
		for (size_t segment = 1; segment <= strlen(in); segment++) {
			kit_init(&k, false);
			for (size_t at = 0; at < strlen(in); at += segment)
				kit_feed(&k, 'C', in + at,
					 strlen(in) - at < segment ? strlen(in) - at : segment);
			for (size_t at = 0; at < strlen(out); at += segment)
				kit_feed(&k, 'S', out + at,
					 strlen(out) - at < segment ? strlen(out) - at : segment);
			expect_end("1 POST /true - 200 complete\n", "suspect=0 gaps=0");
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_traffic),
		cmocka_unit_test(test_bodies_of_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
