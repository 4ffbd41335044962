#!/bin/bash
# What a server moves by io_uring is not seen: no call is made up, its connections are disclosed as
# not decoded, and the process has a gap record with the number of its transfers.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

gcc -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -o "$WORK/uring_server" \
	"$LIVE_DIR/uring_server.c" || fail "uring_server.c does not compile"
"$WORK/uring_server" >"$WORK/try" 2>&1 &
TRY=$!
sleep 0.3
if ! kill "$TRY" 2>/dev/null; then
	skip "this kernel has no io_uring"
fi
wait "$TRY" 2>/dev/null

for boundary in "${BOUNDARIES[@]}"; do
	file=$WORK/$boundary.daylight
	server_start "uring-$boundary" "$WORK/uring_server"
	collect_start "$file" --pid "$SERVER" --boundary "$boundary"
	for i in 1 2 3 4 5 6; do
		"$PYTHON" -c 'import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
c.request("GET", "/a"); assert c.getresponse().read() == b"ok"' "$PORT" || fail "request $i"
	done
	sleep 0.2
	collect_stop
	collect_ended 0 "$file"
	live_look "$file"
	"$PYTHON" - "$file" "$boundary" <<-'PYTHON' || fail "$boundary"
		import json, sys
		path, boundary = sys.argv[1:]
		assert not open(path + ".calls").read(), "a call was made up"
		connections = [json.loads(line) for line in open(path + ".connections")]
		inbound = [c for c in connections if c["direction"] == "in"]
		assert len(inbound) == 6, inbound
		assert all(c["undecoded"] in ("gap", "no-data") for c in inbound), inbound
		gaps = [g["what"] for g in json.load(open(path + ".json"))["window"]["gaps"]
		        if g["what"].startswith("io_uring: ")]
		assert len(gaps) == 1, gaps
		# Each transfer; or each call that hands in some.
		count = int(gaps[0].split()[1])
		assert count == 12, count
		print(boundary, gaps[0])
	PYTHON
	server_stop "$SERVER"
done
