#!/usr/bin/python3
"""A server whose functions are easily taken for one another, one call at a time.

    flow_code.py

Says `port N`, then `runs ROUTE WHAT`. /plugin?NUMBER compiles and runs a short-lived module of its
own: the modules have the same names, lines and sizes, and `address N` shows that they come to lie
at the same places. /callers has one long chain of calls and three callers of it, whose stacks differ
far from their innermost frames only.
"""

import http.server
import os
import sys

PLUGIN = """
import os

def plugin_step():
    os.stat("/")

plugin_step()
"""


def say(text):
    print(text, flush=True)


def plugin(number):
    path = "/srv/tenant/plugin_%04d.py" % number
    code = compile(PLUGIN, path, "exec")
    exec(code, {})
    say("runs plugin-%d %s\naddress %d" % (number, path, id(code)))


def link_4():
    os.stat("/")


def link_3():
    link_4()


def link_2():
    link_3()


def link_1():
    link_2()


def caller_a():
    link_1()


def caller_b():
    link_1()


def caller_c():
    link_1()


def callers(_):
    caller_a()
    caller_b()
    caller_c()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        route, _, number = self.path.strip("/").partition("?")
        {"plugin": plugin, "callers": callers}[route](int(number))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("X-Openstack-Request-Id", "req-%s-%s" % (route, number))
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


def main():
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.request_queue_size = 64
    say("port %d" % server.server_port)
    for name in ("callers", "caller_a", "caller_b", "caller_c", "link_1", "link_2", "link_3",
                 "link_4"):
        say("runs callers " + name)
    say("runs plugin plugin")
    server.serve_forever()


if __name__ == "__main__":
    main()
