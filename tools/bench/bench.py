#!/usr/bin/python3
"""What collecting costs: bench.py [--peers] [--pairs N] [--calls N]. Takes minutes.

Loads: token validations and issues of a real keystone, 4 at a time: steady, once the first calls of
each route are done, and deep; a process that is no target and does no socket I/O; and a Python
process that is no target, while the service is traced function by function. Each figure is from
alternating pairs, with and without the tool; ratios of CPU time travel between machines, times do
not. Exit 1 when Daylight exceeds a limit.
"""
import argparse
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from measure import Ratio, cpu, family, holds_syscalls, memory

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DAYLIGHT = os.environ.get("DAYLIGHT", os.path.join(ROOT, "build", "daylight"))
LIMIT_STEADY = 1.02  # upper bound of the on/off ratio of service CPU per call
LIMIT_DEEP = 1.5  # the same while function starts are traced
LIMIT_INTERPRETER = 1.02  # upper bound for an interpreter that is no target, meanwhile
LIMIT_CORE = 0.05  # of one core, while the service is loaded
LIMIT_MEMORY = 128 << 20
LIMIT_OTHERS = 1.005  # lower bound: more than this is measurable
ROUNDS = 100000  # of the unrelated process: some 50 ms
DEEP_FIRST = 2  # deep calls of each route in a steady measurement: what follows is the same
LIBPYTHON = "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0"
ALL_DEEP = ["--deep", "1000000"]


