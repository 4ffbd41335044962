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
collect_start "$file" --probes "$WORK/probes" --pid "$SERVER"
deep_client "$file" "${REQUESTS[@]}"
deep_stop "$file"
deep_judge "$file" plain
"$PYTHON" - "$file" "$WORK/truth-plain" "$SERVICES_DIR" <<-'PYTHON' || fail "children's functions are missing, and no gap says so"
	import json, sys
	sys.path.insert(0, sys.argv[3])
	import recall
	truth = {r.name: r for r in recall.read_truth(sys.argv[2])}
	with open(sys.argv[1] + ".json") as file:
	    gaps = json.load(file)["window"]["gaps"]
	whole = silent = said = 0
	for call in recall.read_calls(sys.argv[1] + ".calls"):
	    missing = truth[call["request_id"]].required - recall.seen_by(call)
	    covered = [g for g in gaps if g["process"] == call["process"]["id"] and
	               "function" in g["what"] and g["from"] <= call["end"] and
	               (g["until"] is None or g["until"] >= call["start"])]
	    whole += not missing
	    if missing and covered:
	        said += 1
	    elif missing:
	        silent += 1
	        print("%s, %s, process %d, %s to %s: without %d functions; gaps: %s" % (
	            call["request_id"], call["evidence"], call["process"]["id"], call["start"],
	            call["end"], len(missing),
	            [g for g in gaps if g["process"] == call["process"]["id"]]))
	print("SHOW children: %d calls whole, %d in a gap that is stated" % (whole, said))
	sys.exit(bool(silent) or whole + said < 60)
PYTHON
