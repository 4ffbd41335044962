"""The application: which handler answers which request, and what every answer carries."""
import json
import re
import uuid
from http import HTTPStatus

from sundial import alarms, auth, calendar, hours
from sundial.errors import ApiError

ROUTES = [
    (route[0], re.compile("^%s$" % re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route[1])), route[2])
    for module in (hours, alarms, calendar) for route in module.ROUTES
]


class Application:
    """Finds the handler of a request, calls it and writes its answer as JSON."""

    def __init__(self, store):
        self.store = store

    def find(self, method, path):
        known = False
        for want, pattern, handler in ROUTES:
            match = pattern.match(path)
            if match and want == method:
                return handler, match.groupdict()
            known = known or bool(match)
        raise ApiError(405 if known else 404, "no such resource")

    def body(self, environ):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length == 0:
            return None
        try:
            return json.loads(environ["wsgi.input"].read(length))
        except ValueError as error:
            raise ApiError(400, "the body is not JSON: %s" % error) from error

    def __call__(self, environ, start_response):
        try:
            handler, names = self.find(environ["REQUEST_METHOD"], environ["PATH_INFO"])
            status, answer = handler(self.store, self.body(environ), **names)
        except ApiError as error:
            status, answer = error.status, {"error": str(error)}
        return respond(start_response, status, answer)


def respond(start_response, status, answer):
    """Answers with a body, or without one for 204."""
    body = b"" if answer is None else json.dumps(answer).encode() + b"\n"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("%d %s" % (status, HTTPStatus(status).phrase), headers)
    return [body]


class RequestId:
    """Gives every answer an id, so that client, service and evidence speak of the same call."""

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        request_id = "req-%s" % uuid.uuid4()

        def start(status, headers, exc_info=None):
            return start_response(status, headers + [("X-Openstack-Request-Id", request_id)],
                                  exc_info)

        return self.application(environ, start)


def make(store):
    """The service with what stands before it: request ids, then authentication."""
    return RequestId(auth.TokenRequired(Application(store), store, respond))
