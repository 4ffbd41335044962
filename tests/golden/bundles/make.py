"""Made the bundles of this folder whose names begin with `calls`, `newer` or `older` (README.md says
what each is). A writer of its own, after docs/bundle-format.md: it shares nothing with the program.

    make.py FOLDER

Bundles that are here are never written anew: a reader must go on reading what was written once. A
new case gets a new name. Files that exist are left alone.
"""

import hashlib
import os
import struct
import sys

import zstandard

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../cli"))
import second_reader  # pylint: disable=wrong-import-position

NULL = 2**64 - 1
MASK = 2**64 - 1
KINDS, _ = second_reader.load_document()
NUMBERS = {name: number for number, (name, _) in KINDS.items()}
T0, WALL = 1_000_000_000_000, 1_795_385_012_000_000_001


def varint(v):
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    return bytes(out) + bytes([v])


def zigzag(d):
    d &= MASK
    return (d << 1 & MASK) ^ (MASK if d >> 63 else 0)


def skippable(magic, payload):
    return struct.pack("<II", magic, len(payload)) + payload


def compress(content):
    return zstandard.ZstdCompressor(write_checksum=True, write_content_size=True).compress(content)


def column(kind, values):
    out, before = b"", 0
    for v in values:
        items = v if kind in ("numbers", "strings") else [v]
        if kind in ("numbers", "strings"):
            out += varint(len(v))
        for item in items:
            e = (item + 1) & MASK
            out += varint(zigzag(e - before))
            before = e or before
    return varint(len(out)) + out


class Writer:
    """Collects records by link; `bundle` gives the file and where its frames are."""

    def __init__(self, flags=(0, 0), drop=(), extra=(), kind_200=False, between=b""):
        self.flags, self.drop, self.extra = flags, drop, extra
        self.kind_200, self.between = kind_200, between
        self.links = []
        self.names, self.ids = {}, {}
        self.link()

    def link(self):
        self.strings, self.batches = [], {}
        self.links.append((self.strings, self.batches))
        t = T0 + len(self.links) * 10**9
        self.put("clock", monotonic=t, boottime=t + 5, realtime=WALL + t - T0, synced=1,
                 max_error=5_500_000 if len(self.links) > 1 else NULL)

    def s(self, text, private=False):
        """The id of a string."""
        data = text.encode() if isinstance(text, str) else text
        if not data:
            return 0
        if (data, private) not in self.names:
            self.names[data, private] = len(self.names) + 1
            self.strings.append((data, private))
        return self.names[data, private]

    def put(self, name, /, **fields):
        self.ids[name] = self.ids.get(name, 0) + 1
        row = {f: [] if k in ("numbers", "strings") else NULL for f, k in KINDS[NUMBERS[name]][1]}
        row.update(fields, id=self.ids[name])
        self.batches.setdefault(name, []).append(row)
        return row["id"]

    def data(self, batches):
        out = b"\2"
        for name, rows in batches.items():
            fields = KINDS[NUMBERS[name]][1]
            if name in self.drop:
                fields = fields[:-self.drop[name]]
            body = b"".join(column(k, [r[f] for r in rows]) for f, k in fields)
            if name in self.extra:
                body += column("number", range(len(rows))) + column(
                    "numbers", [[7, NULL, i] for i in range(len(rows))])
            out += varint(NUMBERS[name]) + varint(len(rows)) + varint(len(body)) + body
        if self.kind_200:
            body = column("number", [1, 2]) + column("string", [0, NULL])
            out += varint(200) + varint(2) + varint(len(body)) + body
        return out

    def string_unit(self, first, strings, hidden):
        """The unit, and its canonical form."""
        def content(hide):
            out = b"\1" + varint(first) + varint(len(strings))
            for data, private in strings:
                salt = hashlib.sha256(b"salt" + data).digest()[:16]
                if not private:
                    out += b"\0" + varint(len(data)) + data
                elif hide:
                    out += b"\2" + hashlib.sha256(salt + data).digest()
                else:
                    out += b"\1" + salt + varint(len(data)) + data
            return out
        frame = compress(content(hidden))
        head = struct.pack("<I", len(frame)) + hashlib.sha256(frame).digest()[:16]
        return skippable(0x184D2A52, head) + frame, skippable(0x184D2A52, content(True))

    def bundle(self, hidden=False):
        header = b"DAYLIGHT" + struct.pack("<III", 1, *self.flags) + bytes(range(16))
        out = covered = skippable(0x184D2A51, header)
        places, table, totals = {"header": 0}, b"", {}
        chain, first, before = bytes(32), 1, (0, 0)
        position = len(out)
        for i, (strings, batches) in enumerate(self.links, 1):
            if strings:
                places[f"strings {i}"] = len(out)
                unit, canonical = self.string_unit(first, strings, hidden)
                first += len(strings)
                out += unit
                covered += canonical
            places[f"data {i}"] = len(out)
            frame = compress(self.data(batches))
            counts = {NUMBERS[name]: len(rows) for name, rows in batches.items()}
            if self.kind_200:
                counts[200] = 2
            opened = batches["clock"][0]["monotonic"]
            table += varint(position - before[0]) + varint(len(frame))
            table += varint(zigzag(opened - before[1])) + varint(len(counts))
            for number in sorted(counts):
                table += varint(number) + varint(counts[number])
                totals[number] = totals.get(number, 0) + counts[number]
            before = position, opened
            out += frame + self.between
            covered += frame + self.between
            chain = hashlib.sha256(chain + covered).digest()
            places[f"chain {i}"] = len(out)
            out += skippable(0x184D2A54, struct.pack("<Q", i) + chain)
            position += len(frame) + len(self.between) + 48
            covered = b""
        places["index"] = len(out)
        end = before[1] + 5 * 10**8
        index = b""
        for tag, part in (1, struct.pack("<Q", len(self.links)) + chain), \
                (2, b"".join(varint(n) + varint(totals[n]) for n in sorted(totals))), (3, table), \
                (4, varint(len(self.links)) * 2 + varint(first - 1) + varint(end)):
            index += varint(tag) + varint(len(part)) + part
        head = struct.pack("<II", 0x184D2A57, len(index) + 32) + index
        return out + head + hashlib.sha256(chain + head).digest(), places


