#!/usr/bin/env python3
"""A small HTTP/1.1 server whose code is tampered with in memory.

  server_memory.py FOLDER

FOLDER holds the modules of memory_modules.sh. Each GET runs every function of them; each function
sends a piece of the answer, so each is seen. Before the server says `port N` all have run some
hundred times, so that their code is specialised, and then
  - patched.replaced gets another code object, with one constant changed,
  - a constant of patched.poked is overwritten in memory.
GET /late overwrites a constant of patched.late, which has run before. Ends at SIGTERM.
"""
import ctypes
import http.server
import signal
import sys

sys.path.insert(0, sys.argv[1])

import bare
import foreign
import later
import patched
import plain


def poke(function, old, new):
    """The text `old` among the constants becomes `new`, of the same length, where it lies."""
    for value in function.__code__.co_consts:
        if value == old:
            data = ctypes.string_at(id(value), sys.getsizeof(value))
            ctypes.memmove(id(value) + data.index(old.encode()), new.encode(), len(new))
            return
    raise LookupError(old)


def everything(send):
    for module in (bare, foreign, later, patched, plain):
        module.run(send)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def do_GET(self):
        if self.path == "/late":
            poke(patched.late, "a late text", "Another one")
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        everything(self.send)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args):
        pass


for _ in range(300):
    everything(len)
try:
    patched.replaced.__code__ = patched.replaced.__code__.replace(
        co_consts=tuple(778 if c == 777 else c for c in patched.replaced.__code__.co_consts))
except AttributeError:  # code.replace came with 3.8
    sys.exit("server_memory.py needs CPython 3.8")
poke(patched.poked, "a poked text", "Another text")
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
signal.signal(signal.SIGTERM, lambda *args: sys.exit(0))
print("port", server.server_address[1], flush=True)
server.serve_forever()
