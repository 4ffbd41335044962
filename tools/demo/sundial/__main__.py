"""Serves sundial from several processes: python3 -m sundial --port N --data DIR [--processes N]."""
import argparse
import os
import signal
import socket
import sys
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from sundial import app, store


class Handler(WSGIRequestHandler):
    """A request handler that does not log and does not look up names."""

    def log_message(self, format, *args):
        pass

    def address_string(self):
        return self.client_address[0]


class Server(WSGIServer):
    """A WSGI server on a socket that listens already: all workers accept from the same one."""

    def __init__(self, listener, application):
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()
        self.setup_environ()
        self.set_app(application)


def work(listener, data):
    """One worker: serves until it is told to end."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ServerHandler.server_software = "sundial"
    Server(listener, app.make(store.Store(data))).serve_forever()


def main():
    parser = argparse.ArgumentParser(prog="sundial", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", required=True, help="folder of the database")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()

    store.Store(options.data).create()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=64)
    listener.setblocking(True)
    workers = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        for _ in range(options.processes):
            pid = os.fork()
            if pid == 0:
                work(listener, options.data)
            workers.append(pid)
        os.wait()
        sys.exit("sundial: a worker ended")
    finally:
        for pid in workers:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass


if __name__ == "__main__":
    main()