def load_client():
    path = os.path.join(ROOT, "tests", "services", "keystone-client.py")
    spec = importlib.util.spec_from_file_location("keystone_client", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Service:
    """A running keystone and the load on it."""

    def __init__(self, folder, calls):
        self.process = subprocess.Popen([os.path.join(HERE, "service.sh"), folder],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().split()
        if len(line) != 2:
            sys.exit("bench: keystone does not run (see above)")
        self.pid, self.port = map(int, line)
        self.pids = family(self.pid)
        self.calls = calls
        self.client = load_client()
        self.driver = self.client.Client(self.port)
        self.token = self.driver.issue("fixture-password")[1]

    def validate(self):
        self.client.expect("validation", self.driver.validate(self.token, self.token), 200)

    def issue(self):
        self.client.expect("issue", self.driver.issue("fixture-password")[0], 201)

    def load(self, what="validation", count=None):
        """Service CPU seconds of one load."""
        job = {"validation": self.validate, "issue": self.issue}[what]
        before = cpu(self.pids)
        self.client.in_parallel([job] * (count or self.calls), 4)
        return cpu(self.pids) - before

    def first_calls(self):
        """Until the first calls of both routes are traced and the taps are gone, in each process."""
        for _ in range(2):
            self.load("issue", 8)
            self.load("validation", 8)
        time.sleep(0.5)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Others:
    """A process that is no target: it prints how long so many rounds took."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    @classmethod
    def of_syscalls(cls, folder):
        program = os.path.join(folder, "syscalls")
        subprocess.run(["gcc", "-O2", "-o", program, os.path.join(HERE, "syscalls.c")], check=True)
        return cls([program])

    @classmethod
    def of_functions(cls, folder):
        """An interpreter of the same file as the service's: libpython."""
        program = os.path.join(folder, "interpreter")
        subprocess.run(["gcc", "-O2", "-x", "c", "-o", program, "-", "-x", "none", LIBPYTHON],
                       check=True, text=True, input="int Py_BytesMain(int, char **);\n"
                       "int main(int n, char **words) { return Py_BytesMain(n, words); }\n")
        return cls([program, os.path.join(HERE, "functions.py")])

    def load(self):
        self.process.stdin.write("%d\n" % ROUNDS)
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Tool:
    """A tracer: started, waited for until it traces, ended by SIGINT. Knows what it wrote."""

    def __init__(self, name, output, command, ready):
        self.name, self.output, self.command, self.ready = name, output, command, ready
        self.process = None
        self.warm = lambda: None  # done after each start, before anything is measured

    def start(self):
        if os.path.exists(self.output):
            os.unlink(self.output)
        with open(self.output + ".log", "wb") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        for _ in range(300):
            if self.process.poll() is not None:
                break
            if self.ready(self):
                self.warm()
                return
            time.sleep(0.1)
        self.stop()
        sys.exit("bench: %s does not start: %s" % (self.name, self.log()[-300:].strip()))

    def log(self):
        with open(self.output + ".log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        """Ends it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def size(self):
        return os.path.getsize(self.output)


def has_tracer(tool):
    return all("TracerPid:\t0" not in open("/proc/%d/status" % pid, encoding="utf-8").read()
               for pid in tool.pids)


def runs_two_seconds(tool):
    time.sleep(2)
    return tool.process.poll() is None


def daylight(folder, service, *more):
    output = os.path.join(folder, "bench.daylight")
    return Tool("daylight", output,
                [DAYLIGHT, "collect", "--port", str(service.port), "-o", output, *more],
                lambda tool: "collecting:" in tool.log())


def steady(folder, service):
    tool = daylight(folder, service, "--deep", str(DEEP_FIRST))
    tool.warm = service.first_calls
    return tool


def peers(folder, service):
    """Other tracers on the same processes. tracefs is mounted in a namespace of their own."""
    pids = [str(pid) for pid in service.pids]
    tracefs = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
               'mount -t tracefs none /sys/kernel/tracing && exec "$@"', "sh"]
    wanted = "||".join("pid==%s" % pid for pid in pids)
    script = ("tracepoint:raw_syscalls:sys_enter /%s/ { printf(\"%%llu %%d %%d\\n\", nsecs, tid, "
              "args->id); }" % wanted)

    def path(name):
        return os.path.join(folder, name)

    tools = [
        Tool("strace", path("strace"), ["strace", "-f", "-o", path("strace")] +
             [word for pid in pids for word in ("-p", pid)], has_tracer),
        Tool("perf", path("perf"), tracefs + ["perf", "trace", "record", "-o", path("perf"), "-p",
                                              ",".join(pids)], runs_two_seconds),
        Tool("bpftrace", path("bpftrace"), tracefs + ["bpftrace", "-o", path("bpftrace"), "-e",
                                                      script], runs_two_seconds),
    ]
    tools[0].pids = service.pids
    for tool in tools:
        if shutil.which(tool.name):
            yield tool
        else:
            print("%s is not installed: left out" % tool.name)


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


def measure_deep(folder, service, pairs):
    """What tracing function starts costs: lines of (what, ratio, limit)."""
    interpreter = Others.of_functions(folder)

    def ten():
        return sum(interpreter.load() for _ in range(10))

    try:
        yield ("service CPU per issue, steady", LIMIT_STEADY, measure_pairs(
            steady(folder, service), lambda: service.load("issue", service.calls // 2), pairs))
        deep = daylight(folder, service, *ALL_DEEP)
        yield ("service CPU per validation, deep", LIMIT_DEEP,
               measure_pairs(deep, service.load, pairs))
        yield ("service CPU per issue, deep", LIMIT_DEEP, measure_pairs(
            deep, lambda: service.load("issue", service.calls // 2), pairs))
        yield ("an interpreter that is no target, meanwhile", LIMIT_INTERPRETER,
               measure_pairs(deep, ten, pairs))
    finally:
        interpreter.stop()


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
    """Prints one tool's figures; returns them for the limits."""
    service = Ratio(figures["pairs"])
    core = figures["cpu"] / figures["wall"]
    pss, rings, maps = figures["memory"]
    print("%s" % name)
    print("  service CPU per validation, %-9s %s" %
          ("steady" if name == "daylight" else "on/off", service))
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
    return service, core, pss + rings, ratios.get("outside")


def judge(service, core, memory_bytes, others, codes):
    """The limits of Daylight that do not hold."""
    if service.high > LIMIT_STEADY:
        yield "service CPU: upper bound %.3f is over %.2f" % (service.high, LIMIT_STEADY)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="other tracers beside Daylight")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--calls", type=int, default=120, help="validations in one load")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root: run 'sudo make bench'")
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        service = Service(folder, options.calls)
        others = Others.of_syscalls(folder)
        try:
            service.load()  # warm
            print("%d pairs of %d validations, %d processors; 95 %% intervals in brackets" %
                  (options.pairs, options.calls, os.cpu_count()))
            tools = [steady(folder, service)]
            tools += list(peers(folder, service)) if options.peers else []
            # The unrelated process is measured behind the first phase of the system-call link.
            later = daylight(folder, service, "--syscall-phase", "1ms")
            for tool in tools:
                try:
                    figures = measure_service(tool, service, options.pairs)
                    beside = measure_others(later if tool is tools[0] else tool, others,
                                            options.pairs)
                finally:
                    for one in (tool, later):
                        if one.process and one.process.poll() is None:
                            one.stop()
                result = report(tool.name, figures, beside, options.calls)
                if tool.name == "daylight":
                    failures = list(judge(*result, figures["codes"]))
            for what, limit, ratio in measure_deep(folder, service, options.pairs):
                print("  %-42s %s" % (what, ratio))
                sys.stdout.flush()
                if ratio.high > limit:
                    failures.append("%s: upper bound %.3f is over %.2f" % (what, ratio.high, limit))
        finally:
            others.stop()
            service.stop()
    for failure in failures:
        print("LIMIT: %s" % failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
