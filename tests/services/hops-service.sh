#!/bin/bash
# A small service under uwsgi that uses memcached and another service (nginx): each call shows which
# of them it used, and which call of nginx came of it; the report names both.
set -u
# shellcheck source=tests/live/live-lib.sh
. "$(dirname "$0")/../live/live-lib.sh"
live_begin
HERE=$ROOT_DIR/tests/services
GUIDELINE=$HERE/guideline.json
for name in uwsgi memcached nginx; do
	command -v "$name" >/dev/null || skip "$name is not installed (make deps-check)"
done

# start NAME PORT COMMAND...: a server that says nothing, on that port.
start() {
	local name=$1 port=$2
	shift 2
	"$@" >"$WORK/$name.log" 2>&1 </dev/null &
	STARTED+=("$!")
	PID=$!
	wait_for 10 bash -c "(: </dev/tcp/127.0.0.1/$port) 2>/dev/null" ||
		fail "$name does not listen: $(tail -n 1 "$WORK/$name.log")"
}

CACHE_PORT=$(free_port)
start memcached "$CACHE_PORT" memcached -u nobody -l 127.0.0.1 -p "$CACHE_PORT" -U 0 -t 2
CACHE=$PID
OTHER_PORT=$(free_port)
mkdir "$WORK/nginx"
cat >"$WORK/nginx/nginx.conf" <<CONF
daemon off;
master_process off;
pid $WORK/nginx/pid;
error_log $WORK/nginx/error.log;
events { }
http {
	access_log off;
	client_body_temp_path $WORK/nginx/body;
	proxy_temp_path $WORK/nginx/proxy;
	fastcgi_temp_path $WORK/nginx/fastcgi;
	uwsgi_temp_path $WORK/nginx/uwsgi;
	scgi_temp_path $WORK/nginx/scgi;
	server {
		listen 127.0.0.1:$OTHER_PORT;
		location / { return 200 "other"; }
	}
}
CONF
start nginx "$OTHER_PORT" nginx -p "$WORK/nginx" -c "$WORK/nginx/nginx.conf"
OTHER=$PID
PORT=$(free_port)
export CACHE_PORT OTHER_PORT
start uwsgi "$PORT" uwsgi --plugin python3 --master --processes 2 --threads 1 --die-on-term \
	--need-app --disable-logging --wsgi-file "$HERE/hops_app.py" --http-socket "127.0.0.1:$PORT"
SERVICE=$PID

file=$WORK/service.daylight
# Hops need walks at socket data alone; their budget shall not be spent on others.
collect_start "$file" --pid "$CACHE" --pid "$OTHER" --pid "$SERVICE" --syscall-phase=0 \
	--syscall-duty=0 --samples=0
"$PYTHON" "$HERE/hops_service_check.py" drive "$PORT" "$WORK/truth" ||
	fail "the client did not get its answers"
sleep 0.3
collect_stop
collect_ended 0 "$file"
live_look "$file"
live_check "$file" lossless
"$PYTHON" "$HERE/hops_service_check.py" check "$file.calls" "$WORK/truth" ||
	fail "the hops are not those of the service"
"$DAYLIGHT" analyze "$file" --guideline "$GUIDELINE" -o "$WORK/report.json" >"$WORK/report.txt" ||
	fail "analyze: $(tail -n 1 "$WORK/report.txt")"
"$PYTHON" "$HERE/hops_service_check.py" report "$WORK/report.json" ||
	fail "the report does not name them: $(grep -A 12 '^Connections' "$WORK/report.txt")"
for pid in "$SERVICE" "$OTHER" "$CACHE"; do
	server_stop "$pid"
done
