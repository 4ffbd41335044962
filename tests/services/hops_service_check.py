#!/usr/bin/python3
"""Drives hops_app.py, and judges the hops of its calls.

    hops_service_check.py drive PORT TRUTH      40 requests, 4 at a time
    hops_service_check.py check CALLS TRUTH     CALLS of `daylight inspect FILE calls --jsonl`
    hops_service_check.py report REPORT         report.json names the cache and the other service

Prints what is wrong; exit code 1 when something is.
"""

import concurrent.futures
import http.client
import json
import os
import sys

WHAT = {"cached": ["memcached"], "asked": ["nginx"], "both": ["memcached", "nginx"], "none": []}
problems = []


def ask(port, what, number):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    c.request("GET", "/%s/%d" % (what, number))
    r = c.getresponse()
    r.read()
    return {"id": r.getheader("X-Openstack-Request-Id"), "what": what, "status": r.status}


def drive(port, truth):
    jobs = [(what, number) for number in range(10) for what in WHAT]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda job: ask(int(port), *job), jobs))
    with open(truth, "w", encoding="utf-8") as f:
        for row in rows:
            if row["status"] != 200:
                problems.append("status %d of %s" % (row["status"], row["what"]))
            print(json.dumps(row), file=f)


def program(process):
    return os.path.basename(process["exe"] or "?") if process else None


def check(calls_file, truth):
    with open(calls_file, encoding="utf-8") as f:
        calls = {c["call"]: c for c in map(json.loads, f)}
    by_id = {c["request_id"]: c for c in calls.values() if c["request_id"]}
    called = 0
    with open(truth, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    for row in rows:
        call = by_id.get(row["id"])
        if not call:
            problems.append("no call %s" % row)
            continue
        have = sorted(program(h["peer"]["process"]) or "?" for h in call["hops"])
        if have != WHAT[row["what"]] or any(h["ambiguous"] for h in call["hops"]):
            problems.append("%s: hops %s" % (row, call["hops"]))
        for h in call["hops"]:
            calls_there = h["peer"]["calls"]
            called += len(calls_there)
            # The cache speaks no protocol that is decoded: its process is known, no call is.
            if len(calls_there) != (program(h["peer"]["process"]) == "nginx"):
                problems.append("%s: %s" % (row, h))
            for i in calls_there:
                if calls[i]["caller"] != call["call"] or program(calls[i]["process"]) != "nginx":
                    problems.append("%s: call %s" % (row, calls[i]))
    print("%d requests, %d calls of the other service" % (len(rows), called))


def report(path):
    with open(path, encoding="utf-8") as f:
        rows = json.load(f)["hops"]
    have = sorted((program(r["peer"]["program"]), r["calls"], r["calls_ambiguous"])
                  for r in rows if program(r["program"]) == "uwsgi-core")
    if have != [("memcached", 20, 0), ("nginx", 20, 0)]:
        problems.append("hops: %s" % rows)


{"drive": drive, "check": check, "report": report}[sys.argv[1]](*sys.argv[2:])
for text in problems[:20]:
    print("wrong: " + text, file=sys.stderr)
sys.exit(bool(problems))
