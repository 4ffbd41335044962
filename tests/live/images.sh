#!/bin/bash
# What a process is: forked and then another program, in a mount namespace that ends with it, under a
# title that it wrote itself.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

SECRET=hunter2canary

# requests N
requests() {
	"$PYTHON" - "$PORT" "$1" <<-'CLIENT' || fail "the client did not get its answers"
		import socket, sys
		for _ in range(int(sys.argv[2])):
		    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as s:
		        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		        assert b"200 OK" in s.recv(65536)
	CLIENT
}

server_start other "$PYTHON" -c 'print("port 1", flush=True); import time; time.sleep(60)'
other=$SERVER
server_start images unshare --mount --propagation unchanged \
	"$PYTHON" -u "$LIVE_DIR/flow_images.py" serve --note="$SECRET"
file=$WORK/images.daylight
collect_start "$file" --pid "$SERVER" --pid "$other"
requests 30
# It ends, and its mount namespace with it, before the window does.
server_stop "$SERVER"
sleep 0.5
collect_stop
collect_ended 0 "$file"
live_look "$file"
"$PYTHON" "$LIVE_DIR/flow_images.py" judge "$file" "$WORK/images.out" || fail "flow_images.py"

# Titles: given by exec, overwritten in place, and of children.
server_start titles bash -c 'exec -a "$0" "$@"' "worker --password=$SECRET" "$PYTHON" -u \
	"$LIVE_DIR/flow_images.py" serve --title "worker: --password=$SECRET token $SECRET" --pad
server_start named bash -c 'exec -a "$0" "$@"' "worker --password=$SECRET -p $SECRET" "$PYTHON" -c \
	'print("port 1", flush=True); import time; time.sleep(60)'
named=$SERVER
PORT=$(sed -n 's/^port //p' "$WORK/titles.out")
file=$WORK/titles.daylight
collect_start "$file" --port "$PORT" --pid "$named"
requests 5
sleep 0.2
collect_stop
collect_ended 0 "$file"
live_look "$file"
zstd -dcq "$file" >"$WORK/plain" || fail "zstd does not take the bundle"
grep -qa "^worker\|[^a-z]worker" "$WORK/plain" || fail "no title is in the bundle"
live_check "$file" absent "$WORK/plain" "$SECRET"
