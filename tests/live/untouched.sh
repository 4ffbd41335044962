#!/bin/bash
# The service does not notice: no stop, no tracer, no descriptor or mapping more; and nothing stays
# in the kernel when the collector ends, however it ends.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin
command -v bpftool >/dev/null || PATH=$PATH:/usr/sbin
command -v bpftool >/dev/null || skip "bpftool is not installed (make deps-check)"

# What the collector holds in the kernel: "prog 12", "map 7", "link 3".
held() {
	sed -n 's/^\(prog\|map\|link\)_id:[[:space:]]*/\1 /p' /proc/"$COLLECT"/fdinfo/* 2>/dev/null |
		sort -u
}

nothing_is_left() {
	local kind id
	while read -r kind id; do
		! bpftool "$kind" show id "$id" >/dev/null 2>&1 || return 1
	done <"$WORK/held"
}

# shape PID...: numbers of descriptors, mappings and threads.
shape() {
	local pid
	for pid; do
		printf 'fds %d maps %d threads %d; ' "$(find "/proc/$pid/fd" -mindepth 1 | wc -l)" \
			"$(wc -l <"/proc/$pid/maps")" \
			"$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)"
	done
}

# one NAME SIGNAL
one() {
	local name=$1 signal=$2 file=$WORK/$1-$2.daylight before after children
	read -ra children <"/proc/$SERVER/task/$SERVER/children"
	# The service's own growth comes first.
	live_client /dev/null --mix keepalive,pipeline --conversations 40 --parallel 4 --pace 5
	sleep 0.3
	before=$(shape "$SERVER" "${children[@]}")
	: >"$WORK/watch"
	"$PYTHON" "$LIVE_DIR/watch_states.py" "$SERVER" "${children[@]}" >"$WORK/watch" &
	local watch=$!
	STARTED+=("$watch")
	collect_start "$file" --pid "$SERVER"
	live_client "$WORK/$name.client" --mix keepalive,pipeline --conversations 40 --parallel 4 --pace 20
	held >"$WORK/held"
	for kind in prog map link; do
		grep -q "^$kind " "$WORK/held" || fail "no $kind is held while collecting: $(cat "$WORK/held")"
	done
	! nothing_is_left || fail "bpftool does not show what is held"
	kill "-$signal" "$COLLECT"
	collect_wait 2>/dev/null
	wait_for 5 nothing_is_left || fail "still in the kernel after $signal: $(cat "$WORK/held")"
	sleep 0.3
	after=$(shape "$SERVER" "${children[@]}")
	kill -TERM "$watch"
	wait "$watch" 2>/dev/null
	echo "$name, $signal: $before$(cat "$WORK/watch"); $(wc -l <"$WORK/held") kernel objects held"
	[ "$before" = "$after" ] || fail "before: $before, after: $after"
	grep -q '^[0-9]* looks, none stopped or traced$' "$WORK/watch" ||
		fail "$(cat "$WORK/watch")"
}

live_threads threads
one threads INT
one threads KILL
server_stop "$SERVER"
live_small small --processes 2 --threads 4
one small TERM
server_stop "$SERVER"
