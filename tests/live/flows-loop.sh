#!/bin/bash
# An event loop serves many calls in one thread: coroutines of other requests and tasks of no request
# are never firmly bound to a call, not even beside connections that are older than the window.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/flow-lib.sh"
live_begin

# The first call is alone, but for a task and a timer in the background; later ones overlap.
server_start loop "$PYTHON" "$LIVE_DIR/flow_asyncio.py"
flow_watch loop 0 slow:0 slow:0.9 helped:1.7 slow:2:4 fast:2.1:20 helped:2.2:4 -- \
	--bound slow=flow:handle --bound fast=flow:handle

# A connection from before the window: its first request in the window has no whole history, so the
# call of another connection may share the loop's flow with it.
server_start joined "$PYTHON" "$LIVE_DIR/flow_asyncio.py"
"$PYTHON" - "$PORT" "$WORK/go" >"$WORK/joined.old" <<-'CLIENT' &
	import os, socket, sys, time
	s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=15)
	while not os.path.exists(sys.argv[2]):
	    time.sleep(0.01)
	s.sendall(b"GET /slow?1001 HTTP/1.1\r\nHost: a\r\n\r\n")
	assert b"req-slow-1001\r\n" in s.recv(65536)
	print("answered")
CLIENT
held=$!
STARTED+=("$held")
sleep 0.3
collect_start "$WORK/joined.daylight" --pid "$SERVER"
: >"$WORK/go"
flow_client "$WORK/joined.daylight" fast:0.1:8
wait "$held" || fail "the connection from before did not get its answer"
flow_judge joined 0
