"""The mode `loop` of deep_server.py, which CPython 2.7 cannot read."""
import asyncio

import deep_code_loop


def run(truth, say_port, asked, answer):
    async def serve(reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        route, number = asked(head)
        truth.begin()
        await deep_code_loop.ROUTES[route](number)
        truth.end(route, number)
        writer.write((answer % (route, number)).encode())
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        say_port(server.sockets[0])
        await asyncio.Event().wait()

    truth.start()
    asyncio.get_event_loop_policy().new_event_loop().run_until_complete(main())
