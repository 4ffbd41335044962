#!/usr/bin/python3
"""A server whose functions are known exactly: those of deep_code*.py, route by route.

    deep_server.py [--truth FILE] MODE

MODE is plain (one call at a time; loads its code again at SIGHUP), workers (so in four processes, each call takes 20 ms), prefork
(each connection has a child of its own; those of odd numbers wait before they work), loop (asyncio)
or green (eventlet). Says `port N`. GET /ROUTE?NUMBER is answered with the request id
req-ROUTE-NUMBER, and works for it in between.

With --truth it records the functions that run for each request, one request at a time, and writes
them as tests/services/recall_record.py does. That is a run of its own: on some versions the profile
function changes what the interpreter executes.
"""
import gc
import os
import sys
import time

PAUSE = 0.2  # of prefork: so long after their requests some children begin to work
HERE = os.path.dirname(os.path.abspath(__file__))
ANSWER = ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
          "X-Openstack-Request-Id: req-%s-%d\r\n\r\nok")


class Truth(object):
    """Which functions of deep_code*.py run between begin and end."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.numbers = {}
        self.seen = []
        self.on = False

    def start(self):
        """When all is loaded; before an event loop runs, whose frames shall be heard of."""
        sys.setprofile(self.hook)

    def hook(self, frame, event, _):
        code = frame.f_code
        if self.on and event == "call" and code.co_filename.startswith((HERE + "/deep_code", "/srv/tenant/")):
            name = getattr(code, "co_qualname", code.co_name)
            key = (code.co_filename, name, code.co_firstlineno)
            # On some versions the profile function hears of generators that are closed before they
            # start: these are named so.
            if key not in self.seen and not code.co_name.startswith("never_"):
                self.seen.append(key)

    def begin(self):
        self.seen = []
        self.on = True
        sys.setprofile(self.hook)  # once more: greenlets start without

    def end(self, route, number):
        self.on = False
        for key in self.seen:
            if key not in self.numbers:
                self.numbers[key] = len(self.numbers)
                self.file.write("f\t%d\t%d\t%s\t%s\n" % (self.numbers[key], key[2], key[0], key[1]))
        self.file.write("c\treq-%s-%d\tGET\t/%s\t200\t%d\t%s\n" % (
            route, number, route, len(self.seen),
            " ".join(str(self.numbers[key]) for key in self.seen)))
        self.file.flush()


class NoTruth(object):
    def start(self):
        pass

    def begin(self):
        pass

    def end(self, route, number):
        pass


def asked(head):
    route, number = head.split()[1].decode().strip("/").split("?")
    return route, int(number)


def say_port(listener):
    print("port %d" % listener.getsockname()[1])
    sys.stdout.flush()


def receive(conn):
    data = b""
    while b"\r\n\r\n" not in data:
        more = conn.recv(65536)
        if not more:
            return None
        data += more
    return data


def answer(conn, truth, routes, pause=0):
    """One request of a connection. Those with odd numbers wait before they are worked on."""
    head = receive(conn)
    if head:
        route, number = asked(head)
        time.sleep(number % 2 * pause)
        truth.begin()
        routes[route](number)
        truth.end(route, number)
        conn.sendall((ANSWER % (route, number)).encode())
    conn.close()


def listen():
    import socket
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    say_port(listener)
    return listener


def plain(truth):
    import signal

    import deep_code
    try:
        from importlib import reload
    except ImportError:
        from __builtin__ import reload
    signal.signal(signal.SIGHUP, lambda *_: reload(deep_code))
    deep_code.warm_up()
    listener = listen()
    truth.start()
    while True:
        answer(listener.accept()[0], truth, deep_code.ROUTES)


def workers(truth):
    import deep_code
    deep_code.warm_up()
    listener = listen()
    children = []
    while len(children) < 3:
        child = os.fork()
        if child == 0:
            break
        children.append(child)
    while True:
        conn = listener.accept()[0]
        time.sleep(0.02)
        answer(conn, truth, deep_code.ROUTES)


def prefork(truth):
    import signal

    import deep_code
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = listen()
    while True:
        conn = listener.accept()[0]
        if os.fork() == 0:
            # The request is read by the child.
            answer(conn, truth, deep_code.ROUTES, PAUSE)
            os._exit(0)
        conn.close()


def loop(truth):
    import deep_server_loop
    deep_server_loop.run(truth, say_port, asked, ANSWER)


def green(truth):
    import eventlet
    eventlet.monkey_patch()
    import deep_code_green
    listener = eventlet.listen(("127.0.0.1", 0), backlog=64)
    say_port(listener)
    truth.start()
    while True:
        eventlet.spawn(answer, listener.accept()[0], truth, deep_code_green.ROUTES)


def main():
    arguments = sys.argv[1:]
    truth = NoTruth()
    if arguments[0] == "--truth":
        truth = Truth(arguments[1])
        del arguments[:2]
    gc.disable()
    {"plain": plain, "workers": workers, "prefork": prefork, "loop": loop,
     "green": green}[arguments[0]](truth)


if __name__ == "__main__":
    main()
