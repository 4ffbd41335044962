#!/usr/bin/python3
"""Judges one bundle of the conformance matrix, and prints its row.

    conformance_check.py NAME BOUNDARY FILE [PROTOCOL[=single|=any]]... [--joined N]

FILE.truth is what the driver did. For each PROTOCOL the calls that speak it must be those of the
truth: number, method, path and status, in the order of each connection; with =single each call has a
connection of its own, as behind a web server; with =any the web server decides. Two protocols without
a word share the truth (HTTP/1.0 and 1.1). All calls must be complete and speak one of them, and
nothing may be lost. --joined: so many connections were open before and could not be read; any other
inbound one was decoded. FILE.truth may say how many had no call: so many there are, for reasons.
"""

import collections
import json
import sys


def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def grouped(calls, key, single):
    groups = collections.defaultdict(list)
    for number, call in enumerate(calls):
        groups[number if single else call[key]].append((call["method"], call["path"],
                                                        call["status"]))
    return collections.Counter(tuple(group) for group in groups.values())


def main():
    name, boundary, path = sys.argv[1:4]
    protocols, joined, rest = [], 0, sys.argv[4:]
    while rest:
        word = rest.pop(0)
        if word == "--joined":
            joined = int(rest.pop(0))
        else:
            protocols.append(word)
    truth, calls = lines(path + ".truth"), lines(path + ".calls")
    nothing = sum(line["nothing"] for line in truth if "nothing" in line)
    truth = [line for line in truth if "nothing" not in line]
    connections = [c for c in lines(path + ".connections") if c["direction"] == "in"]
    with open(path + ".json") as file:
        summary = json.load(file)
    bad = []
    if summary["lost_total"]:
        bad.append(f"lost_total is {summary['lost_total']}")
    known = {p.partition("=")[0] for p in protocols}
    for call in calls:
        if call["protocol"] not in known:
            bad.append(f"a call of {call['protocol']}: {call['method']} {call['path']}")
        if call["end_reason"] != "complete":
            bad.append(f"{call['method']} {call['path']} ended {call['end_reason']}")
        if call["lost"]:
            bad.append(f"{call['method']} {call['path']} lost {call['lost']}")
    used = 0
    plain = [p for p in protocols if "=" not in p]
    for word in ([",".join(plain)] if plain else []) + [p for p in protocols if "=" in p]:
        protocol, _, single = word.partition("=")
        have = [c for c in calls if c["protocol"] in protocol.split(",")]
        if single == "single" and len({c["connection"] for c in have}) != len(have):
            bad.append(f"{protocol}: two calls on one connection")
        have.sort(key=lambda c: (c["connection"], c["seq"]))
        want_groups = grouped(truth, "connection", single)
        have_groups = grouped(have, "connection", single)
        used += len({c["connection"] for c in have})
        if want_groups != have_groups:
            bad.append(f"{protocol}: {len(truth)} calls in the truth, {len(have)} seen")
            for group, count in (want_groups - have_groups).items():
                bad.append(f"  - {count} x {group[:14]}")
            for group, count in (have_groups - want_groups).items():
                bad.append(f"  + {count} x {group[:14]}")
    unread = collections.Counter(c["undecoded"] for c in connections if not c["calls"])
    if not nothing:
        unread.pop("no-data", None)
    if unread.pop("joined", 0) != joined:
        bad.append(f"not {joined} connections are joined and unread")
    if sum(unread.values()) != nothing:
        bad.append(f"not {nothing} connections that were not decoded: {dict(unread)}")
    print("SHOW %-28s %-12s %-10s %6d %6d  %s" % (name, boundary, ",".join(sorted(known)), len(calls),
                                            used, "DIFFERENT" if bad else "equal"))
    for line in bad[:40]:
        print("   ", line)
    sys.exit(1 if bad else 0)


main()
