#!/bin/bash
# How calls end, with their status, their sizes, their first and last byte: whole, left by the
# client, with the server killed, with the network gone, cut by the end of the window.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

ended=(whole teapot head left unheard killed mute)
cut=(stopped waiting)
asked() { grep -q '^asked$' "$WORK/cut.out"; }
for boundary in "${BOUNDARIES[@]}"; do
	# A network of its own: one that can be taken away.
	server_start "$boundary" unshare --net "$PYTHON" "$LIVE_DIR/ends_server.py" serve
	file=$WORK/$boundary.daylight truth=$WORK/$boundary.truth
	collect_start "$file" --pid "$SERVER" --boundary "$boundary"
	ask() { "$PYTHON" "$LIVE_DIR/ends_server.py" ask "$PORT" "$SERVER" "$truth" "$@"; }
	ask "${ended[@]}" || fail "the client did not get its answers"
	mkfifo "$WORK/end"
	ask "${cut[@]}" <"$WORK/end" >"$WORK/cut.out" &
	client=$!
	STARTED+=("$client")
	exec 9>"$WORK/end"
	wait_for 10 asked || fail "the client did not get as far as it should"
	# It takes the network away, so it comes last.
	ask lost || fail "the client did not get its answers"
	collect_stop
	exec 9>&-
	wait "$client"
	rm "$WORK/end"
	server_stop "$SERVER"
	collect_ended 0 "$file"
	live_look "$file"
	live_check "$file" lossless
	echo "$boundary:"
	"$PYTHON" "$LIVE_DIR/ends_server.py" check "$file" "$truth" "$WORK/$boundary.out" \
		"${ended[@]}" "${cut[@]}" lost || fail "not as it was ($boundary)"
done
