#!/usr/bin/python3
"""Drives a TLS server and judges what a bundle has of it.

    conformance_tls.py drive PORT TRUTH [--one] [--version 1.2|1.3] [--get] [--small] [--connections N]
    conformance_tls.py check NAME BOUNDARY FILE [--link LINK]
    conformance_tls.py unseen NAME BOUNDARY FILE COUNT [REFUSED]

drive: connections in threads, each with several calls of several methods and paths one after the
other, some in two records, some pipelined; --one: one call each, until the server closes; --get: by
GET alone; --small: bodies of a few bytes. TRUTH receives a line for each connection: its port and its answered calls. check: the
calls of FILE are those of FILE.truth, in number, method, path and status, in the order of each
connection, all complete, and nothing is lost; --link: some work was bound by this link. unseen: no
call, COUNT inbound connections are said to be TLS that was not seen, and a library was refused for
the reason REFUSED.
"""

import collections
import json
import random
import socket
import ssl
import sys
import threading


def context(version):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if version:
        wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        ctx.minimum_version = ctx.maximum_version = wanted
    return ctx


class Conversation:
    def __init__(self, port, ctx, seed, options):
        self.random = random.Random(seed)
        self.one, self.get = "--one" in options, "--get" in options
        self.small = "--small" in options
        self.sock = ctx.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30))
        self.port = self.sock.getsockname()[1]
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.calls = b"", []

    def more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def answer(self, method):
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                raise OSError("no answer")
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status, length = int(lines[0].split()[1]), None
        for line in lines[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
            if name.lower() == "transfer-encoding":
                raise OSError("an answer in chunks is not expected")
        if method == "HEAD":
            return status
        if length is None:
            while self.more():
                pass
            self.buffer = b""
        else:
            while len(self.buffer) < length:
                if not self.more():
                    raise OSError("the answer was cut")
            self.buffer = self.buffer[length:]
        return status

    def request(self):
        methods = ["GET"] if self.get else ["GET", "GET", "HEAD", "POST", "PUT", "DELETE"]
        method = self.random.choice(methods)
        path = "/" + "/".join("alpha%d" % i for i in range(self.random.randint(1, 5)))
        body = b""
        if method in ("POST", "PUT"):
            body = b"GET /false HTTP/1.1\r\nHost: x\r\n\r\n" * self.random.choice((1, 3) if self.small else (1, 3, 900))
        text = "%s %s HTTP/1.1\r\nHost: localhost\r\nX-Secret: hunter2\r\n" % (method, path)
        if body:
            text += "Content-Length: %d\r\n" % len(body)
        return method, path, (text + "\r\n").encode() + body

    def run(self):
        for _ in range(1 if self.one else self.random.randint(2, 6)):
            batch = [self.request()]
            how = self.random.random()
            if how < 0.2 and not self.one:
                batch.append(self.request())
            data = b"".join(text for _, _, text in batch)
            if how > 0.7:
                cut = self.random.randint(1, min(len(data) - 1, 60))
                self.sock.sendall(data[:cut])
                data = data[cut:]
            self.sock.sendall(data)
            for method, path, _ in batch:
                status = self.answer(method)
                self.calls.append([method, path, status])
        self.sock.close()


def drive(port, truth, *options):
    version = options[options.index("--version") + 1] if "--version" in options else None
    count = int(options[options.index("--connections") + 1]) if "--connections" in options else 24
    ctx, done, failed, lock = context(version), [], [], threading.Lock()

    def work(first):
        for seed in range(first, count, 4):
            try:
                conversation = Conversation(int(port), ctx, seed, options)
                conversation.run()
            except (OSError, ValueError, IndexError) as e:
                with lock:
                    failed.append("connection %d: %r" % (seed, e))
                return
            with lock:
                done.append({"port": conversation.port, "calls": conversation.calls})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open(truth, "a") as file:
        for line in done:
            file.write(json.dumps(line) + "\n")
    print("\n".join(failed))
    return 1 if failed else 0


def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def kept(path):
    return "/" + "/".join("*" for _ in path.split("/")[1:])


def row(name, boundary, calls, connections, problems):
    print("SHOW %-26s %-12s %6d %6d  %s" % (name, boundary, calls, connections,
                                       "; ".join(problems) or "equal"))
    return 1 if problems else 0


def check(name, boundary, path, *options):
    port_of = {c["connection"]: int(c["remote"].rpartition(":")[2])
               for c in lines(path + ".connections") if c["direction"] == "in"}
    truth = {c["port"]: [tuple([m, kept(p), s]) for m, p, s in c["calls"]]
             for c in lines(path + ".truth")}
    calls, problems, seen = lines(path + ".calls"), [], collections.defaultdict(list)
    for call in sorted(calls, key=lambda c: (c["connection"], c["seq"])):
        seen[port_of.get(call["connection"])].append((call["method"], call["path"], call["status"]))
    if seen != truth:
        differ = [p for p in set(seen) | set(truth) if seen.get(p) != truth.get(p)]
        problems.append("%d connections differ, such as %r instead of %r" % (
            len(differ), seen.get(differ[0]), truth.get(differ[0])))
    if any(c["end_reason"] != "complete" or c["lost"] for c in calls):
        problems.append("not all calls are complete")
    with open(path + ".json") as file:
        summary = json.load(file)
    if summary["lost_total"]:
        problems.append("lost_total is %d" % summary["lost_total"])
    if summary["visibility"]["connections"]["undecoded"]:
        problems.append("undecoded: %r" % summary["visibility"]["connections"]["undecoded"])
    if not any(c["functions"] for c in calls):
        problems.append("no call has code")
    if "--link" in options:
        wanted = options[options.index("--link") + 1]
        if not any(wanted in f["links"] for c in calls for f in c["functions"]):
            problems.append("nothing is bound by %s" % wanted)
    return row(name, boundary, len(calls), len(truth), problems)


def unseen(name, boundary, path, count, refused=None):
    with open(path + ".json") as file:
        summary = json.load(file)
    undecoded = summary["visibility"]["connections"]["undecoded"]
    calls, problems = lines(path + ".calls"), []
    if calls:
        problems.append("%d calls" % len(calls))
    if undecoded != {"tls-unseen": int(count)}:
        problems.append("undecoded: %r" % undecoded)
    if summary["lost_total"]:
        problems.append("lost_total is %d" % summary["lost_total"])
    reasons = [u["version"] for u in summary["unsupported"] if u["what"] == "openssl"]
    if set(reasons) != ({refused} if refused else set()):
        problems.append("refused: %r" % reasons)
    return row(name, boundary, 0, int(count), problems or ["tls-unseen, by count"]) and bool(problems)


if __name__ == "__main__":
    sys.exit({"drive": drive, "check": check, "unseen": unseen}[sys.argv[1]](*sys.argv[2:]))
