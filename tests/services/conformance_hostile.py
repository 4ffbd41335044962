"""What a hostile client does to a server, for conformance_drive.py: its modes hostile and hostile-h2.

Each attack has a connection of its own. Between the attacks, while slow ones are under way, and on the
same connection before it turns bad, good calls are made. The truth has those, and the requests that a
server refuses for their size: their lines are right as far as they were read. A server that reads more
than 64 KiB of one before it refuses it is not followed so far (`patient`). All other attacks are no
calls, whatever the server answers.
"""

import random
import socket
import time

FALSE = b"GET /false HTTP/1.1\r\nHost: h\r\n\r\n"
MIB = 1 << 20
HEAD = b"GET /false HTTP/1.1\r\nHost: h\r\n"
POST = b"POST /false HTTP/1.1\r\nHost: h\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ODD = [
    # No HTTP/1 head.
    b"\0" * 300, b"\r\n" * 5000 + b"\0", b"GET", b"GET /false", b"GET /false\r\n\r\n", b"g(t /false HTTP/1.1\r\n\r\n",
    b"GET /false HTTP/1.1 " + FALSE, b"GET /fal\0se HTTP/1.1\r\n\r\n", b"GET  /false HTTP/1.1\r\n\r\n",
    b"GET /false HTTP/9.9\r\nHost: h\r\n\r\n", HEAD + b"a b: c\r\n\r\n", HEAD + b"no colon\r\n\r\n",
    HEAD + b"X: a\0b\r\n\r\n", HEAD + b": x\r\n\r\n", HEAD + b"X : x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"Status: 200 OK\r\n\r\n",
    # Where the body ends cannot be told.
    POST + b"Content-Length: 3\r\nContent-Length: 99\r\n\r\n" + FALSE,
    POST + b"Content-Length: 3, 99\r\n\r\n" + FALSE, POST + b"Content-Length: -1\r\n\r\n" + FALSE,
    POST + b"Content-Length: 99999999999999999999\r\n\r\n" + FALSE,
    POST + b"Content-Length: 0\r\n" + CHUNKED + b"\r\n" + FALSE,
    POST + b"Transfer-Encoding: gzip, chunked, x\r\n\r\n" + FALSE,
    # Other protocols, cut or wrong.
    b"PROXY TCP4 " + b"x" * 200 + b"\r\n" + FALSE, b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" + FALSE,
    b"\x16\x03\x01\x02\x00\x01" + b"x" * 511 + FALSE, b"\x16\x03\x03\xff\xff",
    b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0" + b"\x01\x04\0\x01\xff\xff\0\0" + FALSE,
    b"\0\x20\0\0\x0e\0REQUEST_METHOD\x03\0GET\x0b\0REQUEST_URI" + FALSE,
    # HTTP/2, where the server speaks HTTP/1.
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + FALSE,
]


