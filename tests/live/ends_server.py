#!/usr/bin/python3
"""Calls that end in all ways, and what they moved until then.

    ends_server.py serve                  says `port N`; a process for each connection
    ends_server.py ask PORT PID TRUTH WAY...
    ends_server.py check FILE TRUTH OUT WAY...

`ask` makes a call for each way, one after the other, and appends a line to TRUTH for each. PID is
the server's, for the network namespace of `lost`. `serve` says when it sent. `check` compares with
FILE.calls of `daylight inspect` and prints what is wrong. The ways:

  whole      two parts of an answer, 0.3 s apart        teapot    a status without a body
  head       the head of an answer alone (HEAD)         left      the client resets in the middle
  unheard    the client leaves before any answer        killed    the server is killed in the middle
  mute       the server is killed before any answer     lost      the network is gone in the middle
  stopped    the window ends in the middle              waiting   the window ends before any answer
"""

import ctypes
import datetime
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
TEAPOT = b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\nA: b\r\n\r\n"
# end, status, the part of the answer that was sent
WAYS = {
    "whole": ("complete", 200, len(HEAD) + 100),
    "teapot": ("complete", 418, len(TEAPOT)),
    "head": ("complete", 200, len(HEAD)),
    "left": ("client_gone", 200, len(HEAD) + 30),
    "unheard": ("client_gone", None, 0),
    "killed": ("server_gone", 200, len(HEAD) + 30),
    "mute": ("server_gone", None, 0),
    "lost": ("timeout", 200, len(HEAD) + 30),
    "stopped": ("window_stop", 200, len(HEAD) + 30),
    "waiting": ("window_stop", None, 0),
}


def say(text):
    os.write(1, (text + "\n").encode())


def loopback(up):
    """Takes lo up or down (SIOCSIFFLAGS), in the namespace that this process is in."""
    with socket.socket() as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0x41 if up else 0))


def handle(conn):
    text = b""
    while b"\r\n\r\n" not in text:
        text += conn.recv(4096)
    way = text.split()[1][1:].decode()
    head, _, body = text.partition(b"\r\n\r\n")
    while len(body) < 5:
        body += conn.recv(4096)
    times = []

    def send(data):
        times.append(time.time_ns())
        conn.sendall(data)

    if way == "teapot":
        send(TEAPOT)
    elif way == "head":
        send(HEAD)
    elif way not in ("unheard", "mute", "waiting"):
        send(HEAD + b"x" * 30)
    say(json.dumps({"way": way, "first": times[0] if times else None}))
    if way == "whole":
        time.sleep(0.3)
        send(b"x" * 70)
        say(json.dumps({"way": way, "last": times[-1]}))
    elif way in ("killed", "mute"):
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    elif way == "lost":
        conn.setsockopt(socket.IPPROTO_TCP, 18, 500)  # TCP_USER_TIMEOUT, ms
        conn.recv(1)
        loopback(False)
        conn.sendall(b"x")
        try:
            conn.recv(1)
        except OSError as e:
            say("# %s" % e)
    try:
        while conn.recv(4096):
            pass
    except OSError:
        pass
    conn.close()


def serve():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    loopback(True)
    listener = socket.create_server(("127.0.0.1", 0))
    say("port %d" % listener.getsockname()[1])
    while True:
        conn, _ = listener.accept()
        if not os.fork():
            # Without a network nobody tells it that its client has gone: PR_SET_PDEATHSIG.
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
            listener.close()
            handle(conn)
            os._exit(0)
        conn.close()


def ask(port, pid, truth, *ways):
    # setns(2): this Python has no os.setns.
    with open("/proc/%s/ns/net" % pid, "rb") as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")
    kept = []
    for way in ways:
        c = socket.create_connection(("127.0.0.1", int(port)))
        request = (b"HEAD" if way == "head" else b"PUT") + \
            b" /%b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" % way.encode()
        c.sendall(request)
        _, status, size = WAYS[way]
        got = b""
        while len(got) < size:
            got += c.recv(4096)
        with open(truth, "a", encoding="utf-8") as f:
            print(json.dumps({"way": way, "port": c.getsockname()[1], "request": len(request),
                              "response": size + (1 if way == "lost" else 0)}), file=f)
        if way == "left":
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
        elif way in ("killed", "mute"):
            try:
                c.recv(4096)
            except OSError:
                pass
        elif way == "lost":
            c.sendall(b"!")
            time.sleep(2)
        elif way in ("stopped", "waiting"):
            kept.append(c)
        elif way == "unheard":
            time.sleep(0.1)
            c.close()
        time.sleep(0.1)
    if kept:
        # Until the window has ended.
        say("asked")
        sys.stdin.read()


def seconds(text):
    whole, _, part = text.rstrip("Z").partition(".")
    t = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return t.timestamp() + int(part) / 1e9


def check(bundle, truth, out, *ways):
    problems = []
    with open(bundle + ".connections", encoding="utf-8") as f:
        ports = {c["connection"]: int(c["remote"].rpartition(":")[2]) for c in map(json.loads, f)}
    with open(bundle + ".calls", encoding="utf-8") as f:
        calls = {ports[c["connection"]]: c for c in map(json.loads, f)}
    with open(truth, encoding="utf-8") as f:
        asked = [json.loads(line) for line in f]
    sent = {}
    with open(out, encoding="utf-8") as f:
        for line in f:
            if line.startswith("{"):
                told = json.loads(line)
                sent.setdefault(told.pop("way"), {}).update(told)
    if sorted(a["way"] for a in asked) != sorted(ways) or len(calls) != len(ways):
        problems.append("%d calls, asked for %s" % (len(calls), [a["way"] for a in asked]))
    for a in asked:
        call, (end, status, _) = calls.get(a["port"]), WAYS[a["way"]]
        if not call:
            problems.append("%s: no such call" % a["way"])
            continue
        want = (end, status, a["request"], a["response"])
        have = tuple(call[k] for k in ("end_reason", "status", "request_bytes", "response_bytes"))
        if have != want:
            problems.append("%s: %s, not %s" % (a["way"], have, want))
        first, last = sent[a["way"]]["first"], sent[a["way"]].get("last")
        if (call["first_byte"] is None) != (first is None) or \
                first and abs(seconds(call["first_byte"]) - first / 1e9) > 0.1:
            problems.append("%s: first byte at %s, not %s" % (a["way"], call["first_byte"], first))
        if last and abs(seconds(call["end"]) - last / 1e9) > 0.1:
            problems.append("%s: last byte at %s, not %s" % (a["way"], call["end"], last))
        if first and not last and end == "complete" and call["end"] != call["first_byte"]:
            problems.append("%s: one piece, and ends at %s" % (a["way"], call["end"]))
        print("%-8s %-11s %4s %4d %4d" % (a["way"], *have[:2], *have[2:]))
    for text in problems:
        print("wrong: " + text, file=sys.stderr)
    sys.exit(bool(problems))


{"serve": serve, "ask": ask, "check": check}[sys.argv[1]](*sys.argv[2:])
