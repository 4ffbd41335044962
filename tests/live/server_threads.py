#!/usr/bin/python3
"""A threaded HTTP/1.1 server on loopback that writes down what it did.

Routes (GET or POST; any query is ignored):
  /alpha/X  sample_alpha.py, answered with a content length
  /beta/X   sample_beta.py, answered in chunks
  /exec/N   compiles N functions f_0 ... one after the other, each in a fresh namespace, so that
            their code reuses addresses; each calls os.stat
  /echo     reads the request's body (by length or in chunks) and sends it back
  /close    answered as HTTP/1.0 does, delimited by closing
HEAD is answered without a body; anything else with 404.

It says `port N` on stdout once it listens. --truth FILE receives one JSON line for each answer:
method, path (without query), status, request_id, and functions: those that made system calls for
it, as {module, qualname, line}. For /exec also addresses: how many different code addresses the
N functions had. Ends at SIGTERM or SIGINT.
"""

import argparse
import http.server
import json
import os
import signal
import socketserver
import sys
import threading
import uuid

import sample_alpha
import sample_beta


class Truth:
    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "a", encoding="utf-8") if path else None

    def write(self, record):
        if not self.file:
            return
        with self.lock:
            self.file.write(json.dumps(record) + "\n")
            self.file.flush()


def run_one(number):
    """Compiles f_NUMBER at a line of its own and calls it; returns the address of its code."""
    source = "\n" * (number % 40) + "def f_%d(path):\n    return os.stat(path)\n" % number
    space = {"os": os}
    exec(compile(source, "<exec>", "exec"), space)
    function = space["f_%d" % number]
    function("/")
    space.clear()  # the function holds its namespace: without this both would live on
    return id(function.__code__)


def run_exec(count):
    # Nothing is built in between, so that the memory of one function is free for the next.
    addresses = [run_one(number) for number in range(count)]
    functions = [{"module": "<exec>", "qualname": "f_%d" % number, "line": number % 40 + 1}
                 for number in range(count)]
    return functions, len(set(addresses))


class Lines:
    """The connection's input; remembers its last line, so that a head cut short is noticed."""

    def __init__(self, file):
        self.file = file
        self.last = b""

    def readline(self, limit=-1):
        self.last = self.file.readline(limit)
        return self.last

    def __getattr__(self, name):
        return getattr(self.file, name)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sample"
    sys_version = ""

    def log_message(self, format, *args):
        pass

    def setup(self):
        super().setup()
        self.rfile = Lines(self.rfile)

    def parse_request(self):
        """The library takes what a leaving client has sent of a head for a whole one."""
        whole = self.rfile.last.endswith(b"\n") and super().parse_request()
        if not whole or not self.rfile.last.endswith(b"\n"):
            self.close_connection = True
            return False
        return True

    def read_body(self):
        """The body, or None when the client left in the middle of it."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = self.rfile.readline(4096)
                if not size.endswith(b"\n"):
                    return None
                size = int(size.split(b";")[0], 16)
                if not size:
                    break
                part = self.rfile.read(size + 2)
                if len(part) < size + 2:
                    return None
                body += part[:-2]
            while True:
                trailer = self.rfile.readline(4096)
                if not trailer.endswith(b"\n"):
                    return None
                if not trailer.strip():
                    return body
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def route(self, path, body):
        """status, body of the answer, functions, and more for the truth."""
        name, _, rest = path[1:].partition("/")
        if name == "alpha" and rest:
            text, functions = sample_alpha.handle(rest)
        elif name == "beta" and rest:
            text, functions = sample_beta.handle(rest)
        elif name == "exec" and rest.isdigit():
            functions, addresses = run_exec(int(rest))
            return 200, b"%d\n" % addresses, functions, {"addresses": addresses}
        elif name == "echo" and not rest:
            text, functions = body, []
        elif name == "close" and not rest:
            text, functions = b"until the end\n" * 100, []
        else:
            return 404, b"no such route\n", [], {}
        return 200, text, functions, {}

    def answer(self):
        body = self.read_body()
        if body is None:
            self.close_connection = True
            return
        path = self.path.split("?")[0]
        status, text, functions, more = self.route(path, body)
        request_id = "req-" + str(uuid.uuid4())
        chunked = path.startswith("/beta/")
        self.server.truth.write({"method": self.command, "path": path, "status": status,
                                 "request_id": request_id, "functions": functions, **more})
        self.send_response(status)
        self.send_header("X-Openstack-Request-Id", request_id)
        if path == "/close":
            self.send_header("Connection", "close")
            self.close_connection = True
        elif chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if not chunked:
            self.wfile.write(text)
            return
        for at in range(0, len(text), 16):
            part = text[at:at + 16]
            self.wfile.write(b"%x\r\n" % len(part) + part + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, ValueError):
            pass  # the client left, or sent what is no request

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", metavar="FILE", help="where to write the truth")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    args = parser.parse_args()
    server = Server(("127.0.0.1", args.port), Handler)
    server.truth = Truth(args.truth)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    print("port %d" % server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
