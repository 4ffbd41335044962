# shellcheck shell=bash
# What the rows of the conformance matrix share: servers of Debian on the loopback, a driver that
# knows the truth, and a printed row for each server and feature. Sourced by conformance*.sh.
#
#   conformance_begin            leaves the test where eBPF cannot be used; makes $WORK, service data
#   conformance_need PROGRAM..   leaves the test when one is missing
#   conformance_port             sets PORT to a free one
#   conformance_listens HOW      waits until something listens: a port, or the path of a socket
#   conformance_run NAME CMD...  starts a server whose first process stays: sets SERVER
#   conformance_row NAME ...     drives and judges: see below
#
# conformance_row NAME TARGETS DRIVE... -- CHECK...: for each boundary source, or for ONLY: collects TARGETS (pids),
# runs `conformance_drive.py TRUTH DRIVE...`, judges with `conformance_check.py`, prints the row. With
# BEFORE set the driver begins before the collector (its mode `joined`). With SOCKETS set, walks are
# made at socket data alone: calls need no others, and where each costs a deep Python stack these
# shall not lack what others spent. What was lost because other programs took the processor away from
# a walk (its budget is time) is said, and the row is driven again, three times at most: the run that
# is judged has lost nothing.

SERVICES_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$SERVICES_DIR/../live/live-lib.sh"

# Servers end their own workers when they are asked to.
conformance_end() {
	local status=$? pid
	trap - EXIT
	for pid in "${STARTED[@]}"; do
		kill -TERM "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	(exit "$status")
	live_end
}

conformance_begin() {
	live_begin
	trap conformance_end EXIT
	[ "$(id -u)" = 0 ] || skip "the servers' users need root"
	# Workers of another user look into it.
	chmod 755 "$WORK"
	cp -r "$ROOT_DIR/probes" "$WORK/probes"
	cp "$SERVICES_DIR/conformance-probe.json" "$WORK/probes/services/conformance.json"
	printf 'SHOW %-28s %-12s %-10s %6s %6s  %s\n' SERVER BOUNDARY PROTOCOL CALLS CONNS RESULT
}

conformance_need() {
	local name
	for name in "$@"; do
		command -v "$name" >/dev/null || skip "$name is not installed (tools/deps.sh check)"
	done
}

conformance_port() {
	# shellcheck disable=SC2034 # for the caller
	PORT=$("$PYTHON" -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
}

conformance_answers() {
	"$PYTHON" - "$1" 2>/dev/null <<-'PYTHON'
		import socket, sys
		at = sys.argv[1]
		if at.startswith("/"):
		    socket.socket(socket.AF_UNIX).connect(at)
		else:
		    socket.create_connection(("127.0.0.1", int(at))).close()
	PYTHON
}

conformance_listens() {
	wait_for 15 conformance_answers "$1" || fail "nothing listens on $1: $(tail -n 3 "$WORK"/*.err)"
}

conformance_run() {
	local name=$1
	shift
	"$@" >"$WORK/$name.out" 2>"$WORK/$name.err" </dev/null &
	SERVER=$!
	STARTED+=("$SERVER")
}

# Was nothing lost but walks that found no time? Somebody else took the processor away.
conformance_busy() {
	[ "$CODE" = 4 ] && "$DAYLIGHT" inspect "$1" --json 2>/dev/null | "$PYTHON" -c 'import json, sys
lost = {(s["stage"], cause) for s in json.load(sys.stdin)["loss"] for cause, n in s["lost"].items() if n}
sys.exit(lost != {("stack-walks", "budget")})'
}

# conformance_once NAME BOUNDARY FILE: collects while the driver works.
conformance_once() {
	local name=$1 boundary=$2 file=$3 pid
	if [ -n "${BEFORE:-}" ]; then
		"$PYTHON" "$SERVICES_DIR/conformance_drive.py" "$file.before" "${DRIVE[@]}" \
			--before "$WORK/go" >"$file.drive" 2>&1 &
		pid=$!
		wait_for 10 test -e "$WORK/go.ready" || fail "$name: $(cat "$file.drive")"
	fi
	collect_start "$file" "${ARGS[@]}" --probes "$WORK/probes" --boundary "$boundary"
	if [ -n "${BEFORE:-}" ]; then
		: >"$WORK/go"
		wait "$pid" || fail "$name: the driver failed: $(tail -n 3 "$file.drive")"
		mv "$file.before" "$file.truth"
		rm -f "$WORK/go" "$WORK/go.ready"
	else
		"$PYTHON" "$SERVICES_DIR/conformance_drive.py" "$file.truth" "${DRIVE[@]}" \
			>"$file.drive" 2>&1 || fail "$name: the driver failed: $(tail -n 3 "$file.drive")"
	fi
	# The servers may still be closing.
	sleep 0.3
	collect_stop
}

conformance_row() {
	local name=$1 targets=$2 boundary file pid DRIVE=() ARGS=() left
	shift 2
	while [ "$1" != -- ]; do
		DRIVE+=("$1")
		shift
	done
	shift
	for pid in $targets; do
		ARGS+=(--pid "$pid")
	done
	[ -z "${SOCKETS:-}" ] || ARGS+=(--syscall-phase=0 --syscall-duty=0 --samples=0)
	[ -z "${ONLY:-}" ] || local BOUNDARIES=("$ONLY")
	for boundary in "${BOUNDARIES[@]}"; do
		file=$WORK/${name//[^a-z0-9]/-}-$boundary.daylight
		for left in 3 2 1 0; do
			conformance_once "$name" "$boundary" "$file"
			if [ $left = 0 ] || ! conformance_busy "$file"; then
				break
			fi
			echo "$name by $boundary: the machine was busy, once more" >&2
			rm -f "$file"
		done
		collect_ended 0 "$file"
		live_look "$file"
		"$PYTHON" "$SERVICES_DIR/conformance_check.py" "$name" "$boundary" "$file" "$@" ||
			fail "$name by $boundary is not what its driver did"
	done
}
