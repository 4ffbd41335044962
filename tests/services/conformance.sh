#!/bin/bash
# The conformance matrix: servers of Debian, started here on the loopback, each with a driver that
# knows what it did. Daylight's calls must be the same: number, method, path, status, order on each
# connection, nothing lost; by both boundary sources. Prints a row for each server and feature.
# Rows can be chosen: conformance.sh ROW... (uwsgi php mod_wsgi nginx apache mpm h2tls odd).
set -u
. "$(dirname "$0")/conformance-lib.sh"
conformance_begin
conformance_need nginx uwsgi apache2 haproxy curl h2load php-fpm8.2 openssl

ROWS=${*:-uwsgi php mod_wsgi nginx apache mpm h2tls odd}

# nginx_conf NAME HTTP-PART: makes $WORK/NAME.conf.
nginx_conf() {
	mkdir -p "$WORK/nginx"
	cat >"$WORK/$1.conf" <<-CONF
		daemon off; worker_processes 2; pid $WORK/$1.pid; error_log $WORK/$1.log;
		user root;
		events { worker_connections 256; }
		http {
			access_log off; large_client_header_buffers 8 32k; client_max_body_size 10m;
			client_body_temp_path $WORK/nginx/b; proxy_temp_path $WORK/nginx/p;
			fastcgi_temp_path $WORK/nginx/f; uwsgi_temp_path $WORK/nginx/u;
			scgi_temp_path $WORK/nginx/s; keepalive_requests 100000;
			$2
		}
	CONF
}

nginx_start() {
	nginx_conf "$1" "$2"
	conformance_run "$1" nginx -c "$WORK/$1.conf"
	NGINX=$SERVER
	conformance_listens "$PORT"
}

# shellcheck disable=SC2016 # nginx's own variables
PARAMS='uwsgi_param QUERY_STRING $query_string; uwsgi_param REQUEST_METHOD $request_method;
	uwsgi_param CONTENT_LENGTH $content_length; uwsgi_param REQUEST_URI $request_uri;
	uwsgi_param PATH_INFO $document_uri; uwsgi_param SERVER_PROTOCOL $server_protocol;
	uwsgi_param SERVER_PORT $server_port; uwsgi_param SERVER_NAME $server_name;'
FCGI=${PARAMS//uwsgi_param/fastcgi_param}

row_uwsgi() {
	local at socket uwsgi
	for at in tcp unix; do
		conformance_port
		socket=127.0.0.1:$PORT
		[ "$at" = tcp ] || socket=$WORK/uwsgi.sock
		conformance_run uwsgi uwsgi --plugins python3 --master --processes 2 --die-on-term \
			--socket "$socket" --buffer-size 65535 --wsgi-file "$SERVICES_DIR/conformance_app.py"
		uwsgi=$SERVER
		if [ "$at" = unix ]; then
			conformance_listens "$socket"
			socket=unix:$socket
		else
			conformance_listens "$PORT"
		fi
		conformance_port
		nginx_start front "server { listen 127.0.0.1:$PORT;
			location / { $PARAMS uwsgi_pass $socket; } }"
		conformance_row "uwsgi behind nginx, $at" "$uwsgi" http1 "$PORT" -- uwsgi=single
		server_stop "$NGINX"
		server_stop "$uwsgi"
	done
}

row_php() {
	local php keep boundary
	cat >"$WORK/app.php" <<-'PHP'
		<?php
		$path = $_SERVER['PATH_INFO'];
		$text = "GET /false HTTP/1.1\r\nHost: h\r\n\r\nStatus: 500 No\r\n\r\n";
		$body = file_get_contents('php://input');
		$codes = ['/created' => 201, '/empty' => 204, '/unchanged' => 304, '/plain' => 200,
			'/open' => 200, '/big' => 200, '/echo' => 200];
		http_response_code($codes[$path] ?? 404);
		if ($path == '/big')
			echo str_repeat('b', 300000);
		elseif ($path == '/echo')
			echo strlen($body);
		elseif ($path != '/empty' && $path != '/unchanged')
			echo $text;
	PHP
	cat >"$WORK/php.conf" <<-CONF
		[global]
		error_log = $WORK/php.log
		daemonize = no
		[www]
		user = www-data
		group = www-data
		listen = $WORK/php.sock
		listen.mode = 0666
		pm = static
		pm.max_children = 2
	CONF
	conformance_run php php-fpm8.2 -n -y "$WORK/php.conf"
	php=$SERVER
	conformance_listens "$WORK/php.sock"
	for keep in off on; do
		# nginx keeps connections over the end of a window: another one for each.
		for boundary in "${BOUNDARIES[@]}"; do
			conformance_port
			nginx_start front "upstream php { server unix:$WORK/php.sock; keepalive 1; }
				server { listen 127.0.0.1:$PORT;
				location / { $FCGI fastcgi_keep_conn $keep;
				fastcgi_param SCRIPT_FILENAME $WORK/app.php; fastcgi_pass php; } }"
			if [ "$keep" = off ]; then
				ONLY=$boundary conformance_row "php-fpm behind nginx, unix" "$php" \
					http1 "$PORT" -- fastcgi=single
			else
				# Which call comes on which connection, nginx decides.
				ONLY=$boundary conformance_row "php-fpm, kept connections" "$php" \
					http1 "$PORT" -- fastcgi=any
			fi
			server_stop "$NGINX"
		done
	done
	server_stop "$php"
}

