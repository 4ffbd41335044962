"""Names that are bound by their text: what stands there is not what the source's `def` made."""
import functools
import os


def by_text_one():
    return 1


def by_text_two():
    return 2


class Set:
    def method(self):
        return 1

    def other(self):
        return 2

    locals()["other"] = functools.partial(other, None)


for _name in ("by_text_one", "by_text_two"):
    globals()[_name] = functools.partial(os.stat, "/")
setattr(Set, "method", functools.partial(Set.method, None))
exec("def by_text_two():\n    return os.stat('/')")


def work():
    os.stat('/')  # so that this module is seen at work
    return by_text_two()
