#!/usr/bin/python3
"""A server whose threads hand their requests to each other: who receives one answers another.

    flow_swap.py

Says `port N`, then `runs ROUTE FUNCTION` for the work of each route. A request for /alpha and one
for /beta, which must come in pairs, are answered by each other's thread.
"""

import os
import queue
import socket
import sys
import threading


def alpha(conn, number):
    for _ in range(5):
        os.listdir("/")
    answer(conn, b"alpha", number)


def beta(conn, number):
    for _ in range(5):
        os.listdir("/")
    answer(conn, b"beta", number)


def answer(conn, route, number):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
                 b"X-Openstack-Request-Id: req-%b-%b\r\n\r\nok" % (route, number))
    conn.close()


WORK = {b"alpha": (alpha, queue.Queue(), b"beta"), b"beta": (beta, queue.Queue(), b"alpha")}


def serve(conn):
    route, _, number = conn.recv(65536).split()[1][1:].partition(b"?")
    _, jobs, other = WORK[route]
    jobs.put((conn, number))
    work, jobs, _ = WORK[other]
    work(*jobs.get())


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    print("port %d\nruns alpha alpha\nruns beta beta" % listener.getsockname()[1])
    sys.stdout.flush()
    while True:
        conn = listener.accept()[0]
        threading.Thread(target=serve, args=(conn,)).start()


if __name__ == "__main__":
    main()
