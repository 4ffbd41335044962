#!/usr/bin/env python3
"""Two connections and one descriptor. `serve`: a thread waits for what the first connection sends;
meanwhile the other one gets its descriptor, and only then the first one sends. `ask PORT OUT` is the
client, OUT what the server says."""

import os
import socket
import sys
import threading
import time

FIRST = b"PUT /first HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
OTHER = b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
RECVFROM = "45 "


def serve():
    listener = socket.create_server(("127.0.0.1", 0))
    print("port", listener.getsockname()[1], flush=True)
    first, other = listener.accept()[0], listener.accept()[0]
    got = []
    thread = threading.Thread(target=lambda: got.append(first.recv(65536)))
    thread.start()
    where = f"/proc/self/task/{thread.native_id}/syscall"
    while not open(where).read().startswith(RECVFROM):
        time.sleep(0.01)
    os.dup2(other.fileno(), first.fileno())
    print("switched", flush=True)
    thread.join()
    assert got == [FIRST], got
    for _ in range(2):
        assert other.recv(65536) == OTHER
        other.sendall(ANSWER)
    assert not other.recv(65536)


def ask(port, out):
    first, other = (socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(2))
    while "switched" not in open(out).read():
        time.sleep(0.01)
    first.sendall(FIRST)
    time.sleep(0.2)
    for _ in range(2):
        other.sendall(OTHER)
        assert other.recv(65536) == ANSWER
    print(other.getsockname()[1])


if sys.argv[1] == "serve":
    serve()
else:
    ask(int(sys.argv[2]), sys.argv[3])
