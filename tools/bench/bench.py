#!/usr/bin/python3
"""What collecting costs: bench.py [--peers] [--pairs N] [--calls N]. Takes some 45 minutes.

Loads: token validations and issues of a real keystone, 4 at a time: steady, once the first calls of
each route are done, and deep; a process that is no target and does no socket I/O; and a Python
process that is no target, while the service is traced function by function. Ratios of CPU time
travel between machines, times do not.

Service CPU: two equal services get calls in turn, one is traced and the other is not, then the other
way round. So each service has its alternating pairs, on and off, and what the machine did to one of
them it did to the other in the same moment. The other figures are from plain alternating pairs.
Exit 1 when Daylight exceeds a limit.
"""
import argparse
import math
import os
import sys
import tempfile
import threading
import time

from measure import Ratio, cpu, family, holds_syscalls, memory
from subjects import (ALL_DEEP, DAYLIGHT, ROOT, Others, Service, Twins,  # noqa: F401 (for others)
                      daylight, peers, steady)

LIMIT_STEADY = 1.02  # upper bound of the on/off ratio of service CPU per call
LIMIT_DEEP = 1.5  # the same while function starts are traced
LIMIT_INTERPRETER = 1.02  # upper bound for an interpreter that is no target, meanwhile
LIMIT_CORE = 0.05  # of one core, while the service is loaded
LIMIT_MEMORY = 128 << 20
LIMIT_OTHERS = 1.005  # lower bound: more than this is measurable
ALONE = 4  # pairs of one service that has the machine for itself


class Watch(threading.Thread):
    """The largest memory of a process while it is watched."""

    def __init__(self, pid):
        super().__init__()
        self.pid = pid
        self.peak = (0, 0, 0)
        self.end = threading.Event()

    def run(self):
        while not self.end.wait(0.3):
            self.peak = max(self.peak, memory(self.pid), key=lambda m: m[0] + m[1])

    def stop(self):
        self.end.set()
        self.join()
        return self.peak


def measure_service(tool, service, pairs):
    """Pairs of service CPU; the tool's own CPU share of a core, its memory, its bytes a call."""
    figures = {"pairs": [], "cpu": 0.0, "wall": 0.0, "memory": (0, 0, 0), "bytes": 0, "codes": set()}

    def on():
        tool.start()
        watch = Watch(tool.process.pid)
        watch.start()
        own, start = cpu(family(tool.process.pid)), time.monotonic()
        spent = service.load()
        figures["wall"] += time.monotonic() - start
        figures["cpu"] += cpu(family(tool.process.pid)) - own
        figures["memory"] = max(figures["memory"], watch.stop(), key=lambda m: m[0] + m[1])
        code = tool.stop()
        figures["codes"].add(code)
        if code and tool.name == "daylight":
            print("collect ended with exit code %d: %s" % (code, tool.log().strip()[-400:]))
        figures["bytes"] += tool.size()
        return spent

    for number in range(pairs):
        if number % 2:
            off, with_tool = service.load(), on()
        else:
            with_tool, off = on(), service.load()
        figures["pairs"].append((with_tool, off))
    return figures


def measure_pairs(tool, load, pairs):
    """Pairs of what a load costs with and without the tool."""
    result = []

    def on():
        tool.start()
        try:
            return load()
        finally:
            code = tool.stop()
            if code:
                print("collect ended with exit code %d: %s" % (code, tool.log().strip()[-400:]))

    for number in range(pairs):
        if number % 2:
            off, with_tool = load(), on()
        else:
            with_tool, off = on(), load()
        result.append((with_tool, off))
    return Ratio(result)


def measure_exchange(twins, make, loads, pairs):
    """Ratios of service CPU by name of load. `make` makes the tool for a service; `loads` are
    names and numbers of calls, by turns in this order and the other: what happens once in a window,
    as a moment of the duty cycle does in each half minute, shall not always meet the same load."""
    result = {what: [] for what, _ in loads}
    for number in range(pairs):
        loads = loads[::-1] if number else loads
        spent = {what: [] for what in result}
        for traced, service in enumerate(twins.both):
            tool = make(service)
            tool.start()
            try:
                for what, count in loads:
                    each = twins.load(what, count)
                    spent[what].append((each[traced], each[1 - traced]))
            finally:
                code = tool.stop()
                if code:
                    print("collect ended with exit code %d: %s" % (code, tool.log().strip()[-400:]))
        for what, windows in spent.items():
            # That one service needs more than the other cancels out.
            result[what].append([math.sqrt(math.prod(times)) for times in zip(*windows)])
    return {what: Ratio(pairs) for what, pairs in result.items()}


def measure_interpreter(tool, folder, pairs):
    """An interpreter that runs from the service's own library, beside one that has a copy."""
    near, far = Others.of_functions(folder), Others.of_a_copy(folder)

    def load():
        times = [(near.load(), far.load()) for _ in range(10)]
        return sum(one for one, _ in times) / sum(other for _, other in times)

    try:
        load()  # warm
        return measure_pairs(tool, load, pairs)
    finally:
        near.stop()
        far.stop()


