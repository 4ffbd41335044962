#!/usr/bin/python3
"""Compares the truth of a client or server with the calls of a bundle.

    compare_calls.py TRUTH CALLS [--route TEMPLATE]... [--service FILE]... | --exact

CALLS is the output of `daylight inspect FILE calls --jsonl` (or another truth); - is stdin. Both
are compared as multisets of (method, path, status, request_id). Of CALLS only those that are
complete count, unless --all is given. A path of TRUTH is first turned into what a bundle keeps of
it: by a matching template (--route '/alpha/{x}', '[METHOD,METHOD ]TEMPLATE', or the routes of a
service definition) each placeholder's value becomes its {name}; without a match each segment that
is not literal where the routes lead becomes *. --exact leaves the paths of both as they are.

Exit code 0: equal; 1: not, each difference is printed (- only in TRUTH, + only in CALLS);
2: a file cannot be read.
"""

import argparse
import collections
import json
import sys


class Routes:
    def __init__(self):
        self.routes = []

    def add(self, methods, template):
        self.routes.append((set(methods), template))

    @staticmethod
    def fit(template, path):
        """Whether it matches, the places of equal literals, the places of placeholders."""
        want, have = template.split("/")[1:], path.rstrip("/").split("/")[1:]
        if template == "/":
            want = []
        literals, placeholders = set(), set()
        for place, (segment, value) in enumerate(zip(want, have)):
            if segment.startswith("{"):
                if segment.endswith("*}"):
                    placeholders.update(range(place, 64))
                    return True, literals, placeholders
                if not value:
                    return False, literals, placeholders
                placeholders.add(place)
            elif segment == value:
                literals.add(place)
            else:
                return False, literals, placeholders
        return len(want) == len(have), literals, placeholders

    def kept(self, method, path):
        """What a bundle keeps of a path."""
        if not path.startswith("/"):
            return "/".join("*" if s else "" for s in path.split("/"))
        literals, best, best_weight = set(), None, None
        for methods, template in self.routes:
            matches, equal, placeholders = self.fit(template, path)
            literals |= equal
            weight = sum(1 << (63 - place) for place in placeholders)
            if matches and (not methods or method in methods):
                if best is None or weight < best_weight:
                    best, best_weight = template, weight
        if best is None:
            segments = path.split("/")[1:]
            return "/" + "/".join(s if place in literals or not s else "*"
                                  for place, s in enumerate(segments))
        slashes = path[len(path.rstrip("/")):] if not best.endswith("*}") else ""
        return (best if len(best) > 1 else "") + slashes


def read(path, everything):
    calls = []
    with (sys.stdin if path == "-" else open(path, encoding="utf-8")) as f:
        for line in f:
            call = json.loads(line)
            if everything or call.get("end_reason", "complete") == "complete":
                calls.append(call)
    return calls


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", metavar="TRUTH")
    parser.add_argument("calls", metavar="CALLS")
    parser.add_argument("--route", action="append", default=[], metavar="TEMPLATE",
                        help="a route, with methods in front or for any; may be repeated")
    parser.add_argument("--service", action="append", default=[], metavar="FILE",
                        help="a service definition whose routes count; may be repeated")
    parser.add_argument("--exact", action="store_true", help="do not reduce paths")
    parser.add_argument("--all", action="store_true", help="calls that did not complete, too")
    args = parser.parse_args()
    routes = Routes()
    try:
        for text in args.route:
            methods, _, template = text.rpartition(" ")
            routes.add(filter(None, methods.split(",")), template)
        for path in args.service:
            with open(path, encoding="utf-8") as f:
                for route in json.load(f)["routes"]:
                    routes.add(route.get("methods") or [], route["path"])
        truth, calls = read(args.truth, True), read(args.calls, args.all)
        if not args.exact:
            for call in truth:
                call["path"] = routes.kept(call["method"], call["path"])
        want, have = (collections.Counter((c["method"], c["path"], c["status"], c["request_id"])
                                          for c in side) for side in (truth, calls))
    except (OSError, ValueError, KeyError) as e:
        print("compare_calls.py: %s: %s" % (type(e).__name__, e), file=sys.stderr)
        return 2
    for sign, only in (("-", want - have), ("+", have - want)):
        for call, count in sorted(only.items(), key=str):
            print(sign, *call, "x%d" % count if count > 1 else "")
    same = want == have
    print("%d calls in the truth, %d seen: %s" % (len(truth), len(calls),
                                                   "equal" if same else "not equal"))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
