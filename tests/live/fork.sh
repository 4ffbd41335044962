#!/bin/bash
# Targets that fork by the thousand, serve from children born in the window, restart, and become
# another program: all followed.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

# A thousand children that end at once, twice, in a process of several threads.
live_small small --processes 2 --threads 2
file=$WORK/small.daylight
collect_start "$file" --port "$PORT"
live_client "$WORK/small.client" --mix plain --conversations 10
for _ in 1 2; do
	"$PYTHON" -c 'import sys, urllib.request
with urllib.request.urlopen("http://127.0.0.1:%s/fork/1000" % sys.argv[1]) as r:
    assert r.read() == b"ok\n"' "$PORT" || fail "no answer from /fork"
done
live_client "$WORK/small.client" --mix plain --conversations 10
sleep 0.2
collect_stop
collect_ended 0 "$file"
live_look "$file"
grep '/fork/1000' "$WORK/small.truth" >>"$WORK/small.client"
echo "thousands of children:"
same_calls "$WORK/small.client" "$file"
live_check "$file" lossless
live_check "$file" children 2000
server_stop "$SERVER"

# Each connection is served by a child of its own, which the collector has never seen before.
live_threads forking --forking
file=$WORK/forking.daylight
collect_start "$file" --port "$PORT"
live_client "$WORK/forking.client" --mix keepalive,plain,pipeline,bodies,leave --pace 20 \
	--conversations 100 --parallel 4
sleep 0.2

# The service ends and comes back on its port, under another pid.
first=$SERVER
server_stop "$first"
live_threads forking --forking --port "$PORT"
sleep 1.5
live_client "$WORK/forking.client" --mix keepalive --conversations 20 --pace 20
second=$SERVER

# It becomes a new program by exec, under the same pid.
: >"$WORK/forking.out"
kill -HUP "$second"
server_says_again() { grep -q '^port ' "$WORK/forking.out"; }
wait_for 10 server_says_again || fail "the server did not come back after exec"
sleep 1.5
live_client "$WORK/forking.client" --mix keepalive --conversations 20 --pace 20
sleep 0.2
collect_stop
collect_ended 0 "$file"
live_look "$file"
echo "a child for each connection, a restart, an exec:"
same_calls "$WORK/forking.client" "$file"
live_check "$file" lossless
live_check "$file" children 100
live_check "$file" followed "$first" "$second"
