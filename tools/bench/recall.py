#!/usr/bin/python3
"""How much of the code that ran each mode of collecting sees, and what it costs the service.

    recall.py [--pairs N] [--calls N] [--mode NAME]...

Each mode runs the same load on a real keystone, 4 calls at a time: token issues and validations in
turn, one to four. Recall: functions of keystone and of all code that ran for the calls of each route,
cumulated, by the record of the service itself (tests/services/recall.py), the less of the two routes.
Cost: service CPU per call, on/off over alternating pairs, without the recorder. Takes minutes.
"""
import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile

import bench

SERVICES = os.path.join(bench.ROOT, "tests", "services")
NEVER_DEEP = ["--deep", "0", "--deep-duty", "0"]
MODES = {
    "system calls": NEVER_DEEP + ["--samples", "0", "--syscall-phase", "1h"],
    "system calls and samples": NEVER_DEEP + ["--syscall-phase", "1h"],
    "default": [],
    "all deep": bench.ALL_DEEP,
}

def load_judge():
    spec = importlib.util.spec_from_file_location("judge", os.path.join(SERVICES, "recall.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

def routes_of(judge, folder, options):
    """What the judge knows of each route after a run with these options of collect."""
    truth = os.path.join(folder, "truth")
    os.environ["RECALL_TRUTH"] = truth
    service = bench.Service(folder, 1)
    del os.environ["RECALL_TRUTH"]
    try:
        tool = bench.daylight(folder, service, *options["arguments"])
        tool.start()
        try:
            subprocess.run(["/usr/bin/python3", os.path.join(SERVICES, "keystone-client.py"), "run",
                            str(service.port), "-o", os.path.join(folder, "client"), "--mixed",
                            "--issues", str(options["calls"] // 5), "--validations",
                            str(options["calls"] - options["calls"] // 5)], check=True)
        finally:
            tool.stop()
    finally:
        service.stop()
    calls = os.path.join(folder, "calls")
    with open(calls, "wb") as file:
        subprocess.run([bench.DAYLIGHT, "inspect", tool.output, "calls", "--jsonl"], stdout=file,
                       check=False)
    arguments = judge.parse([calls, truth, "--code", "*/keystone/*"])
    one = judge.Judge(arguments)
    return one, judge.gather(judge.pairs_of(arguments, one)).values()

def recall(judge, arguments, calls):
    """Percent of keystone's files, its functions, and all functions; and calls that are deep."""
    with tempfile.TemporaryDirectory() as folder:
        one, routes = routes_of(judge, folder, {"arguments": arguments, "calls": calls})
        least = [100.0] * 3
        for route in routes:
            truth, seen = one.own(route.truth), one.own(route.seen)
            figures = (judge.percent(judge.files(seen), judge.files(truth)),
                       judge.percent(seen, truth), judge.percent(route.seen, route.truth))
            least = [min(pair) for pair in zip(least, figures)]
        return (*least, sum(route.deep for route in routes), sum(route.calls for route in routes))

def cost(arguments, pairs, calls):
    """Ratios of service CPU: validations, issues."""
    with tempfile.TemporaryDirectory() as folder:
        service = bench.Service(folder, calls)
        try:
            service.load()
            tool = bench.daylight(folder, service, *arguments)
            if not arguments:
                tool = bench.steady(folder, service)
            validations = bench.measure_pairs(tool, service.load, pairs)
            return validations, bench.measure_pairs(
                tool, lambda: service.load("issue", max(1, calls // 4)), pairs)
        finally:
            service.stop()

def main():
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--calls", type=int, default=60, help="in one load of a pair")
    parser.add_argument("--recall-calls", type=int, default=200)
    parser.add_argument("--mode", action="append", choices=list(MODES))
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root: run 'sudo make bench-recall'")
    judge = load_judge()
    print("recall after %d calls; %d pairs of %d calls, 95 %% intervals in brackets" %
          (options.recall_calls, options.pairs, options.calls))
    print("%-26s %8s %10s %9s %9s  %-24s %s" %
          ("mode", "files", "functions", "all code", "deep", "CPU per validation",
           "CPU per issue"))
    for name in options.mode or MODES:
        files, functions, everything, deep, calls = recall(judge, MODES[name], options.recall_calls)
        none = "-"
        ratios = cost(MODES[name], options.pairs, options.calls) if options.pairs else (none, none)
        print("%-26s %6.1f %% %8.1f %% %7.1f %% %9s  %-24s %s" %
              (name, files, functions, everything, "%d/%d" % (deep, calls), *ratios))
        sys.stdout.flush()
    print("The default costs so much once the first calls of each route are done; until then it is "
          "all deep.")

if __name__ == "__main__":
    main()
