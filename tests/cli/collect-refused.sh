#!/bin/bash
# What `collect` refuses: one line that names the thing, the right exit code, no file left behind.
set -u
. "$(dirname "$0")/expect.bash"
need_collect

cp "$DAYLIGHT" "$DIR/daylight"
sleep 300 &
SAMPLE_PID=$! # ended by clean_up
out=$DIR/out.daylight
collect() {
	local code=$1 regex=$2
	shift 2
	expect "$code" "$regex" "$DAYLIGHT" collect "$@"
	[ ! -e "$out" ] || fail "a file is left behind: collect $*"
	rm -f "$out"
}

gone=$(sh -c 'echo $$')
port=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
collect 2 "" -o "$out"
collect 2 "" --pid "$SAMPLE_PID"
collect 2 "$gone: no such process: 'ps -e'" --pid "$gone" -o "$out"
collect 2 "pid" --pid 0 -o "$out"
collect 2 "pid" --pid 12x -o "$out"
collect 2 "pid" --pid 99999999999999999999 -o "$out"
collect 2 "$port: no process listens on it: 'ss -ltnp'" --port "$port" -o "$out"
collect 2 "port" --port 65536 -o "$out"
collect 2 "$DIR/none: give the program's full path" --exe "$DIR/none" -o "$out"
collect 2 "daylight: no process runs it: start it" --exe "$DIR/daylight" -o "$out"
collect 2 "$DIR/none' cannot be run .give" -o "$out" -- "$DIR/none"
collect 2 "no-such-unit" --unit no-such-unit.service -o "$out"
collect 2 "no-such-cgroup" --cgroup no-such-cgroup -o "$out"
collect 2 "no-such-service" --service no-such-service -o "$out"
collect 2 "duration" --pid "$SAMPLE_PID" --duration soon -o "$out"
collect 2 "challenge" --pid "$SAMPLE_PID" --challenge xyz -o "$out"
collect 2 "label" --pid "$SAMPLE_PID" --label novalue -o "$out"
collect 2 "$DIR/none" --pid "$SAMPLE_PID" --duration 1s -o "$DIR/none/out.daylight"
collect 2 "$DIR" --pid "$SAMPLE_PID" --duration 1s -o "$DIR"

# An existing file is not touched without --force.
echo precious >"$DIR/precious"
# A key that is none: said before anything is done.
expect 2 "no private key" "$DAYLIGHT" collect --pid "$SAMPLE_PID" --duration 1s \
	--sign "$DIR/precious" -o "$DIR/unsigned"
[ ! -e "$DIR/unsigned" ] || fail "a bundle was begun without its key"
expect 2 "$DIR/precious" "$DAYLIGHT" collect --pid "$SAMPLE_PID" --duration 1s -o "$DIR/precious"
[ "$(cat "$DIR/precious")" = precious ] || fail "an existing file was changed"

# Without privileges: 3, and what to do.
mkdir -m 777 "$DIR/open"
chmod 755 "$DIR"
chmod 755 "$DIR/daylight"
expect 3 "root|sudo" setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$DIR/daylight" collect --pid "$SAMPLE_PID" --duration 1s -o "$DIR/open/x.daylight"
[ ! -e "$DIR/open/x.daylight" ] || fail "a file is left behind without privileges"
finish
