#!/bin/bash
# How a call ended: a client that only shut down its side had its whole answer; one that reset the
# connection, or a server that died, did not. An answer of very many pieces costs what it should.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/flow-lib.sh"
live_begin

ask() {
	"$PYTHON" "$LIVE_DIR/flow_ends.py" ask "$PORT" "$@" || fail "the client did not get its answers"
}

for boundary in "${BOUNDARIES[@]}"; do
	server_start "$boundary" "$PYTHON" "$LIVE_DIR/flow_ends.py" serve
	file=$WORK/$boundary.daylight
	collect_start "$file" --pid "$SERVER" --boundary "$boundary"
	ask half sized reset cut half sized reset die >"$file.client"
	flow_judge "$boundary" 0 --ends half=complete --ends sized=complete --ends reset=client_gone \
		--ends cut=client_gone --ends die=server_gone
done

# CPU time of the collector so far, in ms.
collector_ms() {
	cat /proc/"$COLLECT"/task/*/schedstat | awk '{ ns += $1 } END { printf "%d\n", ns / 1e6 }'
}

# Ten times the pieces cost about ten times as much, not a hundred times.
server_start stream "$PYTHON" "$LIVE_DIR/flow_ends.py" serve
file=$WORK/stream.daylight
collect_start "$file" --pid "$SERVER"
ask stream=1000 >"$file.client"
sleep 0.5
first=$(collector_ms)
ask stream=5000 >>"$file.client"
sleep 1
few=$(($(collector_ms) - first))
ask stream=50000 >>"$file.client"
sleep 1
many=$(($(collector_ms) - first - few))
echo "the collector's CPU time: 5000 pieces $few ms, 50000 pieces $many ms"
[ "$many" -lt $((20 * few + 200)) ] || fail "too much for 50000 pieces: $many ms"
flow_judge stream 0 --ends stream=complete

"$DAYLIGHT" collect -o "$WORK/none.daylight" -- nosuchprogram >"$WORK/none.out" 2>&1
code=$?
if [ "$code" != 2 ] || [ "$(wc -l <"$WORK/none.out")" != 1 ] || [ -e "$WORK/none.daylight" ]; then
	fail "a program that is not there: exit code $code, $(cat "$WORK/none.out"), $(ls "$WORK")"
fi
grep -q nosuchprogram "$WORK/none.out" || fail "the program is not named: $(cat "$WORK/none.out")"
