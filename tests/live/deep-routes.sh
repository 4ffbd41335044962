#!/bin/bash
# The first calls of a route are deep, the later ones are not, and the taps are gone from the
# service's memory then. A new route brings them back: its second call is deep, its first is not.
# Another process of the same interpreter never has a tap.
set -u
. "$(dirname "$0")/live-lib.sh"
. "$(dirname "$0")/deep-lib.sh"
live_begin
deep_begin


# Another one, which works all the time.
server_start other "$DEEP_PYTHON" -c 'import time
print("port 0", flush=True)
def work():
    time.sleep(0.001)
while True:
    work()'
other=$SERVER
deep_server plain
file=$WORK/routes
deep_collect "$file" 20
has_taps "$SERVER" || fail "no taps in the service"
no_taps "$other" || fail "taps in another process"
deep_client "$file" twins:0:60:0.05
wait_for 5 no_taps "$SERVER" || fail "the taps stay after the first calls"
# While the first call of the new route is looked at, nothing else happens.
deep_client "$file" recursion:0:1 recursion:2:30:0.05 &
client=$!
STARTED+=("$client")
wait_for 5 has_taps "$SERVER" || fail "no taps for a new route"
no_taps "$other" || fail "taps in another process"
wait "$client" || fail "the client did not get its answers"
wait_for 5 no_taps "$SERVER" || fail "the taps stay after the first calls of a new route"
deep_stop "$file"
server_stop "$other"

twins=" $(deep_calls "$file" twins) " recursion=" $(deep_calls "$file" recursion) "
echo "deep calls of the first route:$twins"
echo "deep calls of the new route:$recursion"
[[ $twins == " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 "* ]] ||
	fail "the first 20 calls are not deep"
[[ $twins != *" 60 "* && $twins != *" 40 "* ]] || fail "calls long after the first are deep"
[[ $recursion == " 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 "* ]] ||
	fail "a new route is not deep from its second call on, for 20 calls"
[[ $recursion != *" 31 "* ]] || fail "calls long after the first are deep"
# Functions of a call that is not deep have another source.
"$PYTHON" - "$file.calls" <<-'PYTHON' || fail "a later call has functions by deep tracing"
	import json, sys
	with open(sys.argv[1]) as file:
	    last = [c for c in map(json.loads, file) if c["request_id"] in ("req-twins-60", "req-recursion-31")]
	sys.exit(len(last) != 2 or any("deep" in f["sources"] for c in last for f in c["functions"]))
PYTHON
