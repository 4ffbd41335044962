#!/usr/bin/python3
"""A WSGI application with calls that overlap, and the way to serve it: a uwsgi of threads.

    flow_wsgi.py [UWSGI-OPTION...]

Says `port N`, then `runs ROUTE FUNCTION` for each function of its own, and becomes uwsgi. /slow
takes 0.6 s in steps; /nested does so below many calls made by C code; /fast ends at once. Each
answer's request id is req-ROUTE-NUMBER, with the number that the query gives.
"""

import os
import socket
import sys
import time

STEPS = 20
NEST = 30


def slow_step():
    time.sleep(0.03)
    os.listdir("/")


def slow_route():
    for _ in range(STEPS):
        slow_step()


def nested_step():
    time.sleep(0.03)
    os.listdir("/")


def nested_inner(depth):
    if depth:
        sorted([1], key=lambda _: nested_inner(depth - 1))
        return
    for _ in range(STEPS):
        nested_step()


def nested_route():
    nested_inner(NEST)


def fast_step():
    os.stat("/")


def fast_route():
    fast_step()


ROUTES = {"slow": (slow_route, slow_step), "fast": (fast_route, fast_step),
          "nested": (nested_route, nested_inner, nested_step)}


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    ROUTES[name][0]()
    start_response("200 OK", [("Content-Length", "2"), ("X-Openstack-Request-Id", "req-%s-%s" % (
        name, environ["QUERY_STRING"]))])
    return [b"ok"]


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    listener.set_inheritable(True)
    print("port %d" % listener.getsockname()[1])
    for name, functions in ROUTES.items():
        for function in functions:
            print("runs %s %s" % (name, function.__qualname__))
    sys.stdout.flush()
    os.execvp("uwsgi_python3", [
        "uwsgi_python3", "--plugin", "python3", "--need-app", "--die-on-term",
        "--disable-logging", "--http-socket", "fd://%d" % listener.fileno(), "--wsgi-file",
        os.path.abspath(__file__)] + sys.argv[1:])


if __name__ == "__main__":
    main()
