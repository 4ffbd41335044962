#!/bin/bash
# A server that forks a child for each connection while it is watched: each child's functions are
# seen from its first call on, or a gap says from when on.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/deep-lib.sh"
live_begin
deep_begin

REQUESTS=(recursion:0:30:0.05 callbacks:0:30:0.05)
deep_truth plain "${REQUESTS[@]}"
deep_server prefork
file=$WORK/prefork
deep_collect "$file" 20
deep_client "$file" "${REQUESTS[@]}"
deep_stop "$file"
deep_judge "$file" plain
"$PYTHON" - "$file" "$WORK/truth-plain" "$SERVICES_DIR" "$LIVE_DIR" <<-'PYTHON' || fail "children's functions are missing, and no gap says so"
	import datetime, json, sys
	sys.path[:0] = [sys.argv[3], sys.argv[4]]
	import deep_server, recall

	def time_of(text):
	    return datetime.datetime.fromisoformat(text[:26]).timestamp() if text else float("inf")

	truth = {r.name: r for r in recall.read_truth(sys.argv[2])}
	with open(sys.argv[1] + ".json") as file:
	    gaps = json.load(file)["window"]["gaps"]
	whole = silent = said = 0
	for call in recall.read_calls(sys.argv[1] + ".calls"):
	    missing = truth[call["request_id"]].required - recall.seen_by(call)
	    began = time_of(call["start"])
	    if int(call["request_id"].split("-")[2]) % 2:
	        began += deep_server.PAUSE
	    mine = [g for g in gaps if g["process"] == call["process"]["id"]]
	    # The gap reaches into the work.
	    covered = any("function starts" in g["what"] and time_of(g["from"]) <= began and
	                  time_of(g["until"]) >= began - 0.001 for g in mine)
	    whole += not missing
	    said += bool(missing and covered)
	    if missing and not covered:
	        silent += 1
	        print("%s, %s, process %d, %s to %s: without %d functions; gaps: %s" % (
	            call["request_id"], call["evidence"], call["process"]["id"], call["start"],
	            call["end"], len(missing), mine))
	print("SHOW children: %d calls whole, %d in a gap that is stated" % (whole, said))
	sys.exit(bool(silent) or whole + said < 60)
PYTHON