# apache_start NAME CONF: on $PORT, one listener.
apache_start() {
	local name
	{
		echo "ServerRoot $WORK"
		echo "ServerName localhost"
		echo "PidFile $WORK/$1.pid"
		echo "ErrorLog $WORK/$1.log"
		echo "Listen 127.0.0.1:$PORT"
		echo "DefaultRuntimeDir $WORK"
		echo "User www-data"
		echo "Group www-data"
		for name in "mpm_${MPM:-event}" authz_core headers alias rewrite; do
			echo "LoadModule ${name}_module /usr/lib/apache2/modules/mod_$name.so"
		done
		echo "KeepAlive On"
		echo "MaxKeepAliveRequests 0"
		echo "LimitRequestFieldSize 65000"
		echo "StartServers 2"
		echo "$2"
	} >"$WORK/$1.conf"
	# The MPM prefork ends its process group: so it has one of its own.
	conformance_run "$1" setsid apache2 -d "$WORK" -f "$WORK/$1.conf" -DFOREGROUND
	APACHE=$SERVER
	conformance_listens "$PORT"
}

row_mod_wsgi() {
	conformance_port
	apache_start wsgi "LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
		WSGISocketPrefix $WORK/wsgi
		WSGIDaemonProcess conf processes=2 threads=3 display-name=conf-daemon
		WSGIProcessGroup conf
		WSGIApplicationGroup %{GLOBAL}
		WSGIScriptAlias / $SERVICES_DIR/conformance_app.py
		<Directory $SERVICES_DIR>
		Require all granted
		</Directory>"
	SOCKETS=1 conformance_row "apache mod_wsgi daemon" "$APACHE" http1 "$PORT" -- http/1.1 mod_wsgi=single
	server_stop "$APACHE"
}

ANSWERS='location = /plain { return 200 "GET /false HTTP/1.1\r\nHost: h\r\n\r\n"; }
	location = /created { return 201 made; } location = /empty { return 204; }
	location = /unchanged { return 304; } location = /echo { return 200 4; }
	location = /open { return 200 open; }
	location = /big { default_type text/plain; alias '

row_nginx() {
	local file=$WORK/big pass
	head -c 300000 /dev/zero | tr '\0' b >"$file"
	pass="$ANSWERS $file; }"
	conformance_port
	nginx_start web "sendfile on; server { listen 127.0.0.1:$PORT; $pass }"
	conformance_row "nginx" "$NGINX" http1 "$PORT" -- http/1.1
	conformance_row "nginx, hostile client" "$NGINX" hostile "$PORT" -- http/1.1
	conformance_row "nginx, features" "$NGINX" features "$PORT" -- http/1.1 http/1.0
	BEFORE=1 conformance_row "nginx, joined" "$NGINX" joined "$PORT" -- http/1.1
	server_stop "$NGINX"
	conformance_port
	nginx_start web "sendfile on; server { listen [::1]:$PORT; listen 127.0.0.1:$PORT;
		listen unix:$WORK/web.sock; $pass }"
	conformance_row "nginx, unix" "$NGINX" http1 "$WORK/web.sock" -- http/1.1
	BEFORE=1 conformance_row "nginx, unix, joined" "$NGINX" joined "$WORK/web.sock" -- http/1.1
	server_stop "$NGINX"
	for version in 1 2; do
		conformance_port
		nginx_start web "server { listen 127.0.0.1:$PORT proxy_protocol; $pass }"
		conformance_row "nginx, PROXY version $version" "$NGINX" "proxy$version" "$PORT" -- http/1.1
		server_stop "$NGINX"
	done
	conformance_port
	nginx_start web "sendfile on; server { listen 127.0.0.1:$PORT http2; $pass }"
	conformance_row "nginx, HTTP/2" "$NGINX" h2 "$PORT" -- http/2
	conformance_row "nginx, HTTP/2, hostile" "$NGINX" hostile-h2 "$PORT" -- http/2
	conformance_row "nginx, HTTP/2, h2load" "$NGINX" h2load "$PORT" -- http/2
	server_stop "$NGINX"
}

