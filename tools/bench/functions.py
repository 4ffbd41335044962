"""A Python process that has nothing to do with a traced service: for each number read from stdin it
makes so many rounds of function calls and prints the CPU time (ns) that they took."""
import os
import sys


def innermost(n):
    return n


def generator(n):
    yield innermost(n)


class Thing:
    def method(self, n):
        return innermost(n) + sum(generator(n))


def cpu_time(file):
    return int(os.pread(file, 128, 0).split()[0])


def main():
    file = os.open("/proc/self/schedstat", os.O_RDONLY)
    thing = Thing()
    for line in sys.stdin:
        start = cpu_time(file)
        for n in range(int(line)):
            thing.method(n)
        print(cpu_time(file) - start, flush=True)


if __name__ == "__main__":
    main()
