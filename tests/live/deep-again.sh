#!/bin/bash
# After the first calls the taps are gone. They come back for code that was loaded again, as it was or
# changed, and for a share of the time; and they go again.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/deep-lib.sh"
live_begin
deep_begin

# The code is changed below.
mkdir "$WORK/app"
cp "$LIVE_DIR"/deep_server.py "$LIVE_DIR"/deep_code.py "$WORK/app"
start() { server_start "$1" "$DEEP_PYTHON" "$WORK/app/deep_server.py" plain; }

# again WHAT: the code was just loaded again. The taps are there for two calls: too short to be looked at.
again() {
	kill -HUP "$SERVER"
	deep_client "$file" busy:0:150:next
	wait_for 15 no_taps "$SERVER" || fail "$1: the taps stay"
}

start reloads
file=$WORK/reloads
deep_collect "$file" 20
deep_client "$file" busy:0:60:next
wait_for 15 no_taps "$SERVER" || fail "the taps stay after the first calls"
again "as it was"
# Every line is another one than before.
sed -i '1i # A line more.' "$WORK/app/deep_code.py"
again changed
deep_stop "$file"
deep_spans "$file"
"$PYTHON" - "$file.calls" "$file.spans" <<-'PYTHON' || fail "code that was loaded again is not traced as it should be"
	import json, sys
	with open(sys.argv[2]) as file:
	    spans = [json.loads(line) for line in file]
	with open(sys.argv[1]) as file:
	    calls = [json.loads(line) for line in file]
	inside = [[c for c in calls if s["from"] <= c["first_byte"] and c["end"] <= s["until"] and
	           c["evidence"] == "deep"] for s in spans]
	for span, some in zip(spans, inside):
	    print("SHOW %s: %d deep calls" % (span["reason"], len(some)))
	lines = [{f["line"] for c in some for f in c["functions"] if f["qualname"] == "in_busy"}
	         for some in inside]
	sys.exit([s["reason"] for s in spans] != ["first-calls", "new-code", "new-code"] or
	         len(inside[0]) < 20 or any(not 2 <= len(some) < 20 for some in inside[1:]) or
	         [len(l) for l in lines] != [1, 1, 1] or lines[0] != lines[1] or
	         lines[2] != {line + 1 for line in lines[1]})
PYTHON

# A tenth of each 30 s, wherever it lies; what is called then is deep, what is called else is not.
start duty
file=$WORK/duty
deep_collect "$file" 0 --deep-duty 10
no_taps "$SERVER" || fail "taps for first calls, which nobody wanted"
deep_client "$file" twins:0:340:0.1
deep_stop "$file"
deep_spans "$file"
"$PYTHON" - "$file.calls" "$file.spans" <<-'PYTHON' || fail "the share of the time is not kept"
	import datetime, json, sys
	def seconds(text):
	    return datetime.datetime.fromisoformat(text[:26]).timestamp()
	with open(sys.argv[2]) as file:
	    spans = [json.loads(line) for line in file]
	with open(sys.argv[1]) as file:
	    calls = [json.loads(line) for line in file]
	held = [round(seconds(s["until"]) - seconds(s["from"]), 2) for s in spans]
	within = [c for c in calls if any(s["from"] <= c["start"] and c["end"] <= s["until"]
	                                  for s in spans)]
	deep = [c for c in calls if c["evidence"] == "deep"]
	print("SHOW duty: %s s; %d calls within, %d deep, of %d" % (held, len(within), len(deep),
	                                                          len(calls)))
	# The last one may have been cut by the window's end.
	sys.exit({s["reason"] for s in spans} != {"duty"} or not 2.7 <= held[0] <= 4.5 or
	         sum(held) > 7 or len(deep) < 15 or
	         not {c["call"] for c in deep} <= {c["call"] for c in within})
PYTHON
