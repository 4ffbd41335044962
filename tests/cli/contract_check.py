#!/usr/bin/python3
"""Every key that programs may rely on is there, in what the verbs print of a bundle.

    contract_check.py DAYLIGHT BUNDLE REPORT

REPORT is what `analyze` wrote of BUNDLE. Exit 1 with a line for each key that is missing, each stage
of the ledger that does not add up and each pointer of a claim that does not resolve.
"""
import json
import subprocess
import sys

# Keys of an object, and what they hold: an object, or a list of such.
SUMMARY = {
    "schema": 0, "bundle": dict.fromkeys("format bytes sealed complete end_offset end_reason".split()),
    "window": {**dict.fromkeys("id challenge start stop start_reason stop_reason".split()), "gaps": [{}]},
    "host": dict.fromkeys("name kernel boot_id arch".split()),
    "collector": {**dict.fromkeys("version exe_sha256 options".split()),
                  "probes": [dict.fromkeys("name sha256 shipped".split())],
                  "bpf": [dict.fromkeys("name tag".split())]},
    "counts": dict.fromkeys("processes modules functions stacks sightings connections calls "
                            "calls_complete".split()),
    "loss": [{"stage": 0, "attempted": 0, "delivered": 0, "skipped": {}, "lost": {}}],
    "lost_total": 0, "unsupported": [dict.fromkeys("process what version".split())],
    "visibility": {"listeners": [dict.fromkeys("address covered".split())],
                   "connections": {"accepted": 0, "decoded": 0, "undecoded": {}}},
}
CALL = {
    **dict.fromkeys("call connection seq protocol method path route status start first_byte end "
                    "end_reason request_bytes response_bytes request_id evidence lost".split()),
    "process": dict.fromkeys("id pid exe".split()), "request_ids": {}, "hops": [],
    "functions": [{**dict.fromkeys("function name qualname module path line count".split()),
                   "links": [], "sources": []}],
}
MODULE = {
    **dict.fromkeys("module kind path device inode size mtime ctime sha256 build_id "
                    "changed_after_load language".split()),
    "package": dict.fromkeys("manager name version digest_matches".split()),
    "digest": dict.fromkeys("how when".split()),
}
VERIFY = {
    **dict.fromkeys("schema file ok sealed complete end_reason".split()),
    "frames": dict.fromkeys("total good".split()),
    "signature": dict.fromkeys("state key_sha256 trusted".split()),
    "findings": [dict.fromkeys("kind frame offset".split())],
}
REPORT = {
    "schema": 0,
    "inputs": {"bundles": [dict.fromkeys("sha256 window complete signature".split())],
               "guideline": dict.fromkeys("id sha256".split()),
               "definitions": [dict.fromkeys("name sha256 shipped".split())], "references": []},
    "sections": [{**dict.fromkeys("component section designated list status level compared "
                                  "calls".split()),
                  "reference": dict.fromkeys("kind package version".split()),
                  "files": dict.fromkeys("mapped ran differ".split()),
                  "functions": dict.fromkeys("mapped ran differ".split()), "claims": []}],
    "routes": [dict.fromkeys("component method route calls deep reached not_reached "
                             "no_sighting".split())],
    "claims": [{**dict.fromkeys("id text status".split()), "weakened_by": [],
                "records": [dict.fromkeys("bundle kind id".split())]}],
}
MAY_BE_NULL = {"package", "digest", "reference"}
problems = set()


def look(where, shape, value):
    if isinstance(shape, list) or isinstance(shape, dict):
        if not isinstance(value, type(shape)):
            if value is not None or where.rpartition(".")[2] not in MAY_BE_NULL:
                problems.add("%s is %r" % (where, value))
        elif isinstance(shape, list):
            for item in value if shape else []:
                look(where + "[]", shape[0], item)
        else:
            for key, inner in shape.items():
                if key not in value:
                    problems.add("%s has no %s" % (where, key))
                else:
                    look("%s.%s" % (where, key), inner, value[key])


def main():
    daylight, bundle, report = sys.argv[1:]

    def printed(*arguments):
        return subprocess.run([daylight, *arguments], stdout=subprocess.PIPE, text=True,
                              check=True).stdout

    summary = json.loads(printed("inspect", bundle, "--json"))
    look("summary", SUMMARY, summary)
    for stage in summary["loss"]:
        if stage["attempted"] != stage["delivered"] + sum(stage["skipped"].values()) + \
                sum(stage["lost"].values()):
            problems.add("%s does not add up" % stage["stage"])
    if summary["lost_total"] != sum(sum(s["lost"].values()) for s in summary["loss"]):
        problems.add("lost_total is not the sum")
    for view, shape in ("calls", CALL), ("modules", MODULE):
        rows = [json.loads(line) for line in printed("inspect", bundle, view, "--jsonl").splitlines()]
        if not rows:
            problems.add("no " + view)
        for row in rows:
            look(view, shape, row)
            if view == "modules" and row["kind"] == "file" and not row["sha256"]:
                problems.add("%s has no digest" % row["path"])
    look("verify", VERIFY, json.loads(printed("verify", bundle, "--json")))
    with open(report, encoding="utf-8") as file:
        report = json.load(file)
    look("report", REPORT, report)
    pointers = {(r["kind"], r["id"]) for claim in report["claims"] for r in claim["records"]}
    if not pointers:
        problems.add("no claim has a record")
    for kind, number in sorted(pointers):
        if subprocess.run([daylight, "inspect", bundle, "record", kind, str(number)], check=False,
                          stdout=subprocess.DEVNULL).returncode:
            problems.add("record %s %s does not resolve" % (kind, number))
    for text in sorted(problems):
        print("contract_check.py: " + text)
    print("%d calls, %d pointers" % (summary["counts"]["calls"], len(pointers)))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
