#!/bin/bash
# The way of a call: haproxy -> apache -> uwsgi -> keystone on the loopback. One call at a time, each
# is one route with its three steps; with several at once no call is tied to another one's. In the
# clear and by HTTP throughout; and with TLS up to haproxy and uwsgi's own protocol to uwsgi.
set -eu
. "$(dirname "$0")/keystone-lib.sh"
DIR=$(mktemp -d)
APACHE_PID=
HAPROXY_PID=
chain_cleanup() {
	local pid
	for pid in $HAPROXY_PID $APACHE_PID; do
		kill -TERM "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	keystone_cleanup "$DIR"
}
trap chain_cleanup EXIT
trap 'exit 143' TERM INT

# answers PORT: keystone answers there.
answers() {
	local attempt
	for attempt in $(seq 100); do
		"$PYTHON" "$SERVICES_DIR/keystone-client.py" ready "$1" && return
		sleep 0.1
	done
	fail "nobody answered on port $1 within $((attempt / 10)) s: $(tail -n 2 "$DIR"/*.log)"
}

free_port() {
	"$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

keystone_need "$DIR"
for name in haproxy apache2; do
	command -v "$name" >/dev/null || skip "$name is not installed (make deps-check)"
done
keystone_prepare "$DIR/keystone"
UWSGI_PORT=$(free_port)
# shellcheck disable=SC2034 # for keystone_start
KEYSTONE_ARGS=(--socket "127.0.0.1:$UWSGI_PORT")
keystone_start

MODULES=/usr/lib/apache2/modules
APACHE_PORT=$(free_port) APACHE_UWSGI_PORT=$(free_port)
cat >"$DIR/apache.conf" <<CONF
ServerRoot $DIR
DefaultRuntimeDir $DIR
PidFile $DIR/apache.pid
ErrorLog $DIR/apache.log
ServerName localhost
Listen 127.0.0.1:$APACHE_PORT
Listen 127.0.0.1:$APACHE_UWSGI_PORT
LoadModule mpm_event_module $MODULES/mod_mpm_event.so
LoadModule authz_core_module $MODULES/mod_authz_core.so
LoadModule proxy_module $MODULES/mod_proxy.so
LoadModule proxy_http_module $MODULES/mod_proxy_http.so
LoadModule proxy_uwsgi_module $MODULES/mod_proxy_uwsgi.so
User www-data
Group www-data
StartServers 2
<VirtualHost 127.0.0.1:$APACHE_PORT>
# uwsgi closes after each answer without a word.
ProxyPass / http://127.0.0.1:$KEYSTONE_PORT/ disablereuse=on
</VirtualHost>
<VirtualHost 127.0.0.1:$APACHE_UWSGI_PORT>
ProxyPass / uwsgi://127.0.0.1:$UWSGI_PORT/
</VirtualHost>
CONF
apache2 -D FOREGROUND -f "$DIR/apache.conf" >"$DIR/apache.out" 2>&1 </dev/null &
APACHE_PID=$!
HAPROXY_PORT=$(free_port) HAPROXY_TLS_PORT=$(free_port)
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$DIR/key.pem" \
	-out "$DIR/cert.pem" 2>"$DIR/openssl.log" || fail "openssl: $(tail -n 1 "$DIR/openssl.log")"
cat "$DIR/key.pem" "$DIR/cert.pem" >"$DIR/haproxy.pem"
cat >"$DIR/haproxy.conf" <<CONF
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	http-reuse always
frontend front
	bind 127.0.0.1:$HAPROXY_PORT
	default_backend back
backend back
	server one 127.0.0.1:$APACHE_PORT
frontend front_tls
	bind 127.0.0.1:$HAPROXY_TLS_PORT ssl crt $DIR/haproxy.pem
	default_backend back_uwsgi
backend back_uwsgi
	server one 127.0.0.1:$APACHE_UWSGI_PORT
CONF
answers "$APACHE_PORT"
answers "$APACHE_UWSGI_PORT"

# Without a request: of a connection that was open before the window the first one is not certain.
listens() {
	local attempt
	for attempt in $(seq 100); do
		(: </dev/tcp/127.0.0.1/"$1") 2>/dev/null && return
		sleep 0.1
	done
	fail "nobody listens on port $1 after $((attempt / 10)) s: $(tail -n 2 "$DIR/haproxy.log")"
}

# drive NAME MODE PORT ARG...: drives through a new haproxy while all three are watched; chain_check.py judges.
drive() {
	local name=$1 mode=$2 port=$3 bundle=$DIR/$1.daylight
	shift 3
	haproxy -db -f "$DIR/haproxy.conf" >"$DIR/haproxy.log" 2>&1 </dev/null &
	HAPROXY_PID=$!
	listens "$HAPROXY_PORT"
	collect_start "$bundle" --pid "$HAPROXY_PID" --pid "$APACHE_PID" --pid "$KEYSTONE_PID"
	KEYSTONE_PORT=$port keystone_drive "$DIR/$name.jsonl" "$@"
	sleep 0.3
	collect_stop
	kill -TERM "$HAPROXY_PID"
	wait "$HAPROXY_PID" || true
	[ "$COLLECT_CODE" = 0 ] ||
		fail "collect ended with exit code $COLLECT_CODE: $(tail -n 3 "$bundle.log")"
	"$DAYLIGHT" inspect "$bundle" calls --jsonl >"$DIR/$name.calls"
	"$PYTHON" "$SERVICES_DIR/chain_check.py" "$mode" "$DIR/$name.calls" "$DIR/$name.jsonl" ||
		fail "chain_check.py $name"
}

drive one alone "$HAPROXY_PORT" --parallel 1 --issues 10 --validations 40
drive many together "$HAPROXY_PORT" --parallel 4 --issues 10 --validations 100
export KEYSTONE_TLS=1
drive tls alone "$HAPROXY_TLS_PORT" --parallel 1 --issues 10 --validations 40

for name in one tls; do
	"$DAYLIGHT" analyze "$DIR/$name.daylight" --guideline "$GUIDELINE" -o "$DIR/$name.json" \
		>"$DIR/$name.txt" || fail "analyze: $(tail -n 1 "$DIR/$name.txt")"
	"$PYTHON" "$SERVICES_DIR/chain_check.py" report "$DIR/$name.json" ||
		fail "the report does not show the way: $(grep -A 12 '^Ways' "$DIR/$name.txt")"
done
