"""One chain of calls through every shape of function; the innermost makes the system calls."""

import functools
import os
import time


def passing(function):
    """Adds a frame around another function."""

    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)  # a comment, which changes nothing

    return wrapper


def ask(n):
    for _ in range(n):
        time.sleep(0.025)
        os.stat("/")
    return n


def made(text, path):
    """A function whose source is said to be in the file."""
    names = {"ask": ask}
    exec(compile(text, path, "exec"), names)
    return names["f"]


stranger = made("def f(n): return ask(n)\n", __file__)
ghost = made("def f(n): return ask(n)\n", os.path.join(os.path.dirname(__file__), "ghost.py"))


def one_line(n): "Its docstring."; return stranger(n - 1) + ghost(1)


class Shape:
    @passing
    @functools.lru_cache(maxsize=0)
    def method(self, n):
        return [self.inside(n) for _ in (1,)][0]

    def inside(self, n):
        call = lambda m: one_line(m)  # noqa: E731

        def nested(m):
            'Of ' "two parts."
            class Local:
                value = call(m)
            return Local.value
        return sum(nested(n) for _ in (1,))


@passing
def handle(n):
    return Shape().method(n)
