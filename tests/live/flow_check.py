#!/usr/bin/python3
"""Judges whose work the functions of a bundle's calls are said to be, after live_look.

    flow_check.py FILE RUNS CLIENT [OPTION...]

RUNS is what the server printed: `runs ROUTE WHAT` says that a function, or all code of a path,
works for that route; ROUTE is `-` for no call, and ROUTE-NUMBER for one call alone.
CLIENT is what the client printed, the request ids of its whole answers. Just these calls must be
complete, once each. No call may have a function of another route, but for the link `ambiguous`.
Options:

  --bound ROUTE=LINK[:FUNCTION]
                       a call of ROUTE, but for one in ten, has all functions of its route, or this
                       one, by LINK
  --ambiguous ROUTE    no function of the route's calls has a link other than `ambiguous`
  --seen ROUTE=LINK    the calls of ROUTE have all functions of the route together, by LINK
  --without ROUTE=LINK no function of the route's calls has this link
  --empty ROUTE        the route's calls have no functions but native ones
  --ends ROUTE=REASON  how all calls of the route ended
  --partial            walks broke off, and were counted; nothing else was lost
"""

import argparse
import json
import sys

problems = []


def wrong(text):
    problems.append(text)


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def read_runs(path):
    runs = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            words = line.split()
            if words[:1] == ["runs"]:
                runs.setdefault(words[2], set()).add(words[1])
    return runs


def losses(bundle, partial):
    with open(bundle + ".json", encoding="utf-8") as f:
        lost = {(s["stage"], cause): n for s in json.load(f)["loss"]
                for cause, n in s["lost"].items() if n}
    if partial and not lost.pop(("stack-walks", "partial"), 0):
        wrong("no walk that broke off was counted")
    for (stage, cause), n in lost.items():
        wrong("%s: %d lost, %s" % (stage, n, cause))


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("bundle", "runs", "client"):
        parser.add_argument(name)
    for name in ("--bound", "--seen", "--without", "--ambiguous", "--empty", "--ends"):
        parser.add_argument(name, action="append", default=[])
    parser.add_argument("--partial", action="store_true")
    options = parser.parse_args()
    runs = read_runs(options.runs)
    bound = {r: link.partition(":")[::2] for r, link in (b.split("=") for b in options.bound)}
    seen = dict(w.split("=") for w in options.seen)
    ends = dict(e.split("=") for e in options.ends)
    together = {}
    without = dict(w.split("=") for w in options.without)
    with open(options.client, encoding="utf-8") as f:
        wanted = f.read().split()
    calls = [c for c in lines(options.bundle + ".calls") if c["request_id"]]
    have = [c["request_id"] for c in calls if c["end_reason"] == "complete"]
    if not runs or not wanted or sorted(wanted) != sorted(have):
        wrong("calls that are not those of the client: %s" % sorted(set(wanted) ^ set(have)))
    losses(options.bundle, options.partial)
    counted = {}
    for c in calls:
        route = c["request_id"].split("-")[1]
        mine = {route, "%s-%s" % (route, c["request_id"].split("-")[2])}
        own = {name for name, of in runs.items() if mine & of}
        if bound.get(route, ("", ""))[1]:
            own = {bound[route][1]}
        got = set()
        for f in c["functions"]:
            links, firm = set(f["links"]), set(f["links"]) - {"ambiguous"}
            for name in (f["qualname"], f["path"]):
                if firm and name in runs and not mine & runs[name]:
                    wrong("%s has %s by %s" % (c["request_id"], name, f["links"]))
                if route in bound and bound[route][0] in firm:
                    got.add(name)
                if seen.get(route) in firm:
                    together.setdefault(route, set()).add(name)
            if firm and route in options.ambiguous or without.get(route) in links:
                wrong("%s has %s by %s" % (c["request_id"], f["qualname"], f["links"]))
        if c["end_reason"] != ends.get(route, "complete"):
            wrong("%s ended: %s" % (c["request_id"], c["end_reason"]))
        python = [f["qualname"] for f in c["functions"] if f["line"] is not None]
        if python and route in options.empty:
            wrong("%s has %d functions, %s ..." % (c["request_id"], len(python), python[0]))
        total = counted.setdefault(route, [0, 0])
        total[0] += 1
        total[1] += bool(own) and own <= got
    for route, (total, whole) in sorted(counted.items()):
        print("%s: %d calls, %d with what belongs to the route" % (route, total, whole))
        if route in bound and whole < total - total // 10:
            wrong("%s: only %d of %d calls have their functions by %s" % (route, whole, total,
                                                                          bound[route][0]))
    for route in seen:
        missing = {name for name, of in runs.items() if route in of} - together.get(route, set())
        if missing:
            wrong("%s: no call has %s by %s" % (route, sorted(missing), seen[route]))
    for route in [*bound, *seen, *without, *ends, *options.ambiguous, *options.empty]:
        if route not in counted:
            wrong("no call of the route " + route)
    for text in problems[:20]:
        print("flow_check.py: " + text)
    if len(problems) > 20:
        print("and %d more" % (len(problems) - 20))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
