/* Environments and answers in the manner of CGI. */
#include "protocols/cgi.h"

#include <string.h>

static bool cgi_view_is(struct http1_view v, const char *text)
{
	return v.len == strlen(text) && !memcmp(v.p, text, v.len);
}

bool cgi_is_name(struct http1_view name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!http1_head_is_name((uint8_t)name.p[i]))
			return false;
	return name.len > 0;
}

static void cgi_put_once(struct cgi *c, struct http1_view *at, struct http1_view value)
{
	c->odd |= at->p && (at->len != value.len || memcmp(at->p, value.p, value.len));
	*at = value;
}

void cgi_put(struct cgi *c, struct http1_view name, struct http1_view value)
{
	static const struct {
		const char *name, *field;
	} fields[] = {
		{ "HTTP_HOST", "host" },
		{ "HTTP_X_OPENSTACK_REQUEST_ID", "x-openstack-request-id" },
		{ "HTTP_X_COMPUTE_REQUEST_ID", "x-compute-request-id" },
		{ "HTTP_X_TRANS_ID", "x-trans-id" },
		{ "HTTP_TRACEPARENT", "traceparent" },
		{ "CONTENT_LENGTH", "content-length" },
	};

	if (cgi_view_is(name, "REQUEST_METHOD")) {
		struct http1_view before = c->head.method;

		c->odd |= http1_head_put_method(value, &c->head) != HTTP1_OK;
		if (before.p && (before.len != value.len || memcmp(before.p, value.p, value.len)))
			c->odd = true;
	} else if (cgi_view_is(name, "REQUEST_URI")) {
		cgi_put_once(c, &c->uri, value);
	} else if (cgi_view_is(name, "SCRIPT_NAME")) {
		cgi_put_once(c, &c->script, value);
	} else if (cgi_view_is(name, "PATH_INFO")) {
		cgi_put_once(c, &c->info, value);
	}
	/* A server that has no value for one gives an empty one. */
	for (size_t i = 0; value.len && i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct http1_view field = { fields[i].field, strlen(fields[i].field) };

		if (cgi_view_is(name, fields[i].name))
			http1_head_put_field(field, value, &c->head);
	}
}

enum http1_verdict cgi_end(struct cgi *c)
{
	struct http1_view target = c->uri, host = c->head.host;
	enum http1_verdict v;

	if (c->odd || !c->head.method.len || c->head.length_bad)
		return HTTP1_SUSPECT;
	if (!target.len) {
		size_t len = c->script.len + c->info.len;

		if (!len || len > sizeof(c->path))
			return HTTP1_SUSPECT;
		if (c->script.len)
			memcpy(c->path, c->script.p, c->script.len);
		if (c->info.len)
			memcpy(c->path + c->script.len, c->info.p, c->info.len);
		/* These are decoded: what would end a path stands for itself there. */
		if (memchr(c->path, '?', len) || memchr(c->path, '#', len))
			return HTTP1_SUSPECT;
		target.p = c->path;
		target.len = len;
	}
	v = http1_head_put_target(target, &c->head);
	if (!c->head.host.len)
		c->head.host = host;
	return v;
}

enum http1_verdict cgi_read_answer(const uint8_t *data, size_t len, struct http1_head *head)
{
	enum http1_verdict v = http1_head_read_fields(data, len, head);
	struct http1_view s = head->status_field;

	if (v)
		return v;
	if (!s.p) {
		head->status = 200;
		if (head->location.len)
			head->status = http1_head_is_absolute(head->location) ? 302 : 0;
		return HTTP1_OK;
	}
	if (s.len < 3 || (s.len > 3 && s.p[3] != ' '))
		return HTTP1_SUSPECT;
	for (size_t i = 0; i < 3; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return HTTP1_SUSPECT;
		head->status = head->status * 10 + (unsigned int)(s.p[i] - '0');
	}
	return head->status < 100 ? HTTP1_SUSPECT : HTTP1_OK;
}
