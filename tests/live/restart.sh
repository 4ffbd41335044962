#!/bin/bash
# A planned window goes on while the service is down, and takes up its new processes.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

# A call of the new process is on disk already.
calls_seen() {
	"$DAYLIGHT" inspect "$file" calls --jsonl 2>/dev/null >"$WORK/seen"
	[ "$(wc -l <"$WORK/seen")" -gt "$before" ]
}

# one NAME TARGET...: a window of 10 s over a service that is away for some of it.
one() {
	local name=$1 port
	file=$WORK/$1.daylight
	shift
	live_small first
	port=$PORT
	for arg; do
		[ "$arg" = PORT ] && set -- "${@/PORT/$port}"
	done
	collect_start "$file" "$@" --duration 10s
	live_client "$WORK/$name.first" --mix keepalive --conversations 20 --pace 20
	sleep 0.3
	server_stop "$SERVER"
	sleep 2
	collect_is_gone && fail "the window ended with the service: $(cat "$file.log")"
	live_small second --port "$port"
	before=$("$DAYLIGHT" inspect "$file" calls --jsonl 2>/dev/null | wc -l)
	# It is looked for twice a second; what comes before is not watched, and said so.
	until calls_seen; do
		live_client /dev/null --mix keepalive --conversations 1 --seed 99
		sleep 0.3
	done
	live_client "$WORK/$name.second" --mix keepalive --conversations 20 --pace 20 --seed 2
	collect_is_gone && fail "the window ended before its time: $(cat "$file.log")"
	collect_wait
	collect_ended 0 "$file"
	server_stop "$SERVER"
	live_look "$file"
	cat "$WORK/$name.first" "$WORK/$name.second" >"$WORK/$name.client"
	echo "$name:"
	live_check "$file" among "$WORK/$name.client"
	live_check "$file" lossless
	live_check "$file" stopped duration
	live_check "$file" served 2
	live_check "$file" gap "no process of the targets was there" 2 5
}

one by-port --port PORT
one by-exe --exe "$WORK/server_small"

# Nobody comes back: the window ends in time all the same, and says since when nobody was there.
live_small last
file=$WORK/away.daylight
collect_start "$file" --port "$PORT" --duration 3s
live_client "$WORK/away.client" --mix keepalive --conversations 5
server_stop "$SERVER"
collect_wait
collect_ended 0 "$file"
live_look "$file"
echo "away:"
same_calls "$WORK/away.client" "$file"
live_check "$file" stopped duration
live_check "$file" gap "no process of the targets was there" 1 4
