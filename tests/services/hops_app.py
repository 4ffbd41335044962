"""A small service of the test of hops (WSGI): it asks a cache, and another service by HTTP.

    /cached/N   sets and gets a key, on a connection that it keeps
    /asked/N    asks the other service
    /both/N     does both
    /none/N     does neither

The ports are in CACHE_PORT and OTHER_PORT. Each answer has an id of its own.
"""

import http.client
import os
import socket
import uuid

cache = None


def ask_cache(number):
    global cache
    if cache is None:
        cache = socket.create_connection(("127.0.0.1", int(os.environ["CACHE_PORT"])))
    cache.sendall(b"set n%b 0 0 5\r\nvalue\r\nget n%b\r\n" % (number, number))
    text = b""
    while not text.endswith(b"END\r\n"):
        text += cache.recv(4096)


def ask_other(number):
    c = http.client.HTTPConnection("127.0.0.1", int(os.environ["OTHER_PORT"]), timeout=10)
    c.request("GET", "/" + number.decode())
    c.getresponse().read()
    c.close()


def application(environ, start_response):
    _, what, number = environ["PATH_INFO"].split("/")
    if what in ("cached", "both"):
        ask_cache(number.encode())
    if what in ("asked", "both"):
        ask_other(number.encode())
    start_response("200 OK", [("X-Openstack-Request-Id", "req-%s" % uuid.uuid4()),
                              ("X-What", what)])
    return [b"ok"]
