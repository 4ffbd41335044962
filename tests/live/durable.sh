#!/bin/bash
# A collector that is killed: what --status-fd said to be durable can be read.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

live_threads threads
file=$WORK/killed.daylight
collect_start "$file" --port "$PORT" --status-fd 3
live_client "$WORK/killed.client" --mix keepalive --conversations 20 --pace 20
said=$(grep -c durable "$file.status")
durable_again() { [ "$(grep -c durable "$file.status")" -ge $((said + 2)) ]; }
wait_for 10 durable_again || fail "no durable lines: $(cat "$file.status")"
kill -KILL "$COLLECT"
wait "$COLLECT" 2>/dev/null
COLLECT=
live_look "$file" 4
echo "killed:"
same_calls "$WORK/killed.client" "$file"
live_check "$file" durable "$file.status"
server_stop "$SERVER"
