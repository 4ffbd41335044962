#!/bin/bash
# Thousands of functions that share a handful of code addresses, told apart by name, by line, by
# qualified name or by file name alone: each is reported, and none under another's name.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

# one BOUNDARY COUNT MODE ARG...: COUNT functions of each kind a request.
one() {
	local boundary=$1 count=$2 mode=$3 file=$WORK/$1-$3.daylight truth=$WORK/$1-$3.client
	shift 3
	collect_start "$file" --port "$PORT" --boundary "$boundary" "$@"
	live_client "$truth" --mix exec --exec-count "$count" --conversations 2
	live_client "$truth" --mix exec --exec-count $((count / 4)) --conversations 3 --parallel 3
	sleep 0.2
	collect_stop
	# A loop without pauses overruns the budget of the walks.
	[ "$CODE:$mode" = 4:some ] || collect_ended 0 "$file"
	live_look "$file"
	echo "$boundary, $mode:"
	same_calls "$truth" "$file"
	live_check "$file" exec "$WORK/$mode.truth" "$mode"
}

# The socket trigger walks at each piece of an answer, so nothing may be missing.
live_threads all --exec-pause 3
for boundary in "${BOUNDARIES[@]}"; do
	one "$boundary" 120 all --syscall-phase 0 --syscall-duty 0
done
server_stop "$SERVER"
# As fast as can be, with the system-call trigger beside it.
live_threads some
one auto 400 some
