#!/usr/bin/python3
"""Drives a server and writes what it did.

    conformance_drive.py TRUTH MODE WHERE [--before FILE]

WHERE is a port of the loopback or the path of a Unix socket; HTTP/2 is spoken over TLS when it is
`tls:PORT`. TRUTH gets a JSON line for each call: connection (counted from 0), method, path, status;
and how many connections had no call, where some have none. MODE: http1 (keep-alive connections with
every kind of call), features (what HTTP/1 allows), proxy1, proxy2 (the PROXY protocol in front), h2
(nghttp and curl), h2-upload (a large body, too), h2c (upgraded), h2load (many streams at once), odd
(the ways of conformance_server.py), swift (six clients at once), hostile, hostile-patient, hostile-h2
(see conformance_hostile.py), joined (a connection that is open before: with --before, the first call
is made, FILE.ready appears, and the rest waits for FILE).
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import conformance_hostile

BODY = b"GET /false HTTP/1.1\r\nHost: h\r\n\r\n"
CALLS = [
    ("GET", "/plain", 200, None), ("HEAD", "/plain", 200, None), ("GET", "/empty", 204, None),
    ("POST", "/echo", 200, BODY), ("GET", "/missing", 404, None), ("GET", "/open", 200, None),
    ("GET", "/created", 201, None), ("GET", "/big", 200, None), ("GET", "/unchanged", 304, None),
    ("PUT", "/echo", 200, BODY * 6000), ("HEAD", "/big", 200, None), ("DELETE", "/created", 201, None),
]


class Truth:
    def __init__(self, path):
        self.file = open(path, "w")

    def add(self, connection, method, path, status):
        self.file.write(json.dumps({"connection": connection, "method": method, "path": path,
                                    "status": status}) + "\n")

    def nothing(self, connections):
        """So many further connections have no call."""
        self.file.write(json.dumps({"nothing": connections}) + "\n")


def connect(where):
    if where.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(where)
    else:
        sock = socket.create_connection(("127.0.0.1", int(where)))
    sock.settimeout(20)
    return sock


class Http:
    """A client of its own, so that every byte is its decision."""

    def __init__(self, where, front=b""):
        self.sock = connect(where)
        self.file = self.sock.makefile("rb")
        self.front = front
        self.closed = False

    def send(self, data):
        self.sock.sendall(self.front + data)
        self.front = b""

    def head(self):
        line = self.file.readline()
        if not line:
            raise EOFError("the server closed")
        fields = {}
        while True:
            field = self.file.readline().strip()
            if not field:
                break
            name, _, value = field.partition(b":")
            fields[name.lower().decode()] = value.strip().decode()
        return int(line.split()[1]), fields

    def answer(self, method):
        status, fields = self.head()
        while status == 100:
            status, fields = self.head()
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif "chunked" in fields.get("transfer-encoding", ""):
            body = b""
            while True:
                size = int(self.file.readline().split(b";")[0], 16)
                body += self.file.read(size)
                self.file.readline()
                if not size:
                    break
        elif "content-length" in fields:
            body = self.file.read(int(fields["content-length"]))
        else:
            body = self.file.read()
            self.closed = True
        self.closed |= fields.get("connection", "").lower() == "close"
        return status, body

    def call(self, method, path, body=None, extra=b"", target=None):
        head = f"{method} {target or path} HTTP/1.1\r\nHost: h\r\n".encode() + extra
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n".encode()
        self.send(head + b"\r\n" + (body or b""))
        return self.answer(method)[0]


def http1(truth, where, front=b"", rounds=3):
    number = -1
    http = None
    for _ in range(rounds):
        for method, path, want, body in CALLS:
            if not http or http.closed:
                http = Http(where, front)
                number += 1
            status = http.call(method, path + "?secret=1", body)
            assert status == want, f"{method} {path}: {status}, not {want}"
            truth.add(number, method, path, status)
        http = None


def features(truth, where):
    number = 0

    def made(http, method, path, status, want=200):
        nonlocal number
        assert status == want, f"{method} {path}: {status}, not {want}"
        truth.add(number, method, path, status)

    # Expect: the body follows 100 Continue.
    http = Http(where)
    http.send(b"POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 31\r\n\r\n")
    # Not every server says it; both are right.
    http.sock.settimeout(1)
    try:
        http.sock.recv(1, socket.MSG_PEEK)
        assert http.head()[0] == 100
    except TimeoutError:
        pass
    http.sock.settimeout(20)
    http.send(BODY[:31])
    made(http, "POST", "/echo", http.answer("POST")[0])
    made(http, "HEAD", "/big", http.call("HEAD", "/big"))
    made(http, "GET", "/plain", http.call("GET", "/plain", target="http://other:81/plain?q#f"))
    made(http, "GET", "/empty", http.call("GET", "/empty"), 204)
    # A head in pieces of a byte, behind empty lines.
    for byte in b"\r\nGET /created HTTP/1.1\r\nHost: h\r\n\r\n":
        http.send(bytes([byte]))
        time.sleep(0.001)
    made(http, "GET", "/created", http.answer("GET")[0], 201)
    # Three at once.
    http.send(b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\nHEAD /plain HTTP/1.1\r\nHost: h\r\n\r\n"
              b"GET /missing HTTP/1.1\r\nHost: h\r\n\r\n")
    for method, path, want in (("GET", "/plain", 200), ("HEAD", "/plain", 200),
                               ("GET", "/missing", 404)):
        made(http, method, path, http.answer(method)[0], want)
    # A head of many kilobytes, in one piece.
    extra = b"".join(b"X-Large-%d: %s\r\n" % (i, b"v" * 700) for i in range(8))
    made(http, "GET", "/plain", http.call("GET", "/plain", extra=extra))
    # A body in chunks.
    http.send(b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"1f;x=y\r\n" + BODY[:31] + b"\r\n0\r\n\r\n")
    made(http, "POST", "/echo", http.answer("POST")[0])
    # HTTP/1.0, closed by the server.
    number += 1
    http = Http(where)
    http.send(b"GET /plain HTTP/1.0\r\n\r\n")
    made(http, "GET", "/plain", http.answer("GET")[0])


def proxied(truth, where, version):
    if version == 1:
        front = b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\r\n"
    else:
        front = (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" +
                 socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") +
                 (40000).to_bytes(2, "big") + (80).to_bytes(2, "big"))
    http1(truth, where, front, 1)


def base(where):
    """The address of an HTTP/2 server: in cleartext, or chosen by ALPN."""
    secured, _, port = where.rpartition(":")
    return f"https://127.0.0.1:{port}" if secured else f"http://127.0.0.1:{port}"


def curl(truth, where, number, size):
    """A call on a connection of its own, for each."""
    how = ["-k", "--http2"] if base(where).startswith("https") else ["--http2-prior-knowledge"]
    calls = [("GET", "/plain", 200), ("GET", "/big", 200), ("GET", "/missing", 404),
             ("POST", "/echo", 200), ("GET", "/empty", 204), ("GET", "/created", 201)]
    with tempfile.NamedTemporaryFile() as body:
        body.write(BODY * size)
        body.flush()
        for method, path, want in calls:
            if method == "POST" and not size:
                continue
            args = ["curl", "-s", "-S", *how, "-o", "/dev/null", "-w",
                    "%{http_version} %{http_code}", f"{base(where)}{path}?secret=1"]
            if method == "POST":
                args += ["--data-binary", "@" + body.name]
            out = subprocess.run(args, check=True, capture_output=True, text=True).stdout
            assert out == f"2 {want}", f"{path}: {out}"
            truth.add(number, method, path, want)
            number += 1
    return number


def nghttp(truth, where):
    """Calls at once on one connection; they arrive in the order that is given."""
    calls = [("/plain", 200), ("/big", 200), ("/missing", 404), ("/created", 201)] * 10
    # The same address twice would be asked once.
    urls = [f"{base(where)}{path}?{i}" for i, (path, _) in enumerate(calls)]
    out = subprocess.run(["nghttp", "-n", "-s", "-t", "20"] + urls, check=True,
                         capture_output=True, text=True).stdout
    got = re.findall(r"(\d{3})\s+\S+\s+(/\w+)\?(\d+)", out)
    assert len(got) == len(calls), out
    for status, path, which in got:
        assert (path, int(status)) == calls[int(which)], out
    for path, status in calls:
        truth.add(0, "GET", path, status)
    return 1


def upgraded(truth, where):
    """A call in HTTP/1.1 whose answer comes in HTTP/2, on a connection of its own for each: this
    apache leaves an upgraded connection after its first answer. Its own client for that reason."""
    calls = [("/plain", 200), ("/created", 201), ("/missing", 404), ("/big", 200), ("/empty", 204)]
    for number, (path, status) in enumerate(calls):
        http = Http(where)
        http.send(f"GET {path}?secret=1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                  "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n".encode())
        assert http.head()[0] == 101
        # Settings, and room for all of the answer.
        room = (1 << 24).to_bytes(4, "big")
        http.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" +
                  b"\0\0\4\10\0\0\0\0\0" + room + b"\0\0\4\10\0\0\0\0\1" + room)
        while True:
            head = http.file.read(9)
            assert len(head) == 9, path
            http.file.read(int.from_bytes(head[:3], "big"))
            if head[3] in (0, 1) and head[4] & 1:
                break
        truth.add(number, "GET", path, status)


def h2load(truth, where):
    out = subprocess.run(["h2load", "-n", "2000", "-c", "4", "-m", "20", "-t", "1",
                          f"{base(where)}/plain"], check=True, capture_output=True,
                         text=True).stdout
    done = re.search(r"(\d+) succeeded, (\d+) failed", out)
    assert done and done.groups() == ("2000", "0"), out
    # Each of its clients makes its share.
    for number in range(4):
        for _ in range(500):
            truth.add(number, "GET", "/plain", 200)


def odd(truth, where):
    ways = ["peek", "short", "again", "dup", "pass", "fork", "sendfile", "splice-out", "writev",
            "splice-in"]
    for number, way in enumerate(ways):
        http = Http(where)
        for _ in range(2):
            status = http.call("POST", f"/odd/{way}", BODY * 300)
            assert status == 200, way
            truth.add(number, "POST", "/odd/{how}", status)


def swift(truth, where):
    """Objects of one container, by six clients at once."""
    http = Http(where)
    http.send(b"GET /auth/v1.0 HTTP/1.1\r\nHost: h\r\nX-Auth-User: test:tester\r\n"
              b"X-Auth-Key: testing\r\n\r\n")
    status, fields = http.head()
    assert status == 200
    truth.add(0, "GET", "/auth/v1.0", 200)
    token = f"X-Auth-Token: {fields['x-auth-token']}\r\n".encode()
    container, thing = "/v1/{account}/{container}", "/v1/{account}/{container}/{object}"
    status = http.call("PUT", "/v1/AUTH_test/c", b"", token)
    assert status in (201, 202)
    truth.add(0, "PUT", container, status)
    failed = []

    def client(number):
        http, name = Http(where), f"/v1/AUTH_test/c/o{number}"
        calls = [("PUT", name, thing, 201, BODY * 2000), ("HEAD", name, thing, 200, None),
                 ("GET", name, thing, 200, None), ("POST", name, thing, 202, b""),
                 ("GET", name + "-none", thing, 404, None), ("GET", "/info", "/info", 200, None),
                 ("GET", "/v1/AUTH_test/c", container, 200, None),
                 ("GET", "/healthcheck", "/healthcheck", 200, None),
                 ("DELETE", name, thing, 204, None), ("GET", name, thing, 404, None)]
        try:
            for method, path, route, want, body in calls:
                status = http.call(method, path, body, token)
                assert status == want, f"{method} {path}: {status}, not {want}"
                truth.add(number, method, route, status)
            http.send(f"PUT {name} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n".encode() +
                      token + b"Expect: 100-continue\r\n\r\n")
            assert http.head()[0] == 100
            http.send(b"1f\r\n" + BODY[:31] + b"\r\n0\r\n\r\n")
            assert http.answer("PUT")[0] == 201
            truth.add(number, "PUT", thing, 201)
            assert http.call("GET", name) == 401
            truth.add(number, "GET", thing, 401)
        except (OSError, EOFError, AssertionError) as e:
            failed.append(f"{number}: {e!r}")

    clients = [threading.Thread(target=client, args=(number,)) for number in range(1, 7)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert not failed, failed


def hostile(truth, where, patient):
    attacks = conformance_hostile.Attacks(Http, connect, where, truth, patient)

    def good(http=None):
        """Bodies are full of heads."""
        http = http or Http(where)
        for method, path, want, body in (CALLS[0], CALLS[3], CALLS[4], CALLS[9], CALLS[7]):
            status = http.call(method, path, body)
            assert status == want, f"{method} {path}: {status}, not {want}"
            truth.add(attacks.number, method, path, status)

    conformance_hostile.hostile(attacks, good)
    truth.nothing(attacks.nothing)


def hostile_h2(truth, where):
    attacks = conformance_hostile.Attacks(Http, connect, where, truth)

    def good():
        attacks.number = curl(truth, where, attacks.number, 0)

    conformance_hostile.hostile_h2(attacks, good)
    truth.nothing(attacks.nothing)


def joined(truth, where, before):
    http = Http(where)
    assert http.call("GET", "/plain") == 200
    open(before + ".ready", "w").close()
    while not os.path.exists(before):
        time.sleep(0.02)
    for number, (method, path, want, body) in enumerate(CALLS):
        if http.closed:
            break
        assert http.call(method, path, body) == want
        # The first answer shows where the next request begins.
        if number:
            truth.add(0, method, path, want)


def main():
    truth, mode, where = Truth(sys.argv[1]), sys.argv[2], sys.argv[3]
    if mode == "http1":
        http1(truth, where)
    elif mode == "features":
        features(truth, where)
    elif mode in ("proxy1", "proxy2"):
        proxied(truth, where, int(mode[-1]))
    elif mode in ("h2", "h2-upload"):
        # A server that answers without reading a body resets the stream.
        curl(truth, where, nghttp(truth, where), 0 if mode == "h2" else 3000)
    elif mode == "h2c":
        upgraded(truth, where)
    elif mode == "h2load":
        h2load(truth, where)
    elif mode == "swift":
        swift(truth, where)
    elif mode in ("hostile", "hostile-patient"):
        hostile(truth, where, mode == "hostile-patient")
    elif mode == "hostile-h2":
        hostile_h2(truth, where)
    elif mode == "odd":
        odd(truth, where)
    elif mode == "joined":
        joined(truth, where, sys.argv[sys.argv.index("--before") + 1])
    else:
        sys.exit(f"no such mode: {mode}")


main()
