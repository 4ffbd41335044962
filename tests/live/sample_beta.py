"""Handlers of /beta/...: another module with functions of the same names, other system calls."""

import os
import time

import sample_alpha


def read_small_file():
    time.sleep(sample_alpha.PAUSE)
    with open("/proc/self/statm", "rb", buffering=0) as f:
        return f.read(64)


def walk(depth):
    """System calls at several depths of one recursive function."""
    time.sleep(sample_alpha.PAUSE)
    os.access("/", os.R_OK)
    if depth:
        walk(depth - 1)


class Beta:
    def handle(self, rest):
        time.sleep(sample_alpha.PAUSE)
        os.stat("/")
        walk(3)
        entries = [str(os.stat(p).st_mode) for p in ("/tmp", "/usr")]
        return ("beta %s %s %s\n" % (rest, ",".join(entries), len(read_small_file()))).encode(
            "utf-8", "replace")


def handle(rest):
    """The answer for /beta/REST and what ran for it."""
    seen = [Beta.handle, read_small_file, walk]
    return Beta().handle(rest), [sample_alpha.place(f) for f in seen]
