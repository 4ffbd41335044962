#!/bin/bash
# The TLS rows of the conformance matrix: servers of Debian with TLS on the loopback, a driver that
# knows the truth. A row for each server and boundary source: its calls equal the driver's.
# ROWS: only these servers.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../live/live-lib.sh"
live_begin
[ "$(id -u)" = 0 ] || skip "the servers' users need root"
for program in nginx apache2 haproxy gnutls-serv uwsgi openssl; do
	command -v "$program" >/dev/null || skip "$program is not installed (tools/deps.sh check)"
done
chmod 755 "$WORK"
# ONLY: a boundary source, instead of all that this kernel has (live-lib.sh).
[ -z "${ONLY:-}" ] || BOUNDARIES=("$ONLY")
BAD=0

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
	-subj /CN=localhost -keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>/dev/null ||
	fail "no certificate"
cat "$WORK/cert.pem" "$WORK/key.pem" >"$WORK/both.pem"

free_port() {
	PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
}

wanted() { [ -z "${ROWS:-}" ] || [[ " $ROWS " == *" $1 "* ]]; }

listens() {
	"$PYTHON" -c 'import socket, sys
socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()' "$PORT" 2>/dev/null
}

# run NAME COMMAND...: a server that stays in the foreground and listens on $PORT.
run() {
	local name=$1
	shift
	"$@" >"$WORK/$name.out" 2>"$WORK/$name.err" </dev/null &
	SERVER=$!
	STARTED+=("$SERVER")
	wait_for 15 listens || fail "$name does not listen: $(tail -n 3 "$WORK/$name.err")"
}

# row NAME DRIVE... -- CHECK...: by each boundary source.
row() {
	local name=$1 boundary file drive=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		drive+=("$1")
		shift
	done
	shift
	for boundary in "${BOUNDARIES[@]}"; do
		file=$WORK/$name-$boundary.daylight
		collect_start "$file" --port "$PORT" --boundary "$boundary"
		"$PYTHON" "$HERE/conformance_tls.py" drive "$PORT" "$file.truth" "${drive[@]}" \
			>"$file.drive" 2>&1 || fail "$name: $(cat "$file.drive")"
		sleep 0.5
		collect_stop
		collect_ended 0 "$file"
		live_look "$file"
		! grep -aq hunter2 "$file" || fail "$name: a header's value is in the bundle"
		if [ "${1:-}" = unseen ]; then
			"$PYTHON" "$HERE/conformance_tls.py" unseen "$name" "$boundary" "$file" "${@:2}" || BAD=1
		else
			"$PYTHON" "$HERE/conformance_tls.py" check "$name" "$boundary" "$file" "$@" || BAD=1
		fi
	done
	server_stop "$SERVER"
}

python_server() {
	server_start "$1" "$PYTHON" "$HERE/conformance_tls_server.py" "$1" "$WORK/cert.pem" "$WORK/key.pem"
}

# start_nginx [CONF]: CONF: further lines of the server.
start_nginx() {
	free_port
	mkdir -p "$WORK/nginx/html"
	cat >"$WORK/nginx.conf" <<-CONF
		daemon off; worker_processes 2; pid $WORK/nginx.pid; error_log $WORK/nginx/error.log;
		events { worker_connections 128; }
		http {
			access_log off; client_body_temp_path $WORK/nginx/b; proxy_temp_path $WORK/nginx/p;
			fastcgi_temp_path $WORK/nginx/f; uwsgi_temp_path $WORK/nginx/u;
			scgi_temp_path $WORK/nginx/s; client_max_body_size 10m;
			server { listen 127.0.0.1:$PORT ssl; ssl_certificate $WORK/cert.pem;
				ssl_certificate_key $WORK/key.pem;
				ssl_protocols TLSv1.2 TLSv1.3;
				${1:-location / { return 200 "hello\n"; \}} }
		}
	CONF
	run nginx nginx -p "$WORK/nginx" -c "$WORK/nginx.conf"
}

# The kernel has TLS of its own, or loads it now.
kernel_tls() {
	"$PYTHON" -c 'import socket
listener = socket.create_server(("127.0.0.1", 0))
sock = socket.create_connection(listener.getsockname())
sock.setsockopt(socket.IPPROTO_TCP, 31, b"tls") # TCP_ULP' 2>/dev/null
}

# How many connections the kernel has encrypted.
kernel_tls_count() { awk '/^TlsTx(Sw|Device) / { n += $2 } END { print n + 0 }' /proc/net/tls_stat; }

start_apache() {
	local modules=/usr/lib/apache2/modules
	free_port
	mkdir -p "$WORK/apache"
	cat >"$WORK/apache.conf" <<-CONF
		ServerRoot $WORK/apache
		ServerName localhost
		PidFile $WORK/apache/pid
		DefaultRuntimeDir $WORK/apache
		ErrorLog $WORK/apache/error.log
		LoadModule mpm_event_module $modules/mod_mpm_event.so
		LoadModule authz_core_module $modules/mod_authz_core.so
		LoadModule ssl_module $modules/mod_ssl.so
		LoadModule alias_module $modules/mod_alias.so
		User nobody
		Group nogroup
		StartServers 2
		Listen 127.0.0.1:$PORT
		SSLEngine on
		SSLCertificateFile $WORK/cert.pem
		SSLCertificateKeyFile $WORK/key.pem
		SSLSessionCache none
		KeepAliveTimeout 20
		MaxKeepAliveRequests 0
		Redirect 410 /
	CONF
	run apache apache2 -X -DFOREGROUND -f "$WORK/apache.conf"
}

