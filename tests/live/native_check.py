#!/usr/bin/python3
"""Judges native frames of a bundle, after live_look.

    native_check.py chain FILE RUNS LIBRARY   native_server.c's own chain, by the offsets it printed
    native_check.py nginx FILE BINARY CALLS   names and offsets, by what readelf says of the binary
    native_check.py haproxy FILE BINARY CALLS the same
    native_check.py mixed FILE                native_wsgi.py's order of Python and C
    native_check.py limit FILE RUNS CALLS     more than can be unwound: native_server.c's --deep
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


def own_functions(runs):
    """Names of the server's own functions by their offsets, as it said them."""
    own = {}
    with open(runs, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["function"]:
                own[int(words[2], 16)] = words[1]
    return own


def check_chain(bundle, runs, library):
    own = own_functions(runs)
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


# Functions that a call must go through, the outermost first, as the servers' sources have them.
WAYS = {"nginx": ["ngx_master_process_cycle", "ngx_spawn_process", "ngx_process_events_and_timers",
                  "ngx_http_core_run_phases", "ngx_http_write_filter"],
        "haproxy": ["run_poll_loop", "process_runnable_tasks", "run_tasks_from_lists"]}


def check_server(bundle, path, count):
    kind = os.path.basename(path)
    check_calls(bundle, int(count))
    functions = check_names(bundle, path)
    named = [f["name"] for f in functions if f["name"]]
    way = WAYS[kind]
    seen = 0
    for stack in whole(bundle):
        names = []
        for f in reversed(stack["frames"]):
            if f["name"] in way and f["name"] != (names or [None])[-1]:
                names.append(f["name"])
        if names == way:
            seen += 1
        if names != way[:len(names)]:
            fail("the order is %s" % names)
        if stack["frames"][-1]["path"] != functions[0]["path"] and "libc.so" not in \
                stack["frames"][-1]["path"]:
            fail("the outermost is %s" % stack["frames"][-1])
    if not seen:
        fail("no whole stack has %s" % " > ".join(way))
    print("SHOW %s calls; %d functions of %s, %d of them with a name; %d stacks with %s" % (
        count, len(functions), kind, len(named), seen, " > ".join(way)))


def check_mixed(bundle):
    """Two ways from application to a system call, through C and back into Python."""
    check_calls(bundle, 60)
    ways = {
        ("key_of", "order", "application"): ["libpython"],
        ("of_row", "queried", "application"): ["libpython", "_sqlite3", "libsqlite3", "_sqlite3"],
    }
    found = {}
    for stack in whole(bundle):
        frames = stack["frames"]
        names = [f["qualname"] for f in frames]
        at = [i for i, f in enumerate(frames) if f["line"] is not None]
        python = tuple(names[i] for i in at)
        if python[:1] not in (("key_of",), ("of_row",)):
            continue
        if python not in ways:
            fail("Python functions are %s" % (python,))
        inner, outer, app = at
        if inner < 1 or app != outer + 1:
            fail("the order is %s" % names)
        evaluations = [i for i, n in enumerate(names) if n == "_PyEval_EvalFrameDefault"]
        if evaluations != [inner + 1, app + 1]:
            fail("the order is %s" % names)
        between = []
        for f in frames[inner + 1:outer]:
            file = os.path.basename(f["path"])
            if not between or between[-1] != file:
                between.append(file)
        want = ways[python]
        # The evaluation function calls C code itself, or through a function of its library.
        if len(between) == len(want) + 1 and between[-1] == between[0]:
            between.pop()
        if len(between) != len(want) or not all(f.startswith(w) for f, w in zip(between, want)):
            fail("between %s and %s is %s" % (python[0], python[1], between))
        around = {os.path.basename(f["path"]) for f in frames[app + 1:]}
        if not any("uwsgi" in n for n in around) or frames[app + 1]["offset"] is None:
            fail("outermost are %s" % around)
        found[python] = found.get(python, 0) + 1
    if set(found) != set(ways):
        fail("stacks with Python and native functions: %s" % found)
    for path in sorted({f["path"] for f in lines(bundle + ".functions") if f["offset"] is not None}):
        if any(w in path for w in ("libpython3", "_sqlite3.", "libsqlite3.", "uwsgi")):
            check_names(bundle, path)
    for python, count in found.items():
        print("SHOW 60 calls; %s, between them %s, in %d stacks" % (
            " < ".join(python), " < ".join(ways[python]), count))


def check_limit(bundle, runs, count):
    with open(bundle + ".json", encoding="utf-8") as file:
        losses = {s["stage"]: s for s in json.load(file)["loss"]}
    calls = [c for c in lines(bundle + ".calls") if c["end_reason"] == "complete"]
    if len({c["request_id"] for c in calls}) != int(count):
        fail("%d calls, not %s" % (len(calls), count))
    for name, stage in losses.items():
        lost = set(stage["lost"])
        if lost - ({"unwind"} if name.startswith("native-stacks") else set()):
            fail("%s lost %s" % (name, stage["lost"]))
        if stage["attempted"] != stage["delivered"] + sum(stage["skipped"].values()) + \
                sum(stage["lost"].values()):
            fail("%s does not add up: %s" % (name, stage))
    resolved = losses["native-stacks-resolved"]
    if not resolved["lost"].get("unwind") or not resolved["delivered"]:
        fail("native-stacks-resolved: %s" % resolved)
    own = own_functions(runs)
    for f in lines(bundle + ".functions"):
        if "native_server" in f["path"] and f["offset"] not in own and f["name"] != "_start":
            # _start is stripped of its name.
            if f["name"] or len([s for s in whole(bundle) if s["frames"][-1]["offset"] ==
                                 f["offset"]]) == 0:
                fail("a function that there is not: %s" % f)
    print("SHOW %s calls; native stacks: %d unwound, %d lost.unwind" % (
        count, resolved["delivered"], resolved["lost"]["unwind"]))


CHECKS = {"chain": check_chain, "nginx": check_server, "haproxy": check_server,
          "mixed": check_mixed, "limit": check_limit}

if __name__ == "__main__":
    CHECKS[sys.argv[1]](*sys.argv[2:])
