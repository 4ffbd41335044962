# shellcheck shell=bash
# What the live tests share: servers on the loopback, a collector beside them, bundles to look at.
# Sourced by bash scripts; not a test itself.
#
#   live_begin               leaves the test (skip, or fail when CI=true) where eBPF cannot be used;
#                            makes $WORK, which is removed at the end with all that was started.
#                            With LIVE_READY=1 doctor was asked before (tools/kernel/tests.sh)
#   LIVE_SLOW=N              the machine is N times slower than a real one, and shall be waited for
#                            and looked at so much longer (tools/kernel/tests.sh)
#   BOUNDARIES               what collect --boundary can be on this kernel
#   server_start NAME CMD... starts a server that says `port N`; sets SERVER (pid) and PORT
#   server_stop PID          ends one, by pid
#   live_threads NAME ARG... starts server_threads.py under the system's python3
#   live_small NAME ARG...   builds and starts server_small.c
#   live_client TRUTH ARG... drives $PORT with client.py
#   free_port                prints the number of a port that is free now
#   collect_start FILE ARG.. starts `daylight collect` and waits for "collecting:"; sets COLLECT;
#                            its descriptor 3 is FILE.status
#   collect_resume FILE ARG..  goes on with an interrupted window; else as collect_start
#   collect_stop             ends it; sets CODE, its exit code
#   collect_ended CODE FILE  it must have been this code
#   live_look FILE           writes FILE.json, FILE.calls, FILE.connections, ... beside the bundle
#   live_check FILE WHAT...  judges them: see check_bundle.py

LIVE_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT_DIR=$(cd "$LIVE_DIR/../.." && pwd)
DAYLIGHT=${DAYLIGHT:-$ROOT_DIR/build/daylight}
# The system's interpreter: the first python3 in PATH may be another one.
PYTHON=/usr/bin/python3
export PYTHONDONTWRITEBYTECODE=1
STARTED=()
COLLECT=
COLLECT_UNDER=() # a command that runs the collector
CODE=
LIVE_SLOW=${LIVE_SLOW:-1}
# shellcheck disable=SC2034 # for the caller
BOUNDARIES=(syscalls)
# shellcheck disable=SC2034
! printf '%s\n' 6.3 "$(uname -r)" | sort -CV || BOUNDARIES=(tracepoints syscalls)

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# The runner turns a skip into a failure when CI=true.
skip() {
	echo "SKIP: $*" >&2
	exit 77
}

live_begin() {
	[ -x "$DAYLIGHT" ] || fail "no $DAYLIGHT: run make first"
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/daylight-live.XXXXXX")
	trap live_end EXIT
	trap 'exit 1' INT TERM
	[ -n "${LIVE_READY:-}" ] || "$DAYLIGHT" doctor >"$WORK/doctor" 2>&1 ||
		skip "eBPF cannot be used here: $(grep -m 1 '^MISSING' "$WORK/doctor")"
}

