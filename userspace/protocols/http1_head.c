/* The head of an HTTP/1 message: its end, its start line, and the fields that matter. */
#include "protocols/http1_head.h"

#include <string.h>
#include <strings.h>

static bool http1_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool http1_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool http1_head_is_name(uint8_t c)
{
	return http1_is_digit((char)c) || http1_is_alpha((char)c) ||
	       (c && strchr("!#$%&'*+-.^_`|~", (char)c));
}

static bool http1_is_token(struct http1_view v)
{
	for (size_t i = 0; i < v.len; i++)
		if (!http1_head_is_name((uint8_t)v.p[i]))
			return false;
	return v.len > 0;
}

/* Visible ASCII only. */
static bool http1_is_visible(struct http1_view v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.p[i] <= ' ' || v.p[i] > '~')
			return false;
	return v.len > 0;
}

static bool http1_view_is(struct http1_view v, const char *text)
{
	return v.len == strlen(text) && !strncasecmp(v.p, text, v.len);
}

static struct http1_view http1_view_trim(struct http1_view v)
{
	while (v.len && (*v.p == ' ' || *v.p == '\t')) {
		v.p++;
		v.len--;
	}
	while (v.len && (v.p[v.len - 1] == ' ' || v.p[v.len - 1] == '\t'))
		v.len--;
	return v;
}

/* Takes the part up to `c` (or all) off the front of rest. False when rest is used up. */
static bool http1_view_split(struct http1_view *rest, char c, struct http1_view *part)
{
	const char *at;

	if (!rest->p)
		return false;
	at = rest->len ? memchr(rest->p, c, rest->len) : NULL;
	part->p = rest->p;
	part->len = at ? (size_t)(at - rest->p) : rest->len;
	rest->len -= part->len + (at ? 1 : 0);
	rest->p = at ? at + 1 : NULL;
	return true;
}

size_t http1_head_end(const uint8_t *data, size_t len, size_t from)
{
	size_t at = from > 2 ? from - 2 : 0;

	while (at < len) {
		const uint8_t *lf = memchr(data + at, '\n', len - at);

		if (!lf)
			return 0;
		at = (size_t)(lf - data) + 1;
		if (at < len && data[at] == '\n')
			return at + 1;
		if (at + 1 < len && data[at] == '\r' && data[at + 1] == '\n')
			return at + 2;
	}
	return 0;
}

enum http1_verdict http1_head_begins_request(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == ' ')
			return i ? HTTP1_OK : HTTP1_NOT_HTTP;
		if (i == HTTP1_METHOD_MAX || !http1_head_is_name(data[i]))
			return HTTP1_NOT_HTTP;
	}
	return HTTP1_MORE;
}

enum http1_verdict http1_head_begins_response(const uint8_t *data, size_t len)
{
	static const char want[] = "HTTP/1.";
	size_t n = sizeof(want) - 1;

	if (memcmp(data, want, len < n ? len : n))
		return HTTP1_SUSPECT;
	return len < n ? HTTP1_MORE : HTTP1_OK;
}

/* The next line without its end. HTTP1_MORE: there is none. */
static enum http1_verdict http1_head_line(struct http1_view *rest, struct http1_view *line)
{
	const char *lf = rest->len ? memchr(rest->p, '\n', rest->len) : NULL;

	if (!lf)
		return HTTP1_MORE;
	line->p = rest->p;
	line->len = (size_t)(lf - rest->p);
	rest->p = lf + 1;
	rest->len -= line->len + 1;
	if (line->len && line->p[line->len - 1] == '\r')
		line->len--;
	for (size_t i = 0; i < line->len; i++) {
		unsigned char c = (unsigned char)line->p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return HTTP1_SUSPECT;
	}
	return HTTP1_OK;
}

/*
 * The host of an authority: what follows the last "@". Empty unless it has the form of a host and
 * a port, so that a part of a mangled userinfo is never taken for one.
 */
static struct http1_view http1_head_host(struct http1_view v)
{
	static const struct http1_view none = { "", 0 };
	size_t i = 0;

