"""A second reader of bundles, written from docs/bundle-format.md alone; its tables of kinds and
enumerations are read from that document. Prints the calls of a bundle as JSON lines, with the keys
that the document defines ("The calls of a bundle"), then one line on stderr: how the bundle ends.

    second_reader.py FILE
"""

import collections
import datetime
import json
import os
import re
import struct
import sys

import zstandard

DOCUMENT = os.path.join(os.path.dirname(__file__), "../../docs/bundle-format.md")
NULL = 2**64 - 1
MASK = 2**64 - 1
MIB = 1 << 20
HEADER, STRINGS, CHAIN, INDEX = 0x184D2A51, 0x184D2A52, 0x184D2A54, 0x184D2A57
SIGNATURE, TIMESTAMP = 0x184D2A58, 0x184D2A5B
ZSTD = 0xFD2FB528


class Refused(Exception):
    """This is no bundle, or one of a newer format."""


class Damaged(Exception):
    """Bytes that are not as the document says."""


class Cut(Exception):
    """The file ends here."""


def need(condition):
    if not condition:
        raise Damaged


def load_document():
    """Kinds by number: (name, [(field, type)]); enumerations by name: {value: text}."""
    with open(DOCUMENT, encoding="utf-8") as f:
        text = f.read()
    kinds, enums = {}, {}
    for part in re.split(r"(?m)^### ", text)[1:]:
        head = re.match(r"(\d+) `(\w+)`", part)
        if not head:
            continue
        part = re.split(r"(?m)^## ", part)[0]
        rows = re.search(r"\| field \| type \| meaning \|\n\|[-|]+\|\n((?:\|.*\n)+)", part)
        kinds[int(head[1])] = head[2], re.findall(r"(?m)^\| `(\w+)` \| ([^|]+?) \|", rows[1])
    for name, values in re.findall(r"(?m)^\| (\w+) \| (0 `.*) \|$", text):
        enums[name] = {int(n): word for n, word in re.findall(r"(\d+) `([^`]+)`", values)}
    return kinds, enums


