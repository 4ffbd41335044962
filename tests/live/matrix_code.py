# Prints all code objects of the source files that are named on standard input, one JSON list a line:
# [file, name, qualified name or null, line]. Runs on CPython 2.7 and 3.6 to 3.13.
import json
import sys
import types

for path in sys.stdin.read().split("\n"):
    if not path:
        continue
    with open(path, "rb") as f:
        todo = [compile(f.read(), path, "exec", 0, True)]
    while todo:
        code = todo.pop()
        print(json.dumps([path, code.co_name, getattr(code, "co_qualname", None),
                          code.co_firstlineno]))
        todo += [c for c in code.co_consts if isinstance(c, types.CodeType)]
