#!/usr/bin/python3
"""An HTTP/1.1 client that writes down every answer it got.

    client.py HOST:PORT --truth FILE [--seed N] [--conversations N] [--parallel N] [--mix KINDS]

--truth receives one JSON line for each answered call: method, path (without query), status,
request_id. The same seed gives the same bytes and the same cuts on the wire. Kinds of
conversations, taken in turn from --mix:

  plain      one request, then the connection is closed
  keepalive  several requests, one after the other, by several methods
  pipeline   several requests in one piece, then all answers
  split      heads in pieces, cut at --borders, or at three places drawn from the seed
  bytewise   a head and a body one byte at a time
  joined     a request with a body and the head of the next one in one piece
  bodies     bodies made of HTTP heads, by length and in chunks; chunks and segments of every size
  expect     Expect: 100-continue; the body follows the interim answer
  head       HEAD, then a GET on the same connection
  missing    paths that are answered 404
  close      /close: an answer delimited by closing, where the server has that route
  as         /as/NAME for each of --names, where the server has that route
  exec       /exec/COUNT: many short-lived functions, where the server has that route
  leave      leaves in the middle of a head or body; writes no truth
  reset      has its answer and resets the connection
  everycut   (only by --mix) a body made of HTTP heads, by length, the request cut at every byte;
             the same in two chunks, with the border and a cut at every byte of the body

--connections receives one JSON line for each connection: port (the client's), kind, answers, and
for `leave` head: whether the head had gone out whole. Exit code 1: an answer was no HTTP or did not come.
"""

import argparse
import json
import random
import socket
import struct
import sys
import threading
import time

KINDS = ("plain", "keepalive", "pipeline", "split", "bytewise", "joined", "bodies", "expect",
         "head", "missing", "close", "exec", "leave", "reset")
# Only when they are asked for.
MORE_KINDS = ("everycut", "as")
IDS = ("x-openstack-request-id", "x-compute-request-id", "x-trans-id")
FALSE_HEADS = (b"GET /alpha/false HTTP/1.1\r\nHost: false\r\n\r\n"
               b"HTTP/1.1 500 False\r\nX-Openstack-Request-Id: req-false\r\n"
               b"Content-Length: 0\r\n\r\n"
               b"POST /beta/false HTTP/1.1\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")


class Failure(Exception):
    pass


