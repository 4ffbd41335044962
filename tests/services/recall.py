#!/usr/bin/python3
"""Compares the functions of a bundle's calls with what the service itself recorded.

    recall.py CALLS TRUTH [OPTION...]

CALLS is a file of `inspect calls --jsonl`; TRUTH the folder of recall_record.py. A function is
(file, qualified name, first line). A call of the bundle and a request of the truth are one when
their request id is. By route, cumulated over its calls, and for deep calls alone:

    truth   functions that ran while the application worked on a request, until the last part of its
            response was handed to the server
    seen    those of them that a call of the route has by a link other than `ambiguous`
    false   functions that a call has by such a link though they did not run for it: not for the
            application, nor for the server that read the request, nor below both on the stack

The recorder's own functions count on neither side.

  --plain CALLS        the calls of a run of the same load without the recorder are judged: a
                       function is true when it ran in any request of the route, or in one request of
                       each process only, which may have been any; deep calls are counted only,
                       since nobody knows what ran for each of them
  --code GLOB          the service's own files, more than once for more; all files without it
  --files P            percent of the service's own files that each route must show
  --functions P        percent of its functions
  --deep N             each route has at least so many deep calls; each of them has every file and
                       function of the service that ran for it
  --deep-all P         percent of all functions, of the service or not, that each deep call has
  --calls N            so many calls are found on both sides
  --own                only the service's own functions are judged as false: the truth has no others
  --overlap N          so many calls were worked on together with one of another route
  --show WORDS         what stands before the printed figures
  --list               lists what was not seen

Exit 1 with a line for each difference.
"""
import argparse
import collections
import fnmatch
import glob
import json
import os
import sys

SHOWN = 20
GENERATED_MAX = 64  # bytes that a bundle keeps of names of generated code
Request = collections.namedtuple("Request", "process name method path status required allowed")


def kept(name):
    """What a bundle keeps of a name of code that was generated."""
    text = name.encode("utf-8", "surrogateescape")
    if len(text) <= GENERATED_MAX:
        return name
    return text[:GENERATED_MAX - 3].decode("utf-8", "ignore") + "..."


def function_of(file, qualname, line):
    if file.startswith("<frozen ") or file[:1] not in ("", "<"):
        return file, qualname, int(line)
    return kept(file) or "<empty>", kept(qualname), int(line)


def read_truth(folder):
    """The requests that the service recorded."""
    for path in sorted(glob.glob(os.path.join(folder, "*.truth"))):
        functions = {}
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                kind, *words = line.rstrip("\n").split("\t")
                if kind == "f":
                    functions[words[0]] = function_of(words[2], words[3], words[1])
                    continue
                name, method, where, status, upto, names = words
                required, allowed = set(), set()
                for place, word in enumerate(names.split()):
                    function = functions[word.rstrip("+!^")]
                    if function[0] == "recorder":
                        continue
                    allowed.add(function)
                    if place < int(upto) and word[-1] not in "!^":
                        required.add(function)
                yield Request(path, name, method, where, int(status), required, allowed)


