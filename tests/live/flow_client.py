#!/usr/bin/python3
"""Requests at given times, so that calls overlap as a test wants them to.

    flow_client.py PORT ROUTE:START[:COUNT[:EVERY]]...

COUNT (1) GETs of /ROUTE?NUMBER, each on a connection of its own, the first START seconds after the
beginning, then one EVERY (0.05) seconds, or, where EVERY is `next`, when the one before was answered.
Each must be answered 200 with the request id req-ROUTE-NUMBER, which is printed.
"""

import socket
import sys
import threading
import time

failures = []


def get(port, start, route, number):
    time.sleep(max(0, start - time.monotonic()))
    want = "req-%s-%d" % (route, number)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=15) as s:
            s.sendall(b"GET /%s?%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % (
                route.encode(), number))
            data = b""
            while b"\r\n\r\nok" not in data:
                more = s.recv(65536)
                if not more:
                    raise OSError("no whole answer: %r" % data)
                data += more
        head = data.decode("latin-1")
        if not head.startswith("HTTP/1.1 200") or ": %s\r\n" % want not in head:
            raise OSError("not the answer to %s: %r" % (want, head))
        sys.stdout.write(want + "\n")
    except OSError as e:
        failures.append("%s: %s" % (want, e))


def get_all(port, start, route, numbers):
    for number in numbers:
        get(port, start, route, number)


def main():
    port, begin, threads, numbers = int(sys.argv[1]), time.monotonic(), [], {}
    for text in sys.argv[2:]:
        route, start, count, every = (text.split(":") + ["1", "0.05"][text.count(":") - 1:])[:4]
        first = numbers.get(route, 0) + 1
        numbers[route] = first + int(count) - 1
        if every == "next":
            threads.append(threading.Thread(target=get_all, args=(
                port, begin + float(start), route, range(first, first + int(count)))))
            continue
        for i in range(int(count)):
            threads.append(threading.Thread(target=get, args=(
                port, begin + float(start) + i * float(every), route, first + i)))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for text in failures:
        print("flow_client.py: " + text, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
