"""A WSGI application under uwsgi whose way between Python and C is known: application calls
order, order calls sorted (C), which calls key_of, which makes a system call. Then it calls queried,
which asks sqlite (an extension, a library), whose extension calls of_row, which makes another one."""

import os
import sqlite3


def key_of(value):
    os.stat("/etc")
    return value


def order():
    return sorted([3, 1, 2], key=key_of)


def of_row(value):
    os.access("/etc", os.R_OK)
    return value


def queried():
    return CONNECTION.execute("SELECT of_row(1)").fetchone()[0]


CONNECTION = sqlite3.connect(":memory:", check_same_thread=False)
CONNECTION.create_function("of_row", 1, of_row)


def application(environ, start_response):
    body = ("%s %s\n" % (order(), queried())).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
