# shellcheck shell=bash
# What the tests of flows share; sourced after live-lib.sh, not a test itself.
#
#   flow_client FILE ARG...   flow_client.py against $PORT; its request ids go to FILE.client
#   flow_judge NAME CODE ARG...
#                             ends the collector, which must give this exit code, and the server;
#                             flow_check.py judges $WORK/NAME.daylight by the server's own words
#   flow_watch NAME CODE REQUEST... -- ARG...
#                             all of it for the running server NAME

flow_client() {
	local file=$1
	shift
	"$PYTHON" "$LIVE_DIR/flow_client.py" "$PORT" "$@" >>"$file.client" ||
		fail "the client did not get its answers"
}

flow_judge() {
	local name=$1 code=$2 file=$WORK/$1.daylight
	shift 2
	sleep 0.2
	collect_stop
	server_stop "$SERVER"
	collect_ended "$code" "$file"
	live_look "$file"
	echo "$name:"
	"$PYTHON" "$LIVE_DIR/flow_check.py" "$file" "$WORK/$name.out" "$file.client" "$@" ||
		fail "flow_check.py $name"
}

flow_watch() {
	local name=$1 code=$2 requests=()
	shift 2
	while [ "$1" != -- ]; do
		requests+=("$1")
		shift
	done
	shift
	collect_start "$WORK/$name.daylight" --pid "$SERVER"
	flow_client "$WORK/$name.daylight" "${requests[@]}"
	flow_judge "$name" "$code" "$@"
}