def read_calls(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def seen_by(call, source=None):
    """Python functions that a call has by a link other than `ambiguous`, without the recorder's.
    Native ones have no line."""
    return {(f["path"], f["qualname"], f["line"]) for f in call["functions"]
            if set(f["links"]) - {"ambiguous"} and f["line"] is not None and (source is None or source in f["sources"]) and
            "/recall_" not in (f["path"] or "")}


class Route:
    """What is known of the calls of one method and route."""

    def __init__(self):
        self.calls = self.deep = 0
        self.truth, self.seen = set(), set()
        self.deep_truth, self.deep_seen = set(), set()
        # Of single deep calls, which is more than the route's sum: function -> calls without it.
        self.deep_missed = collections.Counter()
        self.deep_least = 100.0  # percent of all functions, of the worst deep call
        self.false = collections.Counter()


def gather(pairs):
    """pairs: (call, functions that must be there, functions that may be there)"""
    routes = collections.defaultdict(Route)
    for call, required, allowed in pairs:
        route = routes[(call["method"], call["route"])]
        seen = seen_by(call)
        route.calls += 1
        route.truth |= required
        route.seen |= seen & required
        route.false.update(seen - allowed)
        if call["evidence"] == "deep":
            deep = seen_by(call, "deep")
            route.deep += 1
            route.deep_truth |= required
            route.deep_seen |= deep & required
            route.deep_missed.update(required - deep)
            if required:
                route.deep_least = min(route.deep_least, percent(deep & required, required))
    return routes


def matches(path, globs):
    return any(fnmatch.fnmatchcase(path or "", glob) for glob in globs)


def percent(part, whole):
    return 100.0 * len(part) / len(whole) if whole else 100.0


def files(functions):
    return {function[0] for function in functions}


class Judge:
    def __init__(self, options):
        self.options = options
        self.problems = []

    def wrong(self, text):
        self.problems.append(text)

    def own(self, functions):
        if not self.options.code:
            return functions
        return {f for f in functions if matches(f[0], self.options.code)}

    def least(self, name, what, part, whole, wanted):
        got = percent(part, whole)
        if wanted is not None and (got < wanted or not whole):
            self.wrong("%s: %.2f %% of %d %s, not %g %%" % (name, got, len(whole), what, wanted))
            for thing in sorted(whole - part, key=str)[:SHOWN]:
                self.wrong("%s: not seen: %s" % (name, thing))

    def route(self, name, route):
        options = self.options
        truth, seen = self.own(route.truth), self.own(route.seen)
        deep_truth, deep_seen = self.own(route.deep_truth), self.own(route.deep_seen)
        print("SHOW %s%s, %d calls: %d of %d files, %d of %d functions (%.1f %%); of all code %.1f %%"
              % (options.show, name, route.calls, len(files(seen)), len(files(truth)), len(seen),
                 len(truth), percent(seen, truth), percent(route.seen, route.truth)))
        if route.deep:
            print("SHOW %s%s, %d deep calls: %d of %d files, %d of %d functions (%.1f %%); of all "
                  "code %.1f %%, of the least call %.1f %%" %
                  (options.show, name, route.deep, len(files(deep_seen)), len(files(deep_truth)),
                   len(deep_seen), len(deep_truth), percent(deep_seen, deep_truth),
                   percent(route.deep_seen, route.deep_truth), route.deep_least))
        self.least(name, "files", files(seen), files(truth), options.files)
        self.least(name, "functions", seen, truth, options.functions)
        if options.deep is not None:
            if route.deep < options.deep:
                self.wrong("%s: %d deep calls, not %d" % (name, route.deep, options.deep))
            if route.deep and not options.plain:
                self.least(name, "files in deep calls", files(deep_seen), files(deep_truth), 100)
                self.least(name, "functions in deep calls", deep_seen, deep_truth, 100)
                for function in self.own(set(route.deep_missed)):
                    self.wrong("%s: %d deep calls without %s" %
                               (name, route.deep_missed[function], function))
        if options.deep_all is not None and route.deep_least < options.deep_all:
            self.wrong("%s: a deep call has %.2f %% of all functions" % (name, route.deep_least))
        judged = self.own(set(route.false)) if options.own else route.false
        for function in sorted(judged, key=str):
            count = route.false[function]
            self.wrong("%s: %d calls have %s, which did not run" % (name, count, function))
        if options.list:
            for function in sorted(route.truth - route.seen, key=str):
                print("%s: not seen: %s" % (name, function))
            for function, count in route.deep_missed.most_common():
                print("%s: not in %d deep calls: %s" % (name, count, function))


def functions_of_one_request(requests):
    """Those that no process ran for more than one request, such as what fills a cache."""
    counts = collections.defaultdict(collections.Counter)
    for request in requests:
        counts[request.process].update(request.allowed)
    return {f for of in counts.values() for f in of if all(c[f] <= 1 for c in counts.values())}


def pairs_of(options, judge):
    """Calls with what must and may be among their functions."""
    truth = {request.name: request for request in read_truth(options.truth)}
    both = [(call, truth[call["request_id"]]) for call in read_calls(options.calls)
            if call["request_id"] in truth]
    count = len(both)
    for call, request in both:
        if (call["method"], call["status"]) != (request.method, request.status):
            judge.wrong("%s: %s %s in the bundle, %s %s in the service" %
                        (request.name, call["method"], call["status"], request.method,
                         request.status))
    pairs = [(call, request.required, request.allowed) for call, request in both]
    if options.plain:
        required, allowed = collections.defaultdict(set), collections.defaultdict(set)
        for call, request in both:
            required[(call["method"], call["route"])] |= request.required
            allowed[(call["method"], call["route"])] |= request.allowed
        once = functions_of_one_request(truth.values())
        plain = read_calls(options.plain)
        pairs = [(call, required[key], allowed[key] | once) for call in plain
                 for key in [(call["method"], call["route"])]]
        count = len(plain)
    if options.wanted is not None and count != options.wanted:
        judge.wrong("%d calls, not %d" % (count, options.wanted))
    return pairs


def overlapping(calls):
    """How many calls shared a moment with a call of another route of the same process."""
    count = 0
    for call in calls:
        count += any(other["process"] == call["process"] and
                     (other["method"], other["route"]) != (call["method"], call["route"]) and
                     other["start"] < call["end"] and call["start"] < other["end"]
                     for other in calls)
    return count


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calls")
    parser.add_argument("truth")
    parser.add_argument("--plain")
    parser.add_argument("--code", action="append", default=[])
    for name in ("--files", "--functions", "--deep-all"):
        parser.add_argument(name, type=float)
    parser.add_argument("--deep", type=int)
    parser.add_argument("--calls", type=int, dest="wanted")
    parser.add_argument("--overlap", type=int)
    parser.add_argument("--show", default="")
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args(arguments)


def main():
    options = parse()
    judge = Judge(options)
    pairs = pairs_of(options, judge)
    routes = gather(pairs)
    if options.overlap is not None:
        count = overlapping([call for call, _, _ in pairs])
        print("SHOW %s%d of %d calls overlap with one of another route" %
              (options.show, count, len(pairs)))
        if count < options.overlap:
            judge.wrong("%d calls overlap, not %d" % (count, options.overlap))
    if not routes:
        judge.wrong("no call was found on both sides")
    for (method, route), what in sorted(routes.items(), key=str):
        judge.route("%s %s" % (method, route), what)
    for text in judge.problems[:5 * SHOWN]:
        print(text)
    if len(judge.problems) > 5 * SHOWN:
        print("... and %d more" % (len(judge.problems) - 5 * SHOWN))
    return bool(judge.problems)


if __name__ == "__main__":
    sys.exit(main())
