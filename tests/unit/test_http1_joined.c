/* HTTP/1 connections that were joined in the middle: when it is certain where a request begins. */
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

/* Only a complete answer, then a receive that starts with a request line, makes it certain. */
static void test_joined(void **state)
{
	static const struct {
		const char *why, *expect;
		uint64_t suspect;
		struct kit_step steps[6];
	} cases[] = {
		{ "answer, then request",
		  "1 GET /x - 200 complete\n",
		  0,
		  { { 'S', "tail of an answer", 0 },
		    { 'S', OK_HEAD "Content-Length: 3\r\n\r\n", 0 },
		    { 'S', "abc", 0 },
		    { 'C', GET("/x"), 0 },
		    { 'S', OK_EMPTY, 0 } } },
		{ "first request is not certain",
		  "1 GET /x - 200 complete\n",
		  1,
		  { { 'C', GET("/unknown"), 0 },
		    { 'S', OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0 },
		    { 'C', GET("/x"), 0 },
		    { 'S', OK_EMPTY, 0 } } },
		{ "head may come in parts behind its line",
		  "1 GET /x h 200 complete\n",
		  0,
		  { { 'S', OK_EMPTY, 0 },
		    { 'C', "GET /x HTTP/1.1\r\nHo", 0 },
		    { 'C', "st: h\r\n\r\n", 0 },
		    { 'S', OK_EMPTY, 0 } } },
		{ "a body is being received",
		  "why joined\n",
		  1,
		  { { 'S', OK_EMPTY, 0 },
		    { 'C', "rest of a body", 0 },
		    { 'C', GET("/false"), 0 },
		    { 'S', OK_HEAD "Content-Length: 2\r\n\r\nx", 0 } } },
		{ "an interim answer is no end",
		  "why joined\n",
		  1,
		  { { 'S', "HTTP/1.1 100 Continue\r\n\r\n", 0 }, { 'C', GET("/false"), 0 } } },
		{ "received in between",
		  "why joined\n",
		  2,
		  { { 'S', OK_HEAD "Content-Length: 2\r\n\r\nx", 0 },
		    { 'C', GET("/false"), 0 },
		    { 'S', "x", 0 },
		    { 'C', GET("/false"), 0 } } },
		{ "bytes behind the answer",
		  "why joined\n",
		  1,
		  { { 'S', OK_EMPTY "more", 0 }, { 'C', GET("/false"), 0 } } },
		{ "sent again after the answer",
		  "why joined\n",
		  1,
		  { { 'S', OK_EMPTY, 0 }, { 'S', "more", 0 }, { 'C', GET("/false"), 0 } } },
		{ "length not known",
		  "why joined\n",
		  1,
		  { { 'S', OK_HEAD "\r\n", 0 }, { 'C', GET("/false"), 0 } } },
		{ "no whole request line",
		  "why joined\n",
		  0,
		  { { 'S', OK_EMPTY, 0 },
		    { 'C', "GET /fal", 0 },
		    { 'C', "se HTTP/1.1\r\n\r\n", 0 } } },
	};

	(void)state;
	for (size_t n = 0; n < sizeof(cases) / sizeof(*cases); n++) {
		char counts[32];

		kit_init(&k, true);
		k.sent[0] = 1000; /* whatever came before */
		k.sent[1] = 77;
		for (const struct kit_step *s = cases[n].steps; s->side; s++) {
			kit_text(&k, s->side, s->bytes);
			if (!k.calls && s[1].side && s->side == 'S')
				assert_int_equal(kit_current(k.h), 0);
		}
		snprintf(counts, sizeof(counts), "suspect=%ju gaps=0", (uintmax_t)cases[n].suspect);
		if (strcmp(k.brief, "") && strstr(cases[n].expect, "why"))
			fail_msg("%s: %s", cases[n].why, k.brief);
		expect_end(cases[n].expect, counts);
	}
	/* What follows repeated bytes is no start of a send or receive. */
	kit_init(&k, true);
	kit_text(&k, 'S', "abc");
	k.sent[1] -= 2;
	kit_text(&k, 'S', "bc" OK_EMPTY);
	kit_text(&k, 'C', GET("/false"));
	expect_end("why joined\n", "suspect=1 gaps=0");
	kit_init(&k, true);
	kit_text(&k, 'C', "x");
	kit_text(&k, 'S', OK_EMPTY);
	k.sent[0] -= 1;
	kit_text(&k, 'C', "x" GET("/false"));
	expect_end("why joined\n", "suspect=0 gaps=0");
	/* A hole in front of the request. */
	kit_init(&k, true);
	kit_text(&k, 'S', OK_EMPTY);
	kit_text(&k, 'C', "x");
	kit_text(&k, 'S', OK_EMPTY);
	kit_hole(&k, 'C', 10);
	kit_text(&k, 'C', GET("/false"));
	expect_end("why joined\n", "suspect=1 gaps=0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
