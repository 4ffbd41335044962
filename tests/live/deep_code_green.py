"""What deep.sh asks to be seen of greenlets: two routes that share functions and overlap."""
import eventlet


def step(name):
    return name


def pause(seconds):
    eventlet.sleep(seconds)


def quick_step(n):
    return step(n)


def slow_step(n):
    return step(n)


def parts(n):
    for x in range(n):
        pause(0.002)
        yield part(x)


def part(n):
    return n


def never_begun():
    yield 1


def quick(n):
    pause(0.005)
    quick_step(n)


def slow(n):
    never_begun()
    for _ in range(5):
        pause(0.01)
        slow_step(n)
    sorted(parts(3), key=lambda x: -x)


ROUTES = {"quick": quick, "slow": slow}
