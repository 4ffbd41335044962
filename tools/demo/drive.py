#!/usr/bin/python3
"""Drives calls through sundial: drive.py PORT TOKEN [-o FILE] [--pause S].

FILE gets one JSON line a call: method, path, status, request_id.
"""
import argparse
import http.client
import json
import time


class Client:
    def __init__(self, port, token, log, pause=0):
        self.port, self.token, self.log, self.pause = port, token, log, pause
        self.calls = 0

    def call(self, method, path, expected, body=None, token=None):
        time.sleep(self.pause)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            data = None if body is None else json.dumps(body)
            headers = {"X-Auth-Token": self.token if token is None else token}
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != expected:
            raise SystemExit("drive: %s %s: status %s, expected %s" %
                             (method, path, answer.status, expected))
        self.calls += 1
        if self.log:
            self.log.write(json.dumps({
                "method": method, "path": path.partition("?")[0], "status": answer.status,
                "request_id": answer.getheader("X-Openstack-Request-Id")}) + "\n")
        return json.loads(text) if text else None


def wait(port):
    """Until the service answers, with anything."""
    for _ in range(100):
        try:
            Client(port, "", None).call("GET", "/v1/places", 401)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("drive: nothing answers on port %d" % port)


def drive(client):
    places = client.call("GET", "/v1/places", 200)["places"]
    for place in places:
        for day in ("2026-03-20", "2026-06-21", "2026-12-21"):
            client.call("GET", "/v1/places/%s/hours/%s" % (place, day), 200)
        alarm = client.call("POST", "/v1/alarms", 201, {"place": place, "at": "sunrise"})
        client.call("GET", "/v1/alarms/%s?verbose=yes" % alarm["id"], 200)
        client.call("GET", "/v1/alarms", 200)
        client.call("DELETE", "/v1/alarms/%s" % alarm["id"], 204)
        client.call("GET", "/v1/alarms/%s" % alarm["id"], 404)
        client.call("GET", "/v1/places", 401, token="not-a-token")
    client.call("POST", "/v1/alarms", 400, {"place": "nowhere", "at": "noon"})
    client.call("GET", "/v1/places/atlantis/hours/2026-06-21", 404)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("token")
    parser.add_argument("-o", dest="output")
    parser.add_argument("--pause", type=float, default=0, help="seconds before each call")
    parser.add_argument("--wait", action="store_true", help="only wait until it answers")
    options = parser.parse_args()
    if options.wait:
        wait(options.port)
        return
    log = open(options.output, "w", encoding="utf-8") if options.output else None
    client = Client(options.port, options.token, log, options.pause)
    drive(client)
    if log:
        log.close()
    print("%d calls" % client.calls)


if __name__ == "__main__":
    main()
