#!/usr/bin/python3
"""Drives backends_app.py, and judges the hops of its calls.

    backends_check.py drive PORT TRUTH             requests, 4 at a time
    backends_check.py check NAME FILE TRUTH WORK   FILE.calls, FILE.connections of `daylight inspect`,
                                                   WORK/report.json; NAME: `all` processes are
                                                   targets, or the service `alone`

Prints what is wrong; exit code 1 when something is. Where backends are comes from the environment.
"""

import collections
import concurrent.futures
import http.client
import json
import os
import sys
import time

NOTE = "work by message: not tied"
# What a route uses: (program, class of the far end, protocol as far as its first bytes tell).
DATABASE = ("mariadbd", "loopback", None)
LOCAL = ("mariadbd", "unix", None)
CACHE = ("memcached", "loopback", None)
BROKER = ("beam.smp", "loopback", "amqp")
WHAT = {"row": {DATABASE}, "local": {LOCAL}, "cached": {CACHE}, "cast": {BROKER}, "rpc": {BROKER},
        "all": {DATABASE, LOCAL, CACHE, BROKER}, "none": set()}
EACH = 10
MESSAGES = 2 * EACH  # of cast and all: each makes the worker ask the service once
problems = []


def wrong(*what):
    problems.append(" ".join(str(w) for w in what))


def ask(port, what, number):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request("GET", "/%s/%d" % (what, number))
    r = c.getresponse()
    r.read()
    return {"id": r.getheader("X-Openstack-Request-Id"), "what": what, "status": r.status}


def rows_done():
    import pymysql
    cursor = pymysql.connect(user="root", unix_socket=os.environ["DB_SOCKET"],
                             autocommit=True).cursor()
    cursor.execute("SELECT COUNT(*) FROM work.done")
    return cursor.fetchone()[0]


def drive(port, truth):
    before = rows_done()
    jobs = [(what, number) for number in range(EACH) for what in WHAT]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda job: ask(int(port), *job), jobs))
    with open(truth, "w", encoding="utf-8") as f:
        for row in rows:
            if row["status"] != 200:
                wrong("status %d of %s" % (row["status"], row["what"]))
            print(json.dumps(row), file=f)
    # The work that was left as messages is done later.
    for _ in range(600):
        if rows_done() - before == MESSAGES:
            break
        time.sleep(0.1)
    else:
        wrong("the worker did %d of %d" % (rows_done() - before, MESSAGES))
    time.sleep(0.5)


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def program(process):
    return os.path.basename(process["exe"] or "?") if process else None


def port_of(address):
    return address.rpartition(":")[2]


def places():
    """Where which program is."""
    env = os.environ
    return {env["DB_PORT"]: "mariadbd", env["CACHE_PORT"]: "memcached",
            env["AMQP_PORT"]: "beam.smp"}


def far_end(hop, watched):
    """(program, class, protocol) of a hop; by its address where the process is not a target."""
    at = places().get(port_of(hop["remote"])) or \
        ("mariadbd" if hop["remote"] == os.environ["DB_SOCKET"] else hop["remote"])
    known = program(hop["peer"]["process"])
    if known != (at if watched else None):
        wrong("the peer at", hop["remote"], "is", known)
    return at, hop["peer"]["class"], hop["protocol"]


def lossless(path):
    """But for stacks that no time was left for: no hop hangs on them."""
    with open(path, encoding="utf-8") as f:
        lost = {(row["stage"], cause): count for row in json.load(f)["loss"]
                for cause, count in row["lost"].items() if count}
    if set(lost) - {("stack-walks", "budget")}:
        wrong("lost:", lost)


def check(name, file, truth, work):
    watched = name == "all"
    lossless(file + ".json")
    calls = lines(file + ".calls")
    by_id = {c["request_id"]: c for c in calls}
    counted = collections.Counter()
    rows = lines(truth)
    for row in rows:
        call = by_id.get(row["id"])
        if not call:
            wrong("no call", row)
            continue
        have = {far_end(h, watched) for h in call["hops"]}
        if have != WHAT[row["what"]] or any(h["ambiguous"] for h in call["hops"]):
            wrong(row["what"], "hops", call["hops"])
        for h in call["hops"]:
            counted[far_end(h, watched)] += 1
            if h["note"] != (NOTE if h["protocol"] == "amqp" else None):
                wrong("note", h)
            # None of them speaks what is decoded: no call there is known.
            if h["peer"]["calls"]:
                wrong("calls of", h)
        if call["caller"] is not None:
            wrong("a caller of", row, call["caller"])
    # What the worker asked for came of messages: it is tied to none of the calls that left them.
    back = [c for c in calls if c["request_id"] not in {r["id"] for r in rows}]
    if len(back) != MESSAGES or any(c["caller"] is not None or c["hops"] for c in back):
        wrong("the worker's calls:", len(back), back[:2])
    own = [c for c in lines(file + ".connections")
           if c["direction"] == "out" and program(c["process"]).startswith("python")]
    if watched and not {DATABASE[0], BROKER[0]} <= {places().get(port_of(c["remote"])) for c in own}:
        wrong("the worker's connections:", own)
    if any(h["connection"] in {c["connection"] for c in own} for c in calls for h in c["hops"]):
        wrong("a call uses a connection of the worker")
    report(os.path.join(work, "report.json"), watched)
    print("SHOW %s: %d calls, %d by the worker; hops %s" % (
        name, len(calls), len(back), dict(counted)))


def report(path, watched):
    """One row for each far end, with the number of calls that used it."""
    wanted = collections.Counter(end for what in WHAT for end in WHAT[what] for _ in range(EACH))
    have = collections.Counter()
    with open(path, encoding="utf-8") as f:
        rows = [r for r in json.load(f)["hops"] if program(r["program"]) == "uwsgi-core"]
    for r in rows:
        known = program(r["peer"]["program"])
        at = places().get(str(r["peer"]["port"]), "mariadbd")
        if known != (at if watched else None):
            wrong("report: the peer at", r["peer"], "is", known)
        if r["note"] != (NOTE if at == "beam.smp" else None):
            wrong("report: note of", r)
        have[at, r["peer"]["class"], r["protocol"]] += r["calls"]
    if have != wanted or any(r["calls_ambiguous"] for r in rows):
        wrong("report: hops", rows)


{"drive": drive, "check": check}[sys.argv[1]](*sys.argv[2:])
for text in problems[:20]:
    print("wrong: " + text, file=sys.stderr)
sys.exit(bool(problems))
