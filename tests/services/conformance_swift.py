#!/usr/bin/python3
"""A swift in one folder: conformance_swift.py storage FOLDER MEMCACHED-PORT | proxy FOLDER

storage: writes configurations and rings, runs the account, container and object servers (children,
that end with it), and writes the proxy's port into FOLDER/ready. proxy: runs proxy-server with two
workers.
"""

import ctypes
import os
import shutil
import signal
import socket
import sys
import time

KINDS = ("account", "container", "object")
SERVER = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = {workers}
user = root
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
log_statsd_host =
log_address = {folder}/none
"""
PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache tempauth proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memory}
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
"""


def free_ports(count):
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def prepare(folder, memory):
    from swift.common.ring import RingBuilder
    ports = dict(zip(KINDS + ("proxy",), free_ports(4)))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder + "/devices/d")
    with open(folder + "/swift.conf", "w") as file:
        file.write("[swift-hash]\nswift_hash_path_suffix = conformance\n")
    for kind, port in ports.items():
        with open(f"{folder}/{kind}.conf", "w") as file:
            file.write(SERVER.format(port=port, folder=folder, workers=2 if kind == "proxy" else 0))
            if kind == "proxy":
                file.write(PROXY.format(memory=memory))
                continue
            file.write(f"[pipeline:main]\npipeline = {kind}-server\n"
                       f"[app:{kind}-server]\nuse = egg:swift#{kind}\n")
        ring = RingBuilder(2, 1, 0)
        ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d",
                      "weight": 1})
        ring.rebalance()
        ring.get_ring().save(f"{folder}/{kind}.ring.gz")
    return ports


def run(folder, kind):
    from swift.common import utils
    from swift.common.wsgi import run_wsgi
    utils.set_swift_dir(folder)
    sys.exit(run_wsgi(f"{folder}/{kind}.conf", kind + "-server"))


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


def main():
    kind, folder = sys.argv[1:3]
    if kind == "proxy":
        run(folder, "proxy")
    ports = prepare(folder, sys.argv[3])
    for kind in KINDS:
        if not os.fork():
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            run(folder, kind)
    while not all(listens(ports[kind]) for kind in KINDS):
        time.sleep(0.05)
    with open(folder + "/port", "w") as file:
        print(ports["proxy"], file=file)
    os.rename(folder + "/port", folder + "/ready")
    while True:
        signal.pause()


main()
