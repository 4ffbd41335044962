#!/bin/bash
# Hops: each call shows the outbound connections that it used, with their bytes, and the calls of the
# other process that came of them: new and pooled connections, over IPv4, IPv6 and Unix sockets,
# opened before the window or in it, in many threads at once. What no call asked for is nobody's.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

server_start echo "$PYTHON" "$LIVE_DIR/hops_server.py" echo
ECHO_PORT=$PORT
for source in "${BOUNDARIES[@]}"; do
	server_start back "$PYTHON" "$LIVE_DIR/hops_server.py" back "$WORK/$source.sock"
	BACK=$SERVER BACK_PORT=$PORT
	server_start front "$PYTHON" "$LIVE_DIR/hops_server.py" front "$BACK_PORT" "$ECHO_PORT" \
		"$WORK/$source.sock"
	FRONT=$SERVER
	file=$WORK/$source.daylight
	sleep 0.2
	collect_start "$file" --pid "$FRONT" --pid "$BACK" --boundary "$source"
	"$PYTHON" "$LIVE_DIR/hops_client.py" "$PORT" 6 40 || fail "the client did not get its answers"
	sleep 0.2
	collect_stop
	server_stop "$FRONT"
	server_stop "$BACK"
	collect_ended 0 "$file"
	live_look "$file"
	live_check "$file" lossless
	"$PYTHON" "$LIVE_DIR/hops_check.py" "$file" "$WORK/front.out" "$FRONT" "$BACK" ||
		fail "the hops are not those of the server ($source)"
done