	for (size_t at = v.len; at > 0; at--) {
		if (v.p[at - 1] != '@')
			continue;
		v.p += at;
		v.len -= at;
		break;
	}
	if (!v.len || v.len > HTTP1_HOST_MAX)
		return none;
	if (v.p[0] == '[') {
		for (i = 1; i < v.len && v.p[i] != ']'; i++)
			if (!http1_is_digit(v.p[i]) && !http1_is_alpha(v.p[i]) &&
			    !strchr(":.%-_~", v.p[i]))
				return none;
		if (i++ == v.len)
			return none;
	} else {
		while (i < v.len && (http1_is_digit(v.p[i]) || http1_is_alpha(v.p[i]) ||
				     (v.p[i] && strchr(".-_~%", v.p[i]))))
			i++;
	}
	if (i == 0 || (i < v.len && v.p[i++] != ':'))
		return none;
	while (i < v.len && http1_is_digit(v.p[i]))
		i++;
	return i == v.len ? v : none;
}

/* The length of "scheme://" at the start of a target, or 0. */
static size_t http1_head_scheme(struct http1_view v)
{
	size_t i = 0;

	if (!v.len || !http1_is_alpha(v.p[0]))
		return 0;
	while (i < v.len && (http1_is_digit(v.p[i]) || http1_is_alpha(v.p[i]) ||
			     (v.p[i] && strchr("+-.", v.p[i]))))
		i++;
	return v.len - i >= 3 && !memcmp(v.p + i, "://", 3) ? i + 3 : 0;
}

/* Reads a request target (RFC 9112 section 3.2). */
static enum http1_verdict http1_head_target(struct http1_view target, struct http1_head *head)
{
	struct http1_view cut = target, authority;
	size_t scheme;

	for (size_t i = 0; i < target.len; i++)
		if (target.p[i] == ' ' || target.p[i] == '\t')
			return HTTP1_SUSPECT;
	for (cut.len = 0; cut.len < target.len; cut.len++)
		if (target.p[cut.len] == '?' || target.p[cut.len] == '#')
			break;
	if (head->method.len == 7 && !memcmp(head->method.p, "CONNECT", 7)) {
		head->host = http1_head_host(cut);
		head->path.p = "";
		head->path.len = 0;
		return HTTP1_OK;
	}
	scheme = http1_head_scheme(cut);
	if (scheme) {
		authority.p = cut.p + scheme;
		authority.len = 0;
		while (scheme + authority.len < cut.len && authority.p[authority.len] != '/')
			authority.len++;
		head->host = http1_head_host(authority);
		cut.p = authority.p + authority.len;
		cut.len -= scheme + authority.len;
		if (!cut.len) {
			cut.p = "/";
			cut.len = 1;
		}
	} else if (!cut.len || (cut.p[0] != '/' && !http1_view_is(target, "*"))) {
		return HTTP1_SUSPECT;
	}
	head->path = cut;
	return HTTP1_OK;
}

/* "HTTP/1." and a digit. */
static bool http1_head_version(struct http1_view v, struct http1_head *head)
{
	if (v.len != 8 || memcmp(v.p, "HTTP/1.", 7) || !http1_is_digit(v.p[7]))
		return false;
	head->minor = v.p[7] > '0' ? 1 : 0;
	return true;
}

static enum http1_verdict http1_head_request_line(struct http1_view line, struct http1_head *head)
{
	struct http1_view target, version;
	const char *sp = line.len ? memchr(line.p, ' ', line.len) : NULL;
	const char *last = line.len ? memrchr(line.p, ' ', line.len) : NULL;

	if (!sp || sp == last)
		return HTTP1_NOT_HTTP;
	head->method.p = line.p;
	head->method.len = (size_t)(sp - line.p);
	target.p = sp + 1;
	target.len = (size_t)(last - target.p);
	version.p = last + 1;
	version.len = line.len - (size_t)(version.p - line.p);
	if (!http1_head_version(version, head))
		return HTTP1_NOT_HTTP;
	return http1_head_target(target, head);
}

