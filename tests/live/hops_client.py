#!/usr/bin/python3
"""Asks for all routes of hops_server.py front: hops_client.py PORT CONNECTIONS REQUESTS

Each of the connections, all at once, makes so many requests in an order of its own.
"""

import http.client
import random
import sys
import threading

ROUTES = ["/new", "/six", "/twice", "/pool", "/echo", "/message", "/none", "/unix"]
failed = []


def drive(port, seed, requests):
    order = random.Random(seed)
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        for _ in range(requests):
            c.request("GET", order.choice(ROUTES))
            r = c.getresponse()
            r.read()
            if r.status != 200:
                failed.append(r.status)
    except OSError as e:
        failed.append(e)
    c.close()


def main():
    port, connections, requests = (int(a) for a in sys.argv[1:4])
    threads = [threading.Thread(target=drive, args=(port, seed, requests))
               for seed in range(connections)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sys.exit(bool(failed))


main()
