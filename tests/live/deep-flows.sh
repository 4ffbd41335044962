#!/bin/bash
# Deep calls that overlap in one thread, of two routes that share functions: each has exactly what
# ran for it. 20 at a time, under asyncio and under eventlet.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/deep-lib.sh"
live_begin
deep_begin

# one MODE ARG...: 20 calls of each route begin within 40 ms
one() {
	local mode=$1 file=$WORK/$1
	shift
	deep_truth "$mode" quick:0:20 slow:0:20
	deep_server "$mode"
	# More than there are calls: a route is known when its first call ends, and calls overlap.
	deep_collect "$file" 100
	deep_client "$file" quick:0:20:0.002 slow:0:20:0.002
	deep_stop "$file"
	deep_judge "$file" "$mode" --overlap 20 "$@"
}

# A loop reads requests for all coroutines: whose work one did is known when it answers.
# Others may have worked for it, too, in tasks of their own: such a call is not deep.
one loop --files 100 --functions 100 --deep 0
"$DEEP_PYTHON" -c 'import eventlet' 2>/dev/null || skip "no python3-eventlet: make deps"
one green --files 100 --functions 100 --deep 15
