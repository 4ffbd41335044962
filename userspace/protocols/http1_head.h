/*
 * The head of an HTTP message: the few things that are needed of it, and how they are read from the
 * text of HTTP/1. Part of the decoders; those of other protocols put its fields in one by one.
 *
 * Lines end with CRLF; a bare LF is taken for one, as RFC 9112 section 2.2 allows a recipient to.
 * Every other liberty (folding, white space before a colon, a bare CR, control characters) makes
 * the head undecidable.
 */
#ifndef DAYLIGHT_PROTOCOLS_HTTP1_HEAD_H
#define DAYLIGHT_PROTOCOLS_HTTP1_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP1_METHOD_MAX 32
#define HTTP1_HOST_MAX 261 /* 255 of a name, a colon, a port */
#define HTTP1_ID_MAX 256 /* a longer request id is not kept */
#define HTTP1_ID_NAMES 4 /* header names that are kept as request ids */

/* What a piece of the machinery says about the bytes it was given. */
enum http1_verdict {
	HTTP1_OK, /* it is whole */
	HTTP1_MORE, /* so far so good, bytes are missing */
	HTTP1_NOT_HTTP, /* has not even the form of a start line */
	HTTP1_SUSPECT, /* cannot be decided */
	HTTP1_GAP, /* the bytes that would decide are missing */
};

/* Bytes inside the head: not NUL-terminated, valid as long as the head is. */
struct http1_view {
	const char *p;
	size_t len;
};

struct http1_head_id {
	const char *name; /* canonical, static */
	struct http1_view value;
};

enum http1_framing { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

struct http1_head {
	struct http1_view method; /* of a request; a token */
	struct http1_view path; /* of a request; no query, no fragment; "*"; empty for CONNECT */
	struct http1_view host; /* no userinfo; empty when absent or not a host */
	unsigned int status; /* of a response */
	unsigned int minor; /* 0 or 1; higher ones count as 1 */
	struct http1_head_id ids[HTTP1_ID_NAMES];
	size_t ids_count;
	/* What is said about the body, to be judged by the two functions below. */
	bool length_seen, length_bad;
	uint64_t length;
	bool coding_seen, coding_bad, chunked_last;
	unsigned int chunked_count;
	/* An answer's Status and Location: the status of one that has no status line. */
	struct http1_view status_field, location;
	bool h2c; /* Upgrade names HTTP/2 */
	bool expects; /* the body waits for 100 Continue */
};

/*
 * The number of bytes up to and with the empty line that ends the head, or 0 when it is not there
 * yet. `from` bytes have been looked at before.
 */
size_t http1_head_end(const uint8_t *data, size_t len, size_t from);

/* Can these first bytes begin a request (a method and a space), a response ("HTTP/1.")? */
enum http1_verdict http1_head_begins_request(const uint8_t *data, size_t len);
enum http1_verdict http1_head_begins_response(const uint8_t *data, size_t len);

/*
 * Read whole lines of a head: all of them, or as many as there are (then the framing means
 * nothing). HTTP1_OK, HTTP1_NOT_HTTP or HTTP1_SUSPECT.
 */
enum http1_verdict http1_head_read_request(const uint8_t *data, size_t len,
					   struct http1_head *head);
enum http1_verdict http1_head_read_response(const uint8_t *data, size_t len,
					    struct http1_head *head);

/*
 * The parts of a head, one by one. Values have no white space around them; what they may hold is
 * looked at. A field that does not matter is passed over.
 */
enum http1_verdict http1_head_put_method(struct http1_view value, struct http1_head *head);
enum http1_verdict http1_head_put_target(struct http1_view value, struct http1_head *head);
void http1_head_put_field(struct http1_view name, struct http1_view value, struct http1_head *head);
/* Fields alone, as an answer in the manner of CGI has them. */
enum http1_verdict http1_head_read_fields(const uint8_t *data, size_t len, struct http1_head *head);
/* "scheme://" at its start. */
bool http1_head_is_absolute(struct http1_view target);

/* A character that a field name may hold (tchar of RFC 9110 section 5.6.2). */
bool http1_head_is_name(uint8_t c);

/* How the body is delimited (RFC 9112 section 6.3). HTTP1_OK or HTTP1_SUSPECT. */
enum http1_verdict http1_head_request_framing(const struct http1_head *head,
					      enum http1_framing *framing);
/* asked_head: the request's method was HEAD. */
enum http1_verdict http1_head_response_framing(const struct http1_head *head, bool asked_head,
					       enum http1_framing *framing);

#endif
