#!/usr/bin/python3
"""Drives glance's image API, several calls at a time, and writes what it did.

    glance-client.py ready PORT                 exit 0 when glance answers
    glance-client.py run PORT -o FILE [--rounds N] [--parallel N]

A round lists the images, reads the schema of an image, makes an image, gives it data, shows it,
fetches the data and deletes it. Rounds run at the same time, and each starts at another step, so
that different routes are worked on in the same moment.

FILE gets one JSON line a call: method, path, status, request_id.
"""
import argparse
import http.client
import json
import sys
import threading

DATA = b"image data " * 20000


class Client:
    def __init__(self, port, log=None):
        self.port = port
        self.log = log
        self.lock = threading.Lock()

    def call(self, method, path, wanted, body=None, kind="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if body else {})
            answer = connection.getresponse()
            data = answer.read()
            if answer.status != wanted:
                raise SystemExit("glance-client: %s %s: status %s, expected %s: %r" %
                                 (method, path, answer.status, wanted, data[:200]))
            line = {"method": method, "path": path, "status": answer.status,
                    "request_id": answer.getheader("X-Openstack-Request-Id")}
            if self.log is not None:
                with self.lock:
                    self.log.write(json.dumps(line) + "\n")
            return data
        finally:
            connection.close()

    def of_one_image(self):
        """The steps that need an image; each is one call."""
        data = self.call("POST", "/v2/images", 201, json.dumps(
            {"name": "sample", "disk_format": "raw", "container_format": "bare"}))
        path = "/v2/images/" + json.loads(data)["id"]
        yield
        self.call("PUT", path + "/file", 204, DATA, "application/octet-stream")
        yield
        self.call("GET", path, 200)
        yield
        if self.call("GET", path + "/file", 200) != DATA:
            raise SystemExit("glance-client: other data came back")
        yield
        self.call("DELETE", path, 204)
        yield

    def round(self, number):
        steps = self.of_one_image()
        for step in range(7):
            if (step + number) % 7 == 0:
                self.call("GET", "/v2/images", 200)
            elif (step + number) % 7 == 3:
                self.call("GET", "/v2/schemas/image", 200)
            else:
                next(steps)


def run(options):
    failures = []
    with open(options.output, "w", encoding="utf-8") as log:
        client = Client(options.port, log)

        def work(first):
            try:
                for number in range(first, options.rounds, options.parallel):
                    client.round(number)
            except (SystemExit, OSError, http.client.HTTPException) as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(options.parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise SystemExit("glance-client: %s" % failures[0])


def ready(options):
    try:
        Client(options.port).call("GET", "/versions", 200)
    except (OSError, SystemExit, http.client.HTTPException):
        sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("ready")
    verb.add_argument("port", type=int)
    verb.set_defaults(run=ready)
    verb = verbs.add_parser("run")
    verb.add_argument("port", type=int)
    verb.add_argument("-o", dest="output", required=True)
    verb.add_argument("--rounds", type=int, default=40)
    verb.add_argument("--parallel", type=int, default=4)
    verb.set_defaults(run=run)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
