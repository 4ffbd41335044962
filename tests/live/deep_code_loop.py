"""What deep.sh asks to be seen of coroutines: two routes that share functions and overlap."""
import asyncio


def step(name):
    return name


def quick_step(n):
    return step(n)


def slow_step(n):
    return step(n)


class Managed:
    async def __aenter__(self):
        await pause(0.001)

    async def __aexit__(self, *_):
        managed_end()


def managed_end():
    pass


async def pause(seconds):
    await asyncio.sleep(seconds)


async def parts(n):
    for x in range(n):
        await pause(0.002)
        yield part(x)


def part(n):
    return n


async def never_awaited():
    pass


async def quick(n):
    await pause(0.005)
    quick_step(n)
    async with Managed():
        await pause(0.005)


async def slow(n):
    never_awaited().close()
    for _ in range(5):
        await pause(0.01)
        slow_step(n)
    async for _ in parts(3):
        pass


ROUTES = {"quick": quick, "slow": slow}
