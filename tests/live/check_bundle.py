#!/usr/bin/python3
"""Judges what `daylight inspect` printed of a bundle (see live_look in live-lib.sh).

    check_bundle.py FILE WHAT [ARG...]

FILE is the bundle; FILE.json, FILE.calls, FILE.connections and so on lie beside it. WHAT:

  lossless                 nothing was lost in any stage
  connections CLIENT       CLIENT (client.py --connections): each is listed, with its calls and the
                           side that closed it; the calls that are not complete are those that a
                           client left after a whole head
  sources PREFIX...        each function of a Python file below PREFIX is in that file's source,
                           under that name, qualified name and line
  functions TRUTH MODE     TRUTH (of server_threads.py), by request id: no call has a function of
                           the other route; MODE `each`: each call has all of its own; MODE
                           `together`: the calls of a route have them together, and most their handler
  exec TRUTH MODE          no function of a generated module that is not in TRUTH; MODE `all`: each
                           call has all of its functions; MODE `some`: some of them
  children N               at least N processes were born by fork, ended, and are fully described;
                           each file has its digest, though they have gone
  followed FIRST SECOND    pids: FIRST served and ended; SECOND served, then again as another image
                           after exec; both with stacks, and the time not seen is a gap
  among TRUTH              the calls of TRUTH are among those of the bundle, each once
  served N                 N processes served calls
  routes SERVICE           every call belongs to the service, and most to one of its routes
  stopped REASON           why the window ended
  durable STATUS [N]       (of a killed collector) what its --status-fd said to be on disk can be
                           read; it said so at least N times (2)
  resumed N CUT END        the window was interrupted N times, each is a gap; CUT bytes were cut off in
                           the end; its planned end was END, and it ended then; every stage of the
                           ledger adds up, and so do processes, which are described once a segment
  gap WHAT FROM UNTIL      a gap of all processes, of that text, of FROM to UNTIL seconds
  cut                      the bundle ends early, says why, and has calls
  identities DIR NAME=HOW...  how the file NAME in DIR was looked at; only `open` has a digest
  unsupported NAME PORT VERSION WHY...  each process is named as unsupported, for this reason and
                           with this version; its calls show no functions of Python; what it is
                           made of has its digests
  absent PLAIN TEXT...     no TEXT in the file PLAIN

Prints what is wrong; exit code 1 when something is.
"""

import datetime
import json
import sys
import types

problems = []


def wrong(text):
    problems.append(text)


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def key(function):
    return function["path"], function["qualname"], function["line"]


def truth_key(function):
    return function["module"], function["qualname"], function["line"]


def lossless(bundle):
    summary = summary_of(bundle)
    if summary["lost_total"]:
        wrong("lost_total %d: %s" % (summary["lost_total"],
                                     [s for s in summary["loss"] if s["lost"]]))
    if not summary["bundle"]["complete"]:
        wrong("the bundle is not complete: %s" % summary["bundle"]["end_reason"])


def connections(bundle, client_file):
    seen = {}
    for c in lines(bundle + ".connections"):
        if c["direction"] == "in":
            port = c["remote"].rpartition(":")[2]
            if port in seen:
                wrong("two connections from port " + port)
            seen[port] = c
    wanted, left = {str(c["port"]): c for c in lines(client_file)}, 0
    for port in sorted(set(wanted) ^ set(seen)):
        wrong("connection from port %s: client %s, bundle %s" % (port, wanted.get(port),
                                                                 seen.get(port)))
    for port in set(wanted) & set(seen):
        want, have = wanted[port], seen[port]
        heads = want["answers"] + (1 if want.get("head") else 0)
        left += 1 if want.get("head") else 0
        # `plain` asks for an end by the server and leaves at once: either may come first.
        ends = {"close": ["server closed"], "plain": ["server closed", "client closed"]}
        if have["calls"] != heads:
            wrong("connection %s: %d calls, not %d" % (want, have["calls"], heads))
        if have["end_reason"] not in ends.get(want["kind"], ["client closed"]):
            wrong("connection %s: end reason %s" % (want, have["end_reason"]))
        undecoded = "incomplete" if not heads else ""
        if have["undecoded"] != undecoded or have["suspect"]:
            wrong("connection %s: undecoded %r, %d suspect" % (want, have["undecoded"],
                                                               have["suspect"]))
    unfinished = [c for c in lines(bundle + ".calls") if c["end_reason"] != "complete"]
    if len(unfinished) != left:
        wrong("%d calls are not complete, not %d" % (len(unfinished), left))
    for c in unfinished:
        if (c["end_reason"], c["method"], c["path"], c["status"]) != ("client_gone", "POST",
                                                                      "/*/*", None):
            wrong("a call that nobody made: %s %s %s %s" % (c["method"], c["path"], c["status"],
                                                            c["end_reason"]))
    print("%d connections, %d calls left unfinished" % (len(wanted), left))


