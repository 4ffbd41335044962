"""What is measured, and by what: a real keystone, two of them side by side, processes that are no
targets, and tracers that are started and ended."""
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time

from measure import cpu, family

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DAYLIGHT = os.environ.get("DAYLIGHT", os.path.join(ROOT, "build", "daylight"))
DEEP_FIRST = 2  # deep calls of each route in a steady measurement: what follows is the same
ROUNDS = 100000  # of a process that is no target: some 50 ms
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

    def job(self, what):
        return {"validation": self.validate, "issue": self.issue}[what]

    def load(self, what="validation", count=None):
        """Service CPU seconds of one load."""
        before = cpu(self.pids)
        self.client.in_parallel([self.job(what)] * (count or self.calls), 4)
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


class Twins:
    """Two equal services with calls in turn, 4 at a time in all. One is traced, the other is not,
    then the other way round: what the machine does meanwhile, it does to both."""

    def __init__(self, folder, calls):
        self.both = []
        try:
            for name in ("one", "other"):
                self.both.append(Service(os.path.join(folder, name), calls))
        except BaseException:
            self.stop()
            raise

    def load(self, what, count):
        """Service CPU seconds of `count` calls to each, in the order of `both`."""
        jobs = [service.job(what) for service in self.both] * count
        before = [cpu(service.pids) for service in self.both]
        self.both[0].client.in_parallel(jobs, 4)
        return [cpu(service.pids) - start for service, start in zip(self.both, before)]

    def stop(self):
        for service in self.both:
            service.stop()


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
    def of_functions(cls, folder, library=LIBPYTHON):
        """An interpreter, by default of the same file as the service's."""
        program = os.path.join(folder, "interpreter")
        subprocess.run(["gcc", "-O2", "-x", "c", "-o", program, "-", "-x", "none", library,
                        "-Wl,-rpath," + os.path.dirname(library)],
                       check=True, text=True, input="int Py_BytesMain(int, char **);\n"
                       "int main(int n, char **words) { return Py_BytesMain(n, words); }\n")
        return cls([program, os.path.join(HERE, "functions.py")])

    @classmethod
    def of_a_copy(cls, folder):
        """An interpreter that no tracer can touch: its library is a file of its own."""
        folder = os.path.join(folder, "copy")
        os.makedirs(folder)
        return cls.of_functions(folder, shutil.copy(LIBPYTHON, folder))

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
