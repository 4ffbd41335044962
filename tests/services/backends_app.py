"""The service of the test of hops to backends (WSGI), and its worker, with the libraries that
OpenStack's services use: SQLAlchemy and PyMySQL, python-memcached, oslo.messaging.

    /row/N      reads a row by TCP           /cached/N   sets and gets a key
    /local/N    reads a row by Unix socket   /cast/N     leaves a message: work for the worker
    /all/N      all of these                 /rpc/N      asks the worker, and waits for its answer
    /none/N     nothing

`backends_app.py worker PORT`: takes the work; writes a row for it and asks the service at PORT for
/back/N. Says `working`. DB_PORT, DB_SOCKET, CACHE_PORT and AMQP_PORT say where the backends are.
"""

import os
import sys
import uuid

import memcache
import oslo_messaging
import sqlalchemy
from oslo_config import cfg

TOPIC = "backends"


def engine(where):
    return sqlalchemy.create_engine("mysql+pymysql://root@" + where, pool_size=1)


by_tcp = engine("127.0.0.1:%s/work" % os.environ["DB_PORT"])
by_socket = engine("localhost/work?unix_socket=" + os.environ["DB_SOCKET"])
cache = memcache.Client(["127.0.0.1:" + os.environ["CACHE_PORT"]])
client = None


def transport():
    cfg.CONF([])
    return oslo_messaging.get_rpc_transport(
        cfg.CONF, url="rabbit://guest:guest@127.0.0.1:%s/" % os.environ["AMQP_PORT"])


def messages():
    global client
    if client is None:
        client = oslo_messaging.RPCClient(transport(), oslo_messaging.Target(topic=TOPIC),
                                          timeout=60)
    return client


def row(database, number):
    with database.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT %d" % number)).scalar() == number


def use_cache(number):
    cache.set("n%d" % number, "value")
    assert cache.get("n%d" % number) == "value"


WORK = {
    "row": lambda number: row(by_tcp, number),
    "local": lambda number: row(by_socket, number),
    "cached": use_cache,
    "cast": lambda number: messages().cast({}, "work", number=number),
    "rpc": lambda number: messages().call({}, "double", number=number),
}


def application(environ, start_response):
    _, what, number = environ["PATH_INFO"].split("/")
    for name in ("row", "local", "cached", "cast") if what == "all" else (what,):
        if name in WORK:
            WORK[name](int(number))
    start_response("200 OK", [("X-Openstack-Request-Id", "req-%s" % uuid.uuid4())])
    return [b"ok"]


class Worker:
    def __init__(self, port):
        self.port = port

    def work(self, context, number):
        import urllib.request
        with by_tcp.begin() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO done VALUES (%d)" % number))
        urllib.request.urlopen("http://127.0.0.1:%s/back/%d" % (self.port, number)).read()

    def double(self, context, number):
        return 2 * number


def main():
    server = oslo_messaging.get_rpc_server(
        transport(), oslo_messaging.Target(topic=TOPIC, server="worker"), [Worker(sys.argv[2])],
        executor="threading")
    server.start()
    print("working", flush=True)
    server.wait()


if __name__ == "__main__":
    main()