static enum http1_verdict http1_head_status_line(struct http1_view line, struct http1_head *head)
{
	struct http1_view version = { line.p, line.len < 8 ? line.len : 8 };

	if (!http1_head_version(version, head) || line.len < 12 || line.p[8] != ' ')
		return HTTP1_SUSPECT;
	for (size_t i = 9; i < 12; i++) {
		if (!http1_is_digit(line.p[i]))
			return HTTP1_SUSPECT;
		head->status = head->status * 10 + (unsigned int)(line.p[i] - '0');
	}
	if (head->status < 100 || (line.len > 12 && line.p[12] != ' '))
		return HTTP1_SUSPECT;
	return HTTP1_OK;
}

/* One or more equal decimal numbers, by lines or commas (RFC 9110 section 8.6). */
static void http1_head_length(struct http1_view value, struct http1_head *head)
{
	struct http1_view part;

	while (http1_view_split(&value, ',', &part)) {
		uint64_t n = 0;

		part = http1_view_trim(part);
		if (!part.len)
			head->length_bad = true;
		for (size_t i = 0; i < part.len; i++) {
			if (!http1_is_digit(part.p[i]) || n > INT64_MAX / 10 - 1) {
				head->length_bad = true;
				break;
			}
			n = n * 10 + (uint64_t)(part.p[i] - '0');
		}
		if (head->length_seen && head->length != n)
			head->length_bad = true;
		head->length_seen = true;
		head->length = n;
	}
}

static void http1_head_coding(struct http1_view value, struct http1_head *head)
{
	struct http1_view part, name;

	head->coding_seen = true;
	while (http1_view_split(&value, ',', &part)) {
		bool params;

		part = http1_view_trim(part);
		if (!part.len)
			continue; /* empty list elements mean nothing */
		params = memchr(part.p, ';', part.len);
		http1_view_split(&part, ';', &name);
		name = http1_view_trim(name);
		if (!http1_is_token(name))
			head->coding_bad = true;
		head->chunked_last = http1_view_is(name, "chunked");
		if (head->chunked_last && (params || head->chunked_count++))
			head->coding_bad = true;
	}
}

static void http1_head_keep_id(const char *name, struct http1_view value, struct http1_head *head)
{
	if (!http1_is_visible(value) || value.len > HTTP1_ID_MAX)
		return;
	for (size_t i = 0; i < head->ids_count; i++)
		if (head->ids[i].name == name)
			return; /* the first one counts */
	head->ids[head->ids_count].name = name;
	head->ids[head->ids_count++].value = value;
}

void http1_head_put_field(struct http1_view name, struct http1_view value, struct http1_head *head)
{
	static const char *const kept[HTTP1_ID_NAMES] = {
		"X-Openstack-Request-Id",
		"X-Compute-Request-Id",
		"X-Trans-Id",
		"traceparent",
	};

	if (http1_view_is(name, "content-length"))
		http1_head_length(value, head);
	else if (http1_view_is(name, "transfer-encoding"))
		http1_head_coding(value, head);
	else if (http1_view_is(name, "host") && !head->host.len)
		head->host = http1_head_host(value);
	else if (http1_view_is(name, "status") && !head->status_field.len)
		head->status_field = value;
	else if (http1_view_is(name, "location") && !head->location.len)
		head->location = value;
	else if (http1_view_is(name, "upgrade"))
		head->h2c |= http1_view_is(value, "h2c");
	else if (http1_view_is(name, "expect"))
		head->expects |= http1_view_is(value, "100-continue");
	for (size_t i = 0; i < HTTP1_ID_NAMES; i++)
		if (http1_view_is(name, kept[i]))
			http1_head_keep_id(kept[i], value, head);
}

static enum http1_verdict http1_head_field(struct http1_view line, struct http1_head *head)
{
	struct http1_view value = line, name;

