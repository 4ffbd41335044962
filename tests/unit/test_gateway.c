/* The uwsgi protocol and mod_wsgi's: blocks whole and damaged, answers, bodies. */
#include "protocol_kit.h"

static struct wire in, out;

static void uwsgi_var(struct wire *w, const char *name, const char *value)
{
	wire_little(w, strlen(name), 2);
	wire_text(w, name);
	wire_little(w, strlen(value), 2);
	wire_text(w, value);
}

static const char *const vars[] = {
	"QUERY_STRING",
	"token=secret",
	"REQUEST_METHOD",
	"POST",
	"CONTENT_TYPE",
	"text/plain",
	"CONTENT_LENGTH",
	"5",
	"REQUEST_URI",
	"/v3/auth?t=s",
	"PATH_INFO",
	"/v3/auth",
	"HTTP_HOST",
	"h:5000",
	"HTTP_COOKIE",
	"c",
	"HTTP_X_OPENSTACK_REQUEST_ID",
	"req-asked",
};
#define VARS (sizeof(vars) / sizeof(vars[0]))

static void uwsgi_request(struct wire *w, const char *const *list, size_t count)
{
	static struct wire block;

	block.len = w->len = 0;
	for (size_t i = 0; i < count; i += 2)
		uwsgi_var(&block, list[i], list[i + 1]);
	wire_little(w, 0, 1);
	wire_little(w, block.len, 2);
	wire_little(w, 0, 1);
	wire_put(w, block.bytes, block.len);
}

static void mod_wsgi_request(struct wire *w, const char *const *list, size_t count, bool own)
{
	static struct wire block;

	block.len = w->len = 0;
	wire_little(&block, count + (own ? 2 : 0), 8);
	for (size_t i = 0; i < count; i++)
		wire_put(&block, list[i], strlen(list[i]) + 1);
	if (own)
		wire_put(&block, "mod_wsgi.process_group\0ks", 26);
	wire_little(w, block.len, 8);
	wire_put(w, block.bytes, block.len);
}

static void answer(const char *text)
{
	out.len = 0;
	wire_text(&out, text);
}