def measure_costs(folder, twins, options):
    """Lines of (what, ratio, limit)."""
    loads = [("validation", options.calls), ("issue", options.calls)]
    ratios = measure_exchange(twins, lambda service: steady(folder, service), loads, options.pairs)
    for what, ratio in ratios.items():
        yield "service CPU per %s, steady" % what, ratio, LIMIT_STEADY
    loads = [(what, count // 5) for what, count in loads]

    def deep(service):
        return daylight(folder, service, *ALL_DEEP)

    ratios = measure_exchange(twins, deep, loads, options.pairs)
    for what, ratio in ratios.items():
        yield "service CPU per %s, deep" % what, ratio, LIMIT_DEEP
    yield ("an interpreter that is no target, while deep",
           measure_interpreter(deep(twins.both[0]), folder, options.pairs), LIMIT_INTERPRETER)


def measure_others(tool, others, pairs):
    """Pairs of the unrelated process's CPU while the targets idle; outside of the phases in which
    the tool holds the system-call link, if it is one that has phases."""
    result = {"outside": [], "inside": []}

    def several():
        return [others.load() for _ in range(10)]

    for _ in range(pairs):
        off = several()
        tool.start()
        time.sleep(0.5)
        phases = {"outside": [], "inside": []}
        deadline = time.monotonic() + 30
        while len(phases["outside"]) < 10 and time.monotonic() < deadline:
            before = holds_syscalls(tool.process.pid)
            spent = others.load()
            if before == holds_syscalls(tool.process.pid):
                phases["inside" if before else "outside"].append(spent)
        tool.stop()
        for phase, spent in phases.items():
            if spent:
                result[phase].append((sum(spent) / len(spent), sum(off) / len(off)))
    return result


def mib(count):
    return "%.1f MiB" % (count / (1 << 20))


def report(name, figures, others, calls):
    """Prints one tool's figures; returns those that have limits."""
    service = Ratio(figures["pairs"])
    core = figures["cpu"] / figures["wall"]
    pss, rings, maps = figures["memory"]
    print("%s" % name)
    print("  service CPU per validation, alone     %s" % service)
    print("  own CPU while loaded                  %.3f of a core" % core)
    print("  own memory: Pss + rings once          %s + %s  (all BPF maps: %s)" %
          (mib(pss), mib(rings), mib(maps)))
    print("  written per call                      %.0f bytes" %
          (figures["bytes"] / (calls * len(figures["pairs"]))))
    ratios = {phase: Ratio(pairs) for phase, pairs in others.items() if len(pairs) > 1}
    for phase, ratio in ratios.items():
        print("  a process that is no target, on/off   %s  %s" %
              (ratio, {"outside": "(no system-call link held)",
                       "inside": "(while the link is held)"}[phase]
               if name == "daylight" else ""))
    sys.stdout.flush()
    return core, pss + rings, ratios.get("outside")


def judge(core, memory_bytes, others, codes):
    """The limits of the collector that do not hold."""
    if core > LIMIT_CORE:
        yield "collector: %.3f of a core is over %.2f" % (core, LIMIT_CORE)
    if memory_bytes > LIMIT_MEMORY:
        yield "collector: %s is over %s" % (mib(memory_bytes), mib(LIMIT_MEMORY))
    if others is None:
        yield "no time without the system-call link was found"
    elif others.low > LIMIT_OTHERS:
        yield "a process that is no target pays: %s" % others
    if codes != {0}:
        yield "collect ended with exit codes %s, not always 0" % sorted(codes)


def run(folder, twins, others, options):
    """Measures and prints; the limits that do not hold."""
    service = twins.both[0]
    failures = []
    for what in ("validation", "issue"):
        twins.load(what, options.calls // 4)  # warm
    if not options.peers:
        for what, ratio, limit in measure_costs(folder, twins, options):
            print("  %-44s %s" % (what, ratio), flush=True)
            if ratio.high > limit:
                failures.append("%s: upper bound %.3f is over %.2f" % (what, ratio.high, limit))
    tools = [steady(folder, service)] + (list(peers(folder, service)) if options.peers else [])
    # The unrelated process is measured behind the first phase of the system-call link.
    later = daylight(folder, service, "--syscall-phase", "1ms")
    for tool in tools:
        try:
            figures = measure_service(tool, service, options.pairs if options.peers else ALONE)
            beside = measure_others(later if tool is tools[0] else tool, others, options.pairs)
        finally:
            for one in (tool, later):
                if one.process and one.process.poll() is None:
                    one.stop()
        figures_of_tool = report(tool.name, figures, beside, options.calls)
        if tool is tools[0]:
            failures += judge(*figures_of_tool, figures["codes"])
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="other tracers beside Daylight")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--calls", type=int, default=300,
                        help="in one load: both loads of a steady window take half a minute")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root: run 'sudo make bench'")
    with tempfile.TemporaryDirectory() as folder:
        others = twins = None
        try:
            twins = Twins(folder, options.calls)
            others = Others.of_syscalls(folder)
            print("%d pairs of %d validations, %d processors; 95 %% intervals in brackets" %
                  (options.pairs, options.calls, os.cpu_count()), flush=True)
            failures = run(folder, twins, others, options)
        finally:
            for one in (others, twins):
                if one:
                    one.stop()
    for failure in failures:
        print("LIMIT: %s" % failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
