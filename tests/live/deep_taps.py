#!/usr/bin/python3
"""Prints how many breakpoints stand in a process's machine code: deep_taps.py PID

A tap is a breakpoint instruction in the process's memory where its file has another one. Looks at the
executable mappings of files, and compares each byte.
"""
import sys

BREAKPOINT = 0xCC


def taps(pid):
    count = 0
    with open("/proc/%s/maps" % pid, encoding="utf-8") as maps:
        rows = [line.split(None, 5) for line in maps]
    with open("/proc/%s/mem" % pid, "rb", buffering=0) as memory:
        for row in rows:
            if len(row) < 6 or "x" not in row[1] or not row[5].startswith("/"):
                continue
            start, end = (int(part, 16) for part in row[0].split("-"))
            path = "/proc/%s/map_files/%x-%x" % (pid, start, end)
            with open(path, "rb") as file:
                file.seek(int(row[2], 16))
                on_disk = file.read(end - start)
            memory.seek(start)
            in_memory = memory.read(len(on_disk))
            if in_memory != on_disk:
                count += sum(a != b and a == BREAKPOINT for a, b in zip(in_memory, on_disk))
    return count


if __name__ == "__main__":
    print(taps(sys.argv[1]))
