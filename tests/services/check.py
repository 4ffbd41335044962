#!/usr/bin/python3
"""Compares what Daylight says with what a client did or the system knows.

    check.py calls CALLS CLIENT           the calls of a bundle are those of the client
    check.py handlers CALLS               validations show keystone/api/auth.py, bound by thread
    check.py lost SUMMARY                 `inspect --json`: nothing was lost
    check.py modules MODULES              digests and packages of the modules
    check.py section REPORT COMPONENT SECTION   prints the section's status and what was compared

CALLS and MODULES are files of `inspect ... --jsonl`. Exit 1, with a line for each difference.
"""
import collections
import json
import os
import subprocess
import sys

HANDLERS = "/keystone/api/auth.py"
SHOWN = 20


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def complain(problems):
    for problem in problems[:SHOWN]:
        print(problem)
    if len(problems) > SHOWN:
        print("... and %d more" % (len(problems) - SHOWN))
    sys.exit(bool(problems))


def calls(path, client):
    def count(name):
        return collections.Counter(
            (c["method"], c["path"], c["status"], c["request_id"]) for c in lines(name))

    got, did = count(path), count(client)
    if not did:
        complain(["the client did nothing"])
    complain(["only the client has %s" % (call,) for call in (did - got).elements()] +
             ["only the bundle has %s" % (call,) for call in (got - did).elements()])


def handlers(path):
    problems = []
    validations = shown = 0
    for call in lines(path):
        name = "call %s" % call["call"]
        links = {link for function in call["functions"] for link in function["links"]}
        if links - {"thread"}:
            problems.append("%s: links %s" % (name, sorted(links)))
        if call["method"] != "GET" or call["status"] != 200:
            continue
        validations += 1
        found = [function for function in call["functions"]
                 if (function["path"] or "").endswith(HANDLERS)]
        shown += bool(found)
        for function in found:
            if not function["links"] or not function["sources"] or not function["count"]:
                problems.append("%s: %s without a link or a source" % (name, function["qualname"]))
    if shown != validations or not shown:
        problems.append("%d of %d validations show functions of %s" %
                        (shown, validations, HANDLERS))
    print("SHOW %d of %d validations show functions of %s" % (shown, validations, HANDLERS))
    complain(problems)


def lost(path):
    with open(path, encoding="utf-8") as file:
        summary = json.load(file)
    problems = ["lost_total is %s" % summary["lost_total"]] if summary["lost_total"] != 0 else []
    for stage in summary["loss"]:
        gone = {cause: count for cause, count in stage["lost"].items() if count}
        if gone:
            problems.append("%s lost %s" % (stage["stage"], gone))
        total = (stage["delivered"] + sum(stage["skipped"].values()) +
                 sum(stage["lost"].values()))
        if stage["attempted"] != total:
            problems.append("%s: attempted %s is not the sum %s" %
                            (stage["stage"], stage["attempted"], total))
    if not summary["loss"]:
        problems.append("the ledger is empty")
    complain(problems)


def spellings(path):
    """How a path may stand in dpkg's database: as seen, by real path, with and without /usr."""
    for name in dict.fromkeys((path, os.path.realpath(path))):
        yield name
        if name.startswith("/usr/"):
            yield name[len("/usr"):]
        else:
            yield "/usr" + name


def owners(paths):
    """Path -> set of packages, by `dpkg -S`."""
    names = {name for path in paths for name in spellings(path)}
    found = collections.defaultdict(set)
    names = sorted(name for name in names if not set(name) & set("*?[\\"))
    for start in range(0, len(names), 500):
        answer = subprocess.run(["dpkg", "-S", *names[start:start + 500]], text=True, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        for line in answer.splitlines():
            packages, _, name = line.partition(": ")
            if not packages.startswith("diversion "):
                found[name].update(p.partition(":")[0] for p in packages.split(", "))
    return {path: set().union(*(found[name] for name in spellings(path))) for path in paths}


def modules(path):
    problems = []
    files = [module for module in lines(path) if module["kind"] == "file"]
    owned = owners({module["path"] for module in files})
    with_package = 0
    for module in files:
        name = module["path"]
        if not module["sha256"]:
            problems.append("%s: no digest (%s)" % (name, module["digest"]))
        wanted = owned[name]
        package = (module["package"] or {}).get("name")
        with_package += bool(wanted)
        if wanted and package not in wanted:
            problems.append("%s: package %s, dpkg says %s" % (name, package, sorted(wanted)))
        if package and not wanted:
            problems.append("%s: package %s, dpkg knows none" % (name, package))
    for language in ("python", "native"):
        if not any(module["language"] == language for module in files):
            problems.append("no %s module" % language)
    if not with_package:
        problems.append("no module of a package: nothing was compared")
    complain(problems)


def section(path, component, name):
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    for row in report["sections"]:
        if (row["component"], row["section"]) == (component, name):
            compared = row["compared"]
            print(row["status"], "+".join(compared) if isinstance(compared, list) else compared)
            return
    sys.exit("no section %s of %s in the report" % (name, component))


if __name__ == "__main__":
    {"calls": calls, "handlers": handlers, "lost": lost, "modules": modules,
     "section": section}[sys.argv[1]](*sys.argv[2:])
