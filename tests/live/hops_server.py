#!/usr/bin/python3
"""Servers of the test of hops; each says `port N` and works until it is ended.

    hops_server.py back PATH          HTTP, also on a Unix socket; answers each with an id of its own
    hops_server.py echo               sends back what it gets
    hops_server.py front BACK ECHO PATH
                                      HTTP; its routes use connections to both, see Front.do_GET

Request ids go into X-Openstack-Request-Id. `front` prints what it did, a JSON line for each answer:
{"id": ..., "hops": [{"local": port, "remote": port, "sent": n, "received": n, "calls": [ids]}]},
and without an id for what it did outside of any call.
"""

import http.server
import itertools
import json
import os
import queue
import socket
import socketserver
import sys
import threading
import time

ID = "X-Openstack-Request-Id"
numbers = itertools.count(1)


def say(text):
    # One write, so that lines of threads do not mix.
    os.write(1, (text + "\n").encode())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body=b"ok\n"):
        self.mark = "req-%s-%d" % (type(self).__name__.lower(), next(numbers))
        self.send_response(200)
        self.send_header(ID, self.mark)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Back(Handler):
    def do_GET(self):
        self.answer(b"x" * (17 + len(self.path)))


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Use:
    """A connection that counts."""

    def __init__(self, host, port):
        self.remote = port
        if port:
            self.s = socket.create_connection((host, port))
        else:
            self.s = socket.socket(socket.AF_UNIX)
            self.s.connect(host)

    def begin(self):
        self.sent = self.received = 0
        self.calls = []

    def send(self, data):
        self.s.sendall(data)
        self.sent += len(data)

    def recv(self):
        data = self.s.recv(65536)
        self.received += len(data)
        return data

    def ask(self, path):
        self.send(b"GET %s HTTP/1.1\r\nHost: back\r\n\r\n" % path.encode())
        text = b""
        while b"\r\n\r\n" not in text:
            text += self.recv()
        head, _, body = text.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        while len(body) < int(fields["Content-Length"]):
            body += self.recv()
        self.calls.append(fields[ID])

    def echo(self, data):
        self.send(data)
        while self.received < self.sent:
            self.recv()

    def told(self):
        local = self.s.getsockname()[1] if self.remote else 0
        return {"local": local, "remote": self.remote, "sent": self.sent,
                "received": self.received, "calls": self.calls}


class Front(Handler):
    def do_GET(self):
        back, echo = self.server.back, self.server.echo
        uses = []
        if self.path == "/new":
            uses = [self.once(Use("127.0.0.1", back), "/a")]
        elif self.path == "/six":
            uses = [self.once(Use("::1", back), "/a")]
        elif self.path == "/unix":
            uses = [self.once(Use(self.server.path, 0), "/u", "/v")]
        elif self.path == "/twice":
            uses = [self.once(Use("127.0.0.1", back), "/a", "/b"),
                    self.once(Use("127.0.0.1", back), "/c")]
        elif self.path == "/pool":
            use = self.server.pool.get()
            uses = [self.once(use, "/p", keep=True)]
            # Nobody else may have it before what it did is told.
            self.server.pool.put(use)
        elif self.path == "/echo":
            use = Use("127.0.0.1", echo)
            use.begin()
            use.echo(b"set key 0 0 5\r\nvalue\r\n")
            uses = [use.told()]
        elif self.path == "/message":
            use = Use("127.0.0.1", echo)
            use.begin()
            use.echo(b"AMQP\x00\x00\x09\x01")
            use.send(b"a message")
            use.recv()
            uses = [use.told()]
        self.answer()
        say(json.dumps({"id": self.mark, "hops": uses}))

    def once(self, use, *paths, keep=False):
        use.begin()
        for path in paths:
            use.ask(path)
        told = use.told()
        if not keep:
            use.s.close()
        return told


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def get_request(self):
        request, _ = super().get_request()
        return request, ("unix", 0)


def beside(server):
    """What no call asked for: on a pooled connection, too."""
    while True:
        time.sleep(0.05)
        use = server.pool.get()
        use.begin()
        use.ask("/beside")
        say(json.dumps({"id": None, "hops": [use.told()]}))
        server.pool.put(use)


def main():
    kind = {"back": Back, "front": Front, "echo": Echo}[sys.argv[1]]
    with Server(("::", 0), kind) as server:
        if kind is Back:
            beneath = UnixServer(sys.argv[2], Back)
            threading.Thread(target=beneath.serve_forever, daemon=True).start()
        if kind is Front:
            server.back, server.echo = int(sys.argv[2]), int(sys.argv[3])
            server.path = sys.argv[4]
            server.pool = queue.Queue()
            for _ in range(2):
                server.pool.put(Use("127.0.0.1", server.back))
            threading.Thread(target=beside, args=(server,), daemon=True).start()
        say("port %d" % server.server_address[1])
        server.serve_forever()


main()
