#!/usr/bin/python3
"""Drives keystone's token API and writes what it did.

    keystone-client.py ready PORT          exit 0 when keystone answers
    keystone-client.py run PORT -o FILE    token issues and validations, several at a time
    keystone-client.py validate PORT N     N validations, nothing written (for figures)

FILE gets one JSON line a call: method, path, status, request_id. The path is without its query, the
request id is the one that keystone answered with.
"""
import argparse
import http.client
import json
import os
import ssl
import sys
import threading

TOKENS = "/v3/auth/tokens"


def token_request(name, password):
    user = {"name": name, "domain": {"id": "default"}, "password": password}
    return json.dumps({"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}})


class Client:
    def __init__(self, port, log=None):
        self.port = port
        self.log = log
        self.lock = threading.Lock()

    def connect(self):
        if not os.environ.get("KEYSTONE_TLS"):
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        # The test's own certificate, which nobody has signed.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)

    def call(self, method, path, headers, body=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            line = {"method": method, "path": path.partition("?")[0], "status": answer.status,
                    "request_id": answer.getheader("X-Openstack-Request-Id")}
            if self.log is not None:
                with self.lock:
                    self.log.write(json.dumps(line) + "\n")
            return answer.status, answer.getheader("X-Subject-Token")
        finally:
            connection.close()

    def issue(self, password, name="admin"):
        return self.call("POST", TOKENS, {"Content-Type": "application/json"},
                         token_request(name, password))

    def validate(self, token, subject):
        return self.call("GET", TOKENS, {"X-Auth-Token": token, "X-Subject-Token": subject})[0]


def expect(what, got, wanted):
    if got != wanted:
        raise SystemExit("keystone-client: %s: status %s, expected %s" % (what, got, wanted))


def in_parallel(jobs, parallel):
    """Runs the jobs in `parallel` threads; the first failure ends the program."""
    jobs = iter(jobs)
    lock = threading.Lock()
    failures = []

    def work():
        while not failures:
            with lock:
                job = next(jobs, None)
            if job is None:
                return
            try:
                job()
            except (SystemExit, OSError, http.client.HTTPException) as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit("keystone-client: %s" % failures[0])


def mix(some, others):
    """Both lists evenly, each in its order."""
    places = [(place / len(jobs), number, job) for number, jobs in enumerate((some, others))
              for place, job in enumerate(jobs)]
    return [job for _, _, job in sorted(places, key=lambda p: p[:2])]


def run(options):
    password = os.environ.get("KEYSTONE_PASSWORD", "fixture-password")
    with open(options.output, "w", encoding="utf-8") as log:
        client = Client(options.port, log)
        tokens = []
        lock = threading.Lock()

        def issue(number):
            if number % 5 == 4:
                # A wrong name, not a wrong password: failed logins of one user are counted in the
                # database, and sqlite has no room for two writers.
                expect("token issue, wrong name", client.issue(password, "nobody")[0], 401)
                return
            status, token = client.issue(password)
            expect("token issue", status, 201)
            with lock:
                tokens.append(token)

        def validate(number):
            token = tokens[number % len(tokens)]
            if number % 10 == 9:
                expect("validation, bad token", client.validate("gAAAA-not-a-token", token), 401)
            else:
                expect("validation", client.validate(token, token), 200)

        issues = [lambda n=n: issue(n) for n in range(options.issues)]
        validations = [lambda n=n: validate(n) for n in range(options.validations)]
        if options.mixed:
            # One by one until there is a token.
            issues.pop(0)()
            in_parallel(mix(issues, validations), options.parallel)
        else:
            in_parallel(issues, options.parallel)
            in_parallel(validations, options.parallel)


def validate_only(options):
    client = Client(options.port)
    password = os.environ.get("KEYSTONE_PASSWORD", "fixture-password")
    status, token = client.issue(password)
    expect("token issue", status, 201)

    def validate():
        expect("validation", client.validate(token, token), 200)

    in_parallel([validate] * options.count, options.parallel)


def ready(options):
    try:
        sys.exit(Client(options.port).call("GET", "/v3", {})[0] != 200)
    except (OSError, http.client.HTTPException):
        sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("ready")
    verb.add_argument("port", type=int)
    verb.set_defaults(run=ready)
    verb = verbs.add_parser("run")
    verb.add_argument("port", type=int)
    verb.add_argument("-o", dest="output", required=True)
    verb.add_argument("--issues", type=int, default=20)
    verb.add_argument("--validations", type=int, default=200)
    verb.add_argument("--parallel", type=int, default=4)
    verb.add_argument("--mixed", action="store_true", help="issues and validations in turn")
    verb.set_defaults(run=run)
    verb = verbs.add_parser("validate")
    verb.add_argument("port", type=int)
    verb.add_argument("count", type=int)
    verb.add_argument("--parallel", type=int, default=4)
    verb.set_defaults(run=validate_only)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