def call(w, seq, ms, **fields):
    at = T0 + ms * 10**6
    row = dict(
        process=1, connection=1, seq=seq, protocol=w.s("http/1.1"), method=w.s("GET"),
        path=w.s("/v3/users/{user_id}", True), service=w.s("keystone"), route=w.s("v3-users"),
        status=200, start=at, first_byte=at + 8_000_000, end=at + 9_000_000, end_reason=0,
        request_bytes=300, response_bytes=4000, request_id=w.s(f"req-{seq}"),
        request_ids=[w.s("X-Openstack-Request-Id"), w.s(f"req-{seq}"),
                     w.s("X-Openstack-Request-Id"), w.s("req-client", True)],
        host=w.s("keystone.example:5000", True), lost=0, ids_answered=1)
    row.update(fields)
    return w.put("call", **row)


def fill(w, strange=False):
    """A window of three links: four calls, their code and what ties them together."""
    at = lambda ms: T0 + ms * 10**6  # noqa: E731
    w.put("window", window=w.s(bytes(range(32))), challenge=w.s(bytes([0xC4] * 8)), monotonic=T0,
          boottime=T0 + 5, realtime=WALL, synced=1, start_reason=w.s("asked"),
          host=w.s("node-1", True), kernel=w.s("6.1.0-test"), boot_id=w.s("boot", True),
          arch=w.s("x86_64"), version=w.s("0.1.0"), exe_sha256=w.s(bytes([0xEE] * 32)),
          options=[w.s("--port"), w.s("-o")], boundary_source=w.s("socket-tracepoints"))
    w.put("label", key=w.s("site"), value=w.s("north", True))
    w.put("target", how=w.s("port"), value=w.s("5000", True))
    w.put("module", kind=0, path=w.s("/usr/bin/uwsgi-core"), language=0)
    w.put("module", kind=0, path=w.s("/srv/keystone/users.py"), language=1)
    w.put("module", kind=1, path=w.s(b"<frozen \xff\xc3\xb6>"), language=1)
    w.put("process", pid=4001, start=T0, parent=NULL, exe=1, comm=w.s("uwsgi"),
          argv0=w.s("uwsgi-core", True), options=[w.s("--http-socket")], origin=0, seen=at(0),
          uid=110, cgroup=w.s("/keystone", True), runtime=w.s("cpython-3.11"),
          service=w.s("keystone"))
    for i, (module, name, line, offset) in enumerate(
            [(2, "get", 10, NULL), (2, "_find", 2**31, NULL), (3, "load", NULL, NULL),
             (1, "", NULL, 2**63 + 1)]):
        w.put("function", module=module, name=w.s(name), qualname=w.s(name and f"Users.{name}"),
              line=line, offset=offset)
    w.put("stack", process=1, frames=[2, 1, 3, 3], partial=0)
    w.put("stack", process=1, frames=[4, 1, 99, NULL, 0], partial=1)
    w.put("stack", process=1, frames=[4], partial=0, base=1, kept=2)
    w.put("stack", process=1, frames=[1], partial=0, base=40, kept=1)  # no such base
    w.put("stack", process=1, frames=[2], partial=0, base=2, kept=6)  # it has five
    w.put("stack", process=1, frames=[3], partial=0, base=7, kept=1)  # it comes later
    w.put("connection", process=1, family=0, local=w.s("127.0.0.1", True), local_port=5000,
          remote=w.s("127.0.0.1", True), remote_port=40000, direction=0, cookie=2**64 - 2,
          opened=at(90), joined=0)
    w.put("connection", process=1, family=1, local=NULL, local_port=NULL, remote=w.s("::1", True),
          remote_port=3306, direction=1, cookie=78, opened=at(101), joined=0)
    w.put("connection", process=1, family=2, local=NULL, local_port=NULL,
          remote=w.s("/run/db.sock", True), remote_port=0, direction=1, cookie=79, opened=at(102),
          joined=1)
    w.link()
    w.put("context", process=1, thread=4001, flow=0x7F0000001000, generation=1, start=at(100))
    w.put("context", process=1, thread=4001, flow=0, generation=1, start=at(100))
    w.put("sighting", context=1, stack=1, source=0, first=at(101), last=at(102), count=2)
    w.put("sighting", context=2, stack=1, source=1, first=at(105), last=at(203), count=10)
    w.put("sighting", context=2, stack=2, source=3, first=at(205), last=at(205), count=NULL)
    w.put("sighting", context=2, stack=2, source=2, first=at(209), last=at(209), count=4)
    w.put("sighting", context=2, stack=77, source=2, first=at(209), last=at(209), count=4)
    w.put("sighting", context=2, stack=1, source=2, first=NULL, last=at(300), count=4)
    for stack in 4, 5, 6, 7:
        w.put("sighting", context=2, stack=stack, source=1, first=at(204), last=at(206), count=1)
    call(w, 1, 100)
    call(w, 2, 200, status=404, ids_answered=2, request_ids=[NULL, w.s("x"), w.s("traceparent"), NULL, w.s("odd")])
    w.put("binding", context=1, call=1, until=at(109), link=1, **{"from": at(100)})
    w.put("binding", context=2, call=2, until=at(209), link=0, **{"from": at(200)})
    w.put("hop", call=1, connection=2, time=at(102))
    w.put("hop", call=1, connection=3, time=NULL)
    w.put("hop", call=1, connection=9, time=at(103))
    w.put("hop", call=NULL, connection=2, time=at(201), last=at(202), context=2, received=10,
          sent=20, process=1, protocol=w.s("amqp"))
    w.link()
    # The base of a base, of a link before.
    w.put("stack", process=1, frames=[], partial=0, base=3, kept=3)
    call(w, 3, 300, route=NULL, status=NULL, first_byte=NULL, end_reason=7 if strange else 5,
         request_id=0, request_ids=[], host=NULL, lost=1, ids_answered=0)
    call(w, 4, 5000, process=9, connection=NULL, start=0, first_byte=NULL, end=2**64 - 2,
         service=10**6, ids_answered=NULL)
    # Late: the tie to call 1 is known only now, and call 3's is a guess with no end.
    w.put("binding", context=2, call=1, until=at(109), link=2, **{"from": at(100)})
    w.put("binding", context=2, call=3, until=NULL, link=9 if strange else 3, **{"from": at(205)})
    w.put("sighting", context=2, stack=2, source=11 if strange else 2, first=at(301), last=at(302),
          count=2**63)
    w.put("loss", time=at(900), stage=w.s("stacks"), cause=0, count=20, **{"class": 0})
    w.put("loss", time=at(900), stage=w.s("stacks"), cause=0, count=19, **{"class": 1})
    w.put("loss", time=at(900), stage=w.s("stacks"), cause=w.s("budget"), count=1, **{"class": 3})
    w.put("window_end", monotonic=at(60000), boottime=at(60000) + 5, realtime=WALL + 6 * 10**10,
          synced=1, reason=w.s("duration"))
    return w


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1:]


