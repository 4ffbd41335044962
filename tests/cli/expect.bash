# shellcheck shell=bash
# For the tests of the command line; sourced. Sets DIR, a folder that goes away with the test.
#
#   expect CODE REGEX COMMAND...   runs it (20 s at most): exit code CODE, and on stderr exactly one
#                                  line, "daylight: ...", that matches REGEX
#   need_collect                   leaves the test when this build or machine cannot collect
#   sample_start, sample_drive     the sample service: SAMPLE_PID, SAMPLE_PORT
#   collect_start FILE ARG...      `collect` in the background, up to its "collecting:"
#   collect_stop                   SIGINT; its exit code is in COLLECT_CODE

CLI_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT_DIR=$(cd "$CLI_DIR/../.." && pwd)
DAYLIGHT=${DAYLIGHT:-$ROOT_DIR/build/daylight}
PYTHON=/usr/bin/python3
DIR=$(mktemp -d)
SAMPLE_PID='' COLLECT_PID='' FAILED=0

clean_up() {
	local pid
	for pid in $COLLECT_PID $SAMPLE_PID; do
		kill -TERM "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$DIR"
}
trap clean_up EXIT
trap 'exit 143' TERM INT

fail() {
	echo "FAIL: $*" >&2
	FAILED=1
}

# The last line of every test.
finish() {
	exit "$FAILED"
}

expect() {
	local wanted=$1 regex=$2 code=0
	shift 2
	timeout 20 "$@" >"$DIR/stdout" 2>"$DIR/stderr" </dev/null || code=$?
	if [ "$code" != "$wanted" ]; then
		fail "exit code $code instead of $wanted: $*"
		sed 's/^/    /' "$DIR/stderr" | head -n 5
	elif [ "$(wc -l <"$DIR/stderr")" != 1 ] || ! grep -Eq "^daylight: .*($regex)" "$DIR/stderr"; then
		fail "not one line with '$regex': $*"
		sed 's/^/    /' "$DIR/stderr" | head -n 5
	fi
}

need_collect() {
	local word=skip
	[ "${CI:-}" = true ] && word=fail
	if [ "$(id -u)" = 0 ] && "$DAYLIGHT" doctor >"$DIR/doctor" 2>&1; then
		return
	fi
	echo "$word: cannot collect here: $(head -n 1 "$DIR/doctor" 2>/dev/null || echo "not root")"
	[ "$word" = skip ] && exit 77
	exit 1
}

sample_start() {
	SAMPLE_PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	mkdir "$DIR/data"
	echo sample-token >"$DIR/data/token"
	(cd "$ROOT_DIR/tools/demo" &&
		exec "$PYTHON" -B -m sundial --port "$SAMPLE_PORT" --data "$DIR/data") &
	SAMPLE_PID=$!
	"$PYTHON" "$ROOT_DIR/tools/demo/drive.py" "$SAMPLE_PORT" none --wait
}

sample_drive() {
	"$PYTHON" "$ROOT_DIR/tools/demo/drive.py" "$SAMPLE_PORT" sample-token --pause 0.02 "$@" >/dev/null
}

wait_collecting() {
	local log=$1
	for _ in $(seq 300); do
		! grep -q '^collecting:' "$log" || return 0
		kill -0 "$COLLECT_PID" 2>/dev/null || break
		sleep 0.1
	done
	echo "FAIL: collect does not collect: $(tail -n 2 "$log")" >&2
	exit 1
}

collect_start() {
	local file=$1
	shift
	: >"$DIR/collect.log"
	"$DAYLIGHT" collect -o "$file" "$@" >"$DIR/collect.log" 2>&1 </dev/null &
	COLLECT_PID=$!
	wait_collecting "$DIR/collect.log"
}

collect_stop() {
	kill -INT "$COLLECT_PID" 2>/dev/null || true # it may have ended itself
	COLLECT_CODE=0
	# shellcheck disable=SC2034 # for the caller
	wait "$COLLECT_PID" || COLLECT_CODE=$?
	COLLECT_PID=''
}
