#!/usr/bin/python3
"""Drives overlap_server.py: overlap_client.py PORT CALLS IN_FLIGHT. Prints the request ids.

IN_FLIGHT connections are kept alive; each sends its next request, of either route in turn, as soon
as the one before is answered.
"""
import asyncio
import sys


async def connection(port, numbers, first):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    done = []
    for at, number in enumerate(numbers):
        route = ("north", "south")[(at + first) % 2]
        writer.write(b"GET /%s?%d HTTP/1.1\r\nHost: a\r\n\r\n" % (route.encode(), number))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        await reader.readexactly(2)
        want = "req-%s-%d" % (route, number)
        if " 200 " not in head or "x-openstack-request-id: %s\r\n" % want not in head:
            sys.exit("not the answer to %s: %r" % (want, head))
        done.append(want)
    writer.close()
    return done


async def main():
    port, calls, flight = map(int, sys.argv[1:])
    results = await asyncio.gather(*[
        connection(port, range(i, calls, flight), i) for i in range(flight)])
    for done in results:
        print("\n".join(done))


asyncio.run(main())
