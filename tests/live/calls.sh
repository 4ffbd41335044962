#!/bin/bash
# What clients did equals what the bundle lists, by both boundary sources, for a threaded Python
# server and a prefork, threaded C server.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

MIX=plain,keepalive,pipeline,split,bytewise,joined,bodies,expect,head,missing,leave,reset
THREADS_MIX=$MIX,close,exec

# one NAME BOUNDARY MIX: drives $PORT while collecting.
one() {
	local name=$1 boundary=$2 mix=$3 file=$WORK/$1-$2.daylight truth=$WORK/$1-$2.client
	collect_start "$file" --port "$PORT" --boundary "$boundary"
	live_client "$truth" --connections "$truth.connections" --mix "$mix" \
		--conversations 98 --parallel 4 --seed 7 --exec-count 5 --pace 20
	live_client "$truth" --connections "$truth.connections" --mix everycut --conversations 1
	# The last server threads may still be closing.
	sleep 0.2
	collect_stop
	collect_ended 0 "$file"
	live_look "$file"
	echo "$name by $boundary:"
	same_calls "$truth" "$file"
	live_check "$file" lossless
	live_check "$file" connections "$truth.connections"
}

live_threads threads
if [[ " ${BOUNDARIES[*]} " != *" tracepoints "* ]]; then
	"$DAYLIGHT" collect --port "$PORT" --boundary tracepoints -o "$WORK/none.daylight" \
		>"$WORK/none.out" 2>&1
	code=$?
	[ "$code" = 3 ] || fail "a boundary that this kernel lacks: exit code $code, $(cat "$WORK/none.out")"
fi
for boundary in "${BOUNDARIES[@]}"; do
	one threads "$boundary" "$THREADS_MIX"
done
server_stop "$SERVER"

live_small small --processes 3 --threads 4
for boundary in "${BOUNDARIES[@]}"; do
	one small "$boundary" "$MIX"
done
server_stop "$SERVER"
