/* A request that waits for its answer: copies of what may be kept, and nothing else. */
#include "protocols/exchange.h"

#include <stdlib.h>
#include <string.h>

#define HTTP1_PATH_MAX 4096

static char *exchange_copy(struct http1_view v)
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
static char *exchange_copy_path(struct http1_view v)
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

static void exchange_free_text(const char *text)
{
	if (text)
		explicit_bzero((char *)text, strlen(text));
	free((char *)text);
}

void exchange_free(struct exchange *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->asked_count; i++)
		exchange_free_text(e->asked[i].value);
	for (size_t i = 0; i < e->answered_count; i++)
		exchange_free_text(e->answered[i].value);
	exchange_free_text(e->path);
	exchange_free_text(e->host);
	free(e);
}

static int exchange_copy_ids(const struct http1_head *head, struct decoder_id *ids, size_t *count)
{
	for (size_t i = 0; i < head->ids_count; i++) {
		char *value = exchange_copy(head->ids[i].value);

		if (!value)
			return -1;
		ids[i].name = head->ids[i].name;
		ids[i].value = value;
		ids[i].len = head->ids[i].value.len;
		*count = i + 1;
	}
	return 0;
}

struct exchange *exchange_new(const struct http1_head *head, const char *protocol)
{
	struct exchange *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->first_byte = e->headed = UINT64_MAX;
	e->protocol = protocol;
	memcpy(e->method, head->method.p, head->method.len);
	e->path = exchange_copy_path(head->path);
	e->host = exchange_copy(head->host);
	if (e->path && e->host && !exchange_copy_ids(head, e->asked, &e->asked_count))
		return e;
	exchange_free(e);
	return NULL;
}

int exchange_answer(struct exchange *e, const struct http1_head *head)
{
	e->status = head->status;
	return exchange_copy_ids(head, e->answered, &e->answered_count);
}

void exchange_report(const struct exchange *e, enum decoder_end end, uint64_t time,
		     const struct decoder_callbacks *callbacks)
{
	struct decoder_id ids[2 * HTTP1_ID_NAMES];
	struct decoder_call call = {
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
		.protocol = e->protocol,
		.lost = e->lost,
	};

	memcpy(ids, e->answered, e->answered_count * sizeof(*ids));
	memcpy(ids + e->answered_count, e->asked, e->asked_count * sizeof(*ids));
	if (callbacks->call)
		callbacks->call(callbacks->ctx, &call);
}
