#!/usr/bin/python3
"""Judges calls that overlapped: overlap_check.py CALLS CLIENT NAME AMBIGUOUS.

CALLS is a file of `inspect calls --jsonl`, CLIENT the client's request ids: these calls and no
others. No function of one route's handler may be in a call of the other but by the link
`ambiguous`. AMBIGUOUS: percent of the sightings in calls that may be ambiguous; `any`: so many as
there are.
"""
import json
import sys


def main():
    name, limit = sys.argv[3:]
    with open(sys.argv[2], encoding="utf-8") as file:
        wanted = sorted(file.read().split())
    have, crossed, own, own_calls, all_sightings, ambiguous = [], [], 0, 0, 0, 0
    with open(sys.argv[1], encoding="utf-8") as file:
        for call in map(json.loads, file):
            have.append(call["request_id"])
            route = call["request_id"].split("-")[1]
            mine = False
            for f in call["functions"]:
                firm = set(f["links"]) - {"ambiguous"}
                all_sightings += f["count"]
                ambiguous += f["count"] if not firm else 0
                of = f["qualname"].split(".")[0].lower()
                if of in ("north", "south") and firm:
                    mine |= of == route
                    own += of == route
                    if of != route:
                        crossed.append((call["request_id"], f["qualname"]))
            own_calls += mine
    share = 100.0 * ambiguous / max(all_sightings, 1)
    print("SHOW %s: %d calls; %d with functions of their own handler, %d with one of the other; "
          "%.2f %% of %d sightings ambiguous" % (
              name, len(have), own_calls, len(crossed), share, all_sightings))
    if sorted(have) != wanted:
        sys.exit("the calls are not those of the client")
    if crossed:
        sys.exit("functions of the other route: %s" % crossed[:5])
    if not own:
        sys.exit("no call shows its handler: nothing was tried")
    if limit != "any" and share >= float(limit):
        sys.exit("too much is ambiguous")


main()