class Connection:
    """One connection; notes each answered call."""

    def __init__(self, client):
        self.client = client
        self.sock = socket.create_connection(client.address, timeout=client.options.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        self.answers = 0
        self.about = {"port": self.sock.getsockname()[1]}

    def send(self, data, cuts=()):
        """Sends data in pieces, cut at these offsets (negative: from the end)."""
        places = sorted({c % len(data) for c in cuts if -len(data) < c < len(data)} - {0})
        for start, end in zip([0] + places, places + [len(data)]):
            if start:
                time.sleep(self.client.options.pause / 1000)
            self.sock.sendall(data[start:end])

    def more(self):
        data = self.sock.recv(65536)
        self.buf += data
        return bool(data)

    def take(self, size):
        while len(self.buf) < size:
            if not self.more():
                raise Failure("the server left in the middle of an answer")
        data, self.buf = self.buf[:size], self.buf[size:]
        return data

    def line(self):
        while b"\r\n" not in self.buf:
            if not self.more():
                raise Failure("the server left where a line should come")
        data, self.buf = self.buf.split(b"\r\n", 1)
        return data.decode("latin-1")

    def head(self):
        """Status and headers (lower case) of the next answer or interim answer."""
        start = self.line()
        if not start.startswith("HTTP/1.") or not start[9:12].isdigit():
            raise Failure("no status line: %r" % start[:60])
        headers = {}
        while True:
            line = self.line()
            if not line:
                return int(start[9:12]), headers
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()

    def body(self, method, status, headers):
        if method == "HEAD" or status in (204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self.line().split(";")[0], 16)
                if not size:
                    break
                body += self.take(size)
                self.take(2)
            while self.line():
                pass
            return body
        if "content-length" in headers:
            return self.take(int(headers["content-length"]))
        while self.more():
            pass
        body, self.buf = self.buf, b""
        return body

    def answer(self, method, target):
        """Reads the final answer and writes the truth."""
        status, headers = self.head()
        while status < 200:
            status, headers = self.head()
        body = self.body(method, status, headers)
        request_id = next((headers[name] for name in IDS if name in headers), None)
        self.answers += 1
        self.client.note({"method": method, "path": target.split("?")[0], "status": status,
                          "request_id": request_id})
        return status, body

    def close(self, **about):
        self.sock.close()
        self.client.note_connection({**self.about, "answers": self.answers, **about})


class Client:
    def __init__(self, options):
        host, _, port = options.server.rpartition(":")
        self.options = options
        self.address = (host.strip("[]"), int(port))
        self.truth = open(options.truth, "a", encoding="utf-8")
        self.connections = None
        if options.connections:
            self.connections = open(options.connections, "a", encoding="utf-8")
        self.kind = threading.local()
        self.lock = threading.Lock()
        self.noted = 0
        self.next = 0
        self.failure = None

    def note(self, call):
        with self.lock:
            self.truth.write(json.dumps(call) + "\n")
            self.truth.flush()
            self.noted += 1

    def note_connection(self, about):
        if self.connections:
            with self.lock:
                self.connections.write(json.dumps({"kind": self.kind.now, **about}) + "\n")
                self.connections.flush()

    def request(self, method, target, body=None, headers=()):
        """The head, and the body by length if there is one."""
        secret = self.options.secret
        lines = ["%s %s HTTP/1.1" % (method, target), "Host: %s:%d" % self.address]
        if secret:
            lines += ["X-Auth-Token: " + secret, "Cookie: session=" + secret,
                      "User-Agent: client/" + secret]
        lines += list(headers)
        if body is not None:
            lines.append("Content-Length: %d" % len(body))
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")

    def target(self, rng):
        query = "?token=" + (self.options.secret or "none") if rng.random() < 0.3 else ""
        segment = "%s%d" % (self.options.secret or "", rng.randrange(1000))
        return "/%s/%s%s" % (rng.choice(("alpha", "beta")), segment, query)

    # One method for each kind of conversation.

    def plain(self, rng):
        c, target = Connection(self), self.target(rng)
        c.send(self.request("GET", target, headers=("Connection: close",)))
        c.answer("GET", target)
        c.close()

    def keepalive(self, rng):
        c = Connection(self)
        for _ in range(rng.randrange(2, 7)):
            method, target = rng.choice(("GET", "POST", "PUT", "DELETE")), self.target(rng)
            c.send(self.request(method, target, b"{}" if method in ("POST", "PUT") else None))
            c.answer(method, target)
        c.close()

    def pipeline(self, rng):
        c = Connection(self)
        targets = [self.target(rng) for _ in range(rng.randrange(2, 9))]
        c.send(b"".join(self.request("GET", t) for t in targets))
        for target in targets:
            c.answer("GET", target)
        c.close()

    def split(self, rng):
        c = Connection(self)
        for _ in range(2):
            target = self.target(rng)
            data = self.request("GET", target)
            cuts = self.options.borders or [rng.randrange(1, len(data)) for _ in range(3)]
            c.send(data, cuts)
            c.answer("GET", target)
        c.close()

    def bytewise(self, rng):
        c, target = Connection(self), self.target(rng)
        data = self.request("POST", target, b"ab\r\n\r\n")
        for at in range(len(data)):
            c.sock.sendall(data[at:at + 1])
            if at % 16 == 0:
                time.sleep(self.options.pause / 1000)
        c.answer("POST", target)
        c.close()

    def joined(self, rng):
        c, first, second = Connection(self), self.target(rng), self.target(rng)
        one, two = self.request("POST", first, FALSE_HEADS), self.request("GET", second)
        cut = rng.randrange(1, len(two))
        c.send(one + two[:cut])
        c.answer("POST", first)
        c.send(two[cut:])
        c.answer("GET", second)
        c.close()

    def bodies(self, rng):
        c, size, segment = Connection(self), rng.randrange(1, 120), rng.randrange(1, 200)
        body = FALSE_HEADS + (self.options.secret or "").encode()
        for chunked in (False, True):
            if chunked:
                data = self.request("POST", "/echo", headers=("Transfer-Encoding: chunked",))
                for at in range(0, len(body), size):
                    part = body[at:at + size]
                    data += b"%x;ext=1\r\n" % len(part) + part + b"\r\n"
                data += b"0\r\nTrailer: GET / HTTP/1.1\r\n\r\n"
            else:
                data = self.request("POST", "/echo", body)
            c.send(data, range(segment, len(data), segment))
            c.answer("POST", "/echo")
        c.close()

    def expect(self, rng):
        c, target = Connection(self), self.target(rng)
        c.send(self.request("PUT", target, headers=("Expect: 100-continue",
                                                    "Content-Length: %d" % len(FALSE_HEADS))))
        status, _ = c.head()
        if status != 100:
            raise Failure("no interim answer but %d" % status)
        c.send(FALSE_HEADS)
        c.answer("PUT", target)
        c.close()

    def head(self, rng):
        c = Connection(self)
        for method in ("HEAD", "GET"):
            target = self.target(rng)
            c.send(self.request(method, target))
            c.answer(method, target)
        c.close()

    def missing(self, rng):
        c = Connection(self)
        for target in ("/missing/%d" % rng.randrange(100), "/alpha", self.target(rng)):
            c.send(self.request("GET", target))
            c.answer("GET", target)
        c.close()

    def until_close(self, rng):
        c = Connection(self)
        c.send(self.request("GET", "/close", headers=("Connection: close",)))
        c.answer("GET", "/close")
        c.close()

    def named(self, rng):
        c = Connection(self)
        for name in self.options.names.split(","):
            c.send(self.request("GET", "/as/" + name))
            c.answer("GET", "/as/" + name)
        c.close()

    def exec(self, rng):
        c, target = Connection(self), "/exec/%d" % self.options.exec_count
        c.send(self.request("GET", target))
        c.answer("GET", target)
        c.close()

    def leave(self, rng):
        c = Connection(self)
        data = self.request("POST", "/alpha/left", FALSE_HEADS)
        cut = rng.randrange(1, len(data))
        c.send(data[:cut])
        time.sleep(self.options.pause / 1000)
        c.close(head=cut >= len(data) - len(FALSE_HEADS))

    def reset(self, rng):
        c, target = Connection(self), self.target(rng)
        c.send(self.request("GET", target))
        c.answer("GET", target)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()

    def everycut(self, rng):
        c, target = Connection(self), self.target(rng)
        data = self.request("POST", target, FALSE_HEADS)
        for cut in range(1, len(data)):
            c.send(data, [cut])
            c.answer("POST", target)
        head = self.request("POST", target, headers=("Transfer-Encoding: chunked",))
        for border in range(1, len(FALSE_HEADS)):
            first, second = FALSE_HEADS[:border], FALSE_HEADS[border:]
            first = head + b"%x\r\n" % len(first) + first
            second = b"\r\n%x\r\n" % len(second) + second + b"\r\n0\r\n\r\n"
            # Cut in front of the border, in it or behind it.
            c.send(first + second, [len(first) + rng.randrange(-1, 7)])
            c.answer("POST", target)
        c.close()

    def work(self):
        while True:
            with self.lock:
                number = self.next
                self.next += 1
            if number >= self.options.conversations or self.failure:
                return
            kind = self.options.mix[number % len(self.options.mix)]
            rng = random.Random("%d:%d" % (self.options.seed, number))
            self.kind.now = kind
            names = {"close": "until_close", "as": "named"}
            run = getattr(self, names.get(kind, kind))
            time.sleep(self.options.pace / 1000)
            try:
                run(rng)
            except (OSError, ValueError, Failure) as e:
                self.failure = "conversation %d (%s): %s" % (number, kind, e)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", metavar="HOST:PORT")
    parser.add_argument("--truth", metavar="FILE", required=True,
                        help="where to append the truth")
    parser.add_argument("--connections", metavar="FILE",
                        help="where to append what connections there were")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same traffic (1)")
    parser.add_argument("--conversations", type=int, default=len(KINDS), metavar="N",
                        help="how many, by the mix in turn (each kind once)")
    parser.add_argument("--parallel", type=int, default=1, metavar="N",
                        help="conversations at a time (1)")
    parser.add_argument("--mix", default=",".join(KINDS), metavar="KINDS",
                        help="comma-separated kinds (all)")
    parser.add_argument("--borders", metavar="N,N,...", default="",
                        help="offsets at which `split` cuts heads; negative: from the end")
    parser.add_argument("--pause", type=float, default=2, metavar="MS",
                        help="between two pieces (2)")
    parser.add_argument("--pace", type=float, default=0, metavar="MS",
                        help="in front of each conversation (0)")
    parser.add_argument("--exec-count", type=int, default=200, metavar="N",
                        help="functions of one /exec (200)")
    parser.add_argument("--names", default="", metavar="NAME,...", help="for /as")
    parser.add_argument("--secret", metavar="TEXT",
                        help="planted in path, query, token, cookie, User-Agent, bodies")
    parser.add_argument("--timeout", type=float, default=20, metavar="S",
                        help="for one answer (20)")
    options = parser.parse_args()
    options.mix = options.mix.split(",")
    for kind in options.mix:
        if kind not in KINDS + MORE_KINDS:
            parser.error("no such kind: " + kind)
    options.borders = [int(b) for b in options.borders.split(",") if b]
    client = Client(options)
    threads = [threading.Thread(target=client.work) for _ in range(options.parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if client.failure:
        print("client.py: " + client.failure, file=sys.stderr)
        return 1
    print("calls %d" % client.noted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
