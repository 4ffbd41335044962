#!/usr/bin/python3
"""TLS servers of Python: conformance_tls_server.py blocking|asyncio CERTIFICATE KEY

blocking: http.server with threads; asyncio: one loop, where ssl works on memory buffers. Both answer
any method, with the connection kept.
"""

import asyncio
import http.server
import ssl
import sys

BODY = b"0123456789" * 20


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200 if len(self.path) > 10 else 404)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(BODY)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, format, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    """The handshake is the thread's."""

    def __init__(self, ctx):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ctx = ctx

    def finish_request(self, request, client_address):
        with self.ctx.wrap_socket(request, server_side=True) as secured:
            self.RequestHandlerClass(secured, client_address, self)


async def converse(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split()
            for line in head:
                if line.lower().startswith("content-length:"):
                    await reader.readexactly(int(line.split(":")[1]))
            await asyncio.sleep(0.002)
            writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" %
                         (200 if len(path) > 10 else 404, len(BODY)))
            if method != "HEAD":
                writer.write(BODY)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


async def serve(ctx):
    server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=ctx)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main():
    kind, certificate, key = sys.argv[1:]
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(certificate, key)
    if kind == "asyncio":
        asyncio.run(serve(ctx))
    server = Server(ctx)
    print("port", server.server_port, flush=True)
    server.serve_forever()


main()
