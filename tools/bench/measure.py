"""What figures are made of: CPU time and memory from /proc, ratios with their uncertainty."""
import glob
import random
import re


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def family(pid):
    """The process and all below it."""
    pids = [pid]
    for task in glob.glob("/proc/%d/task/*/children" % pid):
        for child in read(task).split():
            pids += family(int(child))
    return pids


def cpu(pids):
    """CPU seconds of all threads, from schedstat."""
    return sum(int(text.split()[0]) for pid in pids
               for text in map(read, glob.glob("/proc/%d/task/*/schedstat" % pid)) if text) / 1e9


def memory(pid):
    """Bytes: Pss without the rings' mappings, the rings once, all BPF maps in the kernel."""
    pss = 0
    ring = False
    for line in read("/proc/%d/smaps" % pid).splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ring = "bpf-map" in line
        elif line.startswith("Pss:") and not ring:
            pss += int(line.split()[1]) * 1024
    rings, maps = {}, {}
    for path in glob.glob("/proc/%d/fdinfo/*" % pid):
        info = dict(line.split(":\t", 1) for line in read(path).splitlines() if ":\t" in line)
        if "map_id" in info:
            maps[info["map_id"]] = int(info.get("memlock", 0))
            if info["map_type"] == "27":
                rings[info["map_id"]] = int(info["max_entries"])
    return pss, sum(rings.values()), sum(maps.values())


def holds_syscalls(pid):
    """Does the collector hold a link to the start or the end of all system calls now?"""
    return any(re.search(r"tp_name:\s*sys_(enter|exit)$", read(path), re.M)
               for path in glob.glob("/proc/%d/fdinfo/*" % pid))


class Ratio:
    """On/off over pairs, with the 95 % interval of a bootstrap over the pairs."""

    ROUNDS = 10000

    def __init__(self, pairs):
        rng = random.Random(1)
        ratios = []
        for _ in range(self.ROUNDS):
            drawn = rng.choices(pairs, k=len(pairs))
            ratios.append(sum(on for on, _ in drawn) / sum(off for _, off in drawn))
        ratios.sort()
        self.value = sum(on for on, _ in pairs) / sum(off for _, off in pairs)
        self.low = ratios[int(self.ROUNDS * 0.025)]
        self.high = ratios[int(self.ROUNDS * 0.975)]

    def __str__(self):
        return "%.3f (%.3f to %.3f)" % (self.value, self.low, self.high)
