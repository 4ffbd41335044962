"""What deep.sh asks to be seen: functions that run in ways that are easily missed or made up.

Each route is a function of the request's number. What never_* is called never runs in a request, and
may be near to what does: generators that are made only, functions that were defined only, callees of
other routes.
"""
import functools
import gc


# ---- generators: made, started, gone on with elsewhere, closed, thrown into ----

def never_started(n):
    yield n


def never_closed(n):
    yield n


def never_thrown(n):
    yield n


def started(n):
    yield n
    inside_generator()
    yield n + 1


def inside_generator():
    pass


def delegating(n):
    for x in started(n):
        yield x


def closed(n):
    try:
        yield n
    finally:
        while_closing()


def while_closing():
    pass


def thrown_into(n):
    try:
        yield n
    except ValueError:
        yield n + 1


def across():
    while True:
        yield within_across()


def within_across():
    pass


def begin(generator):
    return next(generator)


def go_on(generator):
    return list(generator)


KEPT = across()


def generators(n):
    unused = [never_started(n) for _ in range(3)]
    del unused
    never_closed(n).close()
    try:
        never_thrown(n).throw(ValueError)
    except ValueError:
        pass
    kept = started(n)
    begin(kept)
    go_on(kept)
    go_on(delegating(n))
    one = closed(n)
    begin(one)
    one.close()
    one = thrown_into(n)
    begin(one)
    one.throw(ValueError)
    begin(KEPT)  # started in the first request, gone on with in the others
    return sum(x for x in range(3))


# ---- calls that the interpreter has specialised ----

class Warm(object):
    def __init__(self, n):
        self.n = n

    def __getitem__(self, n):
        return n

    def __getattr__(self, name):
        return name

    def method(self, n):
        return n

    @property
    def half(self):
        return self.n

    @classmethod
    def of_class(cls, n):
        return n

    @staticmethod
    def of_none(n):
        return n


class WarmToo(object):
    def __getattribute__(self, name):
        return name


def warm_callee(n):
    return n


def never_warm_callee(n):
    return n


def warm_default(n, m=1):
    return n + m


def warm_generator(n):
    for x in range(n):
        yield x


def warm_delegate(n):
    for x in warm_generator(n):
        yield x


def warm_caller(n, cold):
    one, other = Warm(n), WarmToo()
    if cold:
        return never_warm_callee(n)
    x = warm_callee(n) + warm_default(n) + one[n] + one.method(n) + one.half
    x += Warm.of_class(n) + Warm.of_none(n) + len(one.absent) + len(other.absent)
    for y in warm_generator(2):
        x += y
    for y in warm_delegate(2):
        x += y
    return x


def warm_up():
    for n in range(100000):
        warm_caller(n, False)
    never_warm_callee(0)


def warmed(n):
    return warm_caller(n, False)


# ---- addresses of code that is gone ----

SOURCE = """
def made_%04d(n):
    return n + %d

def never_made_%04d(n):
    return n - %d
"""


def run_made(names, i):
    return names["made_%04d" % i](i)


def reused(n):
    for i in range(n * 100, n * 100 + 100):
        names = {}
        exec(compile(SOURCE % (i, i, i, i), "/srv/tenant/made.py", "exec"), names)
        if i % 7 == 0:
            run_made(names, i)


# ---- recursion ----

def down(n):
    return even(n) if n % 2 == 0 else odd(n)


def even(n):
    return down(n - 1) if n else 0


def odd(n):
    return down(n - 1)


def innermost():
    pass


def far(n):
    if n:
        far(n - 1)
    else:
        innermost()


def recursion(_):
    down(60)


def deepest(_):
    far(400)


# ---- exceptions ----

class Guard(object):
    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.on_exit()
        return True

    def on_exit(self):
        pass


class Failure(Exception):
    def __init__(self, n):
        Exception.__init__(self, n)

    def __str__(self):
        return "never"


def raising(n):
    raise Failure(n)


def passing_on(n):
    try:
        raising(n)
    finally:
        in_finally()


def in_finally():
    pass


def never_after():
    pass


def in_except():
    pass


def exceptions(n):
    try:
        passing_on(n)
        never_after()
    except Failure:
        in_except()
    with Guard():
        passing_on(n)
        never_after()


# ---- closures and class bodies ----

def outer(n):
    def inner():
        return n

    def never_inner():
        return -n

    return inner, never_inner


def decorator(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


def closures(n):
    used, _ = outer(n)
    used()

    @decorator
    def decorated():
        pass

    decorated()
    (lambda: n)()
    functools.partial(partially, n)()


def partially(n):
    return n


class Meta(type):
    def __new__(mcs, name, bases, names):
        return type.__new__(mcs, name, bases, names)


def at_class_time():
    return 1


def classes(_):
    class Made(object):
        value = at_class_time()

        def __init__(self):
            self.made()

        def made(self):
            pass

        def never_called(self):
            pass

    Made()
    return Meta("Other", (Made,), {})


# ---- called by C ----

class Ordered(object):
    def __init__(self, n):
        self.n = n

    def __lt__(self, other):
        return self.n < other.n

    def __eq__(self, other):
        return self.n == other.n

    def __hash__(self):
        return 1

    def __len__(self):
        return 1

    def __iter__(self):
        return iter([self.n])

    def __call__(self):
        return self.n


def key_of(n):
    return -n


def mapped(n):
    return n


def reduced(a, b):
    return a + b


def kept_by(n):
    return n


def never_key(n):
    return n


def callbacks(_):
    sorted([3, 1, 2], key=key_of)
    sorted([Ordered(2), Ordered(1)])
    list(map(mapped, [1, 2]))
    functools.reduce(reduced, [1, 2, 3])
    list(filter(kept_by, [1]))
    one = {Ordered(1): 1}
    one.get(Ordered(1))
    len(Ordered(1))
    list(Ordered(1))
    max([1, 2], key=lambda n: n)
    return Ordered(1)()


# ---- the end of objects ----

class Dropped(object):
    def __init__(self):
        self.me = None

    def __del__(self):
        on_drop()


def on_drop():
    pass


class Collected(object):
    def __init__(self):
        self.me = self

    def __del__(self):
        on_collect()


def on_collect():
    pass


def drops(_):
    Dropped()
    Collected()
    gc.collect()


# ---- attributes ----

class Described(object):
    def __get__(self, instance, owner):
        return self.given()

    def __set__(self, instance, value):
        pass

    def given(self):
        return 1


class Full(object):
    described = Described()

    @property
    def prop(self):
        return 1

    @prop.setter
    def prop(self, value):
        pass

    def __getattr__(self, name):
        return name

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)

    def never_touched(self):
        pass


def properties(_):
    full = Full()
    full.prop = full.prop
    full.described = full.described
    return full.absent


# ---- lines and names that are shared ----

class Twin(object):
    def same(self):
        return 1


TWIN = Twin.__dict__["same"]


class Twin(object):  # noqa: F811
    def same(self):
        return 2


def twins(n):
    return TWIN(Twin()) if n % 2 else Twin().same()


# ---- long enough to be sampled, in C code ----

def in_busy():
    return sum(range(400000))


def busy(_):
    for _ in range(3):
        in_busy()


ROUTES = {"generators": generators, "warmed": warmed, "reused": reused, "recursion": recursion,
          "deepest": deepest, "exceptions": exceptions, "closures": closures, "classes": classes,
          "callbacks": callbacks, "drops": drops, "properties": properties, "twins": twins, "busy": busy}
