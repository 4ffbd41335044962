#!/usr/bin/python3
"""A server on greenlets whose request handler receives below as many Python frames as asked for.

    flow_deep.py

Says `port N`, then `runs ROUTE FUNCTION`. Port N receives below 300 frames (/deep); the port that
is printed by `shallow N` below 20 (/shallow). A background greenlet of the same thread works all
the time for no call.
"""

import sys

import eventlet

eventlet.monkey_patch()

import os  # noqa: E402

FRAMES = {"deep": 300, "shallow": 20}


def background_step():
    os.listdir("/")


def background():
    while True:
        eventlet.sleep(0.01)
        background_step()


def receive_below(conn, depth):
    return receive_below(conn, depth - 1) if depth else conn.recv(65536)


def handle(conn, name):
    number = receive_below(conn, FRAMES[name]).split()[1].split(b"?")[1]
    eventlet.sleep(0.2)
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
                 b"X-Openstack-Request-Id: req-%b-%b\r\n\r\nok" % (name.encode(), number))
    conn.close()


def serve(listener, name):
    while True:
        conn = listener.accept()[0]
        eventlet.spawn(handle, conn, name)


def main():
    deep, shallow = (eventlet.listen(("127.0.0.1", 0)) for _ in range(2))
    print("port %d\nshallow %d" % (deep.getsockname()[1], shallow.getsockname()[1]))
    for text in ("- background", "- background_step", "deep handle", "shallow handle",
                 "shallow receive_below", "deep receive_below"):
        print("runs " + text)
    sys.stdout.flush()
    eventlet.spawn(background)
    eventlet.spawn(serve, deep, "deep")
    serve(shallow, "shallow")


if __name__ == "__main__":
    main()
