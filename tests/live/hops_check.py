#!/usr/bin/python3
"""Compares the hops of a bundle with what the server did: hops_check.py FILE OUT FRONT BACK

FILE.calls and FILE.connections are of `daylight inspect`; OUT is what `hops_server.py front` said;
FRONT and BACK are pids. Prints what is wrong; exit code 1 when something is.
"""

import collections
import json
import sys

problems = []


def wrong(text):
    problems.append(text)


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.startswith("{")]


def port(address):
    return int(address.rpartition(":")[2])


def visibility(bundle, front, connections, echo):
    """Which sockets listen, and who of them was watched; what was accepted."""
    with open(bundle + ".json", encoding="utf-8") as f:
        seen = json.load(f)["visibility"]
    covered = {(l["family"], l["address"]): l["covered"] for l in seen["listeners"]}
    own = {port(c["local"]) for c in connections.values()
           if c["direction"] == "in" and c["process"]["pid"] == front}
    for at in own:
        if covered.get(("tcp6", "[::]:%d" % at)) is not True:
            wrong("the front's listener on %d is not covered" % at)
    if covered.get(("tcp6", "[::]:%d" % echo)) is not False:
        wrong("the listener on %d should not be covered" % echo)
    sockets = [c for (family, address), c in covered.items()
               if family == "unix" and address == bundle.replace(".daylight", ".sock")]
    if sockets != [True]:
        wrong("the back's Unix listener: %s" % sockets)
    counts = seen["connections"]
    accepted = [c for c in connections.values() if c["direction"] == "in"]
    if counts["accepted"] != len(accepted) or \
            counts["accepted"] != counts["decoded"] + sum(counts["undecoded"].values()):
        wrong("connections: %s, %d accepted" % (counts, len(accepted)))


def main():
    bundle, out, front, back = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    calls = {c["call"]: c for c in lines(bundle + ".calls")}
    connections = {c["connection"]: c for c in lines(bundle + ".connections")}
    by_mark = {c["request_id"]: c for c in calls.values()}
    told = lines(out)
    kinds, echo = collections.Counter(), 0
    for told_call in told:
        if told_call["id"] is None:
            for mark in told_call["hops"][0]["calls"]:
                call = by_mark.get(mark)
                kinds["beside"] += call is not None
                if call and call["caller"] is not None:
                    wrong("%s was asked for by nobody, not by %s" % (mark, call["caller"]))
            continue
        call = by_mark.get(told_call["id"])
        if not call:
            continue
        want = sorted((h["local"], h["remote"], h["sent"], h["received"], sorted(h["calls"]))
                      for h in told_call["hops"])
        have = []
        for h in call["hops"]:
            c = connections[h["connection"]]
            unix = c["family"] == "unix"
            ends = [0 if unix else port(c[side]) for side in ("local", "remote")]
            marks = sorted(calls[i]["request_id"] for i in h["peer"]["calls"])
            have.append((*ends, h["sent"], h["received"], marks))
            to_back = bool(have[-1][4])
            peer = h["peer"]["process"]
            if (peer["pid"] if peer else None) != (back if to_back else None):
                wrong("%s: peer process %s" % (told_call["id"], peer))
            kinds["unix"] += unix
            where = "unix" if unix else "loopback"
            if (h["peer"]["class"], h["links"], h["ambiguous"]) != (where, ["flow"], False):
                wrong("%s: %s" % (told_call["id"], h))
            for i in h["peer"]["calls"]:
                if calls[i]["caller"] != call["call"]:
                    wrong("%s: the caller of %d is %s" % (told_call["id"], i, calls[i]["caller"]))
            # Paths are kept in part only; the bytes tell which route it was.
            message = not to_back and h["sent"] == 17
            kinds["message"] += message
            echo = port(c["remote"]) if message else echo
            if (h["note"] == "work by message: not tied") != message or \
                    (h["protocol"] == "amqp") != message:
                wrong("%s: note %s, protocol %s" % (told_call["id"], h["note"], h["protocol"]))
            kinds["ipv6"] += c["family"] == "tcp6"
            kinds["joined"] += bool(c["joined"])
        if sorted(have) != want:
            wrong("%s: hops %s, not %s" % (told_call["id"], sorted(have), want))
        kinds["calls"] += 1
        kinds["hops"] += len(want)
    fronts = [c for c in calls.values() if c["process"]["pid"] == front]
    if kinds["calls"] != len(fronts):
        wrong("%d of %d calls were told of" % (kinds["calls"], len(fronts)))
    for kind in ("beside", "message", "ipv6", "joined", "unix"):
        if not kinds[kind]:
            wrong("nothing was tried of: " + kind)
    visibility(bundle, front, connections, echo)
    print(dict(kinds))
    for text in problems[:20]:
        print("wrong: " + text, file=sys.stderr)
    sys.exit(bool(problems))


main()
