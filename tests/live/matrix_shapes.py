# Functions of every shape, each of which ends in a system call that shows its stack. Runs on CPython
# 2.7 and 3.6 to 3.13. What ran is remembered in CHAINS: shape -> frames, innermost first, as
# (file, name, qualified name or None, line), as the interpreter itself tells.
import os
import sys
import threading
import time

CHAINS = {}
LOCK = threading.Lock()
PAUSE = 0.022  # walks of a thread keep up to 20 ms distance


def leaf(shape):
    frame, chain = sys._getframe(), []
    while frame:
        code = frame.f_code
        chain.append((code.co_filename, code.co_name, getattr(code, "co_qualname", None),
                      code.co_firstlineno))
        frame = frame.f_back
    with LOCK:
        CHAINS[shape] = chain
    del frame
    time.sleep(PAUSE)
    os.getppid()


def plain():
    leaf("plain")


def nested():
    def inner():
        leaf("nested")
    inner()


class Things(object):
    def method(self):
        leaf("method")

    @staticmethod
    def static():
        leaf("static")

    @property
    def value(self):
        leaf("property")
        return 1

    def __eq__(self, other):
        leaf("operator")
        return True

    __hash__ = None


def generator(count):
    for number in range(count):
        leaf("generator")
        yield number


def delegating():
    for number in generator(1):
        yield number


def class_body():
    class Body(object):
        leaf("class")
    return Body


def recursive(depth):
    if depth:
        recursive(depth - 1)
    else:
        leaf("recursive")


class Made(object):
    def __init__(self, shape):
        if shape:
            leaf(shape)


def makes(shape):
    return Made(shape)


def constructor():
    # Often enough to be specialised, where there is such a thing.
    for _ in range(200):
        makes(None)
    makes("constructor")


def called_from_c():
    sorted([1], key=lambda n: leaf("key"))


def comprehension():
    return [leaf("comprehension") for _ in range(1)]


def unwinding():
    try:
        raise ValueError()
    except ValueError:
        leaf("handler")
    finally:
        leaf("finally")


def never_run():
    yield leaf("never")


def compiled():
    space = {"leaf": leaf}
    exec(compile("def made():\n    leaf('made')\n", "<matrix>", "exec"), space)
    space["made"]()


def run():
    plain()
    nested()
    things = Things()
    things.method()
    things.static()
    assert things.value
    assert things == things
    for _ in delegating():
        pass
    class_body()
    recursive(5)
    constructor()
    called_from_c()
    comprehension()
    unwinding()
    compiled()
    never_run()
    if sys.version_info[0] > 2:
        import matrix_names
        matrix_names.run(leaf)
