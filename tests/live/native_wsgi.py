"""A WSGI application under uwsgi whose way between Python and C is known: application calls
order, order calls sorted (C), which calls key_of, which makes a system call."""

import os


def key_of(value):
    os.stat("/etc")
    return value


def order():
    return sorted([3, 1, 2], key=key_of)


def application(environ, start_response):
    body = ("%s\n" % order()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
