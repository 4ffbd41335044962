# shellcheck shell=bash
# What the tests of deep tracing share; sourced after live-lib.sh, not a test itself.
#
#   deep_begin                makes $WORK/probes, with a definition of deep_server.py's routes
#   deep_truth MODE REQUEST.. the truth of these requests of flow_client.py, made one by one by a
#                             server that records itself: $WORK/truth-MODE/all.truth
#   deep_server MODE          starts deep_server.py
#   deep_collect FILE N ARG.. traces the first N calls of each route of $SERVER; without a duty cycle
#                             unless ARG says so
#   deep_client FILE REQ..    flow_client.py; the request ids go to FILE.client
#   deep_stop FILE [CODE]     ends collector (exit code 0) and server; looks at the bundle
#   no_taps PID, has_taps PID whether breakpoints stand in the process's code
#   deep_calls FILE ROUTE     the numbers of the route's deep calls, in a line
#   deep_spans FILE           writes FILE.spans: the bundle's `deep` records, one a line
#   deep_judge FILE MODE ARG. recall.py on the functions of deep_code*.py

SERVICES_DIR=$ROOT_DIR/tests/services
# The interpreter of the servers.
DEEP_PYTHON=${DEEP_PYTHON:-$PYTHON}

deep_begin() {
	cp -r "$ROOT_DIR/probes" "$WORK/probes"
	"$PYTHON" - "$LIVE_DIR" >"$WORK/probes/services/deep.json" <<-'PYTHON'
		import ast, json, sys
		routes = set()
		for name in ("deep_code", "deep_code_loop", "deep_code_green"):
		    with open("%s/%s.py" % (sys.argv[1], name)) as file:
		        last = ast.parse(file.read()).body[-1]
		    routes |= {key.value for key in last.value.keys}
		print(json.dumps({
		    "schema": 1, "name": "deep", "title": "deep_server.py", "versions": "of the tests",
		    "matches": [{"exe_globs": ["*/python*"], "arg_globs": ["*/deep_server.py"]}],
		    "roots": ["/**/tests/live"], "sections": [],
		    "routes": [{"id": name, "path": "/" + name} for name in sorted(routes)]}))
	PYTHON
}

deep_server() {
	server_start "$1" "$DEEP_PYTHON" "$LIVE_DIR/deep_server.py" "$1"
}

deep_collect() {
	collect_start "$1" --probes "$WORK/probes" --pid "$SERVER" --deep "$2" \
		--syscall-phase 1ms "${@:3}"
}

deep_client() {
	local file=$1
	shift
	"$PYTHON" "$LIVE_DIR/flow_client.py" "$PORT" "$@" >>"$file.client" ||
		fail "the client did not get its answers"
}

deep_truth() {
	local mode=$1 request
	shift
	mkdir -p "$WORK/truth-$mode"
	server_start "truth-$mode" "$DEEP_PYTHON" "$LIVE_DIR/deep_server.py" --truth \
		"$WORK/truth-$mode/all.truth" "$mode"
	for request; do
		deep_client "$WORK/truth-$mode" "${request%%:*}:0:$(cut -d: -f3 <<<"$request"):next"
	done
	server_stop "$SERVER"
}

deep_stop() {
	local file=$1
	sleep 0.2
	collect_stop
	server_stop "$SERVER"
	collect_ended "${2:-0}" "$file"
	live_look "$file"
}

no_taps() { [ "$("$PYTHON" "$LIVE_DIR/deep_taps.py" "$1")" = 0 ]; }
has_taps() { ! no_taps "$1"; }

deep_calls() {
	"$PYTHON" - "$1.calls" "$2" <<-'PYTHON'
		import json, sys
		with open(sys.argv[1]) as file:
		    names = [c["request_id"] for c in map(json.loads, file) if c["evidence"] == "deep"]
		numbers = [int(n.split("-")[2]) for n in names if n.split("-")[1] == sys.argv[2]]
		print(*sorted(numbers))
	PYTHON
}

deep_spans() {
	local number=1
	while "$DAYLIGHT" inspect "$1" record deep $number --json 2>/dev/null; do
		number=$((number + 1))
	done | "$PYTHON" -c 'import json, sys
text, decoder = sys.stdin.read().strip(), json.JSONDecoder()
while text:
    span, end = decoder.raw_decode(text)
    print(json.dumps(span))
    text = text[end:].strip()' >"$1.spans"
}

deep_judge() {
	local file=$1 mode=$2
	shift 2
	echo "$(basename "$file"):"
	"$PYTHON" "$SERVICES_DIR/recall.py" "$file.calls" "$WORK/truth-$mode" --own \
		--code "$LIVE_DIR/deep_code*" --code '/srv/tenant/*' \
		--calls "$(wc -l <"$file.client")" "$@" || fail "recall.py $(basename "$file")"
}
