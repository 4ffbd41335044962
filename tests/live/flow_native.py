#!/usr/bin/python3
"""Python threads beside a server that is a thread of C code (flow_native.c) in the same process.

    flow_native.py LIBRARY

Says `port N`, then `runs - FUNCTION` for each of its own functions: they work for no call. Half of
the threads were started before the server's thread, half after; some sleep below calls made by C.
"""

import ctypes
import os
import sys
import threading
import time

THREADS = 6


def busy_step():
    time.sleep(0.01)
    os.listdir("/")


def busy_loop():
    while True:
        busy_step()


def busy_nested(depth):
    if depth:
        sorted([1], key=lambda _: busy_nested(depth - 1))
    else:
        busy_loop()


def start_half():
    for i in range(THREADS // 2):
        target = busy_loop if i % 2 else lambda: busy_nested(20)
        threading.Thread(target=target, daemon=True).start()
    time.sleep(0.1)


def main():
    start_half()
    print("port %d" % ctypes.CDLL(sys.argv[1]).flow_native_start())
    for name in ("busy_step", "busy_loop", "busy_nested", "start_half", "main", "<module>"):
        print("runs - " + name)
    sys.stdout.flush()
    start_half()
    while True:
        time.sleep(10)


if __name__ == "__main__":
    main()
