#!/bin/bash
# Every CPython that Daylight walks: of a known service, the expected functions come out exactly, by
# module, name and line, from 3.11 on by qualified name, frame by frame. Prints a row for each.
set -u
. "$(dirname "$0")/live-lib.sh"
live_begin

PYENV=${PYENV_ROOT:-$HOME/.pyenv}
missing=0
bad=0

ROWS=() # name, interpreter, port and pid of each, in turn

# row NAME PYTHON COMMAND...: the command, with the truth's file behind it, is the service.
row() {
	local name=$1 python=$2
	shift 2
	server_start "$name" "$@" "$WORK/$name.truth"
	ROWS+=("$name" "$python" "$PORT" "$SERVER")
}

# ask PORT: three requests, one after the other.
ask() {
	local i
	for i in 1 2 3; do
		curl -sf -o /dev/null --max-time 20 "http://127.0.0.1:$1/" || return 1
	done
}

# All services at once under one collector, each judged alone.
watch() {
	local file=$WORK/matrix.daylight targets=() asking=() i pid
	for ((i = 0; i < ${#ROWS[@]}; i += 4)); do
		targets+=(--pid "${ROWS[i + 3]}")
	done
	collect_start "$file" "${targets[@]}"
	for ((i = 0; i < ${#ROWS[@]}; i += 4)); do
		ask "${ROWS[i + 2]}" &
		asking+=("$!")
	done
	for pid in "${asking[@]}"; do
		wait "$pid" || fail "a service did not answer"
	done
	sleep 0.2
	collect_stop
	collect_ended 0 "$file"
	live_look "$file"
	for ((i = 0; i < ${#ROWS[@]}; i += 4)); do
		"$PYTHON" "$LIVE_DIR/matrix_check.py" "${ROWS[i]}" "$file" "$WORK/${ROWS[i]}.truth" \
			"${ROWS[i + 1]}" || bad=$((bad + 1))
	done
}

for version in 2.7 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13; do
	found=0
	for python in "$PYENV/versions/$version".*/bin/python"$version"; do
		[ -x "$python" ] || continue
		found=1
		row "pyenv-$version" "$python" "$python" "$LIVE_DIR/matrix_app.py"
	done
	if [ $found = 0 ]; then
		echo "SKIP pyenv-$version: no CPython $version under $PYENV" >&2
		missing=$((missing + 1))
	fi
done
row debian /usr/bin/python3 /usr/bin/python3 "$LIVE_DIR/matrix_app.py"

watch
[ "$bad" = 0 ] || fail "$bad rows are wrong"
[ "$missing" = 0 ] || [ "${CI:-}" != true ] || fail "$missing rows were left out"
