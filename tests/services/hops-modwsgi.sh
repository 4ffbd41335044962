#!/bin/bash
# apache and the daemon of mod_wsgi, over its Unix socket: each call of apache was answered by one
# call of the daemon, one at a time and with ten at once.
set -u
# shellcheck source=tests/live/live-lib.sh
. "$(dirname "$0")/../live/live-lib.sh"
live_begin
MODULES=/usr/lib/apache2/modules
command -v apache2 >/dev/null && [ -e "$MODULES/mod_wsgi.so" ] ||
	skip "no apache2 with mod_wsgi (make deps-check)"

# apache's processes are another user's.
chmod 755 "$WORK"
PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$WORK/app.wsgi" <<'APP'
import uuid


def application(environ, start_response):
    start_response("200 OK", [("X-Openstack-Request-Id", "req-%s" % uuid.uuid4()),
                              ("Content-Length", "2")])
    return [b"ok"]
APP
cat >"$WORK/apache.conf" <<CONF
ServerRoot $WORK
ServerName localhost
PidFile $WORK/apache.pid
DefaultRuntimeDir $WORK
ErrorLog $WORK/apache.log
Listen 127.0.0.1:$PORT
LoadModule mpm_event_module $MODULES/mod_mpm_event.so
LoadModule authz_core_module $MODULES/mod_authz_core.so
LoadModule wsgi_module $MODULES/mod_wsgi.so
User www-data
Group www-data
WSGISocketPrefix $WORK/wsgi
WSGIDaemonProcess app processes=1 threads=4
WSGIProcessGroup app
WSGIScriptAlias / $WORK/app.wsgi
CONF
apache2 -D FOREGROUND -f "$WORK/apache.conf" >"$WORK/apache.out" 2>&1 </dev/null &
APACHE=$!
STARTED+=("$APACHE")

# ask REQUESTS PARALLEL: prints the request ids of the answers.
ask() {
	"$PYTHON" - "$PORT" "$@" <<'END'
import concurrent.futures
import http.client
import sys

port, requests, parallel = (int(a) for a in sys.argv[1:])


def one(number):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    c.request("GET", "/%d" % number)
    r = c.getresponse()
    r.read()
    assert r.status == 200, r.status
    return r.getheader("X-Openstack-Request-Id")


with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
    print("\n".join(pool.map(one, range(requests))))
END
}
ready() { ask 1 1 >/dev/null 2>&1; }
wait_for 10 ready || fail "apache does not answer: $(tail -n 1 "$WORK/apache.log")"

file=$WORK/modwsgi.daylight
collect_start "$file" --pid "$APACHE"
{ ask 20 1 && ask 50 10; } >"$WORK/ids" || fail "the client did not get its answers"
sleep 0.3
collect_stop
server_stop "$APACHE"
collect_ended 0 "$file"
live_look "$file"
live_check "$file" lossless
"$PYTHON" - "$file.calls" "$WORK/ids" <<'END' || fail "apache's calls are not those of the daemon"
import json
import sys

with open(sys.argv[1], encoding="utf-8") as f:
    calls = {c["call"]: c for c in map(json.loads, f)}
with open(sys.argv[2], encoding="utf-8") as f:
    ids = sorted(f.read().split())
outer = [c for c in calls.values() if c["protocol"] == "http/1.1"]
bad = []
if sorted(c["request_id"] for c in outer) != ids or len(calls) != 2 * len(ids):
    bad.append("%d calls, %d of them apache's, for %d requests" % (len(calls), len(outer),
                                                                   len(ids)))
for c in outer:
    inner = [calls[i] for h in c["hops"] if not h["ambiguous"] and h["peer"]["class"] == "unix"
             for i in h["peer"]["calls"]]
    if [(i["protocol"], i["request_id"], i["caller"], i["caller_by"]) for i in inner] != \
            [("mod_wsgi", c["request_id"], c["call"], "order")] or c["caller"] is not None or \
            inner[0]["process"]["pid"] == c["process"]["pid"]:
        bad.append("call %d: hops %s" % (c["call"], c["hops"]))
print("%d requests" % len(ids))
print("\n".join(bad[:10]), file=sys.stderr)
sys.exit(bool(bad))
END
