"""A load that knows how often each of its functions started; for taps_check.py and uwsgi.

Runs under CPython 2.7 and 3.6 to 3.13. Each function stands on a line of its own and begins with
S(@), where @ is its line: the truth is what really ran. R(@) follows each yield: a resume. C(@) is
in list comprehensions: functions in 3.0 to 3.11 only. Lines count from BASE, so that they
are not mixed up with those of other code.
"""
import gc
import json
import signal
import sys
import threading

BASE = 100000
NEW = sys.version_info >= (3,)

CODE = r"""
def plain(x): S(@); return x
def closure(x):
    S(@ - 1)
    def inner(): S(@); return x
    return inner
def cells(x): S(@); return (lambda: x)
def defaults(a, b=2, *rest, **named): S(@); return a
def recursive(n): S(@); return n and recursive(n - 1)
def raises(): S(@); raise ValueError
def never_called(): S(@)
class Body(object): S(@); member = 1
class Sample(object):
    S(@ - 1)
    def __init__(self, x): S(@); self.x = x
    def method(self): S(@); return self
    def __getitem__(self, i): S(@); return i
    def __call__(self): S(@)
    def __lt__(self, other): S(@); return self.x < other.x
    def __hash__(self): S(@); return 1
    def __eq__(self, other): S(@); return True
    def __del__(self): S(@)
    @staticmethod
    def static(): S(@)
    @classmethod
    def of_class(cls): S(@)
    @property
    def value(self): S(@); return 1
class Attributes(object):
    S(@ - 1)
    def __getattribute__(self, name): S(@); return name
class Other(object):
    S(@ - 1)
    def __getattr__(self, name): S(@); return name
def key_of(x): S(@); return -x
def numbers(): S(@); yield 1; R(@); yield 2; R(@)
def started(): S(@); yield 1
def never_run(): S(@); yield 1
def thrown(): S(@); yield 1
def around(): S(@); yield 1; R(@)
def handler(*args): S(@)
def profiler(*args): S(@)
def threaded(n): S(@); return n
"""

CODE3 = r"""
def delegate():
    S(@ - 1); yield from numbers()
async def leaf(): S(@); return 1
async def branch():
    S(@ - 1); return await leaf()
async def never_awaited(): S(@)
async def generate(): S(@); yield 1; R(@)
async def consume():
    S(@ - 1)
    async for _ in generate(): pass
async def manage():
    S(@ - 1)
    async with Manager(): pass
class Manager(object):
    S(@ - 1)
    async def __aenter__(self): S(@)
    async def __aexit__(self, *rest): S(@)
def only(a, *, b=3): S(@); return b
"""


