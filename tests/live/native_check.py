#!/usr/bin/python3
"""Judges native frames of a bundle, after live_look.

    native_check.py chain FILE RUNS LIBRARY   native_server.c's own chain, by the offsets it printed
    native_check.py nginx FILE BINARY CALLS   names and offsets, by what readelf says of the binary
    native_check.py mixed FILE                native_wsgi.py's order of Python and C
"""

import json
import os
import subprocess
import sys


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def fail(text):
    sys.exit("native_check.py: " + text)


def readelf(option, path):
    env = dict(os.environ, LC_ALL="C")
    return subprocess.run(["readelf", "-W", option, path], check=True, capture_output=True,
                          text=True, env=env).stdout


def symbols(path):
    """name -> values of the functions that .dynsym names"""
    out = {}
    for line in readelf("--dyn-syms", path).splitlines():
        words = line.split()
        if len(words) >= 8 and words[3] in ("FUNC", "IFUNC") and words[6] != "UND":
            out.setdefault(words[7].split("@")[0], set()).add(int(words[1], 16))
    return out


def text_range(path):
    for line in readelf("-S", path).splitlines():
        words = line.replace("[ ", "[").split()
        if len(words) > 5 and words[1] == ".text":
            return int(words[3], 16), int(words[3], 16) + int(words[5], 16)
    return fail("no .text in " + path)


def build_id(path):
    for line in readelf("-n", path).splitlines():
        if "Build ID:" in line:
            return line.split()[-1]
    return None


def check_calls(bundle, count):
    calls = [c for c in lines(bundle + ".calls") if c["end_reason"] == "complete"]
    if len(calls) != count:
        fail("%d complete calls, not %d" % (len(calls), count))
    bare = [c["call"] for c in calls
            if not any(f["line"] is None and f["offset"] is not None for f in c["functions"])]
    if bare:
        fail("%d of %d calls have no native function: %s" % (len(bare), count, bare[:10]))
    sources = {s for c in calls for f in c["functions"] for s in f["sources"]}
    if not sources or sources - {"socket", "syscall"}:
        fail("sources are %s" % sorted(sources))


def check_names(bundle, path):
    """Offsets lie in the text, named ones are symbols, the module has the file's build id."""
    start, end = text_range(path)
    known = symbols(path)
    functions = [f for f in lines(bundle + ".functions")
                 if f["path"] and os.path.realpath(f["path"]) == os.path.realpath(path)]
    if not functions:
        fail("no function of " + path)
    for f in functions:
        if not start <= f["offset"] < end:
            fail("%s lies at %#x, outside of .text" % (f["qualname"], f["offset"]))
        if f["name"] and f["offset"] not in known.get(f["name"], ()):
            fail("%s is not at %#x" % (f["name"], f["offset"]))
    at = {value for values in known.values() for value in values}
    for f in functions:
        if not f["name"] and f["offset"] in at:
            fail("%#x has a symbol, but no name here" % f["offset"])
    ids = {m["build_id"] for m in lines(bundle + ".modules") if m["path"] == functions[0]["path"]}
    if ids != {build_id(path)}:
        fail("build id of %s: %s" % (path, ids))
    return functions


def whole(bundle):
    """Native stacks from a system call to the first instruction of the program or thread."""
    return [s for s in lines(bundle + ".stacks")
            if s["partial"] is False and s["frames"] and s["frames"][0]["line"] is None]


def check_chain(bundle, runs, library):
    own = {}
    with open(runs, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["function"]:
                own[int(words[2], 16)] = words[1]
    check_calls(bundle, 60)
    server = [f["path"] for f in lines(bundle + ".functions") if f["offset"] in own]
    if not server:
        fail("none of the server's functions was seen")

    def name(frame):
        if frame["path"] == server[0]:
            return own.get(frame["offset"], "?")
        return frame["name"] if frame["path"] == library else None

    want = ["native_lib_write", "send_back", "native_lib_call", "answer", "serve", "main"]
    seen = set()
    for stack in whole(bundle):
        frames = [n for n in map(name, stack["frames"]) if n]
        if "native_lib_write" in frames:
            if frames[:6] != want:
                fail("the chain is %s" % frames)
            if stack["frames"][-1]["path"] != server[0] or len(frames) != 7:
                fail("it ends with %s" % frames[6:])
            seen.add("write")
        elif frames[:2] == ["serve", "main"]:
            seen.add("serve")
    if seen != {"write", "serve"}:
        fail("seen: %s" % sorted(seen))
    named = [f["name"] for f in lines(bundle + ".functions")
             if f["path"] == server[0] and f["name"] and f["name"] != "_start"]
    if named:
        fail("a stripped program has names: %s" % named)
    print("60 calls; %s; the program's own functions by offset alone" % " < ".join(want))


def check_nginx(bundle, path, count):
    check_calls(bundle, int(count))
    functions = check_names(bundle, path)
    named = [f["name"] for f in functions if f["name"]]
    for name in ("ngx_http_core_run_phases", "ngx_http_write_filter"):
        if name not in named:
            fail("%s was not seen" % name)
    if not whole(bundle):
        fail("no stack is whole")
    print("%s calls; %d functions of nginx, %d of them with a name" % (count, len(functions),
                                                                      len(named)))


def check_mixed(bundle):
    check_calls(bundle, 60)
    found = 0
    for stack in whole(bundle):
        frames = stack["frames"]
        names = [f["qualname"] for f in frames]
        python = [n for n, f in zip(names, frames) if f["line"] is not None]
        if "key_of" not in python:
            continue
        found += 1
        if python != ["key_of", "order", "application"]:
            fail("Python functions are %s" % python)
        key, order, app = (names.index(n) for n in python)
        if "stat" not in names[0] or key < 2:
            fail("innermost is %s" % names[:key + 1])
        evaluations = [i for i, n in enumerate(names) if n == "_PyEval_EvalFrameDefault"]
        if evaluations != [key + 1, app + 1] or app != order + 1:
            fail("the order is %s" % names)
        between = {os.path.basename(f["path"]) for f in frames[:order] if f["line"] is None}
        if not any(n.startswith("libpython3") for n in between):
            fail("nothing of libpython between: %s" % between)
        outer = {os.path.basename(f["path"]) for f in frames[app + 1:]}
        if not any("uwsgi" in n for n in outer) or frames[app + 1]["offset"] is None:
            fail("outermost are %s" % outer)
    if not found:
        fail("no stack has Python and native functions")
    print("60 calls; key_of < sorted in C < order < application < uwsgi, in %d stacks" % found)


CHECKS = {"chain": check_chain, "nginx": check_nginx, "mixed": check_mixed}

if __name__ == "__main__":
    CHECKS[sys.argv[1]](*sys.argv[2:])