	http1_view_split(&value, ':', &name);
	if (!value.p || !http1_is_token(name))
		return HTTP1_SUSPECT; /* no colon, white space before it, or a folded line */
	http1_head_put_field(name, http1_view_trim(value), head);
	return HTTP1_OK;
}

static enum http1_verdict http1_head_fields(struct http1_view rest, struct http1_head *head)
{
	struct http1_view line;
	enum http1_verdict v;

	for (;;) {
		v = http1_head_line(&rest, &line);
		if (v == HTTP1_MORE || (v == HTTP1_OK && !line.len))
			return HTTP1_OK;
		if (v == HTTP1_OK)
			v = http1_head_field(line, head);
		if (v)
			return v;
	}
}

enum http1_verdict http1_head_read_request(const uint8_t *data, size_t len, struct http1_head *head)
{
	struct http1_view rest = { (const char *)data, len }, line;
	enum http1_verdict v;

	memset(head, 0, sizeof(*head));
	if (http1_head_begins_request(data, len) != HTTP1_OK)
		return HTTP1_NOT_HTTP;
	v = http1_head_line(&rest, &line);
	if (v == HTTP1_MORE)
		return HTTP1_NOT_HTTP;
	if (v)
		return v;
	v = http1_head_request_line(line, head);
	return v ? v : http1_head_fields(rest, head);
}

enum http1_verdict http1_head_read_response(const uint8_t *data, size_t len,
					    struct http1_head *head)
{
	struct http1_view rest = { (const char *)data, len }, line;
	enum http1_verdict v;

	memset(head, 0, sizeof(*head));
	v = http1_head_line(&rest, &line);
	if (v)
		return HTTP1_SUSPECT;
	v = http1_head_status_line(line, head);
	return v ? v : http1_head_fields(rest, head);
}

enum http1_verdict http1_head_read_fields(const uint8_t *data, size_t len, struct http1_head *head)
{
	struct http1_view rest = { (const char *)data, len };

	memset(head, 0, sizeof(*head));
	return http1_head_fields(rest, head);
}

enum http1_verdict http1_head_put_method(struct http1_view value, struct http1_head *head)
{
	if (!http1_is_token(value) || value.len > HTTP1_METHOD_MAX)
		return HTTP1_SUSPECT;
	head->method = value;
	return HTTP1_OK;
}

enum http1_verdict http1_head_put_target(struct http1_view value, struct http1_head *head)
{
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.p[i] < ' ' || value.p[i] == 0x7f)
			return HTTP1_SUSPECT;
	return http1_head_target(value, head);
}

bool http1_head_is_absolute(struct http1_view target)
{
	return http1_head_scheme(target) > 0;
}

enum http1_verdict http1_head_request_framing(const struct http1_head *head,
					      enum http1_framing *framing)
{
	*framing = HTTP1_NO_BODY;
	if (head->coding_seen) {
		*framing = HTTP1_CHUNKED;
		if (head->minor == 0 || head->length_seen || head->coding_bad ||
		    !head->chunked_last)
			return HTTP1_SUSPECT;
	} else if (head->length_seen) {
		*framing = head->length ? HTTP1_LENGTH : HTTP1_NO_BODY;
		if (head->length_bad)
			return HTTP1_SUSPECT;
	}
	return HTTP1_OK;
}

enum http1_verdict http1_head_response_framing(const struct http1_head *head, bool asked_head,
					       enum http1_framing *framing)
{
	*framing = HTTP1_NO_BODY;
	if (asked_head || head->status < 200 || head->status == 204 || head->status == 304)
		return HTTP1_OK;
	if (!head->coding_seen && !head->length_seen) {
		*framing = HTTP1_UNTIL_CLOSE;
		return HTTP1_OK;
	}
	/* Here another coding than chunked is allowed to be the last: then closing ends it. */
	if (head->coding_seen && !head->coding_bad && !head->chunked_count && head->minor &&
	    !head->length_seen) {
		*framing = HTTP1_UNTIL_CLOSE;
		return HTTP1_OK;
	}
	return http1_head_request_framing(head, framing);
}
