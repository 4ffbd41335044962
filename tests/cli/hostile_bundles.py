"""Bundles made to harm who reads them, and what inspect, verify and analyze do with them: they end
in order, in 60 seconds, in 256 MiB. Output is thrown away.

    hostile_bundles.py DAYLIGHT FOLDER GUIDELINE
"""

import hashlib
import os
import resource
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../golden/bundles"))
from make import NUMBERS, KINDS, compress, skippable, varint  # noqa: E402

MIB = 1 << 20
LIMIT = 256 * MIB
VIEWS = ("summary calls processes modules functions stacks interpositions connections loss").split()


class Bundle:
    """Frames without care: the bytes of their contents are given."""

    def __init__(self, flags=0):
        header = b"DAYLIGHT" + struct.pack("<III", 1, flags, 0) + bytes(16)
        self.out = skippable(0x184D2A51, header)
        self.covered, self.chain, self.links, self.clock = self.out, bytes(32), 0, 0
        self.records([("clock", 1, [[1], [1], [1], [1], [1]])])

    def frame(self, content):
        frame = compress(content)
        self.out += frame
        self.covered += frame
        self.links += 1
        self.chain = hashlib.sha256(self.chain + self.covered).digest()
        self.covered = b""
        self.out += skippable(0x184D2A54, struct.pack("<Q", self.links) + self.chain)

    def strings(self, first, count, data):
        entry = b"\0" + varint(len(data)) + data
        content = b"\1" + varint(first) + varint(count) + entry * count
        frame = compress(content)
        self.out += skippable(0x184D2A52, struct.pack("<I", len(frame))
                              + hashlib.sha256(frame).digest()[:16]) + frame
        self.covered += skippable(0x184D2A52, content)

    def batch(self, name, count, columns):
        """Each column: its bytes, or a list of values for a single record."""
        fields = KINDS[NUMBERS[name]][1]
        body = b""
        for _, c in zip(fields, columns):
            if isinstance(c, list):
                c = b"".join(varint((v + 1) * 2) for v in c)
            body += varint(len(c)) + c
        return varint(NUMBERS[name]) + varint(count) + varint(len(body)) + body

    def records(self, batches):
        self.frame(b"\2" + b"".join(self.batch(*b) for b in batches))


def many(name, count, frames, lists=0):
    """Frames of `count` records whose values are all 1, but for ids and times, which rise."""
    b = Bundle()
    columns = []
    for field, kind in KINDS[NUMBERS[name]][1]:
        if kind in ("numbers", "strings"):
            column = varint(lists) + (b"\4" + b"\0" * lists)[:lists]
            column += (varint(lists) + b"\0" * lists) * (count - 1)
        elif field == "id" or kind in ("time", "wall time"):
            column = b"\4" * count
        else:
            column = b"\4" + b"\0" * (count - 1)
        columns.append(column)
    for _ in range(frames):
        b.records([(name, count, columns)])
    return b


def all_strings(size, count, frames):
    b = Bundle()
    for i in range(frames):
        b.strings(1 + i * count, count, b"x" * size)
        b.records([("clock", 1, [[1]])])
    return b


def wide_call():
    """One call whose stacks have more functions than can be printed in memory."""
    b = Bundle()
    width, stacks = 65536, 20
    b.records([("window", 1, [[1], [1], [1], [1], [1], [1]]), ("call", 1, [[1]]),
               ("context", 1, [[1], [1]]), ("binding", 1, [[1], [1], [1], [1], [2**60], [0]])])
    for s in range(stacks):
        frames = varint(2 * (2 + s * width)) + b"\2" * (width - 1)
        b.records([("stack", 1, [[s + 1], [1], varint(width) + frames, [0]]),
                   ("sighting", 1, [[s + 1], [1], [s + 1], [0], [5], [5], [1]])])
    return b


