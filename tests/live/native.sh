#!/bin/bash
# Native frames without frame pointers: a stripped server of our own across a shared library, nginx and
# haproxy as Debian ships them, and Python in uwsgi with C and an extension between its functions.
# What lies on the stack beside return addresses reaches neither the bundle nor the log. More than can
# be unwound is counted as lost.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin
NGINX=/usr/sbin/nginx
HAPROXY=/usr/sbin/haproxy
[ -x "$NGINX" ] || skip "no nginx: make deps"
[ -x "$HAPROXY" ] || skip "no haproxy: make deps"
command -v uwsgi_python3 >/dev/null || skip "no uwsgi_python3: make deps"
SECRET=stackcanary7391

# calls COUNT PATH: one connection each, with a pause between them unless HASTE is set
calls() {
	"$PYTHON" - "$PORT" "$1" "$2" "${HASTE:-}" <<-'CLIENT' || fail "the client did not get its answers"
		import http.client, sys, time
		for i in range(int(sys.argv[2])):
		    c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
		    c.request("GET", sys.argv[3])
		    r = c.getresponse()
		    r.read()
		    c.close()
		    if r.status != 200:
		        sys.exit("status %d" % r.status)
		    if not sys.argv[4]:
		        time.sleep(0.005)
	CLIENT
}

# watch NAME COUNT PATH [ARG...]
watch() {
	local name=$1 count=$2 path=$3 code=${CODE_WANTED:-0}
	shift 3
	collect_start "$WORK/$name.daylight" --pid "$SERVER" "$@"
	calls "$count" "$path"
	sleep 0.3
	collect_stop
	server_stop "$SERVER"
	collect_ended "$code" "$WORK/$name.daylight"
	live_look "$WORK/$name.daylight"
}

check() {
	"$PYTHON" "$LIVE_DIR/native_check.py" "$@" || fail "native_check.py $1"
}

# The collector's memory holds copies of stacks: a crash leaves no core file, as one of sleep does.
"$PYTHON" - "$DAYLIGHT" "$WORK" $$ <<-'CORE' || fail "the collector can be dumped"
	import os, resource, signal, subprocess, sys, time
	daylight, work, pid = sys.argv[1:]
	def dumped(command, ready):
	    os.chdir(work)
	    core = lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
	    with open("core.log", "w") as log:
	        p = subprocess.Popen(command, preexec_fn=core, stderr=log, stdin=subprocess.DEVNULL)
	    end = time.time() + 30
	    while time.time() < end and ready not in open("core.log").read():
	        time.sleep(0.05)
	    p.send_signal(signal.SIGQUIT)
	    _, status = os.waitpid(p.pid, 0)
	    return os.WIFSIGNALED(status), os.WCOREDUMP(status)
	if not dumped(["/bin/sleep", "60"], "")[1]:
	    print("SHOW SKIP: this machine writes no core files: not looked at")
	    sys.exit(os.environ.get("CI") == "true")
	sys.exit(dumped([daylight, "collect", "--pid", pid, "-o", "core.daylight"],
	                "collecting:") != (True, False))
CORE

flags=(-std=gnu11 -D_GNU_SOURCE -O2 -fomit-frame-pointer -Wall -Wextra -Werror)
gcc "${flags[@]}" -shared -fPIC -s -o "$WORK/libnative.so" "$LIVE_DIR/native_lib.c" ||
	fail "native_lib.c does not compile"
gcc "${flags[@]}" -s -o "$WORK/native_server" "$LIVE_DIR/native_server.c" -L"$WORK" -lnative \
	-Wl,-rpath,"$WORK" || fail "native_server.c does not compile"
for boundary in "${BOUNDARIES[@]}"; do
	server_start "$boundary" "$WORK/native_server" "$SECRET"
	watch "$boundary" 60 / --boundary "$boundary"
	check chain "$WORK/$boundary.daylight" "$WORK/$boundary.out" "$WORK/libnative.so"
	zstd -dcq "$WORK/$boundary.daylight" >"$WORK/plain" || fail "zstd does not take the bundle"
	live_check "$WORK/$boundary.daylight" absent "$WORK/plain" "$SECRET"
	grep -qa "$SECRET" "$WORK/$boundary.daylight.log" && fail "the secret is in the log"
	grep -qa native_lib_call "$WORK/plain" || fail "the search would find nothing"
done

# Each call has a stack of its own, of a thousand frames.
server_start limit "$WORK/native_server" "$SECRET" --deep
CODE_WANTED=4 HASTE=1 watch limit 8000 / --walk-budget 100
check limit "$WORK/limit.daylight" "$WORK/limit.out" 8000

PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir "$WORK/html" && echo hello >"$WORK/html/a.txt"
cat >"$WORK/nginx.conf" <<CONF
daemon off; worker_processes 2; user root; pid $WORK/nginx.pid; error_log $WORK/nginx.log;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path $WORK/t1; proxy_temp_path $WORK/t2;
	fastcgi_temp_path $WORK/t3; uwsgi_temp_path $WORK/t4; scgi_temp_path $WORK/t5;
	server { listen 127.0.0.1:$PORT; root $WORK/html; }
}
CONF
answers() { "$PYTHON" -c 'import socket, sys
socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()' "$PORT" 2>/dev/null; }
"$NGINX" -p "$WORK" -c "$WORK/nginx.conf" >"$WORK/nginx.out" 2>&1 </dev/null &
SERVER=$!
STARTED+=("$SERVER")
wait_for 10 answers || fail "nginx did not start: $(tail -n 1 "$WORK/nginx.log")"
watch nginx 200 /a.txt
check nginx "$WORK/nginx.daylight" "$NGINX" 200

PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$WORK/haproxy.conf" <<CONF
global
	nbthread 2
defaults
	mode http
	timeout client 20s
frontend main
	bind 127.0.0.1:$PORT
	http-request return status 200 content-type text/plain string ok
CONF
"$HAPROXY" -db -f "$WORK/haproxy.conf" >"$WORK/haproxy.out" 2>&1 </dev/null &
SERVER=$!
STARTED+=("$SERVER")
wait_for 10 answers || fail "haproxy did not start: $(tail -n 1 "$WORK/haproxy.out")"
watch haproxy 200 /
check haproxy "$WORK/haproxy.daylight" "$HAPROXY" 200

PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
uwsgi_python3 --http-socket "127.0.0.1:$PORT" --wsgi-file "$LIVE_DIR/native_wsgi.py" --need-app \
	--die-on-term --disable-logging >"$WORK/uwsgi.out" 2>&1 </dev/null &
SERVER=$!
STARTED+=("$SERVER")
wait_for 10 answers || fail "uwsgi did not start: $(tail -n 1 "$WORK/uwsgi.out")"
watch mixed 60 /
check mixed "$WORK/mixed.daylight"
