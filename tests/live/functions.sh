#!/bin/bash
# The functions listed for a call are those that ran for it and no other call's, under the names of
# the source: with calls that overlap in many threads, and one after the other, when each call has
# all of its functions.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

# one NAME MODE PAUSE CLIENT-ARG...: PAUSE in ms
one() {
	local name=$1 mode=$2 pause=$3 file=$WORK/$1.daylight truth=$WORK/$1.client
	shift 3
	# Walks of a thread that sleeps keep up to 20 ms distance: with longer pauses every function can
	# show.
	live_threads "$name" --pause "$pause"
	collect_start "$file" --port "$PORT"
	live_client "$truth" "$@"
	sleep 0.2
	collect_stop
	server_stop "$SERVER"
	collect_ended 0 "$file"
	live_look "$file"
	echo "$name:"
	same_calls "$truth" "$file"
	live_check "$file" lossless
	live_check "$file" functions "$WORK/$name.truth" "$mode"
	live_check "$file" sources "$LIVE_DIR/" /usr/lib/python3
}

one overlapping together 7 --mix keepalive,pipeline,plain,joined --conversations 120 --parallel 8 --pace 50
one alone each 25 --mix plain,head --conversations 20
