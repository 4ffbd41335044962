#!/bin/bash
# The conformance matrix, servers that are Python: see conformance.sh.
# Rows can be chosen: conformance-python.sh ROW... (gunicorn uvicorn swift).
set -u
. "$(dirname "$0")/conformance-lib.sh"
conformance_begin
conformance_need gunicorn memcached
"$PYTHON" -c 'import swift, uvicorn' 2>/dev/null ||
	skip "python3-swift or python3-uvicorn is not installed (tools/deps.sh check)"

# shellcheck disable=SC2034 # for conformance_row
SOCKETS=1
ROWS=${*:-gunicorn uvicorn swift}

row_gunicorn() {
	local kind
	for kind in sync gthread; do
		# More threads than a hostile client keeps.
		conformance_port
		conformance_run gunicorn gunicorn --chdir "$SERVICES_DIR" --bind "127.0.0.1:$PORT" \
			--workers 2 --threads "$([ $kind = sync ] && echo 1 || echo 20)" \
			--worker-class $kind --keep-alive 20 conformance_app:application
		conformance_listens "$PORT"
		conformance_row "gunicorn, $kind" "$SERVER" http1 "$PORT" -- http/1.1
		if [ $kind = gthread ]; then
			conformance_row "gunicorn, hostile client" "$SERVER" hostile-patient "$PORT" -- \
				http/1.1
		fi
		server_stop "$SERVER"
	done
}

row_uvicorn() {
	conformance_port
	conformance_run uvicorn "$PYTHON" -m uvicorn --app-dir "$SERVICES_DIR" --lifespan off \
		--log-level error --port "$PORT" conformance_app:asgi
	conformance_listens "$PORT"
	conformance_row "uvicorn" "$SERVER" http1 "$PORT" -- http/1.1
	server_stop "$SERVER"
}

# proxy-server with accounts, containers and objects behind it, in one folder. It ends its process
# group: so it has one of its own.
row_swift() {
	local swift=$WORK/swift memory
	conformance_port
	conformance_run memory memcached -u root -l 127.0.0.1 -p "$PORT"
	memory=$SERVER
	conformance_listens "$PORT"
	conformance_run storage "$PYTHON" "$SERVICES_DIR/conformance_swift.py" storage "$swift" "$PORT"
	wait_for 20 test -e "$swift/ready" || fail "no storage: $(tail -n 3 "$WORK/storage.err")"
	PORT=$(cat "$swift/ready")
	conformance_run swift setsid "$PYTHON" "$SERVICES_DIR/conformance_swift.py" proxy "$swift"
	conformance_listens "$PORT"
	conformance_row "swift proxy-server" "$SERVER" swift "$PORT" -- http/1.1
	server_stop "$SERVER"
	server_stop "$memory"
}

for row in $ROWS; do
	"row_$row"
done
