"""Judges one row of the matrix: a bundle (its views beside it, see live-lib.sh) by what
matrix_app.py wrote and by what the interpreter finds in the sources.

  matrix_check.py [OPTION...] ROW BUNDLE TRUTH PYTHON

  --requests N        how many calls there were (3)
  --interpreters N    how many worked in each process (1)
  --behind-file PATH  modules below PATH, a file, are shown as code of an archive; their sources are
                      those of the shapes beside this program
  --open PATH         modules below PATH were read, and are the files beside this program
  --compiled PATH     modules below PATH have no source; the compiled files there are what is known
                      of them

The stack of every shape must be in the bundle, frame by frame; the calls' functions in
matrix_*.py must be exactly those of the shapes; every other function must be in its source.
Prints the row, or what is wrong; exit code 1 when something is.
"""
import argparse
import hashlib
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
    """{shape: chains}, the version, the pids and the interpreters in them. A chain is made of
    (file, name, qualified name, line); without qualified names, the name stands for both."""
    shapes, version, pids, interpreters = {}, None, set(), set()
    for line in lines(path):
        version = line["version"]
        pids.add(line["pid"])
        interpreters.add((line["pid"], line["interpreter"]))
        for shape, chain in line["chains"].items():
            chain = tuple((f, n, q or n, at) for f, n, q, at in chain)
            shapes.setdefault(shape, set()).add(chain)
    return shapes, version, pids, interpreters


def key(function):
    return function["path"], function["name"], function["qualname"], function["line"]


def real(path):
    """The file to read for a module: those of archives and namespaces are beside this program."""
    own = os.path.join(HERE, os.path.basename(path))
    return path if os.path.isfile(path) or "/matrix_" not in path else own


def check_sources(python, functions):
    functions = [dict(f, path=real(f["path"])) for f in functions]
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


def check_modules(bundle, prefix, how):
    found = [m for m in lines(bundle + ".modules") if m["path"].startswith(prefix + "/")]
    for m in found:
        with open(real(m["path"]), "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest() if how == "open" else None
        if (m["digest"]["how"], m["sha256"]) != (how, digest):
            wrong("%s: %s, digest %s" % (m["path"], m["digest"], m["sha256"]))
    if len(found) < 2:
        wrong("%d modules below %s" % (len(found), prefix))


def check_compiled(bundle, prefix):
    """By path: the digest of the compiled file that stands for each source that is missing."""
    found, number = {}, 0
    while True:
        number += 1
        done = subprocess.run([os.environ["DAYLIGHT"], "inspect", bundle, "record", "pyc", str(number),
                               "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if done.returncode:
            break
        record = json.loads(done.stdout)
        if record["path"] and record["path"].startswith(prefix + "/"):
            found[record["path"]] = record["sha256"]
    names = [n for n in os.listdir(prefix) if n.endswith(".pyc")]
    for name in names:
        path = os.path.join(prefix, name)
        with open(path, "rb") as f:
            if found.get(path) != hashlib.sha256(f.read()).hexdigest():
                wrong("%s: digest %s" % (path, found.get(path)))
    if len(names) < 3 or any(n.endswith(".py") for n in os.listdir(prefix)):
        wrong("%s: %s" % (prefix, os.listdir(prefix)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=3)
    parser.add_argument("--interpreters", type=int, default=1)
    parser.add_argument("--behind-file")
    parser.add_argument("--open")
    parser.add_argument("--compiled")
    for name in ("row", "bundle", "truth", "python"):
        parser.add_argument(name)
    options = parser.parse_args()
    row, bundle, truth, python = options.row, options.bundle, options.truth, options.python
    requests = options.requests
    shapes, version, pids, interpreters = read_truth(truth)
    if len(interpreters) != options.interpreters * len(pids):
        wrong("%d interpreters in %d processes" % (len(interpreters), len(pids)))
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
    if options.behind_file:
        check_modules(bundle, options.behind_file, "behind-file")
    if options.open:
        check_modules(bundle, options.open, "open")
    if options.compiled:
        check_modules(bundle, options.compiled, "missing")
        check_compiled(bundle, options.compiled)
    for text in problems[:12]:
        print("%s: %s" % (row, text))
    if len(problems) > 12:
        print("%s: and %d more" % (row, len(problems) - 12))
    if problems:
        return 1
    print("SHOW %-14s %-8s %2d shapes %3d functions %3d checked in sources  exact"
          % (row, version, len(shapes), len(seen), sourced))
    return 0


sys.exit(main())