def code_objects(path):
    """(name, qualname, line) of all code in a source file, as the compiler sees it."""
    with open(path, "rb") as f:
        found, todo = set(), [compile(f.read(), path, "exec")]
    while todo:
        code = todo.pop()
        found.add((code.co_name, code.co_qualname, code.co_firstlineno))
        todo += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return found


def sources(bundle, *prefixes):
    known, checked = {}, 0
    for f in lines(bundle + ".functions"):
        path = f["path"]
        if not path.endswith(".py") or not path.startswith(prefixes):
            continue
        if path not in known:
            known[path] = code_objects(path)
        checked += 1
        if (f["name"], f["qualname"], f["line"]) not in known[path]:
            wrong("no such function: %s %s %s:%s" % (f["name"], f["qualname"], path, f["line"]))
    if checked < 10:
        wrong("only %d functions with a source" % checked)
    print("%d functions in %d sources" % (checked, len(known)))


def functions(bundle, truth_file, mode):
    truth = {t["request_id"]: t for t in lines(truth_file)}
    own = {}
    for t in truth.values():
        own.setdefault(t["path"].split("/")[1], set()).update(map(truth_key, t["functions"]))
    counted, handled, overlapping, last, together = 0, 0, 0, "", {}
    for call in lines(bundle + ".calls"):
        t = truth.get(call["request_id"])
        if not t or not t["functions"]:
            continue
        counted += 1
        overlapping += call["start"] < last
        last = max(last, call["end"])
        route = t["path"].split("/")[1]
        have = {key(f) for f in call["functions"]}
        for other in own:
            if other != route and have & own[other]:
                wrong("call %s of /%s has %s" % (call["call"], route, have & own[other]))
        together.setdefault(route, set()).update(have)
        handled += truth_key(t["functions"][0]) in have
        if mode == "each" and own[route] - have:
            wrong("call %s of /%s lacks %s" % (call["call"], route, own[route] - have))
        for f in call["functions"]:
            if "ambiguous" in f["links"]:
                wrong("call %s: %s is ambiguous" % (call["call"], f["qualname"]))
    for route in own:
        if own[route] - together.get(route, set()):
            wrong("/%s lacks %s" % (route, own[route] - together.get(route, set())))
    if handled * 2 < counted:
        wrong("only %d of %d calls have their handler" % (handled, counted))
    if mode == "together" and overlapping * 3 < counted:
        wrong("only %d of %d calls overlap with another" % (overlapping, counted))
    if not counted:
        wrong("no call with functions to compare")
    print("%d calls, %d with their handler, %d overlap with another" % (counted, handled,
                                                                       overlapping))


def exec_loop(bundle, truth_file, mode):
    truth = [t for t in lines(truth_file) if "addresses" in t]
    wanted = {truth_key(f) for t in truth for f in t["functions"]}
    made = sum(len(t["functions"]) for t in truth)
    addresses = sum(t["addresses"] for t in truth)
    if not made or addresses * 4 > made:
        wrong("the server's %d functions had %d addresses: nothing was shown" % (made, addresses))
    seen = set()
    for call in lines(bundle + ".calls"):
        t = next((t for t in truth if t["request_id"] == call["request_id"]), None)
        if not t:
            continue
        want = {truth_key(f) for f in t["functions"]}
        # Modules' own code (`<module>`) and class bodies of the same files run too.
        have = {key(f) for f in call["functions"] if f["path"].startswith("<exec")
                and f["name"] in ("same", "run", "filed") or f["name"].startswith("f_")}
        for f in call["functions"]:
            if f["qualname"].rpartition(".")[2] != f["name"]:
                wrong("name %s, qualified name %s" % (f["name"], f["qualname"]))
        for f in sorted(have - want):
            wrong("call %d has %s, which never was" % (call["call"], f))
        seen |= have
        if mode == "all" and want - have:
            wrong("call %d lacks %d functions, %s ..." % (call["call"], len(want - have),
                                                          sorted(want - have)[:3]))
    for f in lines(bundle + ".functions"):
        if f["path"].startswith("<exec") and f["name"] != "<module>" \
                and not f["name"].startswith("C_") and key(f) not in wanted:
            wrong("%s never was" % (key(f),))
    if len(seen) < 100:
        wrong("only %d functions were seen" % len(seen))
    print("%d functions at %d addresses, %d of %d different ones seen" % (made, addresses, len(seen),
                                                                         len(wanted)))


