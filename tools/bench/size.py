#!/usr/bin/python3
"""How large a bundle is: size.py [--calls N] [FILE...]. Needs zstd.

Without FILE: a real keystone answers N token validations (1,000), 4 at a time, in the steady mode:
the first calls of each route were traced function by function before. The bundle's bytes are
compared with what `daylight inspect --jsonl` prints of it (all views), with its records as JSON
lines, and with its records as the structs that a program holds them in; each plain and under zstd.
Exit 1 when a limit is exceeded: bytes a call, and how much smaller than inspect's --jsonl.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

import bench

LIMIT_CALL = 2048
LIMIT_PLAIN = 20  # times smaller than --jsonl
LIMIT_ZSTD = 2  # times smaller than --jsonl under zstd -3
VIEWS = ("summary", "calls", "processes", "modules", "functions", "stacks", "interpositions",
         "connections", "loss")
DUMP = os.path.join(os.path.dirname(bench.DAYLIGHT), "bench", "dump_records")


def packed(path, level):
    """Bytes under zstd, of a file or of all files in a row."""
    with open(path, "rb") as file:
        return len(subprocess.run(["zstd", "-q", "-c", "-%d" % level], stdin=file,
                                  stdout=subprocess.PIPE, check=True).stdout)


def collected(folder, calls):
    """A bundle of so many calls in the steady mode; the calls before them are in it, too."""
    service = bench.Service(folder, calls)
    tool = bench.steady(folder, service)
    try:
        tool.start()
        began = time.monotonic()
        service.load("validation", calls)
        took = time.monotonic() - began
    finally:
        code = tool.stop()
        service.stop()
    # A frame is written each second, so the fewer calls a second, the more bytes a call.
    print("%.1f calls a second; daylight collect ended with exit code %d" % (calls / took, code))
    return tool.output


def counted(bundle, structs, lines):
    out = subprocess.run([DUMP, bundle, structs, lines], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    return {kind: int(count) for kind, count in map(str.split, out.splitlines())}


def compare(bundle, folder):
    """Prints the figures; True when no limit is exceeded."""
    views, structs, lines = (os.path.join(folder, n) for n in ("views", "structs", "lines"))
    with open(views, "wb") as file:
        for view in VIEWS:
            # Exit code 4: it ends early; that is no matter here.
            if subprocess.run([bench.DAYLIGHT, "inspect", bundle, view, "--jsonl"], stdout=file,
                              stderr=subprocess.DEVNULL, check=False).returncode not in (0, 4):
                sys.exit("size: inspect %s fails" % view)
    counts = counted(bundle, structs, lines)
    size, calls = os.path.getsize(bundle), counts.get("call", 0)
    sightings = counts.get("sighting", 0)
    print("%s: %d bytes, %d calls, %d sightings, %d records" % (
        os.path.basename(bundle), size, calls, sightings, sum(counts.values())))
    if not calls or not sightings:
        return False
    print("%-28s %12s %10s %10s %8s" % ("", "bytes", "a call", "a sighting", "times"))
    sizes = [("bundle", size)]
    for name, path in (("inspect --jsonl", views), ("records, JSON lines", lines),
                       ("records, structs", structs)):
        sizes += [(name, os.path.getsize(path))]
        sizes += [(name + " | zstd -%d" % level, packed(path, level)) for level in (3, 19)]
    for name, bytes_ in sizes:
        print("%-28s %12d %10.1f %10.2f %8.2f" % (name, bytes_, bytes_ / calls, bytes_ / sightings,
                                                  bytes_ / size))
    sizes = dict(sizes)
    good = True
    for text, value, limit in (
            ("bytes a call, at most", size / calls, LIMIT_CALL),
            ("times smaller than inspect --jsonl, at least", -sizes["inspect --jsonl"] / size,
             -LIMIT_PLAIN),
            ("times smaller than that under zstd -3, at least",
             -sizes["inspect --jsonl | zstd -3"] / size, -LIMIT_ZSTD)):
        good &= value <= limit
        print("%-5s %s %d: %.1f" % ("ok" if value <= limit else "LIMIT", text, abs(limit),
                                    abs(value)))
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("files", nargs="*", metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="daylight-size.") as folder:
        files = args.files or [collected(folder, args.calls)]
        sys.exit(0 if all([compare(file, folder) for file in files]) else 1)


if __name__ == "__main__":
    main()
