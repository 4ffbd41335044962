#!/bin/bash
# Interpreters without a layout: their calls are listed, their code is not, and the bundle says so.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

found=0
for python in "$HOME"/.pyenv/versions/3.1[023].*/bin/python3; do
	[ -x "$python" ] || continue
	found=$((found + 1))
	version=$("$python" -c 'import platform; print(platform.python_version())')
	file=$WORK/$version.daylight
	server_start "$version" "$python" "$LIVE_DIR/server_threads.py" --truth "$WORK/$version.truth"
	collect_start "$file" --port "$PORT"
	live_client "$WORK/$version.client" --mix keepalive,pipeline --conversations 10
	sleep 0.2
	collect_stop
	server_stop "$SERVER"
	collect_ended 0 "$file"
	live_look "$file"
	echo "$version:"
	same_calls "$WORK/$version.client" "$file"
	live_check "$file" lossless
	live_check "$file" unsupported "$version"
done
[ "$found" != 0 ] || skip "no CPython 3.10, 3.12 or 3.13 in ~/.pyenv/versions"