class Bytes:
    """Reads from the front of some bytes; running out of them is damage."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        need(n <= self.left())
        self.at += n
        return self.data[self.at - n:self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        v = 0
        for i in range(10):
            b = self.byte()
            v |= (b & 127) << (7 * i)
            if b < 128:
                need(v <= MASK)
                return v
        raise Damaged


class Column(Bytes):
    """Values, each as its difference to the one before."""

    before = 0

    def value(self):
        z = self.varint()
        e = (self.before + (z >> 1 ^ -(z & 1))) & MASK
        self.before = e or self.before
        return (e - 1) & MASK


def zstd_size(data, at):
    """Length of the zstd frame at this place: its header and its blocks, as RFC 8878 has them."""
    start = at
    if at + 5 > len(data):
        raise Cut
    descriptor = data[at + 4]
    single, size_code = descriptor >> 5 & 1, descriptor >> 6
    need(descriptor & 8 == 0 and descriptor & 3 == 0)  # no dictionary
    need(descriptor & 4)  # a checksum
    need(single or size_code)  # a content size
    at += 5 + (0 if single else 1) + (1, 2, 4, 8)[size_code]
    while True:
        if at + 3 > len(data):
            raise Cut
        head = int.from_bytes(data[at:at + 3], "little")
        kind = head >> 1 & 3
        need(kind != 3)
        at += 3 + (1 if kind == 1 else head >> 3)
        need(at - start <= 17 * MIB)
        if head & 1:
            break
    if at + 4 > len(data):
        raise Cut
    return at + 4 - start


def unpack(frame):
    try:
        need(zstandard.get_frame_parameters(frame).content_size <= 16 * MIB)
        return zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError:
        raise Damaged from None


class Reader:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.kinds, self.enums = load_document()
        self.strings = [b""]
        self.records = collections.defaultdict(list)
        self.end = self.sealed = None
        if len(self.data) < 44 or self.data[8:16] != b"DAYLIGHT":
            raise Refused("not a bundle")
        number, self.flags, incompatible = struct.unpack("<III", self.data[16:28])
        if number != 1 or incompatible:
            raise Refused(f"format {number}, incompatible flags {incompatible:#x}")
        try:
            self.read()
        except Damaged:
            self.end = "trailing" if self.sealed else "damaged"
        except Cut:
            self.end = "trailing" if self.sealed and not self.missing() else "cut"
        self.complete = self.end == "sealed" and bool(self.records["window_end"])

    def missing(self):
        """At the end: is a signature or a timestamp missing, or the rest of one?"""
        begun = int.from_bytes(self.data[self.at:self.at + 4], "little")
        return self.promised() or (begun == SIGNATURE and not self.behind or
                                   begun == TIMESTAMP and TIMESTAMP not in self.behind)

    def promised(self):
        return self.flags & 2 and SIGNATURE not in self.behind

    def frames(self):
        """(magic, the whole frame) of each frame."""
        at = 0
        while at < len(self.data):
            self.at = at
            if at + 8 > len(self.data):
                raise Cut
            magic, size = struct.unpack_from("<II", self.data, at)
            if magic == ZSTD:
                size = zstd_size(self.data, at)
            elif magic & 0xFFFFFFF0 == 0x184D2A50:
                need({HEADER: 36 <= size <= 4096, STRINGS: size == 20, CHAIN: size == 40,
                      INDEX: size <= 33 * MIB, SIGNATURE: 113 <= size <= 65536,
                      TIMESTAMP: 33 <= size <= 65536}.get(magic, True))
                size += 8
            elif not any(self.data[at:]):
                raise Cut
            else:
                raise Damaged
            if at + size > len(self.data):
                raise Cut
            need(magic != HEADER or at == 0)
            yield magic, self.data[at:at + size]
            at += size

    def read(self):
        announced = None
        self.behind = behind = []  # the index
        for magic, frame in self.frames():
            if self.sealed or magic in (SIGNATURE, TIMESTAMP):
                behind.append(magic)
                need(self.sealed and
                     behind in ([SIGNATURE], [TIMESTAMP], [SIGNATURE, TIMESTAMP]))
            elif announced is not None:
                need(magic == ZSTD and len(frame) == announced)
                self.read_strings(Bytes(unpack(frame)))
                announced = None
            elif magic == ZSTD:
                self.read_data(Bytes(unpack(frame)))
            elif magic == STRINGS:
                announced = struct.unpack_from("<I", frame, 8)[0]
            elif magic == INDEX:
                self.sealed = True
        self.end = "sealed" if self.sealed and not self.promised() else "cut"

    def read_strings(self, b):
        need(b.byte() == 1)
        first, count = b.varint(), b.varint()
        need(first == len(self.strings) and count <= 262144)
        for _ in range(count):
            form = b.byte()
            need(form <= 2)
            if form == 2:
                b.take(32)
                self.strings.append(None)
                continue
            if form == 1:
                b.take(16)
            size = b.varint()
            need(1 <= size <= 65536)
            self.strings.append(b.take(size))
        need(not b.left())

    def read_data(self, b):
        need(b.byte() == 2)
        met = set()
        while b.left():
            number, count = b.varint(), b.varint()
            body = Bytes(b.take(b.varint()))
            need(1 <= number <= 255 and count >= 1 and number not in met)
            met.add(number)
            if number not in self.kinds:
                continue
            name, fields = self.kinds[number]
            columns = [self.column(Column(body.take(body.varint())), kind, count)
                       if body.left() else [[] if kind in ("numbers", "strings") else NULL] * count
                       for _, kind in fields]
            for row in zip(*columns):
                self.records[name].append({f: v for (f, _), v in zip(fields, row)})

    @staticmethod
    def column(column, kind, count):
        values = []
        for _ in range(count):
            if kind in ("numbers", "strings"):
                n = column.varint()
                need(n <= 65536)
                values.append([column.value() for _ in range(n)])
            else:
                values.append(column.value())
        need(not column.left())
        return values


class Calls:
    """The calls of a bundle, as the document tells to list them."""

    def __init__(self, reader):
        self.r = reader
        self.ids = {}
        for kind in "process", "module", "function", "connection":
            for record in reversed(reader.records[kind]):
                self.ids[kind, record["id"]] = record
        self.whole = self.whole_stacks()

    def whole_stacks(self):
        """The frames of each stack: those of its record, then the outermost ones of its base."""
        whole = {}
        for stack in self.r.records["stack"]:
            frames, kept = stack["frames"], stack["kept"]
            base = whole.get(stack["base"], [])
            if kept <= len(base) and kept + len(frames) <= 65536:
                frames = frames + base[len(base) - kept:]
            whole.setdefault(stack["id"], frames)
        return whole

    def find(self, kind, number):
        return self.ids.get((kind, number))

    def text(self, string):
        data = self.r.strings[string] if string < len(self.r.strings) else None
        return None if data is None else data.decode("utf-8", "backslashreplace")

    def enum(self, name, value):
        return self.r.enums[name].get(value, "?")

    @staticmethod
    def number(v):
        return None if v == NULL else v if v < 2**63 else str(v)

    def time(self, t):
        window = self.r.records["window"][:1]
        if t == NULL or not window or NULL in (window[0]["monotonic"], window[0]["realtime"]):
            return None
        ns = window[0]["realtime"] + t - window[0]["monotonic"]
        if not 0 <= ns < NULL:
            return None
        day = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=ns // 10**9)
        return f"{day:%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09d}Z"

    def path(self, module):
        m = self.find("module", module)
        return self.text(m["path"]) if m else None

    def process(self, number):
        p = self.find("process", number)
        return {"id": self.number(number), "pid": self.number(p["pid"]) if p else None,
                "exe": self.path(p["exe"]) if p else None}

    def request_ids(self, items):
        out = {}
        for name, value in zip(items[::2], items[1::2]):
            if self.text(name) is not None:
                out.setdefault(self.text(name), self.text(value))
        return out

    def remote(self, c):
        text = self.text(c["remote"]) if c else None
        family = self.enum("family", c["family"]) if c else None
        if text is None or family == "unix" or c["remote_port"] == NULL:
            return text
        return f"[{text}]:{c['remote_port']}" if family == "tcp6" else f"{text}:{c['remote_port']}"

    def hops(self, call):
        links = {}  # place of a hop: links; None stands for one that the record itself makes
        for i, h in enumerate(self.r.records["hop"]):
            if h["call"] == call != NULL:
                links.setdefault(i, set()).add(None)
            for b in self.r.records["binding"]:
                if (b["call"] == call != NULL and b["context"] == h["context"] != NULL
                        and NULL not in (b["from"], h["time"], h["last"])
                        and h["last"] >= b["from"] and h["time"] <= b["until"]):
                    links.setdefault(i, set()).add(b["link"])
        return [self.hop(number, links, sorted(
            (i for i in links if self.r.records["hop"][i]["connection"] == number),
            key=lambda i: self.r.records["hop"][i]["id"]))
            for number in sorted({self.r.records["hop"][i]["connection"] for i in links})]

    def hop(self, number, links, places):
        names = self.r.enums["link"]
        records = [self.r.records["hop"][i] for i in places]
        sure = [i for i in places if any(
            v is None or names.get(v, "ambiguous") != "ambiguous" for v in links[i])]

        def known(field):
            return [h[field] for h in records if h[field] != NULL]

        def total(field):
            return self.number(min(sum(known(field)), NULL - 1)) if known(field) else None

        return {
            "hop": self.number(self.r.records["hop"][(sure or places)[0]]["id"]),
            "connection": self.number(number),
            "remote": self.remote(self.find("connection", number)),
            "time": self.time(min(known("time"), default=NULL)),
            "last": self.time(max(known("last"), default=NULL)),
            "received": total("received"),
            "sent": total("sent"),
            "links": [names[v] for v in sorted(set().union(*(links[i] for i in places)) - {None})
                      if v in names],
            "ambiguous": not sure,
            "protocol": self.text(known("protocol")[0]) if known("protocol") else None,
        }

    def functions(self, call):
        seen = {}  # place of a sighting: links
        for b in self.r.records["binding"]:
            if b["call"] != call or NULL in (call, b["context"], b["from"]):
                continue
            for i, s in enumerate(self.r.records["sighting"]):
                if (s["context"] == b["context"] and NULL not in (s["first"], s["last"])
                        and s["last"] >= b["from"] and s["first"] <= b["until"]):
                    seen.setdefault(i, set()).add(b["link"])
        found = {}
        for i, links in seen.items():
            s = self.r.records["sighting"][i]
            for f in set(self.whole.get(s["stack"], ())) - {0, NULL}:
                row = found.setdefault(f, [set(), set(), 0])
                row[0] |= links
                row[1].add(s["source"])
                row[2] += 0 if s["count"] == NULL else s["count"]
        return [self.function(f, *found[f]) for f in sorted(found)]

    def function(self, number, links, sources, count):
        f = self.find("function", number)
        m = self.find("module", f["module"]) if f else None
        names = self.r.enums
        return {
            "function": self.number(number),
            "name": self.text(f["name"]) if f else None,
            "qualname": self.text(f["qualname"]) if f else None,
            "module": self.number(f["module"]) if f else None,
            "path": self.text(m["path"]) if m else None,
            "line": self.number(f["line"]) if f else None,
            "offset": self.number(f["offset"]) if f else None,
            "language": self.enum("language", m["language"]) if m else None,
            "links": [names["link"][v] for v in sorted(links) if v in names["link"]],
            "sources": [names["source"][v] for v in sorted(sources) if v in names["source"]],
            "count": self.number(min(count, NULL)),
        }

    def rows(self):
        for c in self.r.records["call"]:
            row = {"call": self.number(c["id"]), "process": self.process(c["process"])}
            for key in "connection", "seq", "status", "request_bytes", "response_bytes", "lost":
                row[key] = self.number(c[key])
            for key in "protocol", "method", "path", "service", "route", "host", "request_id":
                row[key] = self.text(c[key])
            for key in "start", "first_byte", "end":
                row[key] = self.time(c[key])
            row["end_reason"] = self.enum("call_end", c["end_reason"])
            row["request_ids"] = self.request_ids(c["request_ids"])
            row["asked_ids"] = self.request_ids(
                c["request_ids"][2 * min(c["ids_answered"], 65536):])
            row["hops"] = self.hops(c["id"])
            row["functions"] = self.functions(c["id"])
            yield row


def main():
    try:
        reader = Reader(sys.argv[1])
    except Refused as e:
        print(f"refused: {e}", file=sys.stderr)
        return 2
    for row in Calls(reader).rows():
        print(json.dumps(row, sort_keys=True))
    print(f"{reader.end}{', complete' if reader.complete else ''}", file=sys.stderr)
    return 0 if reader.complete else 4


if __name__ == "__main__":
    sys.exit(main())