LARGE = [HEAD + b"X: " + b"x" * MIB + b"\r\n\r\n",
         HEAD + b"".join(b"X-%d: false\r\n" % i for i in range(MIB // 16)) + b"\r\n",
         HEAD + b"X: " + b"GET /false HTTP/1.1 " * (MIB // 20)]


def rest(sock, seconds=0.5):
    """Reads what the server has to say until it closes, or a while; its first status, or 0."""
    sock.settimeout(seconds)
    said = b""
    try:
        while more := sock.recv(65536):
            said += more
    except OSError:
        pass
    sock.close()
    return int(said[9:12]) if said.startswith(b"HTTP/1.") else 0


class Attacks:
    """`client` makes a connection for good calls, `connect` a bare one; `truth` is told about calls,
    by connection: `number`; `nothing` counts the connections that have none."""

    def __init__(self, client, connect, where, truth, patient=False):
        self.client, self.connect, self.where, self.truth = client, connect, where, truth
        self.patient = patient
        self.number = self.nothing = 0

    def send(self, data, half=False):
        """No call. May leave the direction closed behind it."""
        sock = self.connect(self.where)
        self.nothing += 1
        try:
            sock.sendall(data)
            if half:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        # A server that waits for more is left alone.
        rest(sock, 2 if half else 0.03)

    def refused(self, data, used=None):
        """A head that is too long, on a connection of its own or one that is used."""
        sock = used or self.connect(self.where)
        try:
            sock.sendall(data)
        except OSError:
            pass
        status = rest(sock, 10)
        assert 400 <= status < 500, status
        if not self.patient:
            self.truth.add(self.number, "GET", "/false", status)
        elif not used:
            self.nothing += 1
        self.number += 1


def noise(chance, size):
    """Bytes that no protocol begins with."""
    data = chance.randbytes(size)
    return bytes([data[0] | 0x80]) + data[1:]


def hostile(attacks, good):
    """`good(http)` makes good calls as the connection attacks.number, on a connection of its own or
    on `http`; it does not count up."""
    chance = random.Random(4)

    def fine():
        good()
        attacks.number += 1

    fine()
    # Slow ones are under way all the time.
    slow = [attacks.connect(attacks.where) for _ in range(12)]
    attacks.nothing += len(slow)
    head = HEAD + b"X-Slow: " + b"s" * 400
    for turn in range(40):
        for number, sock in enumerate(slow):
            sock.sendall(head[turn * (number + 1):(turn + 1) * (number + 1)])
        if turn < 20:
            attacks.send(noise(chance, chance.choice((1, 7, 100, 5000, 70000))))
        time.sleep(0.01)
    fine()
    for data in ODD:
        attacks.send(data)
    fine()
    attacks.send(b"GET /" + b"false/" * (MIB // 6) + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    for data in LARGE:
        attacks.refused(data)
    fine()
    # Half closed, in the middle of a head.
    for data in (b"", b"G", HEAD, HEAD + b"X: y\r\n", b"\r\n\r\n"):
        attacks.send(data, half=True)
    # Behind a whole request: it is answered.
    http = attacks.client(attacks.where)
    http.send(b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n")
    http.sock.shutdown(socket.SHUT_WR)
    status = http.answer("GET")[0]
    assert status == 200, status
    attacks.truth.add(attacks.number, "GET", "/plain", status)
    attacks.number += 1
    # Good calls first, then nonsense, on one connection.
    for data in [noise(chance, 3000), b"\0" * 10] + ODD[7:11]:
        http = attacks.client(attacks.where)
        good(http)
        attacks.number += 1
        http.send(data)
        rest(http.sock, 0.03)
    http = attacks.client(attacks.where)
    good(http)
    attacks.refused(LARGE[0], http.sock)
    for sock in slow:
        sock.close()
    fine()


# ---- HTTP/2 ----

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, data=b"", length=None):
    return ((len(data) if length is None else length).to_bytes(3, "big") + bytes([kind, flags]) +
            stream.to_bytes(4, "big") + data)


SETTINGS = frame(4, 0, 0)
# GET http: / by indexes, and a path that is literal: /false
BLOCK = b"\x82\x86\x04\x06/false\x41\x01h"
BAD_H2 = [
    FALSE * 3, b"\0" * 200, frame(99, 255, 0, b"x" * 100) + frame(4, 0, 7, b"xx"),
    frame(1, 5, 0, BLOCK), frame(1, 5, 2, BLOCK), frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
    frame(1, 5, 1, b"\x80"), frame(1, 5, 1, b"\x82\x86\x04\x7f\xff\xff\xff\xff\x0f/false"),
    frame(1, 5, 1, b"", 0xffffff) + FALSE * 100, frame(9, 4, 1, BLOCK), frame(0, 1, 1, FALSE),
    frame(1, 1, 1, BLOCK) + frame(0, 1, 1, FALSE), frame(1, 1, 1, BLOCK[:3]),
    frame(1, 1, 1, BLOCK[:3]) + frame(9, 0, 1, b"") * 50 + frame(1, 5, 3, BLOCK),
    frame(1, 13, 1, b"\xff" + BLOCK), frame(1, 0x25, 1, b"\0\0"), frame(3, 0, 1, b"\0\0\0\1"),
    frame(8, 0, 0, b"\0\0\0\0"), frame(2, 0, 1, b"\0\0\0\1"), frame(5, 4, 1, b"\0\0\0\2" + BLOCK),
    frame(4, 0, 0, b"\0\4\xff\xff\xff\xff"), frame(4, 0, 0, b"\0\5\0\0\0\0"), frame(4, 0, 0, b"x"),
    frame(7, 0, 0, b"\0" * 8) + frame(1, 5, 2, BLOCK), frame(6, 0, 0, b"1234567"),
    # No method, no path; a name in capitals.
    frame(1, 5, 1, b"\x86\x84\x41\x01h"), frame(1, 5, 1, b"\x82\x86\x41\x01h"),
    frame(1, 5, 1, BLOCK + b"\0\1X\1y"),
]


def hostile_h2(attacks, good):
    chance = random.Random(5)
    good()
    for data in BAD_H2:
        attacks.send(PREFACE + SETTINGS + data)
    attacks.send(PREFACE[:10])
    attacks.send(PREFACE)
    good()
    for size in (1, 8, 9, 100, 5000, 70000):
        attacks.send(PREFACE + SETTINGS + chance.randbytes(size))
        attacks.send(PREFACE + SETTINGS + b"".join(
            frame(chance.randrange(12), chance.randrange(256) & 0xfa, chance.randrange(4),
                  chance.randbytes(chance.randrange(30))) for _ in range(size // 20 + 1)))
        attacks.send(noise(chance, size))
    attacks.send(PREFACE + SETTINGS + frame(1, 1, 1, BLOCK) +
           frame(9, 0, 1, b"\0\1x\x7f\x80\x07" + b"y" * 1000) * (MIB // 1000))
    good()
