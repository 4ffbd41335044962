#!/usr/bin/python3
"""A server whose answers end in all ways, and the client that sees to it.

    flow_ends.py serve
    flow_ends.py ask PORT WHAT...

`serve` says `port N`, then `runs ROUTE FUNCTION`. /half lasts until the server closes; /sized has a
length; /reset and /cut begin an answer and go on when the client has gone; /die begins one and ends
the process. /stream?N is an answer of N bytes, each sent alone.

`ask` prints the request ids of the answers that came whole: half and sized after the client has
shut down its side, reset in the middle of an answer, cut with a plain close there, die, or
stream=N.
"""

import os
import socket
import struct
import sys
import time

HEAD = b"HTTP/1.1 200 OK\r\nX-Openstack-Request-Id: req-%b-%b\r\n%b\r\n"


def until_close(conn, head):
    time.sleep(0.1)
    conn.sendall(HEAD % (*head, b"") + b"a whole answer")


def sized(conn, head):
    time.sleep(0.1)
    conn.sendall(HEAD % (*head, b"Content-Length: 8\r\n") + b"eight of")


def broken(conn, head):
    conn.sendall(HEAD % (*head, b"") + b"part of an answer")
    # Busy, so that this task is what the client's reset interrupts.
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        pass
    for _ in range(2):
        conn.sendall(b"more")
        time.sleep(0.05)


def dying(conn, head):
    conn.sendall(HEAD % (*head, b"Content-Length: 100\r\n") + b"part of an answer")
    time.sleep(0.1)
    os._exit(0)


def streamed(conn, head):
    length = int(head[1])
    conn.sendall(HEAD % (*head, b"Content-Length: %d\r\n" % length))
    for _ in range(length):
        conn.sendall(b"x")


ROUTES = {b"half": until_close, b"sized": sized, b"reset": broken, b"cut": broken, b"die": dying,
          b"stream": streamed}


def serve():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    print("port %d" % listener.getsockname()[1])
    for route, function in ROUTES.items():
        print("runs %s %s" % (route.decode(), function.__name__))
    sys.stdout.flush()
    while True:
        conn = listener.accept()[0]
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = conn.recv(65536).split()[1].strip(b"/").split(b"?")
        try:
            ROUTES[head[0]](conn, head)
        except OSError as e:
            print("%s: %s" % (head[0].decode(), e), flush=True)
        conn.close()


def take(conn):
    data, more = b"", True
    while more:
        more = conn.recv(65536)
        data += more
    return data


def ask(port, what, number):
    with socket.create_connection(("127.0.0.1", port), timeout=25) as conn:
        route, _, count = what.partition("=")
        number = count or str(number)
        conn.sendall(b"GET /%b?%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % (
            route.encode(), number.encode()))
        if route in ("half", "sized"):
            conn.shutdown(socket.SHUT_WR)
        if route in ("reset", "cut"):
            conn.recv(65536)
            time.sleep(0.1)
            if route == "reset":
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            conn.close()
            time.sleep(0.6)
            return
        body = take(conn).partition(b"\r\n\r\n")[2]
        wanted = {"half": b"a whole answer", "sized": b"eight of", "die": b"part of an answer"}
        if body != wanted.get(route, b"x" * int(number)):
            raise SystemExit("flow_ends.py: not the answer to %s: %r" % (what, body[:100]))
        if route != "die":
            print("req-%s-%s" % (route, number))


def main():
    if sys.argv[1] == "serve":
        serve()
    for number, what in enumerate(sys.argv[3:]):
        ask(int(sys.argv[2]), what, number)


if __name__ == "__main__":
    main()