live_end() {
	local status=$? pid
	trap - EXIT
	for pid in $COLLECT "${STARTED[@]}"; do
		kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	[ -n "${KEEP:-}" ] || rm -rf "$WORK"
	exit "$status"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local end=$((SECONDS + $1 * LIVE_SLOW))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

server_says_port() {
	PORT=$(sed -n 's/^port //p' "$WORK/$1.out")
	[ -n "$PORT" ] || ! kill -0 "$SERVER" 2>/dev/null
}

server_start() {
	local name=$1
	shift
	: >"$WORK/$name.out"
	"$@" >"$WORK/$name.out" 2>"$WORK/$name.err" </dev/null &
	SERVER=$!
	STARTED+=("$SERVER")
	if ! wait_for 60 server_says_port "$name" || [ -z "$PORT" ]; then
		fail "$name did not start: $(tail -n 1 "$WORK/$name.err")"
	fi
}

server_stop() {
	local pid kept=()
	kill -TERM "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	for pid in "${STARTED[@]}"; do
		[ "$pid" = "$1" ] || kept+=("$pid")
	done
	STARTED=("${kept[@]}")
}

free_port() {
	"$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

live_threads() {
	local name=$1
	shift
	server_start "$name" "$PYTHON" "$LIVE_DIR/server_threads.py" --truth "$WORK/$name.truth" "$@"
}

live_small() {
	local name=$1
	shift
	[ -x "$WORK/server_small" ] ||
		gcc -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread \
			-o "$WORK/server_small" "$LIVE_DIR/server_small.c" ||
		fail "server_small.c does not compile"
	server_start "$name" "$WORK/server_small" --truth "$WORK/$name.truth" "$@"
}

live_client() {
	local truth=$1
	shift
	"$PYTHON" "$LIVE_DIR/client.py" "127.0.0.1:$PORT" --truth "$truth" "$@" >"$WORK/client.out" ||
		fail "the client did not get its answers"
}

collect_is_up() {
	grep -q '^collecting:' "$1.log" || ! kill -0 "$COLLECT" 2>/dev/null
}

collect_start() {
	local file=$1 default
	shift
	# Most tests look at what system calls show; those of function starts say so.
	for default in --deep=0 --deep-duty=0 --syscall-phase=30s --walk-budget=$((2 * LIVE_SLOW)); do
		[[ " $* " == *" ${default%=*}"[\ =]* ]] || set -- "$default" "$@"
	done
	collect_run "$file" -o "$file" "$@"
}

collect_resume() {
	local file=$1
	shift
	collect_run "$file" --resume "$file" "$@"
}

collect_run() {
	local file=$1
	shift
	: >"$file.log"
	"${COLLECT_UNDER[@]}" "$DAYLIGHT" collect "$@" >"$file.out" 2>"$file.log" \
		3>"$file.status" </dev/null &
	COLLECT=$!
	wait_for 60 collect_is_up "$file" || fail "collect does not say \"collecting:\""
	if ! grep -q '^collecting:' "$file.log"; then
		wait "$COLLECT"
		CODE=$?
		COLLECT=
		fail "collect ended with exit code $CODE: $(tail -n 1 "$file.log")"
	fi
}

collect_is_gone() { ! kill -0 "$COLLECT" 2>/dev/null; }

# The collector comes to its end now.
collect_wait() {
	CODE=0
	wait_for 60 collect_is_gone || fail "collect does not end"
	wait "$COLLECT" || CODE=$?
	COLLECT=
}

collect_stop() {
	kill -INT "$COLLECT" 2>/dev/null
	collect_wait
}

collect_ended() {
	[ "$CODE" = "$1" ] || fail "collect ended with exit code $CODE, not $1: $(cat "$2.log")" \
		"$("$DAYLIGHT" inspect "$2" loss)"
}

# live_look FILE [CODE]: all views of a bundle; inspect and verify end with CODE (0).
live_look() {
	local file=$1 want=${2:-0} view code=0
	"$DAYLIGHT" inspect "$file" --json >"$file.json" 2>"$file.err" || code=$?
	[ "$code" = "$want" ] || fail "inspect ended with exit code $code: $(cat "$file.err")"
	for view in calls connections processes modules functions stacks; do
		code=0
		"$DAYLIGHT" inspect "$file" "$view" --jsonl >"$file.$view" 2>"$file.err" || code=$?
		[ "$code" = "$want" ] ||
			fail "inspect $view ended with exit code $code: $(cat "$file.err")"
	done
	code=0
	"$DAYLIGHT" verify "$file" >"$file.verify" 2>&1 || code=$?
	[ "$code" = "$want" ] || fail "verify ended with exit code $code: $(cat "$file.verify")"
}

live_check() {
	"$PYTHON" "$LIVE_DIR/check_bundle.py" "$@" || fail "check_bundle.py $*"
}

# same_calls TRUTH FILE ARG...: what the client got is what the bundle lists.
same_calls() {
	local truth=$1 file=$2
	shift 2
	"$PYTHON" "$LIVE_DIR/compare_calls.py" "$truth" "$file.calls" "$@" ||
		fail "the calls of $(basename "$file") are not those of the client"
}
