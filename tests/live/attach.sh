#!/bin/bash
# Every way to name a target, on servers that are already at work.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

# one NAME COLLECT-ARG...: collects from the server at $PORT, which a client keeps busy all the time.
one() {
	local name=$1 file=$WORK/$1.daylight busy
	shift
	# Traffic that was there before the window opens, on connections of its own.
	"$PYTHON" "$LIVE_DIR/client.py" "127.0.0.1:$PORT" --truth /dev/null --mix keepalive \
		--conversations 100000 --pace 40 >/dev/null 2>&1 &
	busy=$!
	STARTED+=("$busy")
	collect_start "$file" "$@"
	kill -KILL "$busy"
	wait "$busy" 2>/dev/null
	sleep 0.2
	live_client "$WORK/$name.client" --mix keepalive,pipeline --conversations 30 --parallel 3 \
		--pace 30
	sleep 0.2
	collect_stop
	collect_ended 0 "$file"
	live_look "$file"
	echo "$name:"
	# The busy client's calls stand beside those that were noted.
	live_check "$file" among "$WORK/$name.client"
	live_check "$file" lossless
}

live_small small --processes 3 --threads 3
one small-by-port --port "$PORT"
live_check "$WORK/small-by-port.daylight" served 3
one small-by-exe --exe "$WORK/server_small"
live_check "$WORK/small-by-exe.daylight" served 3
# The parent alone is named; its children are targets, too.
one small-by-pid --pid "$SERVER"
live_check "$WORK/small-by-pid.daylight" served 3
server_stop "$SERVER"

live_threads threads
one threads-by-pid --pid "$SERVER"
server_stop "$SERVER"

# A command of its own: from its first call to its end, which ends the window.
file=$WORK/command.daylight
collect_start "$file" -- "$PYTHON" "$LIVE_DIR/server_threads.py" --truth "$WORK/command.truth"
command_says_port() { PORT=$(sed -n 's/^port //p' "$file.out") && [ -n "$PORT" ]; }
wait_for 10 command_says_port || fail "the command does not say its port: $(cat "$file.log")"
# The interpreter is found shortly after it has started.
sleep 1
live_client "$WORK/command.client" --mix keepalive,plain --conversations 20 --pace 20
read -r child <"/proc/$COLLECT/task/$COLLECT/children"
kill -TERM "$child"
collect_wait
collect_ended 0 "$file"
live_look "$file"
echo "command:"
same_calls "$WORK/command.client" "$file"
live_check "$file" lossless
live_check "$file" stopped targets-ended

# A service by its definition: all of the host's that match, this one among them.
PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
(cd "$ROOT_DIR/tools/demo" && echo token >"$WORK/token" &&
	exec "$PYTHON" -B -m sundial --port "$PORT" --data "$WORK") >"$WORK/sundial.out" 2>&1 &
SERVER=$!
STARTED+=("$SERVER")
"$PYTHON" "$ROOT_DIR/tools/demo/drive.py" "$PORT" none --wait || fail "sundial does not answer"
file=$WORK/service.daylight
collect_start "$file" --service sample
"$PYTHON" "$ROOT_DIR/tools/demo/drive.py" "$PORT" token --pause 0.02 -o "$WORK/service.client" ||
	fail "sundial's client"
sleep 0.2
collect_stop
server_stop "$SERVER"
[ "$CODE" = 0 ] || [ "$CODE" = 4 ] || collect_ended 0 "$file"
live_look "$file"
echo "service:"
live_check "$file" among "$WORK/service.client"
live_check "$file" routes sample
