#!/usr/bin/python3
"""A server that starts other programs all the time, and the judge of what was said of them.

    flow_images.py serve [--title TEXT] [ARG...]
    flow_images.py judge FILE SERVED

`serve` says `port N` and `options ...`, its own options' names. Each connection makes it start
programs in the ways below, wait for their ends and say `child PID PROGRAM...`: the programs that
this pid has run, one after the other. --title overwrites its own argument strings with TEXT first,
as many servers do.

`judge` (after live_look) wants each of these images recorded, described as what it was, and ended;
every parent recorded; files with their digests and none changed.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys

WAYS = (
    (["/bin/true"], ["true"]),
    (["sh", "-c", "exec sleep 0.02"], ["dash", "sleep"]),
    (["env", "--ignore-environment", "/bin/sleep", "0"], ["env", "sleep"]),
)


def set_title(text):
    """Over the arguments' memory, to their end."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as f:
        start, end = map(int, f.read().rpartition(")")[2].split()[45:47])
    ctypes.memmove(start, text.encode()[:end - start - 1].ljust(end - start, b"\0"), end - start)


def start(arguments, programs, executable=None):
    # Python's own way (vfork) for one, a plain fork for the next.
    child = subprocess.Popen(arguments, executable=executable,
                             preexec_fn=None if len(programs) > 1 else lambda: None)
    child.wait()
    print("child %d %s" % (child.pid, " ".join(programs)), flush=True)


def serve(arguments):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    title = None
    if arguments[:1] == ["--title"]:
        title = arguments[1]
        set_title(title)
    print("port %d" % listener.getsockname()[1])
    print("options %s" % " ".join(["-u"] + [a.partition("=")[0] for a in arguments
                                            if a.startswith("-")]), flush=True)
    while True:
        conn = listener.accept()[0]
        conn.recv(65536)
        for way in WAYS:
            start(*way)
        if title:
            start([title], ["true"], "/bin/true")
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        conn.close()


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def judge(bundle, served):
    problems, processes = [], lines(bundle + ".processes")
    by_id = {p["process"]: p for p in processes}
    said, images, slow = [], 0, []
    for line in open(served, encoding="utf-8"):
        words = line.split()
        if words[0] == "options":
            options = words[1:]
        if words[0] == "child":
            said.append((int(words[1]), words[2:]))
    for pid, programs in said:
        have = sorted((p for p in processes if p["pid"] == pid), key=lambda p: p["process"])
        images += len(have)
        got = [(p["origin"], os.path.basename(p["exe"] or "?")) for p in have]
        wanted = [("fork", os.path.basename(os.path.realpath(sys.executable)))] + [
            ("exec", name) for name in programs]
        if [origin for origin, _ in got] != [origin for origin, _ in wanted] or got[0] != wanted[0]:
            problems.append("pid %d: %s, wanted %s" % (pid, got, wanted))
            continue
        # A program that ends at once may have gone before it can be looked at: unknown, not wrong.
        # `dash` goes on to one that takes its time.
        if programs[0] == "dash":
            slow.append(got[-1][1] == programs[-1])
        for (_, name), (_, want) in zip(got, wanted):
            if name not in (want, "?"):
                problems.append("pid %d: %s, wanted %s" % (pid, got, wanted))
        if have[0]["options"] != options:
            problems.append("pid %d: options %s, wanted %s" % (pid, have[0]["options"], options))
        for before, after in zip(have, have[1:]):
            if after["parent"] != before["process"]:
                problems.append("pid %d: parents %s" % (pid, [p["parent"] for p in have]))
        if not have[-1]["end"]:
            problems.append("pid %d: no end" % pid)
    for p in processes:
        if p["parent"] is not None and p["parent"] not in by_id:
            problems.append("process %d: its parent %d has no record" % (p["process"], p["parent"]))
    for m in lines(bundle + ".modules"):
        # Those that end at once may take the namespace's root along before their file is read.
        gone = m["digest"]["how"] == "gone" and os.path.basename(m["path"]) in ("true", "env")
        if m["kind"] == "file" and not m["sha256"] and not gone or m["changed_after_load"]:
            problems.append("%s: digest %s, changed %s" % (m["path"], m["digest"]["how"],
                                                           m["changed_after_load"]))
    if sum(slow) * 2 <= len(slow):
        problems.append("only %d of %d programs that took their time are known" % (sum(slow),
                                                                                   len(slow)))
    if len(said) < 10:
        problems.append("only %d children" % len(said))
    for text in problems[:20]:
        print("flow_images.py: " + text)
    print("%d children, %d images, %d of %d programs that took their time are known" % (
        len(said), images, sum(slow), len(slow)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[2:]) if sys.argv[1] == "serve" else judge(*sys.argv[2:]))
