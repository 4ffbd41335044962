#!/bin/bash
# 50 calls in flight on one server, over two routes with handlers of their own, under uvicorn,
# eventlet and threads: no function of one route's handler is in the other's calls. CALLS (1000) of
# each; with the default settings, and with all calls deep.
set -u
. "$(dirname "$0")/../live/live-lib.sh"
live_begin
CALLS=${CALLS:-1000}

# one MODE AMBIGUOUS NAME ARG...
one() {
	local mode=$1 limit=$2 name=$1-$3
	shift 3
	server_start "$name" "$PYTHON" "$ROOT_DIR/tests/services/overlap_server.py" "$mode"
	collect_run "$WORK/$name" -o "$WORK/$name" --pid "$SERVER" "$@"
	"$PYTHON" "$ROOT_DIR/tests/services/overlap_client.py" "$PORT" "$CALLS" 50 \
		>"$WORK/$name.client" || fail "$name: the client did not get its answers"
	sleep 0.3
	collect_stop
	server_stop "$SERVER"
	collect_ended 0 "$WORK/$name"
	"$DAYLIGHT" inspect "$WORK/$name" calls --jsonl >"$WORK/$name.calls"
	"$PYTHON" "$ROOT_DIR/tests/services/overlap_check.py" "$WORK/$name.calls" \
		"$WORK/$name.client" "$name" "$limit" || fail "$name"
}

"$PYTHON" -c 'import uvicorn, eventlet' 2>/dev/null ||
	skip "no python3-uvicorn or python3-eventlet: make deps"
for mode in threads eventlet uvicorn; do
	limit=1
	# What an event loop does for all its calls is ambiguous.
	[ "$mode" != uvicorn ] || limit=any
	one "$mode" "$limit" default
	one "$mode" "$limit" deep --deep 1000000
done
