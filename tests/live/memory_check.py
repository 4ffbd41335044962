#!/usr/bin/python3
"""Judges the function_memory records of a bundle.

  memory_check.py FILE [--at-least N] [--only FOLDER] [--differs QUALNAME]... [--how QUALNAME=HOW]...
                        [--may QUALNAME=HOW]... [--other-code PATH]

Every function's code in memory must be that of its compiled file, but for those named: they must
differ, or have no comparison for this reason (--may: or be the same). --other-code: the compiled file of the module whose
path ends so holds other code than its source. Prints how many there are of each kind.
"""
import argparse
import collections
import json
import os
import subprocess
import sys

DAYLIGHT = os.environ.get("DAYLIGHT") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../build/daylight")


def record(file, kind, number):
    done = subprocess.run([DAYLIGHT, "inspect", file, "record", kind, str(number), "--json"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return json.loads(done.stdout) if not done.returncode else None


def records(file, kind):
    number = 1
    while (one := record(file, kind, number)) is not None:
        yield one
        number += 1


def memory(file):
    """Each function with each of its records."""
    text = subprocess.run([DAYLIGHT, "inspect", file, "functions", "--jsonl"],
                          stdout=subprocess.PIPE, check=True).stdout.decode()
    for line in text.splitlines():
        function = json.loads(line)
        for one in function["memory"]:
            yield function, one


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--at-least", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--differs", action="append", default=[])
    parser.add_argument("--may", action="append", default=[])
    parser.add_argument("--other-code")
    parser.add_argument("--how", action="append", default=[])
    args = parser.parse_args()
    hows = dict(h.split("=") for h in args.how)
    may = dict(h.split("=") for h in args.may)
    wanted = {name: "differs" for name in args.differs} | hows
    seen, bad, found = collections.Counter(), 0, set()
    for function, one in memory(args.file):
        if args.only and args.only not in function["path"]:
            continue
        verdict = {True: "same", False: "differs", None: one["how"]}[one["matches"]]
        if one["matches"] is not None and one["how"] != "memory" or \
                (one["matches"] is True) != (one["memory"] is not None and
                                             one["memory"] == one["compiled"]):
            print(f"a record of {function['qualname']} contradicts itself: {one}")
            bad += 1
        seen[verdict] += 1
        if verdict == may.get(function["qualname"]):
            pass
        elif verdict == wanted.get(function["qualname"], "same"):
            found.add(function["qualname"])
        elif function["qualname"] not in wanted or verdict != "same":
            print(f"{function['path']}:{function['line']} {function['qualname']}: {verdict}")
            bad += 1
    for name in wanted:
        if name not in found:
            print(f"{name}: was not found to be '{wanted[name]}'")
            bad += 1
    if args.other_code and not any(
            "/" + args.other_code[:-2] in one["path"] and one["proven"] is False
            for one in records(args.file, "pyc")):
        print(f"{args.other_code}: its compiled file is not said to hold other code")
        bad += 1
    print("functions in memory: " + ", ".join(f"{n} {what}" for what, n in sorted(seen.items())))
    if seen["same"] < args.at_least:
        print(f"fewer than {args.at_least} are the same")
        bad += 1
    return 1 if bad else 0


sys.exit(main())