def stacks_of_one():
    """Stacks without frames of their own: all leave them to the first."""
    b = Bundle()
    b.records([("stack", 1, [[1], [1], varint(60000) + b"\2" * 60000])])
    count = 1_000_000
    same = b"\0" * (count - 1)
    b.records([("stack", count, [b"\6" + b"\2" * (count - 1), b"\4" + same, b"\0" + same,
                                 b"\2" + same, b"\4" + same, varint(120002) + same])])
    return b


def bundles():
    yield "sightings", many("sighting", 2_000_000, 20).out
    yield "labels", many("label", 4_000_000, 20).out
    yield "calls", many("call", 500_000, 20).out
    yield "losses", many("loss", 2_000_000, 20).out
    yield "gaps", many("gap", 2_000_000, 20).out
    yield "bindings", many("binding", 2_000_000, 10).out
    yield "hops", many("hop", 1_500_000, 10).out
    yield "connections", many("connection", 1_000_000, 10).out
    yield "functions", many("function", 2_000_000, 10).out
    yield "deep-stacks", many("stack", 250, 20, 65000).out
    yield "stacks-of-one", stacks_of_one().out
    yield "options", many("process", 200, 20, 65000).out
    yield "strings-short", all_strings(1, 262_144, 60).out
    yield "strings-long", all_strings(65_536, 250, 40).out
    yield "wide-call", wide_call().out
    yield "links", many("clock", 1, 20_000).out
    yield "frames", Bundle().out + skippable(0x184D2A5A, b"") * MIB
    yield "half-frames", Bundle().out + struct.pack("<II", 0x184D2A5A, 2**32 - 1)
    yield "index", Bundle().out + skippable(0x184D2A57, b"\3" + varint(32 * MIB) + b"\1" * 32 * MIB)
    yield "zeros", Bundle().out + bytes(70 * MIB)
    yield "bomb", Bundle().out + compress(bytes(15 * MIB)) * 100


def run(arguments, what):
    """One run: its exit code, seconds do not matter, memory does."""
    def limits():
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT + 128 * MIB,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          preexec_fn=limits) as child:
        said = []
        reader = threading.Thread(target=lambda: said.append(child.stderr.read()))
        reader.start()
        timer = threading.Timer(60, child.kill)
        timer.start()
        _, status, usage = os.wait4(child.pid, 0)
        timer.cancel()
        child.returncode = code = os.waitstatus_to_exitcode(status)
        reader.join()
    text = said[0].decode("utf-8", "replace")
    bad = []
    if code not in (0, 1, 2, 4):
        bad.append(f"exit code {code}")
    if usage.ru_maxrss * 1024 > LIMIT:
        bad.append(f"{usage.ru_maxrss // 1024} MiB")
    if text and not text.startswith("daylight: ") or len(text.splitlines()) > 2:
        bad.append("stderr: " + text[:300])
    if bad:
        print(f"FAIL: {what}: {', '.join(bad)}")
    elif os.environ.get("V") == "1":
        print(f"{what}: {code}, {usage.ru_maxrss // 1024} MiB, {usage.ru_utime:.1f} s {text[:90]}")
    return not bad


def main():
    daylight, folder, guideline = sys.argv[1:4]
    path, good = os.path.join(folder, "hostile.daylight"), True
    wanted = set(sys.argv[4:])
    for name, data in bundles():
        if wanted and name not in wanted:
            continue
        with open(path, "wb") as out:
            out.write(data)
        for view in VIEWS:
            good &= run([daylight, "inspect", path, view, "--jsonl"], f"{name}: inspect {view}")
        good &= run([daylight, "inspect", path, "calls"], f"{name}: inspect calls, text")
        good &= run([daylight, "verify", path], f"{name}: verify")
        good &= run([daylight, "analyze", path, "--guideline", guideline], f"{name}: analyze")
    for name, text in ("nested", "[" * 10**6), ("pairs", "{" * 10**6), ("wide", "[]," * 10**7):
        with open(path, "w") as out:
            out.write('{"a":[' + text)
        good &= run([daylight, "analyze", os.path.join(os.path.dirname(__file__),
                     "../golden/bundles/calls.daylight"), "--guideline", path], f"guideline {name}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
