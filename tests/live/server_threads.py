#!/usr/bin/python3
"""A threaded HTTP/1.1 server on loopback that writes down what it did.

Routes (GET or POST; any query is ignored):
  /alpha/X  sample_alpha.py, answered with a content length
  /beta/X   sample_beta.py, answered in chunks
  /exec/N   compiles N functions of each of four kinds, one after the other, each in a fresh
            namespace, so that their code reuses addresses; each sends a chunk of the answer
  /as/NAME  runs a function whose source is said to be the file NAME in the folder --modules
  /echo     reads the request's body (by length or in chunks) and sends it back
  /close    answered as HTTP/1.0 does, delimited by closing
HEAD is answered without a body; anything else with 404.

It says `port N` on stdout once it listens. --truth FILE receives one JSON line for each answer:
method, path (without query), status, request_id, and functions: those that made system calls for
it, as {module, qualname, line}. For /exec also addresses: how many different code addresses the
functions had. Ends at SIGTERM or SIGINT; becomes a new program (the same one) at SIGHUP.
--forking: a process for each connection instead of a thread.
"""

import argparse
import http.server
import json
import mmap
import os
import signal
import socketserver
import sys
import threading
import time
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


# One small function, in four disguises: told apart by name, by line alone, by qualified name alone
# (of one name), by file name alone. Each sends a piece of the answer, so each is seen.
DISGUISES = (
    lambda n: ("<exec>", "\n" * n + "def f_%d(send, n):\n    send(n)\n" % n, "f_%d" % n, n + 1),
    lambda n: ("<exec>", "\n" * n + "def same(send, n):\n    send(n)\n", "same", n + 1),
    lambda n: ("<exec>", "class C_%d:\n    def run(send, n):\n        send(n)\n" % n,
               "C_%d.run" % n, 2),
    lambda n: ("<exec-%d>" % n, "def filed(send, n):\n    send(n)\n", "filed", 1),
)


def run_one(disguise, number, send):
    """Compiles function NUMBER and calls it; returns the address of its code."""
    file, source, qualname, _ = DISGUISES[disguise](number)
    space = {}
    exec(compile(source, file, "exec"), space)
    owner, _, name = qualname.rpartition(".")
    function = vars(space[owner])[name] if owner else space[name]
    function(send, number)
    space.clear()  # the function holds its namespace: without this both would live on
    return id(function.__code__)


def run_exec(count, pause, send):
    # Nothing is built in between, so that the memory of one function is free for the next.
    addresses = set()
    for disguise in range(len(DISGUISES)):
        for number in range(count):
            addresses.add(run_one(disguise, number, send))
            time.sleep(pause)
    functions = []
    for make in DISGUISES:
        for number in range(count):
            file, _, qualname, line = make(number)
            functions.append({"module": file, "qualname": qualname, "line": line})
    return functions, len(addresses)


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
    disable_nagle_algorithm = True
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
        """status, body of the answer, functions."""
        name, _, rest = path[1:].partition("/")
        if name == "alpha" and rest:
            text, functions = sample_alpha.handle(rest)
        elif name == "beta" and rest:
            text, functions = sample_beta.handle(rest)
        elif name == "as" and rest and self.server.modules:
            space = {}
            exec(compile("def run(path):\n    return os.stat(path)\n",
                         os.path.join(self.server.modules, rest), "exec"), {"os": os}, space)
            text, functions = b"%d\n" % space["run"]("/").st_mode, []
        elif name == "echo" and not rest:
            text, functions = body, []
        elif name == "close" and not rest:
            text, functions = b"until the end\n" * 100, []
        else:
            return 404, b"no such route\n", []
        return 200, text, functions

    def answer(self):
        body = self.read_body()
        if body is None:
            self.close_connection = True
            return
        path = self.path.split("?")[0]
        if path.startswith("/exec/") and path[6:].isdigit() and self.command != "HEAD":
            self.answer_exec(path)
            return
        status, text, functions = self.route(path, body)
        request_id = "req-" + str(uuid.uuid4())
        chunked = path.startswith("/beta/")
        self.server.truth.write({"method": self.command, "path": path, "status": status,
                                 "request_id": request_id, "functions": functions})
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

    def answer_exec(self, path):
        request_id = "req-" + str(uuid.uuid4())
        self.send_response(200)
        self.send_header("X-Openstack-Request-Id", request_id)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        functions, addresses = run_exec(int(path[6:]), self.server.pause,
                                        lambda n: self.wfile.write(b"4\r\n%04d\r\n" % (n % 10000)))
        # Before the end of the answer: who has it may read the truth.
        self.server.truth.write({"method": self.command, "path": path, "status": 200,
                                 "request_id": request_id, "functions": functions,
                                 "addresses": addresses})
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


class ForkingServer(socketserver.ForkingMixIn, http.server.HTTPServer):
    request_queue_size = 128


def become_new(server):
    os.execv(sys.executable, [sys.executable] + sys.argv +
             ["--port", str(server.server_address[1])])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", metavar="FILE", help="where to write the truth")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--modules", metavar="DIR", help="for /as")
    parser.add_argument("--map", metavar="FILE", help="map its first page, as code")
    parser.add_argument("--note", metavar="TEXT", help="does nothing; a value among the arguments")
    parser.add_argument("--pause", type=float, default=0, metavar="MS",
                        help="in front of each function of /alpha and /beta (0)")
    parser.add_argument("--exec-pause", type=float, default=0, metavar="MS",
                        help="behind each function of /exec (0)")
    parser.add_argument("--forking", action="store_true", help="a process for each connection")
    args = parser.parse_args()
    server = (ForkingServer if args.forking else Server)(("127.0.0.1", args.port), Handler)
    server.truth = Truth(args.truth)
    server.modules = args.modules
    if args.map:
        with open(args.map, "rb") as f:
            server.mapping = mmap.mmap(f.fileno(), 4096, flags=mmap.MAP_PRIVATE,
                                       prot=mmap.PROT_READ | mmap.PROT_EXEC)
    sample_alpha.PAUSE = args.pause / 1000
    server.pause = args.exec_pause / 1000
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, lambda *_: become_new(server))
    print("port %d" % server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
