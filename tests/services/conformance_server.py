#!/usr/bin/python3
"""A server that moves its bytes in every odd way: conformance_server.py PORT.

POST /odd/WAY: peek (looks before it reads), short (reads and writes a few bytes at a time), again
(non-blocking, many times in vain), dup (answers on a copy of the descriptor), pass (another process
answers, that was given the descriptor), fork (a child answers), sendfile, splice-out (the answer's
body comes through a pipe), splice-in (so goes the request's body), writev.
"""

import array
import multiprocessing
import os
import socket
import sys
import tempfile
import threading

TEXT = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" * 2000


def read_head(sock, peek=False, size=65536):
    data = b""
    while b"\r\n\r\n" not in data:
        if peek:
            sock.recv(65536, socket.MSG_PEEK)
        try:
            more = sock.recv(size)
        except BlockingIOError:
            continue
        if not more:
            return None, b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode(), body


def read_body(sock, have, length, way):
    if way == "splice-in":
        inward, outward = os.pipe()
        while have < length:
            moved = os.splice(sock.fileno(), outward, min(length - have, 4096))
            have += moved
            while moved:
                moved -= len(os.read(inward, moved))
        os.close(inward)
        os.close(outward)
    while have < length:
        try:
            if way == "peek":
                sock.recv(1000, socket.MSG_PEEK)
            have += len(sock.recv(1000 if way == "short" else 65536))
        except BlockingIOError:
            continue


def answer(sock, way):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(TEXT)
    if way == "short":
        data = head + TEXT
        for at in range(0, len(data), 3000):
            sock.sendall(data[at:at + 3000])
    elif way == "again":
        data = memoryview(head + TEXT)
        while data:
            try:
                data = data[sock.send(data):]
            except BlockingIOError:
                continue
    elif way == "dup":
        sock.sendall(head)
        with socket.socket(fileno=os.dup(sock.fileno())) as copy:
            copy.sendall(TEXT)
    elif way == "fork":
        child = os.fork()
        if not child:
            sock.sendall(head + TEXT)
            os._exit(0)
        os.waitpid(child, 0)
    elif way == "sendfile":
        with tempfile.TemporaryFile() as file:
            file.write(TEXT)
            file.flush()
            sock.sendall(head)
            at = 0
            while at < len(TEXT):
                at += os.sendfile(sock.fileno(), file.fileno(), at, len(TEXT) - at)
    elif way == "splice-out":
        sock.sendall(head)
        inward, outward = os.pipe()
        for at in range(0, len(TEXT), 4096):
            left = os.write(outward, TEXT[at:at + 4096])
            while left:
                left -= os.splice(inward, sock.fileno(), left)
        os.close(inward)
        os.close(outward)
    elif way == "writev":
        left = memoryview(head + TEXT)
        while left:
            left = left[os.writev(sock.fileno(), [left[i:i + 3000] for i in range(0, 30000, 3000)]):]
    elif way == "pass":
        HELPER.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                 array.array("i", [sock.fileno()]))])
        HELPER.recv(1)
    else:
        sock.sendall(head + TEXT)


def helper(sock):
    """Another process, that answers on descriptors that it is given; it ends with the server."""
    HELPER.close()
    while True:
        data, fds, _, _ = socket.recv_fds(sock, 1, 1)
        if not data:
            return
        with socket.socket(fileno=fds[0]) as given:
            answer(given, "plain")
        sock.send(b"x")


def serve(sock):
    way = ""
    with sock:
        while True:
            head, body = read_head(sock, way == "peek", 7 if way == "short" else 500)
            if head is None:
                return
            way = head.split()[1].rsplit("/", 1)[1]
            length = int(head.lower().partition("content-length:")[2].split()[0])
            sock.setblocking(way != "again")
            read_body(sock, len(body), length, way)
            answer(sock, way)


HELPER, theirs = socket.socketpair()
child = multiprocessing.Process(target=helper, args=(theirs,), daemon=True)
child.start()
theirs.close()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
