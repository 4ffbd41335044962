/* Finds the first certain request on a connection that was joined in the middle. */
#include "protocols/http1_join.h"

#include <string.h>

void http1_join_release(struct http1_join *j)
{
	http1_stream_release(&j->answer);
}

static void http1_join_reset(struct http1_join *j)
{
	http1_stream_release(&j->answer);
	memset(&j->answer, 0, sizeof(j->answer));
	j->state = JOIN_WAIT;
}

/* A whole request line at the start. The rest of the head may come later. */
static bool http1_join_is_request(const uint8_t *data, uint64_t len)
{
	const uint8_t *lf = memchr(data, '\n', len < HTTP1_HEAD_MAX ? len : HTTP1_HEAD_MAX);
	struct http1_head head;

	return lf && http1_head_read_request(data, (size_t)(lf - data) + 1, &head) == HTTP1_OK;
}

/* Follows the head of a response; HTTP1_OK when that is all of it. */
static enum http1_verdict http1_join_head(struct http1_join *j, const uint8_t *data, uint64_t len,
					  uint64_t *used)
{
	enum http1_framing framing;
	struct http1_head head;
	const uint8_t *at;
	size_t at_len;
	enum http1_verdict v;

	v = http1_stream_head(&j->answer, data, len, &at, &at_len, used);
	if (v == HTTP1_MORE)
		return http1_head_begins_response(j->answer.buf, j->answer.len) == HTTP1_SUSPECT
			       ? HTTP1_SUSPECT
			       : HTTP1_MORE;
	if (v || http1_head_read_response(at, at_len, &head) || head.status < 200 ||
	    http1_head_response_framing(&head, false, &framing) || framing == HTTP1_UNTIL_CLOSE)
		return HTTP1_SUSPECT;
	http1_stream_release(&j->answer);
	http1_body_init(&j->answer.body, framing, head.length);
	j->answer.state = STREAM_BODY;
	return framing == HTTP1_NO_BODY ? HTTP1_OK : HTTP1_MORE;
}

static void http1_join_answer(struct http1_join *j, const uint8_t *data, uint64_t len)
{
	enum http1_verdict v = HTTP1_MORE;
	uint64_t used;

	while (len && v == HTTP1_MORE) {
		if (j->answer.state == STREAM_BODY)
			v = http1_body_take(&j->answer.body, data, len, &used);
		else if (data)
			v = http1_join_head(j, data, len, &used);
		else
			v = HTTP1_GAP;
		if (v != HTTP1_OK && v != HTTP1_MORE)
			break;
		len -= used;
		data = data ? data + used : NULL;
	}
	if (v == HTTP1_OK && !len)
		j->state = JOIN_ANSWERED;
	else if (v != HTTP1_MORE)
		http1_join_reset(j);
}

bool http1_join_take(struct http1_join *j, enum decoder_direction direction, const uint8_t *data,
		     uint64_t len, bool first)
{
	if (direction == DECODER_REQUEST) {
		bool request = first && data && http1_join_is_request(data, len);
		bool certain = request && j->state == JOIN_ANSWERED;

		if (request && !certain)
			j->suspect++;
		http1_join_reset(j);
		return certain;
	}
	if (j->state != JOIN_ANSWER) {
		http1_join_reset(j);
		if (!first || !data)
			return false;
		j->state = JOIN_ANSWER;
	}
	http1_join_answer(j, data, len);
	return false;
}
