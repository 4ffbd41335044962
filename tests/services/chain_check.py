#!/usr/bin/python3
"""Judges the ways of calls through haproxy, apache and uwsgi to keystone.

    chain_check.py alone CALLS CLIENT     one call at a time: each is one route of three steps
    chain_check.py together CALLS CLIENT  many at once: what is tied is right, and most is
    chain_check.py report REPORT          report.json shows that way for keystone's calls

CALLS is of `daylight inspect FILE calls --jsonl`; CLIENT of keystone-client.py. keystone answers
with an id, which the others hand on: it tells which calls belong together. Prints what is wrong;
exit code 1 when something is.
"""

import collections
import json
import os
import sys

STEPS = ["haproxy", "apache2", "uwsgi-core"]
problems = []


def wrong(text):
    problems.append(text)


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def program(call):
    return os.path.basename(call["process"]["exe"] or "?")


def ways(mode, calls_file, client_file):
    calls = {c["call"]: c for c in lines(calls_file)}
    by_id = collections.defaultdict(dict)
    for c in calls.values():
        if program(c) in by_id[c["request_id"]]:
            wrong("request %s twice in %s" % (c["request_id"], program(c)))
        by_id[c["request_id"]][program(c)] = c
    client = lines(client_file)
    if len(calls) != 3 * len(client):
        wrong("%d calls for %d requests" % (len(calls), len(client)))
    tied, by = collections.Counter(), collections.Counter()
    for want in client:
        have = by_id.get(want["request_id"], {})
        if sorted(have) != sorted(STEPS):
            wrong("request %s: %s" % (want["request_id"], sorted(have)))
            continue
        if have["haproxy"]["caller"] is not None:
            wrong("haproxy was asked by %s" % have["haproxy"]["caller"])
        for outer, inner in zip(STEPS, STEPS[1:]):
            caller, called = have[outer], have[inner]
            if (caller["method"], caller["status"]) != (want["method"], want["status"]):
                wrong("%s: %s %s" % (outer, caller["method"], caller["status"]))
            hops = caller["hops"]
            right = called["caller"] == caller["call"]
            if right != ([called["call"]] == [i for h in hops for i in h["peer"]["calls"]]):
                wrong("%s: hops %s do not agree with the caller of %d" %
                      (outer, hops, called["call"]))
            tied[inner] += right
            if called["caller"] is not None and not right:
                wrong("%s %d is tied to %d, not to %d" %
                      (inner, called["call"], called["caller"], caller["call"]))
            by[inner, called["caller_by"]] += 1
            sure = [h for h in hops if not h["ambiguous"]]
            # An event loop with many requests at once: only the id tells whose work it did.
            known = mode == "alone" or outer != "haproxy"
            if known and (len(sure) != 1 or sure[0]["peer"]["class"] != "loopback" or
                          sure[0]["peer"]["process"] != called["process"] or
                          called["caller_by"] != "order"):
                wrong("%s: %s, by %s" % (outer, hops, called["caller_by"]))
            if not right and known:
                wrong("%s %d has no caller; hops of %s: %s" %
                      (inner, called["call"], outer, caller["hops"]))
        if have["uwsgi-core"]["hops"]:
            wrong("keystone used %s" % have["uwsgi-core"]["hops"])
    if tied["apache2"] < 0.9 * len(client):
        wrong("only %d of apache's calls have a caller" % tied["apache2"])
    print("%s: %d requests; tied to their callers: %s, by %s" %
          (mode, len(client), dict(tied), dict(by)))


def report(path):
    with open(path, encoding="utf-8") as f:
        rows = json.load(f)["ways"]
    found = [r for r in rows if r["component"] == "keystone"]
    if [[os.path.basename(s["exe"]) for s in r["steps"]] for r in found] != [STEPS]:
        wrong("ways: %s" % rows)
    elif not all(s["package"] and s["version"] for s in found[0]["steps"]):
        wrong("packages of the steps: %s" % found[0]["steps"])


def main():
    if sys.argv[1] == "report":
        report(sys.argv[2])
    else:
        ways(*sys.argv[1:])
    for text in problems[:20]:
        print("wrong: " + text, file=sys.stderr)
    sys.exit(bool(problems))


main()