def numbered(text, first):
    """text with its @ replaced; it begins at line `first`. Decorated functions start above."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        at = i + first
        if i and lines[i - 1].lstrip().startswith("@"):
            at -= 1
        if any(mark + "(@" in line for mark in "SRCD"):
            lines[i] = line.replace("@", str(at))
    # Something on line 1, so that the module's own code does not begin where a function does.
    return "__name__" + "\n" * (BASE + first - 1) + "\n".join(lines)


def run(times):
    seen = {"S": [], "R": [], "C": [], "D": []}
    space = {mark: lines.append for mark, lines in seen.items()}
    space.update(gc=gc, __name__="load")
    exec(compile(numbered(CODE, 1), "load", "exec"), space)
    if NEW:
        exec(compile(numbered(CODE3, 200), "load", "exec"), space)
    body = compile("\n" * (BASE + 499) + "S(500)", "load", "exec")
    if hasattr(body, "replace"):
        body = body.replace(co_firstlineno=BASE + 500)
    space["body"] = body
    exec(compile(numbered(DRIVE, 300), "load", "exec"), space)
    exec(compile(numbered(COMPREHENSIONS, 400), "load", "exec"), space)
    space["drive"](times)
    for _ in range(times):
        space["comprehensions"]()
    profiled(space, times)
    threads(space, times)
    signals(space)
    if NEW:
        drive_async(space, times)
    reused(space, times)
    del space
    gc.collect()
    starts = seen["S"]
    if (3, 0) <= sys.version_info < (3, 12):
        starts = starts + seen["C"]
    if sys.version_info < (3, 12):
        starts = starts + seen["D"]
    return count(starts), count(seen["R"])


# Called from Python, from C, specialised or not: all in one function whose loops get warm.
DRIVE = r"""
def drive(times):
    S(@ - 1)
    samples = list(map(Sample, range(10)))
    other, attributes = Other(), Attributes()
    bound = samples[0].method
    for i in range(times * 10):
        plain(i); closure(i)(); cells(i); defaults(i); defaults(i, 3, 4, c=5)
        sample = samples[i % 10]
        sample.method(); sample[i]; sample(); sample.value; Sample.static(); Sample.of_class()
        sample.static(); sample.of_class(); bound()
        attributes.x; other.x
        Sample(i)
        try: raises()
        except ValueError: pass
    for i in range(times):
        recursive(20)
        sorted([3, 1, 2], key=key_of); sorted(samples); list(map(plain, (1, 2)))
        {samples[0]: 1}; samples[0] in {samples[1]: 1}
        for _ in numbers(): pass
        list(numbers()); sum(numbers())
        it = numbers(); next(it); next(it); next(it, None)
        it = started(); next(it); it.close()
        it = started(); next(it); del it
        never_run(); never_run().close(); x = never_run(); del x
        try: never_run().throw(ValueError)
        except ValueError: pass
        it = thrown(); next(it)
        try: it.throw(ValueError)
        except ValueError: pass
        it = around(); next(it); it.send(1) if False else next(it, None)
        exec(body, globals())
        gc.collect(0)
"""

COMPREHENSIONS = r"""
def comprehensions():
    S(@ - 1)
    [C(@) for _ in (1,)]
    list(S(@) for _ in (1,))
    {D(@) for _ in (1,)}
    {D(@): 1 for _ in (1,)}
"""


def drive_async(space, times):
    def finish(coroutine):
        try:
            coroutine.send(None)
        except StopIteration:
            pass

    import warnings
    warnings.simplefilter("ignore")
    for _ in range(times):
        list(space["delegate"]())
        for name in ("leaf", "branch", "consume", "manage"):
            finish(space[name]())
        space["never_awaited"]()
        space["never_awaited"]().close()
        space["only"](1)
        space["only"](1, b=2)


def profiled(space, times):
    """The same under a profiler, which instruments the code in 3.12 and later."""
    sys.setprofile(space["profiler"])
    space["drive"](times // 10)
    sys.setprofile(None)
    space["drive"](times // 10)


def threads(space, times):
    def work():
        for i in range(times * 10):
            space["threaded"](i)

    all_of_them = [threading.Thread(target=work) for _ in range(4)]
    for one in all_of_them:
        one.start()
    for one in all_of_them:
        one.join()


def signals(space):
    """Calls with something pending for the evaluation loop, again and again."""
    try:
        signal.signal(signal.SIGALRM, space["handler"])
    except ValueError:
        return  # a sub-interpreter
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    for i in range(100000):
        space["plain"](i)
    signal.setitimer(signal.ITIMER_REAL, 0)


def reused(space, times):
    """Functions that are made and thrown away: their code objects share addresses."""
    for i in range(times):
        line = 1000 + i
        exec(compile(numbered("def f(): S(@)", line), "load", "exec"), space)
        for _ in range(i % 3):
            space["f"]()
    space.pop("f")


def count(lines):
    found = {}
    for line in lines:
        found[line] = found.get(line, 0) + 1
    return found


def truth(times):
    starts, resumes = run(times)
    return json.dumps({"starts": starts, "resumes": resumes})


def application(environ, respond):
    """The same in a WSGI server: the answer's body is the truth."""
    body = truth(int(environ["QUERY_STRING"])).encode()
    respond("200 OK", [("Content-Length", str(len(body)))])
    return [body]


if __name__ == "__main__":
    print("ready")
    sys.stdout.flush()
    TIMES = int(sys.stdin.readline())
    print(truth(TIMES))
    sys.stdout.flush()
    sys.stdin.read()
