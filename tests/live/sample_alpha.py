"""Handlers of /alpha/...: each returns its answer and the functions of its own that made system
calls, as an observer must see them."""

import os
import time

# Seconds in front of each function below: walks of one thread keep a distance.
PAUSE = 0


def place(function):
    code = function.__code__
    name = getattr(code, "co_qualname", function.__qualname__)
    return {"module": os.path.realpath(code.co_filename), "qualname": name,
            "line": code.co_firstlineno}


def ask_pid():
    time.sleep(PAUSE)
    return os.getpid()


def read_small_file():
    time.sleep(PAUSE)
    fd = os.open("/proc/self/comm", os.O_RDONLY)
    try:
        return os.read(fd, 64)
    finally:
        os.close(fd)


class Alpha:
    """The same method name as in Beta: told apart by its qualified name."""

    def handle(self, rest):
        time.sleep(PAUSE)
        os.stat(__file__)
        text = "alpha %s pid %d comm %s\n" % (rest, ask_pid(), read_small_file().decode().strip())
        return text.encode("utf-8", "replace")


def handle(rest):
    """The answer for /alpha/REST and what ran for it."""
    seen = [Alpha.handle, read_small_file, ask_pid]
    return Alpha().handle(rest), [place(f) for f in seen]
