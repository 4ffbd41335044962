/*
 * A request as an environment in the manner of CGI (RFC 3875): names and values become the head of
 * a request. And the head of an answer that has a Status field for a status line. Part of the
 * decoders of uwsgi, FastCGI and mod_wsgi.
 */
#ifndef DAYLIGHT_PROTOCOLS_CGI_H
#define DAYLIGHT_PROTOCOLS_CGI_H

#include "protocols/http1_head.h"

/* Zero-initialised is ready. Views point into the environment's bytes, and into it: do not move. */
struct cgi {
	struct http1_head head;
	struct http1_view uri, script, info;
	bool odd; /* a value that cannot be one, or two of a kind */
	char path[4096]; /* SCRIPT_NAME and PATH_INFO, where there is no REQUEST_URI */
};

/* A name that an environment may hold. */
bool cgi_is_name(struct http1_view name);
void cgi_put(struct cgi *c, struct http1_view name, struct http1_view value);
/* All were put. HTTP1_OK: c->head is a request's, with REQUEST_METHOD and a path. */
enum http1_verdict cgi_end(struct cgi *c);

/*
 * Reads the head of an answer, with the empty line. Its status is that of Status; without one, 302
 * when Location is an absolute URL, 0 (another resource shall answer) when it is another, else 200.
 */
enum http1_verdict cgi_read_answer(const uint8_t *data, size_t len, struct http1_head *head);

#endif