static void test_uwsgi(void **state)
{
	static const char *const get[] = { "REQUEST_METHOD", "GET", "SCRIPT_NAME",    "/app",
					   "PATH_INFO",	     "/x",  "CONTENT_LENGTH", "" };
	static const char *const head[] = { "REQUEST_METHOD",	"HEAD",	     "REQUEST_URI",
					    "http://a:1/abs?x", "HTTP_HOST", "b" };

	(void)state;
	uwsgi_request(&in, vars, VARS);
	wire_text(&in, "hello");
	answer("HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Openstack-Request-Id: r1\r\n\r\nok");
	kit_both(&in, &out, DECODER_WINDOW_STOP,
		 "1 POST /v3/auth h:5000 201 complete X-Openstack-Request-Id=r1"
		 " ?X-Openstack-Request-Id=req-asked\n");
	/* Until the connection closes; and it does not. */
	uwsgi_request(&in, get, 8);
	answer("HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 404 no\r\n\r\n");
	kit_both(&in, &out, DECODER_SERVER_GONE, "1 GET /app/x - 200 complete\n");
	kit_both(&in, &out, DECODER_CLIENT_GONE, "1 GET /app/x - 200 client\n");
	/* The answer to HEAD says a length, and has none. */
	uwsgi_request(&in, head, 6);
	answer("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
	kit_both(&in, &out, DECODER_SERVER_GONE, "1 HEAD /abs a:1 200 complete\n");
	/* No answer. */
	answer("");
	kit_both(&in, &out, DECODER_SERVER_GONE, "1 HEAD /abs a:1 0 server\n");
	answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
	uwsgi_request(&in, get, 8);
	kit_both(&in, &out, DECODER_SERVER_GONE, "1 GET /app/x - 200 server\n");
	/* An answer that is none. */
	answer("hello\r\n\r\n");
	kit_both(&in, &out, DECODER_SERVER_GONE, "1 GET /app/x - 0 server\nwhy suspect\n");
	/* More than was said: another request is not read. */
	uwsgi_request(&in, vars, VARS);
	wire_text(&in, "hello, and more");
	answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	kit_both(&in, &out, DECODER_SERVER_GONE,
		 "1 POST /v3/auth h:5000 0 server ?X-Openstack-Request-Id=req-asked\n"
		 "why suspect\n");
}

static void test_mod_wsgi(void **state)
{
	(void)state;
	mod_wsgi_request(&in, vars, VARS, true);
	wire_text(&in, "5\r\nhello\r\n0\r\n\r\n");
	answer("Status: 200 Continue\r\n\r\nStatus: 404 Not Found\r\nContent-Length: 2\r\n"
	       "X-Openstack-Request-Id: r\r\n\r\nno");
	kit_both(&in, &out, DECODER_WINDOW_STOP,
		 "1 POST /v3/auth h:5000 404 complete X-Openstack-Request-Id=r"
		 " ?X-Openstack-Request-Id=req-asked\n");
	answer("Status: 200 OK\r\n\r\nbody");
	kit_both(&in, &out, DECODER_SERVER_GONE,
		 "1 POST /v3/auth h:5000 200 complete ?X-Openstack-Request-Id=req-asked\n");
	answer("Status: 200 Timeout\r\n\r\n");
	kit_both(&in, &out, DECODER_SERVER_GONE,
		 "1 POST /v3/auth h:5000 0 timeout ?X-Openstack-Request-Id=req-asked\n");
	answer("Status: 200 Rejected\r\n\r\n");
	kit_both(&in, &out, DECODER_CLIENT_GONE,
		 "1 POST /v3/auth h:5000 0 server ?X-Openstack-Request-Id=req-asked\n");
	answer("Location: http://a/\r\n\r\n");
	kit_both(&in, &out, DECODER_SERVER_GONE,
		 "1 POST /v3/auth h:5000 302 complete ?X-Openstack-Request-Id=req-asked\n");
	answer("Location: /elsewhere\r\n\r\n");
	kit_both(&in, &out, DECODER_SERVER_GONE,
		 "1 POST /v3/auth h:5000 0 complete ?X-Openstack-Request-Id=req-asked\n");
}

/* Not one of these may become a call. */
static void refused(const struct wire *w)
{
	answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	kit_both(w, &out, DECODER_SERVER_GONE, "why unknown-protocol\n");
}

static void test_damaged(void **state)
{
	static const char *const no_method[] = { "REQUEST_URI", "/a" };
	static const char *const no_path[] = { "REQUEST_METHOD", "GET" };
	static const char *const two[] = { "REQUEST_METHOD", "GET", "REQUEST_METHOD", "PUT",
					   "REQUEST_URI",    "/a" };
	static const char *const bad_method[] = { "REQUEST_METHOD", "G T", "REQUEST_URI", "/a" };
	static const char *const bad_name[] = { "REQUEST METHOD", "GET", "REQUEST_METHOD", "GET",
						"REQUEST_URI",	  "/a" };
	static const char *const bad_path[] = { "REQUEST_METHOD", "GET", "REQUEST_URI", "/a\nb" };
	static const char *const bad_length[] = { "REQUEST_METHOD", "GET", "REQUEST_URI", "/a",
						  "CONTENT_LENGTH", "-1" };
	static const struct {
		const char *const *list;
		size_t count;
	} lists[] = {
		{ no_method, 2 }, { no_path, 2 },  { two, 6 },	      { bad_method, 4 },
		{ bad_name, 6 },  { bad_path, 4 }, { bad_length, 6 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		uwsgi_request(&in, lists[i].list, lists[i].count);
		refused(&in);
		mod_wsgi_request(&in, lists[i].list, lists[i].count, true);
		refused(&in);
	}
	/* Not mod_wsgi's own. */
	mod_wsgi_request(&in, vars, VARS, false);
	refused(&in);
	/* Each length wrong by one: the block does not end where it should. */
	for (int by = -1; by <= 1; by += 2) {
		uwsgi_request(&in, vars, VARS);
		in.bytes[1] = (char)(in.bytes[1] + by);
		wire_text(&in, "behind");
		refused(&in);
		mod_wsgi_request(&in, vars, VARS, true);
		in.bytes[0] = (char)(in.bytes[0] + by);
		wire_text(&in, "behind");
		refused(&in);
		mod_wsgi_request(&in, vars, VARS, true);
		in.bytes[8] = (char)(in.bytes[8] + by);
		refused(&in);
	}
	uwsgi_request(&in, vars, VARS);
	in.bytes[0] = 100; /* no application's: a letter */
	answer("");
	kit_both(&in, &out, DECODER_SERVER_GONE, "why unknown-protocol\n");
}

/* A large block in one transfer, and one that was not captured whole. */
static void test_large(void **state)
{
	static char value[60000];
	static const char *const large[] = { "REQUEST_METHOD", "GET",	       "REQUEST_URI",
					     "/large",	       "HTTP_X_LARGE", value };
	static struct kit k;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	uwsgi_request(&in, large, 6);
	answer("HTTP/1.1 200 OK\r\n\r\n");
	kit_both(&in, &out, DECODER_SERVER_GONE, "1 GET /large - 200 complete\n");
	kit_init(&k, false);
	kit_feed_cut(&k, 'C', in.bytes, in.len, 16384);
	kit_wire(&k, 'S', &out, out.len);
	kit_end(&k, DECODER_SERVER_GONE);
	assert_string_equal(k.brief, "why gap\n");
	mod_wsgi_request(&in, large, 6, true);
	answer("Status: 204 None\r\n\r\n");
	kit_both(&in, &out, DECODER_SERVER_GONE, "1 GET /large - 204 complete\n");
	/* Of the answer's body nothing but its length is needed. */
	answer("Status: 200 OK\r\nContent-Length: 100000\r\n\r\n");
	kit_init(&k, false);
	kit_wire(&k, 'C', &in, in.len);
	kit_wire(&k, 'S', &out, out.len);
	kit_feed_cut(&k, 'S', value, 100000, 0);
	kit_end(&k, DECODER_WINDOW_STOP);
	assert_string_equal(k.brief, "1 GET /large - 200 complete\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uwsgi),
		cmocka_unit_test(test_mod_wsgi),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
