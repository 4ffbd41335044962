/* A request that waits for its answer: copies of what may be kept, and nothing else. */
#include "protocols/http1_exchange.h"

#include <stdlib.h>
#include <string.h>

#define HTTP1_PATH_MAX 4096

static char *http1_exchange_copy(struct http1_view v)
{
	char *copy = malloc(v.len + 1);

	if (!copy)
		return NULL;
	if (v.len)
		memcpy(copy, v.p, v.len);
	copy[v.len] = '\0';
	return copy;
}

/* A path, bytes outside ASCII percent-encoded (a URI has none), cut to the limit. */
static char *http1_exchange_copy_path(struct http1_view v)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t len = 0, i;
	char *copy;

	for (i = 0; i < v.len; i++) {
		size_t n = (unsigned char)v.p[i] > '~' ? 3 : 1;

		if (len + n > HTTP1_PATH_MAX)
			break;
		len += n;
	}
	copy = malloc(len + 1);
	if (!copy)
		return NULL;
	copy[len] = '\0';
	len = 0;
	for (size_t at = 0; at < i; at++) {
		unsigned char c = (unsigned char)v.p[at];

		if (c > '~') {
			copy[len++] = '%';
			copy[len++] = digits[c >> 4];
			copy[len++] = digits[c & 15];
		} else {
			copy[len++] = (char)c;
		}
	}
	return copy;
}

static void http1_exchange_free_text(const char *text)
{
	if (text)
		explicit_bzero((char *)text, strlen(text));
	free((char *)text);
}

void http1_exchange_free(struct http1_exchange *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->asked_count; i++)
		http1_exchange_free_text(e->asked[i].value);
	for (size_t i = 0; i < e->answered_count; i++)
		http1_exchange_free_text(e->answered[i].value);
	http1_exchange_free_text(e->path);
	http1_exchange_free_text(e->host);
	free(e);
}

static int http1_exchange_copy_ids(const struct http1_head *head, struct http1_id *ids,
				   size_t *count)
{
	for (size_t i = 0; i < head->ids_count; i++) {
		char *value = http1_exchange_copy(head->ids[i].value);

		if (!value)
			return -1;
		ids[i].name = head->ids[i].name;
		ids[i].value = value;
		ids[i].len = head->ids[i].value.len;
		*count = i + 1;
	}
	return 0;
}

struct http1_exchange *http1_exchange_new(const struct http1_head *head)
{
	struct http1_exchange *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->first_byte = UINT64_MAX;
	e->minor = head->minor;
	memcpy(e->method, head->method.p, head->method.len);
	e->path = http1_exchange_copy_path(head->path);
	e->host = http1_exchange_copy(head->host);
	if (e->path && e->host && !http1_exchange_copy_ids(head, e->asked, &e->asked_count))
		return e;
	http1_exchange_free(e);
	return NULL;
}

int http1_exchange_answer(struct http1_exchange *e, const struct http1_head *head)
{
	e->status = head->status;
	return http1_exchange_copy_ids(head, e->answered, &e->answered_count);
}

void http1_exchange_report(const struct http1_exchange *e, enum http1_end end, uint64_t time,
			   const struct http1_callbacks *callbacks)
{
	struct http1_id ids[2 * HTTP1_ID_NAMES];
	struct http1_call call = {
		.seq = e->seq,
		.method = e->method,
		.path = e->path,
		.host = e->host,
		.status = e->status,
		.start = e->start,
		.first_byte = e->first_byte,
		.end = time,
		.request_bytes = e->request_bytes,
		.response_bytes = e->response_bytes,
		.ids = ids,
		.ids_count = e->answered_count + e->asked_count,
		.ids_answered = e->answered_count,
		.end_reason = end,
		.protocol = e->minor ? "http/1.1" : "http/1.0",
		.lost = e->lost,
	};

	memcpy(ids, e->answered, e->answered_count * sizeof(*ids));
	memcpy(ids + e->answered_count, e->asked, e->asked_count * sizeof(*ids));
	if (callbacks->call)
		callbacks->call(callbacks->ctx, &call);
}
