#!/usr/bin/python3
"""A server of one asyncio loop: calls overlap in one thread, beside a task that is no call's.

    flow_asyncio.py

Says `port N`, then `runs ROUTE FUNCTION`. Keeps connections alive. /slow takes 0.6 s in steps, with
work after each; /fast waits a while; /helped awaits a task of its own, which is not the
connection's and so is seen as no one's.
"""

import asyncio
import os
import sys


async def background():
    while True:
        await asyncio.sleep(0.01)
        background_step()


def background_step():
    os.listdir("/")


def timer():
    timer_step()
    asyncio.get_running_loop().call_later(0.01, timer)


def timer_step():
    os.listdir("/")


async def slow_route():
    for _ in range(20):
        await asyncio.sleep(0.03)
        slow_step()


def slow_step():
    os.stat("/")
    os.listdir("/")


async def fast_route():
    await asyncio.sleep(0.1)
    fast_step()


def fast_step():
    os.stat("/tmp")


async def helped_route():
    await asyncio.gather(helper(), helper())


async def helper():
    for _ in range(5):
        await asyncio.sleep(0.02)
        os.listdir("/")


ROUTES = {b"slow": slow_route, b"fast": fast_route, b"helped": helped_route}


async def handle(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            route, number = head.split()[1].strip(b"/").split(b"?")
            await ROUTES[route]()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                         b"X-Openstack-Request-Id: req-%b-%b\r\n\r\nok" % (route, number))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    task = asyncio.create_task(background())
    timer()
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print("port %d" % server.sockets[0].getsockname()[1])
    for text in ("- background", "- background_step", "- timer", "- timer_step",
                 "slow handle", "slow slow_route", "slow slow_step", "fast handle",
                 "fast fast_route", "fast fast_step", "helped handle", "helped helped_route",
                 "helped helper"):
        print("runs " + text)
    sys.stdout.flush()
    await task


if __name__ == "__main__":
    asyncio.run(main())
