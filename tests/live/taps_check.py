"""Holds what passes the taps of an interpreter against what it says that it ran: taps.sh.

taps_check.py PROGRAM BPF_OBJECT NAME COMMAND...: COMMAND starts an interpreter with taps_load.py.
taps_check.py PROGRAM BPF_OBJECT NAME --http PID PORT: it runs in a server that is up already.
Exit code 0: right, 1: not. Prints one row.
"""
import json
import subprocess
import sys
import time
import urllib.request

BASE = 100000
TIMES = 100
# A start may pass twice when a signal, a switch of threads or a collection is pending.
SURPLUS = 0.02


class Tapped:
    """taps_count beside a process."""
    def __init__(self, program, bpf_object, pid):
        self.child = subprocess.Popen([program, bpf_object, str(pid)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.sites = self.child.stdout.readline().split()[1:]
        if not self.sites:
            raise SystemExit("taps_count: " + self.child.stderr.read().strip())

    def end(self):
        out, err = self.child.communicate("", timeout=20)
        if self.child.returncode:
            raise SystemExit("taps_count: " + err)
        return json.loads(out)


def compare(truth, seen):
    """Rows of what is wrong, and the sums."""
    wrong, sums = [], {"starts": 0, "passed": 0, "resumes": 0, "resumed": 0}
    counts = {int(k) - BASE: v for k, v in seen["counts"].items() if int(k) >= BASE}
    starts = {int(k): v for k, v in truth["starts"].items()}
    resumes = {int(k): v for k, v in truth["resumes"].items()}
    for line in sorted(set(starts) | set(counts)):
        ran, passed = starts.get(line, 0), counts.get(line, [0, 0])[0]
        if passed < ran or passed > ran * (1 + SURPLUS) + 3 * bool(ran):
            wrong.append(f"line {line}: {ran} starts, {passed} passed")
        sums["starts"] += ran
        sums["passed"] += passed
    for line, ran in resumes.items():
        passed = counts.get(line, [0, 0])[1]
        if passed < ran or passed > ran * (1 + SURPLUS) + 3:
            wrong.append(f"line {line}: {ran} resumes, {passed} passed")
        sums["resumes"] += ran
        sums["resumed"] += passed
    for name in ("unreadable", "ignored"):
        sums[name] = seen[name]
    return wrong, sums


def main():
    program, bpf_object, name, *command = sys.argv[1:]
    began = time.monotonic()
    child = None
    if command[0] == "--http":
        pid = int(command[1])
    else:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        pid = child.pid
        child.stdout.readline()
    tapped = Tapped(program, bpf_object, pid)
    if child:
        child.stdin.write(f"{TIMES}\n")
        child.stdin.flush()
        truth = json.loads(child.stdout.readline() or sys.exit(f"{name}: the load failed"))
    else:
        with urllib.request.urlopen(f"http://127.0.0.1:{command[2]}/?{TIMES}") as answer:
            truth = json.load(answer)
    seen = tapped.end()
    if child:
        child.communicate("", timeout=20)
    wrong, sums = compare(truth, seen)
    if seen["stepped"]:
        wrong.append("an instruction was single-stepped")
    print(f"{name:12} {len(tapped.sites)} taps, {sums['starts']} starts passed {sums['passed']}, "
          f"{sums['resumes']} resumes passed {sums['resumed']}, ignored {sums['ignored']}, "
          f"unreadable {sums['unreadable']}, {time.monotonic() - began:.1f} s"
          f"{': WRONG' if wrong else ''}")
    for row in wrong:
        print("  " + row)
    return 1 if wrong else 0


sys.exit(main())