row_apache() {
	head -c 300000 /dev/zero | tr '\0' b >"$WORK/big"
	echo plain >"$WORK/plain"
	conformance_port
	apache_start h2 "LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
		LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
		Protocols h2c http/1.1
		WSGIApplicationGroup %{GLOBAL}
		WSGIScriptAlias / $SERVICES_DIR/conformance_app.py
		<Directory $SERVICES_DIR>
		Require all granted
		</Directory>"
	conformance_row "apache, mod_wsgi embedded" "$APACHE" http1 "$PORT" -- http/1.1
	conformance_row "apache, HTTP/2" "$APACHE" h2-upload "$PORT" -- http/2
	conformance_row "apache, HTTP/2 by upgrade" "$APACHE" h2c "$PORT" -- http/2
	conformance_row "apache, HTTP/2, h2load" "$APACHE" h2load "$PORT" -- http/2
	server_stop "$APACHE"
}

# Both MPMs but event, which the other rows have: prefork has a process for each connection, worker
# threads that keep one until it ends.
row_mpm() {
	local MPM
	for MPM in prefork worker; do
		conformance_port
		apache_start "$MPM" "LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
			WSGIApplicationGroup %{GLOBAL}
			WSGIScriptAlias / $SERVICES_DIR/conformance_app.py
			<Directory $SERVICES_DIR>
			Require all granted
			</Directory>"
		SOCKETS=1 conformance_row "apache $MPM, mod_wsgi" "$APACHE" http1 "$PORT" -- http/1.1
		server_stop "$APACHE"
	done
}

# HTTP/2 chosen by ALPN.
row_h2tls() {
	local tls="ssl_certificate $WORK/cert.pem; ssl_certificate_key $WORK/key.pem;"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj /CN=localhost -keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>/dev/null ||
		fail "no certificate"
	head -c 300000 /dev/zero | tr '\0' b >"$WORK/big"
	conformance_port
	nginx_start web "server { listen 127.0.0.1:$PORT ssl http2; $tls $ANSWERS $WORK/big; } }"
	conformance_row "nginx, HTTP/2 over TLS" "$NGINX" h2 "tls:$PORT" -- http/2
	conformance_row "nginx, h2 TLS, h2load" "$NGINX" h2load "tls:$PORT" -- http/2
	server_stop "$NGINX"
	conformance_port
	apache_start h2 "LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
		LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
		LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
		Protocols h2 http/1.1
		SSLEngine on
		SSLCertificateFile $WORK/cert.pem
		SSLCertificateKeyFile $WORK/key.pem
		SSLSessionCache none
		WSGIApplicationGroup %{GLOBAL}
		WSGIScriptAlias / $SERVICES_DIR/conformance_app.py
		<Directory $SERVICES_DIR>
		Require all granted
		</Directory>"
	conformance_row "apache, HTTP/2 over TLS" "$APACHE" h2-upload "tls:$PORT" -- http/2
	server_stop "$APACHE"
	cat "$WORK/cert.pem" "$WORK/key.pem" >"$WORK/both.pem"
	conformance_port
	cat >"$WORK/haproxy.cfg" <<-CONF
		defaults
			mode http
			timeout connect 5s
			timeout client 20s
			timeout server 20s
		frontend tls
			bind 127.0.0.1:$PORT ssl crt $WORK/both.pem alpn h2,http/1.1
			http-request return status 404 if { path /missing }
			http-request return status 201 content-type text/plain string made if { path /created }
			http-request return status 204 if { path /empty }
			http-request return status 200 content-type text/plain string "hello"
	CONF
	conformance_run haproxy haproxy -db -f "$WORK/haproxy.cfg"
	conformance_listens "$PORT"
	conformance_row "haproxy, HTTP/2 over TLS" "$SERVER" h2 "tls:$PORT" -- http/2
	server_stop "$SERVER"
}

row_odd() {
	conformance_port
	conformance_run odd "$PYTHON" "$SERVICES_DIR/conformance_server.py" "$PORT"
	conformance_listens "$PORT"
	conformance_row "sockets in odd ways" "$SERVER" odd "$PORT" -- http/1.1
	server_stop "$SERVER"
}

for row in $ROWS; do
	"row_$row"
done
