#!/bin/bash
# A service of four processes is never slowed down as a whole: once all of them answer calls, two at
# most hold taps. The others have their turn later, and each has at least its few deep calls.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/deep-lib.sh"
live_begin
deep_begin

deep_server workers
service=("$SERVER")
wait_for 5 sh -c "[ \$(pgrep -c -P $SERVER) = 3 ]" || fail "the server has not four processes"
for child in $(pgrep -P "$SERVER"); do
	service+=("$child")
	STARTED+=("$child")
done
file=$WORK/turns
deep_collect "$file" 20
# Four at a time, for four seconds.
deep_client "$file" twins:0:100:0.04 twins:0.01:100:0.04 twins:0.02:100:0.04 twins:0.03:100:0.04
collect_stop
for pid in "${service[@]}"; do
	server_stop "$pid"
done
collect_ended 0 "$file"
live_look "$file"
deep_spans "$file"
"$PYTHON" - "$file.calls" "$file.spans" <<-'PYTHON' || fail "taps are not held in turns"
	import datetime, json, sys

	def seconds(text):
	    return datetime.datetime.fromisoformat(text[:26]).timestamp()

	with open(sys.argv[1]) as file:
	    calls = [json.loads(line) for line in file]
	with open(sys.argv[2]) as file:
	    spans = [(seconds(span["from"]), seconds(span["until"])) for span in map(json.loads, file)]
	processes = {call["process"]["id"] for call in calls}
	# All have answered a call, and the collector had a moment to hear of it.
	busy = 0.3 + max(seconds(min(c["end"] for c in calls if c["process"]["id"] == p))
	                 for p in processes)
	deep = {p: sum(c["evidence"] == "deep" for c in calls if c["process"]["id"] == p)
	        for p in processes}
	moments = [max(busy, start) for start, end in spans if end > busy]
	most = max([sum(start <= m < end for start, end in spans) for m in moments], default=0)
	print("SHOW %d processes; %d hold taps at most; deep calls %s" % (
	    len(processes), most, sorted(deep.values())))
	sys.exit(len(processes) != 4 or not 1 <= most <= 2 or max(deep.values()) < 20 or
	         min(deep.values()) < 2)
PYTHON
