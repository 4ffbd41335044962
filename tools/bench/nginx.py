#!/usr/bin/python3
"""What collecting costs a web server that is all system calls: nginx.py [--pairs N] [--seconds S].

nginx gives a file of 1 KiB to wrk, on connections that are kept, as fast as it can: alternately
with and without a collector. Prints the ratio of the requests per second, with the 95 % interval of
a bootstrap over the pairs. Exit 1 when its lower bound is below the limit, when anything was lost,
or when not all requests are calls of the bundle. Takes some five minutes.
"""
import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from measure import Ratio, cpu, family

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DAYLIGHT = os.environ.get("DAYLIGHT", os.path.join(ROOT, "build", "daylight"))
LIMIT = 0.85  # lower bound of the on/off ratio of requests per second
CONNECTIONS = 64
# The phase of the window's beginning, in which all system calls are looked at, is kept short:
# what follows it is the steady mode.
STEADY = ["--syscall-phase", "1ms"]
CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	client_body_temp_path {folder}/body;
	proxy_temp_path {folder}/proxy;
	fastcgi_temp_path {folder}/fastcgi;
	uwsgi_temp_path {folder}/uwsgi;
	scgi_temp_path {folder}/scgi;
	server {{
		listen 127.0.0.1:{port};
		root {folder}/root;
	}}
}}
"""


class Nginx:
    """nginx with one worker, and wrk against it."""

    def __init__(self, folder, seconds):
        self.seconds = seconds
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        os.makedirs(os.path.join(folder, "root"))
        os.chmod(folder, 0o755)  # the worker is another user
        with open(os.path.join(folder, "root", "file"), "wb") as file:
            file.write(b"x" * 1024)
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(folder=folder, port=self.port))
        self.process = subprocess.Popen(["nginx", "-p", folder, "-c", config],
                                        stdin=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as s:
                if not s.connect_ex(("127.0.0.1", self.port)):
                    break
            time.sleep(0.05)
        else:
            self.stop()
            sys.exit("bench: nginx does not listen")
        self.pids = family(self.process.pid)

    def load(self, seconds=None):
        """(requests, requests per second, nginx's CPU seconds per request)."""
        before = cpu(self.pids)
        text = subprocess.run(
            ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", "%ds" % (seconds or self.seconds),
             "http://127.0.0.1:%d/file" % self.port],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        spent = cpu(self.pids) - before
        if re.search(r"Socket errors|Non-2xx", text):
            sys.exit("bench: nginx did not answer all: %s" % text)
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        return requests, float(re.search(r"Requests/sec: *([\d.]+)", text).group(1)), \
            spent / requests

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Collector:
    def __init__(self, folder, nginx, options):
        self.output = os.path.join(folder, "nginx.daylight")
        if os.path.exists(self.output):
            os.unlink(self.output)
        with open(self.output + ".log", "w+", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [DAYLIGHT, "collect", "--pid", str(nginx.process.pid), "-o", self.output, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(300):
            if self.process.poll() is not None or "collecting:" in self.log():
                break
            time.sleep(0.1)
        if self.process.poll() is not None:
            sys.exit("bench: collect does not start: %s" % self.log())

    def log(self):
        with open(self.output + ".log", encoding="utf-8") as file:
            return file.read()

    def stop(self):
        """(exit code, summary of the bundle)."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait()
        text = subprocess.run([DAYLIGHT, "inspect", self.output, "--json", "--memory", "4096"], check=False,
                              stdout=subprocess.PIPE, text=True).stdout
        return code, json.loads(text)


def lost_in(summary):
    return {"%s.%s" % (row["stage"], cause): count for row in summary["loss"]
            for cause, count in row["lost"].items() if count}


def measure(pairs, seconds, options=()):
    """Alternating pairs. {"rate": Ratio, "cpu": Ratio of nginx's CPU per request, "requests": of
    the loads with a collector, "calls": complete ones of the bundles, "lost": by cause, "codes":
    the collector's exit codes, "core": its share of a core, "off": requests per second without}."""
    result = {"requests": 0, "calls": 0, "lost": {}, "codes": set(), "core": 0.0}
    rates, costs = [], []
    spent = wall = 0.0
    with tempfile.TemporaryDirectory() as folder:
        nginx = Nginx(folder, seconds)

        def on():
            nonlocal spent, wall
            collector = Collector(folder, nginx, options)
            try:
                requests = nginx.load(1)[0]  # what is met for the first time costs more
                own, start = cpu(family(collector.process.pid)), time.monotonic()
                count, rate, cost = nginx.load()
                spent += cpu(family(collector.process.pid)) - own
                wall += time.monotonic() - start
            finally:
                code, summary = collector.stop()
            result["requests"] += requests + count
            result["calls"] += summary["counts"]["calls_complete"]
            result["codes"].add(code)
            for cause, count in lost_in(summary).items():
                result["lost"][cause] = result["lost"].get(cause, 0) + count
            return rate, cost

        def off():
            _, rate, cost = nginx.load()
            return rate, cost

        try:
            nginx.load(1)
            for number in range(pairs):
                if number % 2:
                    without, traced = off(), on()
                else:
                    traced, without = on(), off()
                rates.append((traced[0], without[0]))
                costs.append((traced[1], without[1]))
        finally:
            nginx.stop()
    result["rate"], result["cpu"] = Ratio(rates), Ratio(costs)
    result["core"] = spent / wall
    result["off"] = sum(rate for _, rate in rates) / len(rates)
    return result


def judge(result):
    """What is wrong with the figures."""
    if result["rate"].low < LIMIT:
        yield "nginx keeps %s of its requests per second, not %.2f" % (result["rate"], LIMIT)
    if result["lost"] or result["codes"] != {0}:
        yield "lost: %s, exit codes %s" % (result["lost"], sorted(result["codes"]))
    # wrk leaves when its time is over, in the middle of a request of each connection.
    if result["calls"] < result["requests"]:
        yield "%d complete calls of %d requests" % (result["calls"], result["requests"])


def report(result, pairs, seconds):
    print("nginx, 1 KiB file, %d connections kept, %d pairs of %d s" % (CONNECTIONS, pairs, seconds))
    print("  %-42s %.0f" % ("requests per second without", result["off"]))
    print("  %-42s %s" % ("of them with Daylight", result["rate"]))
    print("  %-42s %s" % ("nginx's CPU per request", result["cpu"]))
    print("  %-42s %.2f" % ("the collector's share of a core", result["core"]))
    print("  %-42s %d of %d requests" % ("complete calls", result["calls"], result["requests"]))
    print("  %-42s %s" % ("lost", result["lost"] or 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=2, help="of one load")
    parser.add_argument("options", nargs="*", help="of collect, behind --", default=STEADY)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root: run 'sudo make bench-nginx'")
    result = measure(options.pairs, options.seconds, options.options)
    report(result, options.pairs, options.seconds)
    failures = list(judge(result))
    for failure in failures:
        print("LIMIT: %s" % failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
