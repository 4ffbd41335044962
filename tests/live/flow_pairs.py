#!/usr/bin/python3
"""A server where one thread receives each request and another one answers it.

    flow_pairs.py

Says `port N`, then `runs pairs FUNCTION` for each function that works for a call.
"""

import os
import socket
import sys
import threading
import time


def sending(conn, number):
    os.listdir("/")
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
                 b"X-Openstack-Request-Id: req-pairs-%b\r\n\r\nok" % number)
    conn.close()


def receiving(conn):
    number = conn.recv(65536).split()[1].split(b"?")[1]
    time.sleep(0.002)
    threading.Thread(target=sending, args=(conn, number)).start()


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    print("port %d\nruns pairs receiving\nruns pairs sending" % listener.getsockname()[1])
    sys.stdout.flush()
    while True:
        conn = listener.accept()[0]
        threading.Thread(target=receiving, args=(conn,)).start()


if __name__ == "__main__":
    main()
