"""Definitions of many forms. patches_other.py replaces those whose names begin with `hit`."""
import abc
import contextlib
import functools
import os
import sys


def answer():
    for _ in range(20):
        os.stat("/")  # so that this module is seen at work
    return "%s %s" % (plain(), Plain().method())


def plain():
    return 1


def hit_rebound():
    return 1


def hit_code():
    return 1


def hit_wrapper():
    return 1


def hit_partial():
    return 1


def hit_own_name(value=1):
    return value


# What the module does itself is no patch.
def wrapped_here():
    return 1


wrapped_here = functools.partial(wrapped_here)

try:
    from no_such_module import fallback
except ImportError:
    def fallback():
        return 1

if sys.version_info > (3,):
    def chosen():
        return 1
else:
    def chosen():
        return 2


@contextlib.contextmanager
def manager():
    yield 1


@functools.lru_cache(maxsize=None)
def cached():
    return 1


def registered(function):
    return function


@registered
def hit_decorated():
    return 1


class Meta(type):
    """Wraps every method of its classes."""
    def __new__(mcs, name, bases, names):
        for key, value in list(names.items()):
            if callable(value) and not key.startswith("_"):
                names[key] = mcs.wrap(value)
        return super().__new__(mcs, name, bases, names)

    @staticmethod
    def wrap(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)
        return inner


class Wrapped(metaclass=Meta):
    def method(self):
        return 1

    def hit_wrapper(self):
        return 1

    def hit_code(self):
        return 1


def class_decorator(cls):
    original = cls.__init__

    def __init__(self, *args):
        original(self, *args)
    cls.__init__ = __init__
    return cls


@class_decorator
class Decorated:
    def __init__(self):
        self.value = 1

    def hit_rebound(self):
        return 1


class Base:
    def __init_subclass__(cls, **kwargs):
        if "shared" in cls.__dict__:
            function = cls.__dict__["shared"]
            cls.shared = lambda self: function(self)


class Child(Base):
    def shared(self):
        return 1


class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self):
        return 1

    @property
    def shown(self):
        return 1

    @shown.setter
    def shown(self, value):
        pass

    @classmethod
    def of_class(cls):
        return 1

    @staticmethod
    def alone():
        return 1

    def __new__(cls):
        return super().__new__(cls)

    def __private(self):
        return 1

    class Nested:
        def method(self):
            return 1

        def hit_nested(self):
            return 1

    @property
    def hit_property(self):
        return 1

    @classmethod
    def hit_of_class(cls):
        return 1

    def __hit_private(self):
        return 1


class Plain:
    def method(self):
        return 1

    alias = method


Plain.added = lambda self: 1


class HitClass:
    def method(self):
        return 1
