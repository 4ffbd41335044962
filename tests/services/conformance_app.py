"""The application behind the servers of the conformance matrix (WSGI; asgi: ASGI)."""

BIG = b"b" * 300000
# What looks like heads in a body must not become calls.
TEXT = b"GET /false HTTP/1.1\r\nHost: h\r\n\r\nStatus: 500 No\r\n\r\n"
ANSWERS = {
    "/plain": ("200 OK", TEXT),
    "/created": ("201 Created", b"made"),
    "/empty": ("204 No Content", None),
    "/unchanged": ("304 Not Modified", None),
    "/open": ("200 OK", TEXT),
    "/big": ("200 OK", BIG),
}


def decide(path, body):
    """Status, answer, headers."""
    if path == "/echo":
        status, answer = "200 OK", str(len(body)).encode()
    else:
        status, answer = ANSWERS.get(path, ("404 Not Found", b"no"))
    headers = [("Content-Type", "text/plain"), ("X-Openstack-Request-Id", "req-app")]
    if answer is not None and path != "/open":
        headers.append(("Content-Length", str(len(answer))))
    return status, answer, headers


def application(environ, start_response):
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    status, answer, headers = decide(path, body)
    start_response(status, headers)
    if answer is None or environ["REQUEST_METHOD"] == "HEAD":
        return []
    # In pieces.
    return [answer[:10], answer[10:]] if len(answer) > 10 else [answer]


async def asgi(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    status, answer, headers = decide(scope["path"], body)
    answer = b"" if answer is None or scope["method"] == "HEAD" else answer
    await send({"type": "http.response.start", "status": int(status[:3]),
                "headers": [(name.lower().encode(), value.encode()) for name, value in headers]})
    await send({"type": "http.response.body", "body": answer[:10], "more_body": True})
    await send({"type": "http.response.body", "body": answer[10:]})
