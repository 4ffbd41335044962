#!/bin/bash
# While a thread waits for what a connection sends, its descriptor becomes another connection's. What
# it then receives is not taken for the other one's: by the exit of system calls it is lost, and said
# to be, since the descriptor is all that is known then.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

for boundary in "${BOUNDARIES[@]}"; do
	file=$WORK/$boundary.daylight code=0
	[ "$boundary" = tracepoints ] || code=4
	server_start "$boundary" "$PYTHON" "$LIVE_DIR/reused_fd.py" serve
	collect_start "$file" --port "$PORT" --boundary "$boundary"
	client=$("$PYTHON" "$LIVE_DIR/reused_fd.py" ask "$PORT" "$WORK/$boundary.out") ||
		fail "the client did not get its answers: $(cat "$WORK/$boundary.err")"
	sleep 0.2
	collect_stop
	server_stop "$SERVER"
	collect_ended "$code" "$file"
	live_look "$file"
	"$PYTHON" - "$file" "$boundary" "$client" <<-'CHECK' || fail "$boundary"
		import json, sys
		path, boundary, client = sys.argv[1:]
		lines = lambda view: [json.loads(line) for line in open(path + "." + view)]
		other = [c["connection"] for c in lines("connections")
		         if c["remote"].endswith(":" + client)]
		calls = [(c["method"], c["end_reason"]) for c in lines("calls")
		         if c["connection"] in other]
		assert len(other) == 1 and calls == [("GET", "complete")] * 2, (other, lines("calls"))
		lost, = (stage["lost"] for stage in json.load(open(path + ".json"))["loss"]
		         if stage["stage"] == "socket-data")
		assert lost == ({} if boundary == "tracepoints" else {"ambiguous": 1}), lost
		print(boundary, lost)
	CHECK
done