start_haproxy() {
	free_port
	cat >"$WORK/haproxy.cfg" <<-CONF
		global
			maxconn 200
			nbthread 2
		defaults
			mode http
			option http-buffer-request
			timeout connect 5s
			timeout client 20s
			timeout server 20s
		frontend tls
			bind 127.0.0.1:$PORT ssl crt $WORK/both.pem alpn http/1.1
			http-request return status 200 content-type text/plain string "hello"
	CONF
	run haproxy haproxy -db -f "$WORK/haproxy.cfg"
}

start_uwsgi() {
	free_port
	cat >"$WORK/uwsgi_app.py" <<-'APP'
		def application(environ, start_response):
		    length = int(environ.get("CONTENT_LENGTH") or 0)
		    while length > 0:
		        piece = environ["wsgi.input"].read(min(length, 65536))
		        if not piece:
		            break
		        length -= len(piece)
		    start_response("200 OK", [("Content-Length", "5")])
		    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else b"hello"]
	APP
	run uwsgi uwsgi --plugin python3 --die-on-term --master --processes 2 --wsgi-file "$WORK/uwsgi_app.py" \
		--https-socket "127.0.0.1:$PORT,$WORK/cert.pem,$WORK/key.pem"
}

printf 'SHOW %-26s %-12s %6s %6s  %s\n' SERVER BOUNDARY CALLS CONNS RESULT
if wanted python-ssl; then
	python_server blocking
	row python-ssl-1.2 --version 1.2 --
	python_server blocking
	row python-ssl-1.3 --version 1.3 --
fi
if wanted asyncio; then
	python_server asyncio
	row asyncio-ssl-1.2 --version 1.2 -- --link tls-adjacent
	python_server asyncio
	row asyncio-ssl-1.3 --version 1.3 -- --link tls-adjacent
fi
if wanted nginx; then
	start_nginx
	row nginx-1.2 --version 1.2 --
	start_nginx
	row nginx-1.3 --version 1.3 --
fi
if wanted ktls; then
	if kernel_tls; then
		mkdir -p "$WORK/nginx/html"
		head -c 50000 /dev/zero | tr '\0' h >"$WORK/nginx/html/file"
		before=$(kernel_tls_count)
		for version in 1.2 1.3; do
			start_nginx 'ssl_conf_command Options KTLS; sendfile on;
				location / { try_files /file =404; }'
			row nginx-ktls-$version --version $version --
		done
		[ "$(kernel_tls_count)" -gt "$before" ] || fail "nginx did not use the kernel's TLS"
	else
		printf 'SHOW %-26s %-12s %6s %6s  %s\n' nginx-ktls - - - \
			"not run: this kernel has no TLS ($(cat /proc/sys/net/ipv4/tcp_available_ulp))"
	fi
fi
if wanted apache; then
	start_apache
	row apache-mod_ssl --
fi
if wanted haproxy; then
	start_haproxy
	row haproxy --small --
fi
if wanted uwsgi; then
	start_uwsgi
	row uwsgi-https --one --
fi
if wanted gnutls; then
	free_port
	run gnutls gnutls-serv --http --port "$PORT" --disable-client-cert \
		--x509certfile "$WORK/cert.pem" --x509keyfile "$WORK/key.pem"
	row gnutls-serv --one --get --
fi
if wanted c; then
	for how in shared static; do
		libraries='-lssl -lcrypto'
		[ $how = shared ] || libraries='-Wl,-Bstatic -lssl -lcrypto -Wl,-Bdynamic -lpthread -ldl -s'
		# shellcheck disable=SC2086 # words
		gcc -std=gnu11 -O1 -Wall -Wextra -Werror -o "$WORK/c-$how" \
			"$HERE/conformance_tls_server.c" $libraries || fail "the C server does not compile"
		server_start c-$how "$WORK/c-$how" "$WORK/cert.pem" "$WORK/key.pem"
		if [ $how = shared ]; then
			row c-shared --one --get --
		else
			row c-static-stripped --one --get --connections 7 -- unseen 7
			# A library of the name of OpenSSL 1.1 that has not all of its functions.
			echo 'int SSL_read(void) { return 0; } int SSL_write(void) { return 0; }' >"$WORK/old.c"
			gcc -shared -fPIC -O1 -Wl,--build-id -o "$WORK/libssl.so.1.1" "$WORK/old.c"
			server_start c-other-libssl env LD_PRELOAD="$WORK/libssl.so.1.1" "$WORK/c-$how" \
				"$WORK/cert.pem" "$WORK/key.pem"
			row c-other-libssl --one --get --connections 7 -- \
				unseen 7 'SSL_read_ex: the file has no such function'
		fi
	done
fi
exit $BAD