def children(bundle, least):
    born = [p for p in lines(bundle + ".processes") if p["origin"] == "fork"]
    if len(born) < int(least):
        wrong("%d processes by fork, not %s" % (len(born), least))
    for p in born:
        if p["parent"] is None or p["end"] is None or not p["exe"]:
            wrong("a process without parent, end or program: %s" % p)
    for m in lines(bundle + ".modules"):
        if m["kind"] == "file" and not m["sha256"]:
            wrong("%s has no digest: %s" % (m["path"], m["digest"]["how"]))
    print("%d processes by fork" % len(born))


def followed(bundle, first, second):
    processes = lines(bundle + ".processes")
    served = {}
    for c in lines(bundle + ".calls"):
        served.setdefault(c["process"]["id"], []).append(c)
    gaps = {g["process"] for g in summary_of(bundle)["window"]["gaps"]}

    def calls_of(image):
        """Of the image and of the children that it forked."""
        own = [image["process"]] + [p["process"] for p in processes
                                    if p["parent"] == image["process"] and p["origin"] == "fork"]
        return [c for process in own for c in served.get(process, [])]

    images = [p for p in processes if str(p["pid"]) in (first, second) and p["origin"] != "fork"]
    if [(str(p["pid"]), p["origin"]) for p in images] != [
            (first, "existing"), (second, "existing"), (second, "exec")]:
        wrong("images: %s" % images)
    for image in images:
        calls = calls_of(image)
        print("pid %s (%s): %d calls" % (image["pid"], image["origin"], len(calls)))
        if not calls or any(c["evidence"] != "stacks" for c in calls):
            wrong("pid %s (%s): calls without stacks" % (image["pid"], image["origin"]))
        if not (image["runtime"] or "").startswith("cpython 3.11"):
            wrong("pid %s: runtime %s" % (image["pid"], image["runtime"]))
    for image in images[1:]:
        if image["process"] not in gaps:
            wrong("pid %s (%s): no gap is stated" % (image["pid"], image["origin"]))


def summary_of(bundle):
    with open(bundle + ".json", encoding="utf-8") as f:
        return json.load(f)


def among(bundle, truth_file):
    have = [c["request_id"] for c in lines(bundle + ".calls") if c["end_reason"] == "complete"]
    truth = lines(truth_file)
    for t in truth:
        if have.count(t["request_id"]) != 1:
            wrong("%s %s %s: %d times" % (t["method"], t["path"], t["request_id"],
                                          have.count(t["request_id"])))
    print("%d calls, among %d" % (len(truth), len(have)))


def served(bundle, number):
    pids = {c["process"]["pid"] for c in lines(bundle + ".calls")}
    if len(pids) != int(number):
        wrong("%d processes served calls, not %s: %s" % (len(pids), number, pids))


def routes(bundle, service):
    calls = lines(bundle + ".calls")
    routed = [c for c in calls if c["route"]]
    if {c["service"] for c in calls} != {service} or len(routed) * 2 < len(calls):
        wrong("%d of %d calls have a route; services %s" % (len(routed), len(calls),
                                                            {c["service"] for c in calls}))


def stopped(bundle, reason):
    have = summary_of(bundle)["window"]["stop_reason"]
    if have != reason:
        wrong("the window ended by %s" % have)


def durable(bundle, status_file, least=2):
    events = lines(status_file)
    said = [e for e in events if e["event"] == "durable"]
    state = summary_of(bundle)["bundle"]
    if events[0]["event"] not in ("collecting", "durable") or len(said) < int(least):
        wrong("events: %s" % events)
    for before, after in zip(said, said[1:]):
        if not (before["frame"] < after["frame"] and before["offset"] < after["offset"]
                and before["records"] < after["records"]):
            wrong("%s, then %s" % (before, after))
    if state["end_offset"] < said[-1]["offset"] or state["complete"] or state["sealed"] \
            or not state["end_reason"]:
        wrong("said %s, readable %s" % (said[-1], state))
    print("%d times durable, the last to offset %d; readable to %d: %s" % (
        len(said), said[-1]["offset"], state["end_offset"], state["end_reason"]))


def seconds(text):
    return datetime.datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


