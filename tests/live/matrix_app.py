# A small HTTP service on plain sockets that runs matrix_shapes.py for each request, a thread for each
# connection; or, for a WSGI server, the same as `application`. Runs on CPython 2.7 and 3.6 to 3.13.
#
#   matrix_app.py TRUTH    says `port N`; ends at SIGTERM
#
# TRUTH (for WSGI: what MATRIX_TRUTH names) receives one JSON line for each request: the frames of
# each shape, see matrix_shapes.py.
import json
import os
import signal
import socket
import sys
import threading

import matrix_shapes

TRUTH = os.environ.get("MATRIX_TRUTH")
BODY = b"done\n"


def work():
    matrix_shapes.run()
    with matrix_shapes.LOCK:
        line = json.dumps({"pid": os.getpid(), "interpreter": id(sys.modules),
                           "version": sys.version.split()[0], "chains": matrix_shapes.CHAINS})
    with open(TRUTH, "a") as f:
        f.write(line + "\n")


def application(environ, start_response):
    work()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]


def serve(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(4096)
        if not data:
            connection.close()
            return
        head += data
    work()
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n" + BODY)
    connection.close()


def main():
    global TRUTH
    TRUTH = sys.argv[1]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # Threads that do something else all the while.
    for _ in range(3):
        idle = threading.Thread(target=threading.Event().wait, args=(1000,))
        idle.daemon = True
        idle.start()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    print("port %d" % listener.getsockname()[1])
    sys.stdout.flush()
    while True:
        connection = listener.accept()[0]
        worker = threading.Thread(target=serve, args=(connection,))
        worker.daemon = True
        worker.start()


if __name__ == "__main__":
    main()
