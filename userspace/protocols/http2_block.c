/* Header blocks of HTTP/2. */
#include "protocols/http2_block.h"

#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "protocols/http2.h"

/*
 * What a table may grow to. Larger than its peer allows does no harm: entries are counted from the
 * newest, and those that the peer has forgotten are not named any more.
 */
#define HTTP2_TABLE_MAX 65536
#define HTTP2_TEXT_MAX (4 * HTTP2_BLOCK_MAX) /* a small block may name a large entry many times */

int http2_block_init(struct http2_block *b)
{
	if (nghttp2_hd_inflate_new(&b->inflater))
		return -1;
	return nghttp2_hd_inflate_change_table_size(b->inflater, HTTP2_TABLE_MAX) ? -1 : 0;
}

void http2_block_done(struct http2_block *b)
{
	if (b->text)
		explicit_bzero(b->text, b->text_cap);
	free(b->text);
	b->text = NULL;
	b->text_len = b->text_cap = 0;
	http1_stream_release(&b->bytes);
}

void http2_block_release(struct http2_block *b)
{
	http2_block_done(b);
	if (b->inflater)
		nghttp2_hd_inflate_del(b->inflater);
	b->inflater = NULL;
}

enum http1_verdict http2_block_add(struct http2_block *b, const uint8_t *data, size_t len)
{
	if (b->bytes.len + len > HTTP2_BLOCK_MAX)
		return HTTP1_SUSPECT;
	return http1_stream_keep(&b->bytes, data, len) ? HTTP1_GAP : HTTP1_OK;
}

/* A copy that lives as long as the head. p is NULL when there is no room. */
static struct http1_view http2_block_keep(struct http2_block *b, const uint8_t *data, size_t len)
{
	struct http1_view v = { NULL, len };

	if (len > b->text_cap - b->text_len)
		return v;
	if (len)
		memcpy(b->text + b->text_len, data, len);
	v.p = (const char *)b->text + b->text_len;
	b->text_len += len;
	return v;
}

static bool http2_is(const nghttp2_nv *nv, const char *name)
{
	return nv->namelen == strlen(name) && !memcmp(nv->name, name, nv->namelen);
}

/* A name in small letters, a value on one line (RFC 9113 section 8.2.1). */
static bool http2_block_is_field(const nghttp2_nv *nv)
{
	size_t i = nv->namelen && nv->name[0] == ':';

	if (i == nv->namelen)
		return false;
	for (; i < nv->namelen; i++)
		if (!http1_head_is_name(nv->name[i]) || (nv->name[i] >= 'A' && nv->name[i] <= 'Z'))
			return false;
	for (i = 0; i < nv->valuelen; i++)
		if (!nv->value[i] || nv->value[i] == '\r' || nv->value[i] == '\n')
			return false;
	return true;
}

static enum http1_verdict http2_block_status(const nghttp2_nv *nv, struct http1_head *head)
{
	if (nv->valuelen != 3 || head->status)
		return HTTP1_SUSPECT;
	for (size_t i = 0; i < 3; i++) {
		if (nv->value[i] < '0' || nv->value[i] > '9')
			return HTTP1_SUSPECT;
		head->status = head->status * 10 + (unsigned int)(nv->value[i] - '0');
	}
	return head->status < 100 ? HTTP1_SUSPECT : HTTP1_OK;
}

static enum http1_verdict http2_block_field(struct http2_block *b, const nghttp2_nv *nv,
					    struct http1_head *head, struct http1_view *target,
					    struct http1_view *authority)
{
	static const char *const fields[] = { "content-length",		"host",
					      "x-openstack-request-id", "x-trans-id",
					      "x-compute-request-id",	"traceparent" };
	struct http1_view name, value, *view;

	if (http2_is(nv, ":status"))
		return http2_block_status(nv, head);
	if (http2_is(nv, ":method") || http2_is(nv, ":path") || http2_is(nv, ":authority")) {
		value = http2_block_keep(b, nv->value, nv->valuelen);
		if (!value.p)
			return HTTP1_SUSPECT;
		view = nv->name[1] == 'a' ? authority : nv->name[1] == 'p' ? target : &head->method;
		/* Each stands once. */
		if (view->p)
			return HTTP1_SUSPECT;
		*view = value;
		return view == &head->method ? http1_head_put_method(value, head) : HTTP1_OK;
	}
	if (nv->name[0] == ':')
		return http2_is(nv, ":scheme") || http2_is(nv, ":protocol") ? HTTP1_OK
									    : HTTP1_SUSPECT;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!http2_is(nv, fields[i]))
			continue;
		name.p = fields[i];
		name.len = strlen(fields[i]);
		value = http2_block_keep(b, nv->value, nv->valuelen);
		if (!value.p)
			return HTTP1_SUSPECT;
		http1_head_put_field(name, value, head);
	}
	return HTTP1_OK;
}

/* :authority stands for Host (RFC 9113 section 8.3.1). CONNECT has no path. */
static enum http1_verdict http2_block_finish(struct http1_head *head, struct http1_view target,
					     struct http1_view authority)
{
	static const struct http1_view host = { "host", 4 };

	if (!head->method.len)
		return target.p || authority.p ? HTTP1_SUSPECT : HTTP1_OK;
	if (head->status)
		return HTTP1_SUSPECT;
	if (authority.len) {
		head->host.len = 0;
		http1_head_put_field(host, authority, head);
	}
	if (!target.p) {
		head->path.p = "";
		return head->method.len == 7 && !memcmp(head->method.p, "CONNECT", 7)
			       ? HTTP1_OK
			       : HTTP1_SUSPECT;
	}
	return http1_head_put_target(target, head);
}

enum http1_verdict http2_block_read(struct http2_block *b, struct http1_head *head)
{
	struct http1_view target = { NULL, 0 }, authority = { NULL, 0 };
	const uint8_t *in;
	size_t len = b->bytes.len, text = 0;
	bool fields = false;
	int flags = 0;

	memset(head, 0, sizeof(*head));
	b->pseudo = b->malformed = false;
	b->text_len = 0;
	b->text_cap = HTTP2_TABLE_MAX;
	b->text = malloc(b->text_cap);
	if (!b->text) {
		b->text_cap = 0;
		return HTTP1_GAP;
	}
	in = len ? b->bytes.buf : b->text;
	while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		nghttp2_nv nv;
		ssize_t used = nghttp2_hd_inflate_hd2(b->inflater, &nv, &flags, in, len, 1);

		if (used < 0)
			return HTTP1_SUSPECT;
		in += used;
		len -= (size_t)used;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT)) {
			if (!used && !(flags & NGHTTP2_HD_INFLATE_FINAL))
				return HTTP1_SUSPECT;
			continue;
		}
		text += nv.namelen + nv.valuelen;
		if (text > HTTP2_TEXT_MAX)
			return HTTP1_SUSPECT;
		if (!http2_block_is_field(&nv) || (fields && nv.name[0] == ':') ||
		    http2_block_field(b, &nv, head, &target, &authority))
			b->malformed = true;
		fields |= !nv.namelen || nv.name[0] != ':';
		b->pseudo |= nv.namelen && nv.name[0] == ':';
	}
	nghttp2_hd_inflate_end_headers(b->inflater);
	if (http2_block_finish(head, target, authority))
		b->malformed = true;
	return HTTP1_OK;
}