def bundles():
    data, places = fill(Writer()).bundle()
    yield "calls", data
    yield "calls-hidden", fill(Writer()).bundle(hidden=True)[0]
    yield "calls-cut-frame", data[:places["data 3"] + 40]
    yield "calls-cut-strings", data[:places["strings 3"] + 60]
    yield "calls-cut-border", data[:places["strings 3"]]
    yield "calls-cut-index", data[:-5]
    yield "calls-altered", flip(data, places["data 3"] + 50)
    yield "calls-altered-string", flip(data, places["strings 2"] + 80)
    yield "calls-altered-chain", flip(data, places["chain 2"] + 30)
    yield "calls-altered-index", flip(data, places["index"] + 20)
    yield "calls-zeros", data[:places["index"]] + bytes(300)
    yield "calls-garbage", data[:places["index"]] + hashlib.sha256(b"garbage").digest() * 5
    yield "calls-trailing", data + b"more"
    yield "newer-kind", fill(Writer(kind_200=True)).bundle()[0]
    yield "newer-column", fill(Writer(extra=("call", "sighting", "clock", "stack"))).bundle()[0]
    yield "newer-enum", fill(Writer(), strange=True).bundle()[0]
    yield "newer-frame", fill(Writer(between=skippable(0x184D2A50, b"anything"))).bundle()[0]
    yield "newer-flag", fill(Writer(flags=(0x80000001, 0))).bundle()[0]
    yield "newer-incompatible", fill(Writer(flags=(0, 2))).bundle()[0]
    yield "signed-promised", fill(Writer(flags=(2, 0))).bundle()[0]
    yield "older-column", fill(Writer(drop={"call": 3, "function": 1, "stack": 4,
                                               "clock": 1})).bundle()[0]


if __name__ == "__main__":
    for name, content in bundles():
        path = os.path.join(sys.argv[1], f"{name}.daylight")
        if not os.path.exists(path):
            with open(path, "wb") as out:
                out.write(content)
