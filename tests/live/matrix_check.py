"""Judges one row of the matrix: a bundle (its views beside it, see live-lib.sh) by what
matrix_app.py wrote and by what the interpreter finds in the sources.

  matrix_check.py ROW BUNDLE TRUTH PYTHON [REQUESTS]

The stack of every shape must be in the bundle, frame by frame; the calls' functions in
matrix_*.py must be exactly those of the shapes; every other function must be in its source.
Prints the row, or what is wrong; exit code 1 when something is.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
problems = []


def wrong(text):
    problems.append(text)


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def read_truth(path):
    """{shape: chains}, the interpreter's version and the pids. A chain is made of
    (file, name, qualified name, line); without qualified names, the name stands for both."""
    shapes, version, pids = {}, None, set()
    for line in lines(path):
        version = line["version"]
        pids.add(line["pid"])
        for shape, chain in line["chains"].items():
            chain = tuple((f, n, q or n, at) for f, n, q, at in chain)
            shapes.setdefault(shape, set()).add(chain)
    return shapes, version, pids


def key(function):
    return function["path"], function["name"], function["qualname"], function["line"]


def check_sources(python, functions):
    paths = sorted({f["path"] for f in functions if os.path.isfile(f["path"]) and
                    f["path"].endswith(".py")})
    done = subprocess.run([python, os.path.join(HERE, "matrix_code.py")],
                          input="\n".join(paths) + "\n", stdout=subprocess.PIPE, text=True,
                          check=True, env={"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"})
    known = set()
    for line in done.stdout.splitlines():
        path, name, qualname, at = json.loads(line)
        known.add((path, name, qualname or name, at))
    for f in functions:
        if f["path"] in paths and key(f) not in known:
            wrong("no such function: %s" % (key(f),))
    return len([f for f in functions if f["path"] in paths])


def main():
    row, bundle, truth, python = sys.argv[1:5]
    requests = int(sys.argv[5]) if len(sys.argv) > 5 else 3
    shapes, version, pids = read_truth(truth)
    with open(bundle + ".json", encoding="utf-8") as f:
        summary = json.load(f)
    processes = {p["process"]: p for p in lines(bundle + ".processes") if p["pid"] in pids}
    for p in processes.values():
        if p["runtime"] != "cpython " + version:
            wrong("process %d has the runtime %s, not %s" % (p["pid"], p["runtime"], version))
    for u in summary["unsupported"]:
        if u["process"] in processes:
            wrong("unsupported: %s" % u)
    if summary["lost_total"]:
        wrong("lost: %s" % [s for s in summary["loss"] if s["lost"]])
    calls = [c for c in lines(bundle + ".calls")
             if c["end_reason"] == "complete" and c["process"]["id"] in processes]
    if len(calls) != requests:
        wrong("%d calls, not %d" % (len(calls), requests))
    stacks = {tuple(key(f) for f in s["frames"]) for s in lines(bundle + ".stacks")
              if s["process"]["id"] in processes and not s["partial"]}
    functions = {key(f): f for s in lines(bundle + ".stacks") if s["process"]["id"] in processes
                 for f in s["frames"]}.values()
    for shape, chains in sorted(shapes.items()):
        for chain in chains:
            if chain not in stacks:
                wrong("the stack of shape %s is missing: %s" % (shape, chain[:4]))
    expected = {f for chains in shapes.values() for chain in chains for f in chain
                if "/matrix_" in f[0] or f[0].startswith("<matrix")}
    seen = set()
    for c in calls:
        seen |= {key(f) for f in c["functions"]
                 if "/matrix_" in f["path"] or f["path"].startswith("<matrix")}
    for f in sorted(expected - seen):
        wrong("not listed: %s" % (f,))
    for f in sorted(seen - expected):
        if f[1] not in ("work", "serve", "application", "run"):
            wrong("listed, but did not run: %s" % (f,))
    if any("never" in f["name"] for f in functions):
        wrong("a generator that never ran is listed")
    for f in functions:
        if not f["path"].startswith(("/", "<frozen ", "<matrix")):
            wrong("a function of no known file: %s" % (key(f),))
    sourced = check_sources(python, functions)
    for text in problems[:12]:
        print("%s: %s" % (row, text))
    if len(problems) > 12:
        print("%s: and %d more" % (row, len(problems) - 12))
    if problems:
        return 1
    print("%-28s %-8s %2d shapes %3d functions %3d checked in sources  exact"
          % (row, version, len(shapes), len(seen), sourced))
    return 0


sys.exit(main())