def resumed(bundle, times, cut_off, end):
    summary = summary_of(bundle)
    window, times = summary["window"], int(times)
    gaps = [g for g in window["gaps"] if g["what"].startswith("interrupted")]
    if len(window["resumed"]) != times or len(gaps) != times:
        wrong("resumed %s, gaps %s" % (window["resumed"], gaps))
    for again, gap in zip(window["resumed"], gaps):
        if gap["process"] is not None or not window["start"] < gap["from"] < gap["until"] \
                or (gap["from"], gap["until"]) != (again["last"], again["at"]):
            wrong("resumed %s, gap %s" % (again, gap))
    if window["resumed"][-1]["cut"] < int(cut_off):
        wrong("cut off: %s" % window["resumed"][-1])
    if abs(seconds(window["planned_end"]) - seconds(end)) > .001 \
            or not 0 <= seconds(window["stop"]) - seconds(end) < 10:
        wrong("planned end %s, asked %s, stop %s" % (window["planned_end"], end, window["stop"]))
    for row in summary["loss"]:
        if row["attempted"] != row["delivered"] + sum(row["skipped"].values()) \
                + sum(row["lost"].values()):
            wrong("the ledger does not add up: %s" % row)
    for gap in gaps:
        for call in lines(bundle + ".calls"):
            if gap["from"] < call["start"] and call["end"] < gap["until"]:
                wrong("a call while nobody watched: %s" % call)
    pids = [p["pid"] for p in lines(bundle + ".processes")]
    if len(pids) != (times + 1) * len(set(pids)):
        wrong("processes %s" % pids)
    print("gone on with %d times, %.1f s of %.1f s not watched" % (
        times, sum(seconds(g["until"]) - seconds(g["from"]) for g in gaps),
        seconds(window["stop"]) - seconds(window["start"])))


def gap(bundle, what, least, most):
    window = summary_of(bundle)["window"]
    found = [seconds(g["until"]) - seconds(g["from"]) for g in window["gaps"]
             if g["what"] == what and g["process"] is None]
    if len(found) != 1 or not float(least) <= found[0] <= float(most):
        wrong("gaps %s: %s" % (what, found))
    print("gap: %s: %s s" % (what, found))


def cut(bundle):
    state = summary_of(bundle)["bundle"]
    calls = len(lines(bundle + ".calls"))
    if state["complete"] or state["sealed"] or not state["end_reason"] or not calls:
        wrong("%d calls in %s" % (calls, state))
    print("%d calls up to offset %d: %s" % (calls, state["end_offset"], state["end_reason"]))


def identities(bundle, folder, *wanted):
    modules = {}
    for m in lines(bundle + ".modules"):
        modules.setdefault(m["path"], []).append(m)
    for text in wanted:
        name, _, how = text.partition("=")
        found = modules.get(folder + "/" + name, [])
        if len(found) != 1:
            wrong("%s: %d modules" % (name, len(found)))
        for m in found:
            if m["digest"]["how"] != how or (m["sha256"] is not None) != (how == "open"):
                wrong("%s: %s, digest %s; wanted %s" % (name, m["digest"]["how"], m["sha256"], how))


def unsupported(bundle, *rows):
    runtimes = {p["process"]: p["runtime"] for p in lines(bundle + ".processes")}
    named = {u["process"]: u for u in summary_of(bundle)["unsupported"]}
    digests = {m["path"]: m["sha256"] for m in lines(bundle + ".modules")}
    for name, port, version, why in [rows[i:i + 4] for i in range(0, len(rows), 4)]:
        mine = {c["connection"] for c in lines(bundle + ".connections")
                if c["local"].endswith(":" + port)}
        calls = [c for c in lines(bundle + ".calls") if c["connection"] in mine]
        if not calls:
            wrong("%s has no calls" % name)
        for c in calls:
            have = named.get(c["process"]["id"], {})
            if (have.get("what"), have.get("version")) != (why, version or None):
                wrong("%s: %s, not %s (%s)" % (name, have, why, version))
            if not digests.get(c["process"]["exe"]) and not c["process"]["exe"].endswith("(deleted)"):
                wrong("%s: %s is not recorded" % (name, c["process"]["exe"]))
            if runtimes[c["process"]["id"]]:
                wrong("%s has the runtime %s" % (name, runtimes[c["process"]["id"]]))
            python = [f for f in c["functions"] if f["path"].startswith("<") or
                      f["path"].endswith(".py")]
            if python:
                wrong("%s: call %s shows %d functions of Python" % (name, c["call"], len(python)))
        if not any("libc.so" in path and digest for path, digest in digests.items()):
            wrong("libc is not recorded")
        print("SHOW %-10s %-12s %s" % (name, version, why))


def absent(bundle, plain_file, *texts):
    with open(plain_file, "rb") as f:
        data = f.read()
    if len(data) < 1000:
        wrong("%s has %d bytes only" % (plain_file, len(data)))
    for text in texts:
        if text.encode() in data:
            wrong("%r is in the bundle" % text)


def main():
    checks = {"lossless": lossless, "connections": connections, "sources": sources,
              "functions": functions, "exec": exec_loop, "children": children,
              "followed": followed, "among": among, "served": served, "routes": routes,
              "stopped": stopped,
              "durable": durable, "resumed": resumed, "gap": gap, "cut": cut,
              "identities": identities, "unsupported": unsupported,
              "absent": absent}
    bundle, what, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    checks[what](bundle, *rest)
    for text in problems[:20]:
        print("check_bundle.py %s: %s" % (what, text))
    if len(problems) > 20:
        print("and %d more" % (len(problems) - 20))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
