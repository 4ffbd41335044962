#!/usr/bin/python3
"""Answers each GET by a chain of calls through sources_shapes.py, and says `port N` first."""

import http.server
import sys

import sources_shapes


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"%d\n" % sources_shapes.handle(4)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("port", server.server_port)
sys.stdout.flush()
server.serve_forever()
