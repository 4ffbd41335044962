#!/usr/bin/python3
"""Two routes with handlers of their own, on three kinds of servers: overlap_server.py MODE.

MODE is uvicorn, eventlet or threads. Says `port N`. GET /north?N and /south?N wait in between, so
that calls overlap; each is answered with the request id req-ROUTE-N. Only functions of the classes
North and South tell the routes apart.
"""
import asyncio
import sys
import time


class North:
    @staticmethod
    def begin(number):
        return North.part(number) + 1

    @staticmethod
    def part(number):
        return sum(range(number % 7 + 400))

    @staticmethod
    def end(number):
        return North.part(number) + 2


class South:
    @staticmethod
    def begin(number):
        return South.part(number) + 3

    @staticmethod
    def part(number):
        return sum(range(number % 5 + 400))

    @staticmethod
    def end(number):
        return South.part(number) + 4


ROUTES = {"north": North, "south": South}


def answer_of(route, number):
    return [(b"content-type", b"text/plain"), (b"content-length", b"2"),
            (b"x-openstack-request-id", b"req-%s-%d" % (route.encode(), number))]


def uvicorn_server(listener):
    import uvicorn

    async def north(number):
        North.begin(number)
        await asyncio.sleep(0.002)
        North.end(number)

    async def south(number):
        South.begin(number)
        await asyncio.sleep(0.003)
        South.end(number)

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        route, number = scope["path"].strip("/"), int(scope["query_string"])
        await (north if route == "north" else south)(number)
        await send({"type": "http.response.start", "status": 200,
                    "headers": answer_of(route, number)})
        await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", loop="asyncio",
                            http="h11")
    uvicorn.Server(config).run(sockets=[listener])


def wsgi(environ, start_response):
    route, number = environ["PATH_INFO"].strip("/"), int(environ["QUERY_STRING"])
    handler = ROUTES[route]
    handler.begin(number)
    time.sleep(0.002 if route == "north" else 0.003)
    handler.end(number)
    start_response("200 OK", [(k.decode(), v.decode()) for k, v in answer_of(route, number)])
    return [b"ok"]


def eventlet_server(listener):
    import eventlet
    import eventlet.wsgi
    eventlet.monkey_patch()
    green = eventlet.greenio.GreenSocket(listener)
    eventlet.wsgi.server(green, wsgi, log_output=False)


def threads_server(listener):
    import http.server
    import socketserver

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path, _, query = self.path.partition("?")
            lines = []
            body = wsgi({"PATH_INFO": path, "QUERY_STRING": query},
                        lambda status, headers: lines.extend(headers))
            self.send_response(200)
            for name, value in lines:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"".join(body))

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
        daemon_threads = True

    server = Server(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever()


def main():
    import socket
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print("port %d" % listener.getsockname()[1], flush=True)
    {"uvicorn": uvicorn_server, "eventlet": eventlet_server, "threads": threads_server}[
        sys.argv[1]](listener)


if __name__ == "__main__":
    main()
